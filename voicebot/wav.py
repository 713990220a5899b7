"""WAV files as values: a strict RIFF reader and writer for PCM and mu-law.

The standard library's `wave` cannot read mu-law (format 7), which is what the telephone network speaks. Layout after
Microsoft's "Multimedia Programming Interface and Data Specifications 1.0", chapter 3, and its "Multiple Channel Audio
Data and WAVE Files" for the extensible form.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import assert_never

import numpy as np

from voicebot import g711
from voicebot.errors import VoicebotError
from voicebot.g711 import Pcm

_EXTENSIBLE = 0xFFFE
# Bytes 2 to 15 of every KSDATAFORMAT_SUBTYPE GUID; the first two are the plain format tag.
_SUBTYPE_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_LARGEST_CHUNK = 0xFFFFFFFF
_HIGHEST_RATE_HZ = 384_000
_MOST_CHANNELS = 32


class WavError(VoicebotError):
    """The bytes are no WAV file that this project reads; the message says what is wrong and what would help."""


class Encoding(IntEnum):
    """The format tags this module reads."""

    PCM = 1
    FLOAT = 3
    MULAW = 7


@dataclass(frozen=True, slots=True)
class Wav:
    """Decoded audio. `samples` is int16 of shape (frames, channels), also when `channels` is 1."""

    rate_hz: int
    channels: int
    samples: Pcm

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.rate_hz

    def mono(self) -> Pcm:
        """Return the mean of the channels, shape (frames,)."""
        if self.channels == 1:
            return np.ascontiguousarray(self.samples[:, 0])
        mixed: Pcm = np.round(self.samples.mean(axis=1)).astype(np.int16)
        return mixed


@dataclass(frozen=True, slots=True)
class _Format:
    encoding: Encoding
    channels: int
    rate_hz: int
    bits: int

    @property
    def frame_bytes(self) -> int:
        return self.channels * self.bits // 8


def read_wav(data: bytes) -> Wav:
    """Decode a whole WAV file: 8, 16, 24 or 32-bit PCM, 32-bit float or mu-law, any rate, any channels.

    Raises WavError for anything else, and for a file that was cut short or never finished.
    """
    fmt, body = _parse(data)
    return Wav(fmt.rate_hz, fmt.channels, _decode(fmt, body).reshape(-1, fmt.channels))


def mulaw_of(data: bytes) -> bytes:
    """Return the untouched mu-law bytes of a mono 8 kHz mu-law WAV; WavError when it is anything else."""
    fmt, body = _parse(data)
    if (fmt.encoding, fmt.channels, fmt.rate_hz) != (Encoding.MULAW, 1, 8000):
        found = f"{fmt.encoding.name}, {fmt.channels} channel(s), {fmt.rate_hz} Hz"
        raise WavError(
            f"need mono mu-law at 8000 Hz, found {found}; convert it with: sox IN -r 8000 -c 1 -e mu-law OUT"
        )
    return body


def read_mulaw_wav(path: Path) -> bytes:
    """Return the mu-law bytes of the mono 8 kHz mu-law WAV file at `path`.

    Raises WavError, naming the file, when it cannot be read or is something else.
    """
    try:
        return mulaw_of(path.read_bytes())
    except (OSError, WavError) as error:
        raise WavError(f"{path}: {error}") from error


def write_wav_mulaw(mulaw: bytes, *, rate_hz: int = 8000, channels: int = 1) -> bytes:
    """Return a WAV file around mu-law bytes, channels interleaved."""
    return mulaw_header(len(mulaw), rate_hz=rate_hz, channels=channels) + mulaw + b"\0" * (len(mulaw) % 2)


def write_wav_pcm16(samples: Pcm, *, rate_hz: int) -> bytes:
    """Return a 16-bit PCM WAV file; `samples` has shape (frames,) for mono or (frames, channels)."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    body = samples.astype("<i2").tobytes()
    fmt = struct.pack("<HHIIHH", Encoding.PCM, channels, rate_hz, rate_hz * channels * 2, channels * 2, 16)
    return _riff_header(_chunk(b"fmt ", fmt), len(body)) + body


