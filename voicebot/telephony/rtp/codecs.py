"""The codecs of a call: what they are called in SDP, and how they become the seam's mu-law and back.

All of them have an RTP clock of 8 kHz, so timestamps count the seam's samples whatever the codec: G.722 samples at
16 kHz but its clock is 8 kHz by a historical mistake that RFC 3551 (section 4.5.2) keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import av
import numpy as np
import numpy.typing as npt

from voicebot import g711
from voicebot.errors import RemoteProtocolError
from voicebot.telephony.leg import SAMPLE_RATE_HZ

#: Twice the longest packet time that telephones use.
MAX_SAMPLES = SAMPLE_RATE_HZ * 120 // 1000

#: Turns one payload into mu-law at 8 kHz, or mu-law into one payload. Made for one direction of one call, since
#: some codecs keep state. A decoder takes whatever comes: lengths are checked on arrival (`Codec.samples`).
Convert = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Codec:
    """`payload_type` is the static one, or from 96 on the number under which we offer it."""

    encoding: str
    payload_type: int
    bytes_a_sample: int
    make_decoder: Callable[[], Convert]
    make_encoder: Callable[[], Convert]

    def samples(self, payload: bytes) -> int:
        """Return a payload's length in samples; raises `RemoteProtocolError` of kind ``bad_payload``."""
        samples, rest = divmod(len(payload), self.bytes_a_sample)
        if rest or not 1 <= samples <= MAX_SAMPLES:
            raise RemoteProtocolError("bad_payload", "A payload is empty, longer than 120 ms or ends within a sample.")
        return samples


def _alaw_to_mulaw() -> bytes:
    """Convert A-law (ITU-T G.711, even bits inverted) by way of the linear value of every code."""
    code = np.arange(256, dtype=np.int32) ^ 0x55
    exponent = (code >> 4) & 0x07
    mantissa = code & 0x0F
    magnitude = np.where(exponent == 0, (mantissa << 4) + 8, ((mantissa << 4) + 0x108) << np.maximum(exponent - 1, 0))
    linear = np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)
    return g711.encode(linear)


def _mulaw_to_alaw(to_mulaw: bytes) -> bytes:
    """Give each mu-law code the A-law code of the nearest linear value, of the same sign."""
    alaw = g711.decode(to_mulaw).astype(np.int32)
    mulaw = g711.decode(bytes(range(256))).astype(np.int32)
    distance = np.abs(mulaw[:, None] - alaw[None, :])
    table: npt.NDArray[np.uint8] = distance.argmin(axis=1).astype(np.uint8)
    return table.tobytes()


_TO_MULAW = _alaw_to_mulaw()
_TO_ALAW = _mulaw_to_alaw(_TO_MULAW)


def _as_it_is(audio: bytes) -> bytes:
    return audio


def _decode_alaw(payload: bytes) -> bytes:
    return payload.translate(_TO_MULAW)


def _encode_alaw(mulaw: bytes) -> bytes:
    return mulaw.translate(_TO_ALAW)


def _decode_l16(payload: bytes) -> bytes:
    return g711.encode(np.frombuffer(payload, dtype=">i2").astype(np.int16))


def _encode_l16(mulaw: bytes) -> bytes:
    return g711.decode(mulaw).astype(">i2").tobytes()


Samples = npt.NDArray[np.float64]

#: Half-band low-pass, 31 taps, Hamming window: flat to 3.4 kHz, 50 dB down at 4.6 kHz of 16 kHz audio.
_TAPS = 31
_AT = np.arange(_TAPS) - _TAPS // 2
_HALF_BAND: Samples = 0.5 * np.sinc(_AT / 2) * np.hamming(_TAPS)
_HALF_BAND /= _HALF_BAND.sum()


class _HalfBand:
    """The filter with the last samples of the audio before."""

    def __init__(self) -> None:
        self._before = np.zeros(_TAPS - 1)

    def __call__(self, samples: Samples) -> Samples:
        joined = np.concatenate((self._before, samples))
        self._before = joined[len(joined) - (_TAPS - 1) :]
        return np.convolve(joined, _HALF_BAND, mode="valid")


class _G722Decoder:
    def __init__(self) -> None:
        self._codec = av.AudioCodecContext.create("g722", "r")
        self._codec.sample_rate = 2 * SAMPLE_RATE_HZ
        self._codec.layout = "mono"
        self._filter = _HalfBand()

    def __call__(self, payload: bytes) -> bytes:
        frames = self._codec.decode(av.Packet(payload)) if payload else []
        wide = [frame.to_ndarray()[0] for frame in frames]
        if not wide:
            return b""
        narrow = self._filter(np.concatenate(wide).astype(np.float64))[::2]
        return g711.encode(np.clip(narrow, -32768, 32767).astype(np.int16))


class _G722Encoder:
    def __init__(self) -> None:
        codec = av.AudioCodecContext.create("g722", "w")
        codec.sample_rate = 2 * SAMPLE_RATE_HZ
        codec.layout = "mono"
        codec.format = "s16"
        self._codec = codec
        self._filter = _HalfBand()

    def __call__(self, mulaw: bytes) -> bytes:
        wide = np.zeros(2 * len(mulaw))
        wide[::2] = 2.0 * g711.decode(mulaw)
        samples = np.clip(self._filter(wide), -32768, 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples[None, :], format="s16", layout="mono")
        frame.sample_rate = 2 * SAMPLE_RATE_HZ
        return b"".join(bytes(packet) for packet in self._codec.encode(frame))


PCMU = Codec("PCMU", 0, 1, lambda: _as_it_is, lambda: _as_it_is)
PCMA = Codec("PCMA", 8, 1, lambda: _decode_alaw, lambda: _encode_alaw)
G722 = Codec("G722", 9, 1, _G722Decoder, _G722Encoder)
L16 = Codec("L16", 96, 2, lambda: _decode_l16, lambda: _encode_l16)

#: Every codec this server speaks, best for our 8 kHz mu-law seam first.
CODECS = (PCMU, PCMA, L16, G722)
