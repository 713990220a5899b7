"""What we send: every 20 ms a frame of audio, a piece of a key, or silence, as RTP packets. Pure.

Silence is sent too. It keeps NATs and firewalls open, and peers that end a call without media content.
"""

from __future__ import annotations

from collections import deque

from voicebot.telephony.leg import FRAME_MS, FRAME_SAMPLES, SILENT_FRAME
from voicebot.telephony.playout import Playout
from voicebot.telephony.rtp.codecs import Codec, Convert
from voicebot.telephony.rtp.events import KeySender, tones
from voicebot.telephony.rtp.negotiation import Agreed
from voicebot.telephony.rtp.packet import header


class Sender:
    """One stream.

    `sequence` and `timestamp` are random starts (RFC 3550, section 5.1). `key_ms` and `gap_ms` are each key's length
    and the pause after it.
    """

    def __init__(self, *, ssrc: int, sequence: int, timestamp: int, key_ms: int, gap_ms: int) -> None:
        self.ssrc = ssrc
        self.timestamp = timestamp
        self.packets = 0
        self.octets = 0
        self._sequence = sequence
        self._key_ms = key_ms
        self._gap_ms = gap_ms
        self._keys = KeySender(key_ms=key_ms, gap_ms=gap_ms)
        self._codec: Codec | None = None
        self._encode: Convert | None = None
        #: The audio of `CallLeg.send`.
        self.playout = Playout()
        self._tones: deque[bytes] = deque()
        self._talking = False

    def press(self, keys: str, agreed: Agreed | None) -> None:
        """Queue keys, as tones for a peer without telephone-events; `LocalProtocolError` for what is no key."""
        if agreed is not None and agreed.events_out is None:
            self._tones.extend(tones(keys, key_ms=self._key_ms, gap_ms=self._gap_ms))
        else:
            self._keys.press(keys)

    def step(self, agreed: Agreed) -> list[bytes]:
        """Return the datagrams of the next 20 ms."""
        began = self.timestamp
        self.timestamp = (began + FRAME_SAMPLES) & 0xFFFFFFFF
        if self._keys.busy and agreed.events_out is not None:
            number = agreed.events_out
            packets = self._keys.step(began)
            if packets:
                self._talking = False
                return [self._packet(number, packet.timestamp, packet.payload, packet.marker) for packet in packets]
            frame = SILENT_FRAME
        elif self._tones:
            frame = self._tones.popleft()
        else:
            frame = self.playout.next() or SILENT_FRAME
        if not agreed.sends:
            # The peer holds: our audio goes on without being heard, as on any line.
            self._talking = False
            return []
        return self._audio(frame, began, agreed)

    def _audio(self, frame: bytes, timestamp: int, agreed: Agreed) -> list[bytes]:
        if agreed.codec is not self._codec:
            self._codec, self._encode = agreed.codec, agreed.codec.make_encoder()
        marker = not self._talking
        self._talking = True
        payload = self._encode(frame) if self._encode else frame
        if agreed.packet_ms == FRAME_MS:
            # As `_packet` does, but for nearly every packet there is.
            sequence = self._sequence
            self._sequence = (sequence + 1) & 0xFFFF
            self.packets += 1
            self.octets += len(payload)
            second = agreed.payload_type | 0x80 if marker else agreed.payload_type
            return [header(second, sequence, timestamp, self.ssrc) + payload]
        half = len(payload) // 2
        later = (timestamp + FRAME_SAMPLES // 2) & 0xFFFFFFFF
        return [
            self._packet(agreed.payload_type, timestamp, payload[:half], marker),
            self._packet(agreed.payload_type, later, payload[half:], marker=False),
        ]

    def _packet(self, payload_type: int, timestamp: int, payload: bytes, marker: bool) -> bytes:  # noqa: FBT001  # RTP's
        sequence = self._sequence
        self._sequence = (sequence + 1) & 0xFFFF
        self.packets += 1
        self.octets += len(payload)
        return header(payload_type | 0x80 if marker else payload_type, sequence, timestamp, self.ssrc) + payload
