"""Which single digit was said: all ten weighed by how readily the model would write each, whatever its habits.

A digit alone is too short for a search to tell it well. The model begins better after a quarter of a second of silence,
hears soft voices better when they are raised, and leans to some digits whatever it hears ("two" for a cough, hardly
ever "zero" or "four"): what it makes of mere noise is held against each digit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
#: What came before the digit: twice the spelling and the kind of words, in two orders.
PROMPTS = ("four, zero, two, seven, nine, one.", "one two three four five six seven eight nine zero")
#: How much of the leaning is taken away: of 306 digits of two speakers with an accent most were right at 0.3 to 0.5.
_HELD_AGAINST = 0.4
#: How much of it stands against a digit's having been said at all, and how much one digit's share of the ten counts for
#: it: people's digits and noises lie furthest apart so. What is no digit sounds a little like several.
_NOISE_DOUBTED = 1.2
_SHARE_COUNTS = 2.5
_RATE_HZ = 16000
_SILENCE = _RATE_HZ // 4
_PEAK = 0.5
_MOST_GAIN = 8.0
_NOISE_S = 0.7

Samples = npt.NDArray[np.float32]
Weights = npt.NDArray[np.float64]
#: What the model would write next, a logarithm for each of its tokens, after each of the prompts.
Listen = Callable[[Samples], Sequence[Weights]]


class SingleDigits:
    """Weighs digits by `listen`; `encode` gives the tokens of a text. No digit is known where one takes several."""

    def __init__(self, listen: Listen, encode: Callable[[str], list[int]]) -> None:
        self._listen = listen
        self._tokens = [_tokens_of(digit, word, encode) for digit, word in enumerate(_WORDS)]
        self.known = all(self._tokens)
        self._leaning = self._heard(_noise()) if self.known else np.zeros(len(_WORDS))

    def weigh(self, samples: Samples) -> tuple[tuple[tuple[str, float], ...], float]:
        """Return each digit ("7") with its share, the likeliest first, and how likely that one was said, not a word.

        `samples` are 16 kHz in ±1. What the model would write for noise has to be likelier than another digit to count
        as said.
        """
        heard = self._heard(samples)
        shares = without_leaning(heard, self._leaning)
        digit, share = next(iter(shares.items()))
        usual = self._leaning[int(digit)] - np.logaddexp.reduce(self._leaning)
        likely = share**_SHARE_COUNTS * math.exp(np.logaddexp.reduce(heard) - _NOISE_DOUBTED * usual)
        return tuple(shares.items()), min(1.0, likely)

    def _heard(self, samples: Samples) -> Weights:
        """Return the logarithm of how probable each digit is among all that could come next, over the prompts."""
        weights = []
        for logits in self._listen(prepared(samples)):
            everything = np.logaddexp.reduce(logits)
            weights.append([np.logaddexp.reduce(logits[tokens]) - everything for tokens in self._tokens])
        mean: Weights = np.mean(weights, axis=0)
        return mean


def without_leaning(heard: Weights, leaning: Weights) -> dict[str, float]:
    """Return each digit's share, the likeliest first, from logarithms of probabilities."""
    fair = heard - _HELD_AGAINST * leaning
    shares = np.exp(fair - np.logaddexp.reduce(fair))
    return {str(digit): float(shares[digit]) for digit in np.argsort(-shares, kind="stable")}


def prepared(samples: Samples) -> Samples:
    """Return the samples raised to a common loudness, with silence before them."""
    peak = float(np.abs(samples).max(initial=0.0))
    gain = min(_MOST_GAIN, _PEAK / peak) if peak else 1.0
    return np.concatenate([np.zeros(_SILENCE, np.float32), (samples * np.float32(gain)).astype(np.float32)])


def _tokens_of(digit: int, word: str, encode: Callable[[str], list[int]]) -> list[int]:
    written = (f"{space}{text}" for text in (word, word.capitalize(), str(digit)) for space in (" ", ""))
    return [tokens[0] for tokens in map(encode, written) if len(tokens) == 1]


def _noise() -> Samples:
    return np.random.default_rng(0).normal(0, 0.01, round(_NOISE_S * _RATE_HZ)).astype(np.float32)