def mulaw_header(data_bytes: int, *, rate_hz: int = 8000, channels: int = 1) -> bytes:
    """Return the 58-byte header for `data_bytes` of mu-law, for writers that fill in the size when they close.

    A writer must append one zero byte when `data_bytes` is odd.
    """
    # A format other than PCM carries the size of its extension (none) and a fact chunk with the number of frames.
    fmt = struct.pack("<HHIIHHH", Encoding.MULAW, channels, rate_hz, rate_hz * channels, channels, 8, 0)
    fact = struct.pack("<I", data_bytes // channels)
    return _riff_header(_chunk(b"fmt ", fmt) + _chunk(b"fact", fact), data_bytes)


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _riff_header(before_data: bytes, data_bytes: int) -> bytes:
    total = 4 + len(before_data) + 8 + data_bytes + data_bytes % 2
    if total > _LARGEST_CHUNK:
        raise WavError(f"{data_bytes} bytes of audio do not fit a WAV file (4 GiB at most); split the recording")
    return b"RIFF" + struct.pack("<I", total) + b"WAVE" + before_data + b"data" + struct.pack("<I", data_bytes)


def _parse(data: bytes) -> tuple[_Format, bytes]:
    """Return the format and the bytes of the data chunk; chunks this module does not know are passed over."""
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise WavError("not a WAV file: it does not begin with RIFF…WAVE; convert it with: sox IN OUT.wav")
    fmt: _Format | None = None
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        body = data[at + 8 : at + 8 + size]
        if len(body) < size:
            raise WavError(
                f"the {_shown(name)} chunk promises {size} bytes and {len(body)} follow: the file was cut short"
            )
        if name == b"fmt ":
            fmt = _parse_format(body)
        elif name == b"data":
            if fmt is None:
                raise WavError("the data chunk comes before the fmt chunk")
            if size % fmt.frame_bytes:
                raise WavError(f"{size} bytes of audio are no whole number of {fmt.frame_bytes}-byte frames")
            return fmt, body
        at += 8 + size + size % 2
    raise WavError("the file has no data chunk" if fmt else "the file has no fmt chunk")


def _shown(name: bytes) -> str:
    return name.decode("ascii", "backslashreplace").strip()


def _parse_format(body: bytes) -> _Format:
    if len(body) < 16:
        raise WavError(f"the fmt chunk has {len(body)} bytes and needs at least 16")
    tag, channels, rate_hz, _, block, bits = struct.unpack_from("<HHIIHH", body)
    if tag == _EXTENSIBLE:
        if len(body) < 40 or body[26:40] != _SUBTYPE_TAIL:
            raise WavError("an extensible fmt chunk without a known sub-format")
        tag = struct.unpack_from("<H", body, 24)[0]
    match tag, bits:
        case (Encoding.PCM, 8 | 16 | 24 | 32) | (Encoding.FLOAT, 32) | (Encoding.MULAW, 8):
            fmt = _Format(Encoding(tag), channels, rate_hz, bits)
        case _:
            raise WavError(
                f"format {tag} with {bits} bits is not read here (PCM, 32-bit float and mu-law are);"
                " convert it with: sox IN -e signed -b 16 OUT.wav"
            )
    if not 1 <= channels <= _MOST_CHANNELS or not 1 <= rate_hz <= _HIGHEST_RATE_HZ:
        raise WavError(f"{channels} channels at {rate_hz} Hz is no audio format")
    if block != fmt.frame_bytes:
        raise WavError(f"frames are said to have {block} bytes and must have {fmt.frame_bytes}")
    return fmt


def _decode(fmt: _Format, body: bytes) -> Pcm:
    """Return the samples as int16, still interleaved. Wider samples lose their low bits, as for any 16-bit player."""
    match fmt.encoding:
        case Encoding.MULAW:
            return g711.decode(body)
        case Encoding.FLOAT:
            floats = np.nan_to_num(np.frombuffer(body, dtype="<f4"), nan=0.0, posinf=1.0, neginf=-1.0)
            scaled: Pcm = np.round(np.clip(floats, -1.0, 1.0) * 32767).astype(np.int16)
            return scaled
        case Encoding.PCM:
            match fmt.bits:
                case 8:
                    return (np.frombuffer(body, dtype=np.uint8).astype(np.int16) - 128) << 8
                case 16:
                    return np.frombuffer(body, dtype="<i2").astype(np.int16)
                case bits:
                    # The two highest bytes of each little-endian sample are its 16-bit value.
                    width = bits // 8
                    highest = np.frombuffer(body, dtype=np.uint8).reshape(-1, width)[:, width - 2 :]
                    return np.ascontiguousarray(highest).view("<i2")[:, 0].astype(np.int16)
        case never:
            assert_never(never)
