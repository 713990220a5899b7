"""A second look at digit strings: each digit is heard again alone, so that every other digit gets a probability.

A search through a whole string keeps a handful of strings, and the right one is often not among them. But where the
digits lie is found well, and of a single digit all ten can be weighed. Their products, likeliest first, are what a
system that knows which numbers there are, by a check digit or a list, picks the right one from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from voicebot.dialog.check_digits import CheckDigit, fits
from voicebot.speech.recognition.sphinx import spoken
from voicebot.speech.recognition.sphinx.automaton import Automaton
from voicebot.speech.recognition.sphinx.decoder import Acoustics, QuestionDecoder, Result, Search, Spoken
from voicebot.speech.recognition.sphinx.domain import Compiled
from voicebot.speech.recognition.sphinx.features import CEPSTRA
from voicebot.speech.recognition.sphinx.lexicon import cmu_dictionary

#: Frames around each digit that are heard with it: the first search cuts a little early or late.
_AROUND = 3
_QUIET_FRAMES = 15
#: Neighbouring frames say much the same, so their likelihoods must not simply be multiplied. Where the probability of
#: the right digit is highest on average; each of four speakers alone gives 0.028 to 0.034.
_SHARPNESS = 0.03
#: What a digit gets at least.
_LEAST = 0.003
_OH = "oh"
#: Of so many strings one in ten fits a check digit.
_LOOKED_AT = 300

Chances = Mapping[str, float]
Frames = npt.NDArray[np.float32]


class DigitReader:
    """Weighs single digits. Blocks; used on the decoding thread."""

    def __init__(self, acoustics: Acoustics) -> None:
        grammar = Automaton()
        grammar.one_of(grammar.start, grammar.end, (*spoken.DIGITS, _OH))
        compiled = Compiled(grammar.to_fsg("digit"), "", grammar.words())
        self._decoder = QuestionDecoder(acoustics, compiled, Search.GRAMMAR, cmu_dictionary(), thorough=True)

    def read(
        self, result: Result, features: bytes, most: int, check_digit: CheckDigit | None
    ) -> list[tuple[str, float]]:
        """Return up to `most` texts like that of `result` with other digits, and the probability of each.

        With a `check_digit` only those that fit it, of `_LOOKED_AT`. Words that are no single digits stay as they are.
        Empty when there is nothing to weigh.
        """
        frames = np.frombuffer(features, np.float32).reshape(-1, CEPSTRA)
        places = [self._chances(word, frames) if _is_digit(word) else {word.text: 1.0} for word in result.words]
        if not any(len(chances) > 1 for chances in places):
            return []
        if check_digit is None or any(len(chances) == 1 for chances in places):
            return likeliest(places, most)
        fitting = [each for each in likeliest(places, _LOOKED_AT) if fits(_figures(each[0]), check_digit)]
        return fitting[:most]

    def _chances(self, word: Spoken, frames: Frames) -> Chances:
        digit = frames[max(0, word.start_frame - _AROUND) : word.end_frame + 1 + _AROUND]
        # A digit cut out of speech has no quiet around it, and a search that ends in mid-word finds nothing at all.
        quiet = _quietest(frames)
        self._decoder.begin()
        self._decoder.hear(np.concatenate([quiet, digit, quiet]).tobytes())
        self._decoder.end()
        return chances_of(self._decoder.scores((*spoken.DIGITS, _OH)), heard=word.text)


def _quietest(frames: Frames) -> Frames:
    """Return the stretch of the utterance with the least loudness, which is what the first coefficient says."""
    loudness = np.convolve(frames[:, 0], np.ones(_QUIET_FRAMES), "valid")
    start = int(np.argmin(loudness)) if len(frames) >= _QUIET_FRAMES else 0
    return frames[start : start + _QUIET_FRAMES]


def chances_of(scores: Mapping[str, float], *, heard: str) -> Chances:
    """Return the probability of each digit from its log score; `heard`, from the whole string, if there are none."""
    by_digit: dict[str, float] = {}
    for text, score in scores.items():
        digit = _plain(text)
        by_digit[digit] = max(score, by_digit.get(digit, -math.inf))
    if not by_digit:
        by_digit = {_plain(heard): 0.0}
    best = max(by_digit.values())
    weights = {
        digit: math.exp(_SHARPNESS * (by_digit[digit] - best)) if digit in by_digit else 0.0 for digit in spoken.DIGITS
    }
    total = sum(max(weight, _LEAST) for weight in weights.values())
    return {digit: max(weight, _LEAST) / total for digit, weight in weights.items()}


def likeliest(places: Sequence[Chances], most: int) -> list[tuple[str, float]]:
    """Return the `most` likeliest sequences of one word from each place, with their probabilities."""
    strings: list[tuple[tuple[str, ...], float]] = [((), 1.0)]
    for chances in places:
        longer = [((*words, word), sure * chance) for words, sure in strings for word, chance in chances.items()]
        strings = sorted(longer, key=lambda string: -string[1])[:most]
    return [(" ".join(words), sure) for words, sure in strings]


def _figures(text: str) -> str:
    return "".join(str(spoken.DIGITS.index(word)) for word in text.split())


def _is_digit(word: Spoken) -> bool:
    return _plain(word.text) in spoken.DIGITS


def _plain(word: str) -> str:
    return spoken.DIGITS[0] if word == _OH else word
