"""What callers hum in place of a digit: "mm-hmm" sounds to a model that expects digits like a "two" or a "three"."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

_HUM = re.compile(r"m+|h+m+|m+h+m*|u+[hm]+|huh")
_WORD = re.compile(r"[a-z']+|\d+")
#: A digit as sure as this was said, however it sounds; of hums the model is never so sure.
_SURE = 0.9
#: The only digit in which nothing need be bright.
_DARK_DIGIT = "4"
#: A hum has hardly any power so high (Fujimura 1962: a murmur of about 250 Hz, all else damped): of 55 made by script
#: none has 3 % of it there in its brightest moment. Of 252 digits by two people with an accent that the model was not
#: sure of, fours apart, one has less, and none that was written as a hum less than 13 %.
_BRIGHT_HZ = 1500
_BRIGHT = 0.03
_BRIGHT_IF_WRITTEN = 0.1
_LOWEST_HZ = 100
_RATE_HZ = 16000
_WINDOW, _HOP, _FFT = 400, 160, 512
#: Moments softer than this, of the loud ones', are breath and line noise.
_LOUD_PERCENTILE, _SOFT = 97, 0.01

Samples = npt.NDArray[np.float32]


def hum_for_digit(samples: Samples, text: str, digit: str, share: float) -> bool:
    """Say whether 16 kHz `samples` that were taken for `digit`, with this `share`, were hummed.

    `text` is what was written for them freely.
    """
    # A muffled line darkens digits too; but of those it leaves the model sure.
    if share >= _SURE:
        return False
    if hummed(text):
        return brightest(samples) < _BRIGHT_IF_WRITTEN
    return digit != _DARK_DIGIT and brightest(samples) < _BRIGHT


def hummed(text: str) -> bool:
    """Say whether `text` holds nothing but hums ("Mm-hmm.", "M", "Um")."""
    words = _WORD.findall(text.lower())
    return bool(words) and all(map(_HUM.fullmatch, words))


def brightest(samples: Samples) -> float:
    """Return the share of power above 1.5 kHz in the brightest 25 ms that are not soft; 1 where there is no sound."""
    padded = np.pad(samples, (0, max(0, _WINDOW - len(samples))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP] * np.hanning(_WINDOW)
    power = np.abs(np.fft.rfft(windows, _FFT, axis=1)) ** 2
    hz = np.fft.rfftfreq(_FFT, 1 / _RATE_HZ)
    total = power[:, hz >= _LOWEST_HZ].sum(axis=1)
    loud = total > _SOFT * np.percentile(total, _LOUD_PERCENTILE)
    if not loud.any():
        return 1.0
    return float((power[loud][:, hz >= _BRIGHT_HZ].sum(axis=1) / total[loud]).max())
