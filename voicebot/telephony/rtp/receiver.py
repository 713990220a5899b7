"""What the peer sends: packets become frames in step with our clock, and keys. Pure."""

from __future__ import annotations

from collections.abc import Callable

from voicebot.errors import RemoteProtocolError
from voicebot.telephony.leg import FrameReceived, KeyPressed
from voicebot.telephony.rtp.codecs import Codec, Convert
from voicebot.telephony.rtp.events import KeyReceiver
from voicebot.telephony.rtp.jitter import Audio, JitterBuffer
from voicebot.telephony.rtp.negotiation import Agreed
from voicebot.telephony.rtp.packet import RtpPacket
from voicebot.telephony.rtp.quality import Reception


class Receiver:
    """One call's incoming media, whatever streams (SSRCs) it comes in."""

    def __init__(self, on_key: Callable[[KeyPressed], None]) -> None:
        self.jitter = JitterBuffer()
        self._on_key = on_key
        self._keys = KeyReceiver()
        #: Statistics of the stream that comes now; None before the first packet.
        self.reception: Reception | None = None
        self._decoders: dict[Codec, Convert] = {}

    def receive(self, packet: RtpPacket, agreed: Agreed, now_s: float) -> None:
        """Take a packet; raises `RemoteProtocolError` (``unknown_payload_type``, ``bad_payload``, ``bad_event``)."""
        reception = self.reception
        if reception is None or packet.ssrc != reception.ssrc:
            reception = self._new_stream(packet.ssrc)
        reception.received(packet.sequence, packet.timestamp, now_s)
        codec = agreed.decode.get(packet.payload_type)
        if codec is not None:
            samples = codec.samples(packet.payload)
            self.jitter.put(Audio(packet.timestamp, samples, packet.payload, self._decoder(codec)), now_s)
        elif packet.payload_type in agreed.events_in:
            self.jitter.pause()
            for key in self._keys.receive(packet.payload, timestamp=packet.timestamp, now_s=now_s):
                self._on_key(key)
        elif packet.payload_type in agreed.noise_in:
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

    def _new_stream(self, ssrc: int) -> Reception:
        if self.reception is not None:
            self.jitter.restart()
            self._keys.restart()
            self._decoders.clear()
        self.reception = Reception(ssrc)
        return self.reception

    def _decoder(self, codec: Codec) -> Convert:
        decoder = self._decoders.get(codec)
        if decoder is None:
            decoder = self._decoders[codec] = codec.make_decoder()
        return decoder
