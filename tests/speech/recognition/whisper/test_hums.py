"""Hums at a question for one digit, told by what is written for them and by how they sound."""

from __future__ import annotations

import numpy as np
import pytest

from voicebot.simulation.sounds import Wave, cough, hum
from voicebot.speech.recognition.upsample import Upsampler
from voicebot.speech.recognition.whisper.hums import Samples, brightest, hum_for_digit, hummed


def wideband(wave: Wave) -> Samples:
    heard: Samples = (Upsampler().double(wave.astype(np.int16)) / np.float32(32768)).astype(np.float32)
    return heard


def voice(high_hz: float, strength: float) -> Samples:
    """Return half a second of a low voice with a formant at `high_hz`."""
    seconds = np.arange(8000) / 16000
    return (0.1 * np.sin(2 * np.pi * 240 * seconds) + strength * np.sin(2 * np.pi * high_hz * seconds)).astype(
        np.float32
    )


@pytest.mark.parametrize("text", ["M", "Mm.", "Mm hmm", "Mm-hmm.", "Hmm?", "Um", "uh-huh", "Mhm"])
def test_hums_are_known_however_they_are_written(text: str) -> None:
    assert hummed(text)


@pytest.mark.parametrize("text", ["", "3", "Me", "Hi.", "uh three", "mm 2", "Oh", "Home", "Mummy"])
def test_digits_and_words_are_no_hums(text: str) -> None:
    assert not hummed(text)


def test_a_hum_has_no_bright_moment_and_a_vowel_with_open_lips_has() -> None:
    rng = np.random.default_rng(7)
    assert max(brightest(wideband(hum(rng))) for _ in range(10)) < 0.03
    assert brightest(voice(2300, 0.1)) > 0.3
    assert min(brightest(wideband(cough(rng))) for _ in range(3)) > 0.3


def test_what_is_no_sound_at_all_is_not_dark() -> None:
    assert brightest(np.zeros(0, np.float32)) == 1.0
    assert brightest(np.zeros(8000, np.float32)) == 1.0


@pytest.mark.parametrize(
    ("text", "digit", "share", "strength", "hummed_instead"),
    [
        ("M", "8", 0.6, 0.025, True),
        ("M", "4", 0.6, 0.025, True),
        ("M", "8", 0.6, 0.1, False),
        ("M", "8", 0.95, 0.025, False),
        ("3", "3", 0.6, 0.001, True),
        ("3", "3", 0.6, 0.025, False),
        ("3", "3", 0.95, 0.001, False),
        ("4", "4", 0.6, 0.001, False),
    ],
)
def test_a_digit_was_hummed_where_the_model_is_unsure_and_it_sounds_so(
    text: str, digit: str, share: float, strength: float, *, hummed_instead: bool
) -> None:
    assert hum_for_digit(voice(2300, strength), text, digit, share) is hummed_instead
