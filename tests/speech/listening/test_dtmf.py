"""Key tones in the audio, and voices that are none."""

from __future__ import annotations

import numpy as np
import pytest

from tests.speech.listening.sounds import frames, line, samples, voice
from voicebot.simulation.sounds import Wave, at_level, hiss, mixed, music, silence
from voicebot.speech.listening.dtmf import DtmfDetector, ToneHeard, tone, tones_in

EVERY_KEY = "1122334455667788990*#ABCD"


def heard(wave: Wave, noise_dbfs: float = -62.0) -> list[ToneHeard]:
    detector = DtmfDetector()
    return [found for frame in frames(line(wave, noise_dbfs)) for found in detector.feed(frame)]


def dialled(keys: str, *, tone_ms: int, gap_ms: int, level_dbfs: float = -13.0, late_samples: int = 0) -> Wave:
    gap = np.zeros(gap_ms * 8)
    parts = [np.zeros(late_samples)]
    for key in keys:
        parts += [tone(key, tone_ms, level_dbfs).astype(float), gap]
    return np.concatenate([*parts, silence(100)])


@pytest.mark.parametrize("late_samples", [0, 40, 77, 120])
def test_every_key_of_40_ms_is_heard_wherever_it_falls(late_samples: int) -> None:
    found = heard(dialled(EVERY_KEY, tone_ms=40, gap_ms=40, late_samples=late_samples))
    assert "".join(each.key for each in found) == EVERY_KEY


@pytest.mark.parametrize("level_dbfs", [-6.0, -20.0, -33.0])
def test_keys_are_heard_loud_and_soft(level_dbfs: float) -> None:
    found = heard(dialled("0123456789", tone_ms=60, gap_ms=60, level_dbfs=level_dbfs))
    assert "".join(each.key for each in found) == "0123456789"


def test_a_key_held_long_is_one_key() -> None:
    assert [each.key for each in heard(dialled("5", tone_ms=1500, gap_ms=100))] == ["5"]


def test_a_tone_says_when_it_began() -> None:
    wave = np.concatenate([silence(500), tone("9", 100).astype(float), silence(100)])
    (found,) = heard(wave)
    assert abs(found.start_sample - samples(500)) <= samples(20)


def test_keys_are_heard_in_noise() -> None:
    wave = dialled("4711", tone_ms=80, gap_ms=80)
    noisy = mixed(wave, hiss(wave.size / 8, -28.0, np.random.default_rng(1)))
    assert [each.key for each in heard(noisy)] == list("4711")


def test_a_tone_under_20_ms_is_none() -> None:
    assert heard(dialled("159D", tone_ms=15, gap_ms=100)) == []


@pytest.mark.parametrize("hertz", [350, 440, 697, 941, 1336, 1633])
def test_a_single_tone_is_no_key(hertz: int) -> None:
    assert heard(at_level(np.sin(2 * np.pi * hertz * np.arange(8000) / 8000), -15.0)) == []


def test_tones_of_very_different_strength_are_no_key() -> None:
    seconds = np.arange(4000) / 8000
    uneven = np.sin(2 * np.pi * 770 * seconds) + 0.2 * np.sin(2 * np.pi * 1336 * seconds)
    assert heard(at_level(uneven, -15.0)) == []


def test_voices_and_music_do_not_dial() -> None:
    words = voice("one two three four five six seven eight nine zero, star, pound, I want to pay, who are you, no, no")
    assert heard(np.concatenate([words, music(8000)])) == []


def test_only_keys_have_tones() -> None:
    with pytest.raises(ValueError, match="a key is one of"):
        tone("E", 100)


@pytest.mark.parametrize("late_samples", [0, 40, 77])
def test_in_a_whole_recording_every_tone_is_found_from_its_beginning_to_its_end(late_samples: int) -> None:
    wave = dialled(EVERY_KEY, tone_ms=60, gap_ms=60, late_samples=late_samples)
    found = tones_in(np.concatenate([np.frombuffer(frame, dtype="<i2") for frame in frames(line(wave, -62.0))]))
    begins = [late_samples + samples(120) * number for number in range(len(EVERY_KEY))]
    assert len(found) == len(begins)
    for (start, end), begin in zip(found, begins, strict=True):
        assert abs(start - begin) <= samples(20)
        assert abs(end - begin - samples(60)) <= samples(20)


def test_in_a_whole_recording_of_speech_or_music_there_are_no_tones() -> None:
    spoken = np.concatenate([voice("Eleven people want to see you at nine on Sunday."), music(20_000)])
    assert tones_in(np.concatenate([np.frombuffer(frame, dtype="<i2") for frame in frames(line(spoken, -62.0))])) == []
    assert tones_in(np.zeros(100, dtype=np.int16)) == []
