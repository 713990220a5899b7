from __future__ import annotations

import io
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot import g711
from voicebot.wav import (
    WavError,
    mulaw_header,
    mulaw_of,
    read_mulaw_wav,
    read_wav,
    write_wav_mulaw,
    write_wav_pcm16,
)


def _file(tag: int, bits: int, body: bytes, *, channels: int = 1, rate_hz: int = 8000, extension: bytes = b"") -> bytes:
    block = channels * bits // 8
    fmt = struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * block, block, bits) + extension
    chunks = b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


@given(st.binary(max_size=400))
def test_mulaw_comes_back_byte_for_byte(mulaw: bytes) -> None:
    assert mulaw_of(write_wav_mulaw(mulaw)) == mulaw


def test_stereo_mulaw_keeps_each_channel() -> None:
    left, right = g711.encode(np.array([0, 1000, -1000], np.int16)), g711.encode(np.array([5000, 0, 9], np.int16))
    interleaved = bytes(byte for pair in zip(left, right, strict=True) for byte in pair)
    wav = read_wav(write_wav_mulaw(interleaved, channels=2))
    assert wav.channels == 2
    assert wav.samples[:, 0].tolist() == g711.decode(left).tolist()
    assert wav.samples[:, 1].tolist() == g711.decode(right).tolist()


def test_the_standard_library_reads_what_we_write_as_pcm() -> None:
    samples = np.array([[1, -2], [300, -400]], np.int16)
    with wave.open(io.BytesIO(write_wav_pcm16(samples, rate_hz=16000))) as reader:
        assert (reader.getnchannels(), reader.getframerate(), reader.getnframes()) == (2, 16000, 2)
        assert np.frombuffer(reader.readframes(2), "<i2").tolist() == [1, -2, 300, -400]


def test_we_read_what_the_standard_library_writes() -> None:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(22050)
        writer.writeframes(np.array([7, -8, 9], "<i2").tobytes())
    wav = read_wav(buffer.getvalue())
    assert (wav.rate_hz, wav.channels, wav.mono().tolist()) == (22050, 1, [7, -8, 9])


@pytest.mark.parametrize(
    ("tag", "bits", "body", "expected"),
    [
        (1, 8, bytes([0, 128, 255]), [-32768, 0, 32512]),
        (1, 16, struct.pack("<3h", -32768, 0, 32767), [-32768, 0, 32767]),
        (1, 24, b"\xff\x01\x00" + b"\x00\x00\x80" + b"\xff\xff\x7f", [1, -32768, 32767]),
        (1, 32, struct.pack("<3i", 1 << 16, -(1 << 31), (1 << 31) - 1), [1, -32768, 32767]),
        (3, 32, struct.pack("<4f", 0.0, 1.0, -2.0, float("nan")), [0, 32767, -32767, 0]),
    ],
)
def test_every_sample_width_becomes_sixteen_bits(tag: int, bits: int, body: bytes, expected: list[int]) -> None:
    assert read_wav(_file(tag, bits, body)).mono().tolist() == expected


def test_the_extensible_form_is_read_by_its_sub_format() -> None:
    guid = struct.pack("<H", 1) + bytes.fromhex("000000001000800000aa00389b71")
    extension = struct.pack("<HHI", 22, 16, 4) + guid
    assert read_wav(_file(0xFFFE, 16, struct.pack("<2h", 5, 6), extension=extension)).mono().tolist() == [5, 6]


def test_chunks_between_format_and_data_are_passed_over_with_their_padding() -> None:
    plain = write_wav_pcm16(np.array([1, 2], np.int16), rate_hz=8000)
    at = plain.index(b"data")
    assert read_wav(plain[:at] + b"LIST\x03\x00\x00\x00abc\x00" + plain[at:]).mono().tolist() == [1, 2]


def test_mono_is_the_mean_of_the_channels() -> None:
    wav = read_wav(write_wav_pcm16(np.array([[100, 200], [-32768, -32768]], np.int16), rate_hz=8000))
    assert wav.mono().tolist() == [150, -32768]


def test_a_header_written_first_fits_the_bytes_that_follow() -> None:
    assert mulaw_header(4) + b"\xff" * 4 == write_wav_mulaw(b"\xff" * 4)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a WAV"),
        (b"OggS" + bytes(40), "not a WAV"),
        (b"RIFF\x04\x00\x00\x00WAVE", "no fmt chunk"),
        (write_wav_mulaw(b"\xff" * 100)[:-1], "cut short"),
        (_file(1, 12, b""), "12 bits"),
        (_file(6, 8, b""), "format 6"),
        (_file(1, 16, b"abc"), "whole number"),
        (_file(1, 16, b"", channels=0), "0 channels"),
        (_file(1, 16, b"", rate_hz=0), "0 Hz"),
        (_file(0xFFFE, 16, b""), "sub-format"),
        (_file(1, 16, b"")[:-8], "no data chunk"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(data: bytes, message: str) -> None:
    with pytest.raises(WavError, match=message):
        read_wav(data)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_wav_error(tail: bytes) -> None:
    for data in (tail, b"RIFF\x00\x00\x00\x00WAVE" + tail, b"RIFF\x00\x00\x00\x00WAVEfmt " + tail):
        try:
            read_wav(data)
        except WavError:
            continue


def test_an_asset_of_another_format_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "prompt.wav"
    path.write_bytes(write_wav_pcm16(np.zeros(4, np.int16), rate_hz=16000))
    with pytest.raises(
        WavError, match=r"prompt\.wav: need mono mu-law at 8000 Hz, found PCM, 1 channel\(s\), 16000 Hz"
    ):
        read_mulaw_wav(path)


def test_a_missing_asset_is_named(tmp_path: Path) -> None:
    with pytest.raises(WavError, match=r"absent\.wav"):
        read_mulaw_wav(tmp_path / "absent.wav")
