"""Finished recordings as files that every player knows: FLAC, which loses nothing, or Opus, a tenth of its size."""

from __future__ import annotations

import io
from enum import StrEnum
from fractions import Fraction

import av
import numpy as np
from av import AudioResampler, AudioStream

from voicebot.g711 import Pcm

#: Samples handed to the encoder at once.
_BLOCK = 8000 * 10
#: Both lanes; speech needs no more.
_OPUS_BITS_PER_S = 32_000


class Codec(StrEnum):
    FLAC = "flac"
    OPUS = "opus"

    @property
    def content_type(self) -> str:
        return {Codec.FLAC: "audio/flac", Codec.OPUS: "audio/ogg; codecs=opus"}[self]

    @property
    def suffix(self) -> str:
        return {Codec.FLAC: ".flac", Codec.OPUS: ".opus"}[self]


def encode(samples: Pcm, codec: Codec, *, rate_hz: int = 8000) -> bytes:
    """Return a file with `samples`, int16 of shape (frames, 2); the channels stay apart, sample for sample in FLAC."""
    container, encoder = {Codec.FLAC: ("flac", "flac"), Codec.OPUS: ("ogg", "libopus")}[codec]
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream(encoder, rate=rate_hz)
        if not isinstance(stream, AudioStream):
            raise TypeError("an encoder of audio makes a stream of audio")
        stream.layout = "stereo"
        if codec is Codec.OPUS:
            stream.bit_rate = _OPUS_BITS_PER_S
            stream.options = {"application": "voip"}
        else:
            stream.format = "s16"
            stream.options = {"compression_level": "5"}
        for start in range(0, max(1, len(samples)), _BLOCK):
            block = np.ascontiguousarray(samples[start : start + _BLOCK].reshape(1, -1), dtype=np.int16)
            if not block.size:
                block = np.zeros((1, 2), dtype=np.int16)  # an encoder must have seen a sample to write its header
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="stereo")
            frame.sample_rate = rate_hz
            frame.pts = start
            frame.time_base = Fraction(1, rate_hz)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()


def decode(content: bytes, *, rate_hz: int = 8000) -> Pcm:
    """Return the samples of a two-channel file, int16 of shape (frames, 2)."""
    pieces = []
    with av.open(io.BytesIO(content), "r") as file:
        resampler = AudioResampler("s16", "stereo", rate_hz)
        for frame in (*file.decode(audio=0), None):
            pieces += [made.to_ndarray().reshape(-1, 2) for made in resampler.resample(frame)]
    return np.concatenate(pieces).astype(np.int16) if pieces else np.zeros((0, 2), dtype=np.int16)
