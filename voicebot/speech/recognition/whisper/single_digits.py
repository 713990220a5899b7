"""Which single digit was said: all ten weighed by how readily the model would write each, whatever its habits.

A digit alone is too short for a search to tell it well. The model begins better after a quarter of a second of silence,
hears soft voices better when they are raised, and leans to some digits whatever it hears ("two" for a cough, hardly
ever "zero" or "four"): what it makes of mere noise is held against each digit. Where it is not sure it hears the same
again, spoken a little slower and a little faster.
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
#: Below this share of the likeliest digit, which then is wrong once in six times, it is heard again.
_SURE = 0.9
#: Of 252 such digits of two speakers 15 became right by these two and 2 wrong; at 0.9 and 1.1 half as many.
_SPEEDS = (0.955, 1.05)
_RATE_HZ = 16000
_SILENCE = _RATE_HZ // 4
_PEAK = 0.5
_MOST_GAIN = 8.0
_NOISE_S = 0.7

Samples = npt.NDArray[np.float32]
Weights = npt.NDArray[np.float64]
#: What the model would write next, a logarithm for each of its tokens, after each of the given prompts.
Listen = Callable[[Samples, Sequence[str]], Sequence[Weights]]


class SingleDigits:
    """Weighs digits by `listen`; `encode` gives the tokens of a text. No digit is known where one takes several."""

    def __init__(self, listen: Listen, encode: Callable[[str], list[int]]) -> None:
        self._listen = listen
        self._tokens = [_tokens_of(digit, word, encode) for digit, word in enumerate(_WORDS)]
        self.known = all(self._tokens)
        #: By prompt.
        self._leanings = self._heard(_noise(), PROMPTS) if self.known else np.zeros((len(PROMPTS), len(_WORDS)))

    def weigh(self, samples: Samples) -> tuple[tuple[tuple[str, float], ...], float]:
        """Return each digit ("7") with its share, the likeliest first, and how likely that one was said, not a word.

        `samples` are 16 kHz in ±1. What the model would write for noise has to be likelier than another digit to count
        as said.
        """
        heard = self._heard(samples, PROMPTS).mean(axis=0)
        leaning: Weights = self._leanings.mean(axis=0)
        shares = without_leaning(heard, leaning)
        if max(shares.values()) < _SURE:
            # One prompt is enough for these: a second one changes less than another speed, and costs as much.
            again = [self._heard(at_speed(samples, speed), PROMPTS[-1:])[0] for speed in _SPEEDS]
            leanings = [leaning, *[self._leanings[-1]] * len(again)]
            shares = without_leaning(np.mean([heard, *again], axis=0), np.mean(leanings, axis=0))
        digit, share = next(iter(shares.items()))
        usual = leaning[int(digit)] - np.logaddexp.reduce(leaning)
        likely = share**_SHARE_COUNTS * math.exp(np.logaddexp.reduce(heard) - _NOISE_DOUBTED * usual)
        return tuple(shares.items()), min(1.0, likely)

    def _heard(self, samples: Samples, prompts: Sequence[str]) -> Weights:
        """Return (prompts, digits): the logarithm of how probable each digit is among all that could come next."""
        weights = []
        for logits in self._listen(prepared(samples), prompts):
            everything = np.logaddexp.reduce(logits)
            weights.append([np.logaddexp.reduce(logits[tokens]) - everything for tokens in self._tokens])
        return np.array(weights)


def without_leaning(heard: Weights, leaning: Weights) -> dict[str, float]:
    """Return each digit's share, the likeliest first, from logarithms of probabilities."""
    fair = heard - _HELD_AGAINST * leaning
    shares = np.exp(fair - np.logaddexp.reduce(fair))
    return {str(digit): float(shares[digit]) for digit in np.argsort(-shares, kind="stable")}


def at_speed(samples: Samples, speed: float) -> Samples:
    """Return the samples as if they were spoken at `speed`, and so lower or higher as well."""
    at = np.arange(int(len(samples) / speed)) * speed
    stretched: Samples = np.interp(at, np.arange(len(samples)), samples).astype(np.float32)
    return stretched


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
