"""What a finished recording sounds like, and what a page draws of it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from voicebot import g711
from voicebot.g711 import Pcm
from voicebot.records.vault.codec import Codec, decode, encode
from voicebot.records.vault.waveform import POINTS, to_json, waveform_of

RATE_HZ = 8000


def _speechlike(seconds: float, seed: int) -> Pcm:
    rng = np.random.default_rng(seed)
    at = np.arange(round(seconds * RATE_HZ))
    tone = (np.sin(at * 0.31) + np.sin(at * 0.83)) * np.abs(np.sin(at / 1500)) * 4000 + rng.normal(0, 40, at.size)
    return g711.decode(g711.encode(tone.astype(np.int16)))


def test_flac_loses_nothing() -> None:
    samples = np.stack([_speechlike(25, 1), _speechlike(25, 2)], axis=1)
    content = encode(samples, Codec.FLAC)
    assert content.startswith(b"fLaC")
    assert np.array_equal(decode(content), samples)
    assert len(content) < samples.nbytes


def test_opus_is_small_keeps_the_lanes_apart_and_in_their_place() -> None:
    samples = np.zeros((20 * RATE_HZ, 2), dtype=np.int16)
    samples[5 * RATE_HZ : 6 * RATE_HZ, 0] = _speechlike(1, 1)
    samples[15 * RATE_HZ : 16 * RATE_HZ, 1] = _speechlike(1, 2)
    content = encode(samples, Codec.OPUS)
    assert content.startswith(b"OggS")
    assert len(content) < samples.nbytes / 8
    heard = decode(content)
    assert abs(len(heard) - len(samples)) <= RATE_HZ // 50
    for lane, start in ((0, 5), (1, 15)):
        loud = np.flatnonzero(np.abs(heard[:, lane]) > 500)
        assert abs(loud[0] / RATE_HZ - start) < 0.1
        assert abs(loud[-1] / RATE_HZ - start - 1) < 0.1


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("frames", [0, 1, 100])
def test_a_call_of_hardly_any_audio_has_a_recording_all_the_same(codec: Codec, frames: int) -> None:
    assert len(decode(encode(np.zeros((frames, 2), dtype=np.int16), codec))) < RATE_HZ // 10


def test_a_waveform_shows_where_each_party_is_loud() -> None:
    samples = np.zeros((100 * RATE_HZ, 2), dtype=np.int16)
    samples[: 50 * RATE_HZ, 0] = 32767
    samples[50 * RATE_HZ :, 1] = -8192
    waveform = waveform_of(samples)
    assert waveform.duration_ms == 100_000
    caller, bot = waveform.lanes["caller"], waveform.lanes["bot"]
    assert len(caller) == len(bot) == POINTS
    assert set(caller[: POINTS // 2]) == {100}
    assert set(caller[POINTS // 2 :]) == {0}
    assert set(bot[POINTS // 2 :]) == {50}


def test_a_waveform_of_half_an_hour_is_a_few_thousand_points_of_json() -> None:
    waveform = waveform_of(np.ones((1800 * RATE_HZ, 2), dtype=np.int16))
    content = to_json(waveform)
    assert len(content) < 40_000
    assert json.loads(content) == {"duration_ms": 1_800_000, "lanes": dict.fromkeys(("caller", "bot"), [1] * POINTS)}


@pytest.mark.parametrize("frames", [0, 1, 3999, 4001])
def test_a_short_waveform_has_no_more_points_than_samples(frames: int) -> None:
    waveform = waveform_of(np.ones((frames, 2), dtype=np.int16))
    assert len(waveform.lanes["caller"]) == min(frames, POINTS)
