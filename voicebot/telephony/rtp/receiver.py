"""What the peer sends: packets become frames in step with our clock, and keys. Pure."""

from __future__ import annotations

from collections.abc import Callable

from voicebot.errors import RemoteProtocolError
from voicebot.telephony.leg import FRAME_SAMPLES, FrameReceived, KeyPressed
from voicebot.telephony.rtp.codecs import Codec, Convert
from voicebot.telephony.rtp.events import KeyReceiver
from voicebot.telephony.rtp.jitter import Audio, JitterBuffer
from voicebot.telephony.rtp.negotiation import Agreed
from voicebot.telephony.rtp.packet import fields
from voicebot.telephony.rtp.quality import Reception


class Receiver:
    """One call's incoming media, whatever streams (SSRCs) it comes in."""

    def __init__(self, on_key: Callable[[KeyPressed], None]) -> None:
        self.jitter = JitterBuffer()
        self._on_key = on_key
        self._keys = KeyReceiver()
        #: Statistics of the stream that comes now; None before the first packet.
        self.reception: Reception | None = None
        #: The codec in use and its decoder; those of others are made anew when the peer changes over.
        self._codec: Codec | None = None
        self._decode: Convert = bytes

    def receive(self, datagram: bytes, agreed: Agreed, now_s: float) -> None:
        """Take a packet.

        Raises `RemoteProtocolError` (``bad_rtp``, ``unknown_payload_type``, ``bad_payload``, ``bad_event``).
        """
        second, sequence, timestamp, ssrc, payload = fields(datagram)
        payload_type = second & 0x7F
        reception = self.reception
        if reception is None or ssrc != reception.ssrc:
            reception = self._new_stream(Reception(ssrc, sequence, timestamp, now_s))
        reception.received(sequence, timestamp, now_s)
        codec = agreed.decode.get(payload_type)
        if codec is not None:
            is_usual = len(payload) == FRAME_SAMPLES and codec.bytes_a_sample == 1
            samples = FRAME_SAMPLES if is_usual else codec.samples(payload)
            if codec is not self._codec and codec != self._codec:
                self._codec, self._decode = codec, codec.make_decoder()
            self.jitter.put(Audio(timestamp, samples, payload, self._decode), now_s)
        elif payload_type in agreed.events_in:
            self.jitter.pause()
            for key in self._keys.receive(payload, timestamp=timestamp, now_s=now_s):
                self._on_key(key)
        elif payload_type in agreed.noise_in:
            self.jitter.pause()
        else:
            raise RemoteProtocolError("unknown_payload_type", "A packet has a payload type that was not negotiated.")

    def pull(self, due_s: float) -> FrameReceived | None:
        """Return the frame that is due; call every 20 ms."""
        if self._keys.is_pressed:
            for key in self._keys.expire(due_s):
                self._on_key(key)
        pulled = self.jitter.pull(due_s)
        if pulled is None:
            return None
        frame, concealed = pulled
        return FrameReceived(frame, due_s, concealed=concealed)

    def _new_stream(self, reception: Reception) -> Reception:
        if self.reception is not None:
            self.jitter.restart()
            self._keys.restart()
            self._codec = None
        self.reception = reception
        return reception
