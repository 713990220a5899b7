"""Choices offered by a question: the phrases the dialog expects, found exactly or nearly."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from voicebot.language.entities.numbers import below_hundred_at
from voicebot.language.entities.span import Span
from voicebot.language.words import Word, matches, normalise, split

_ALIKE = 0.8
_MOST_NEAR = 3
#: Letters are counted in so many bins. Those that share one are taken for the same: the bound stays one.
_BINS = 32
#: More questions than a bot asks. What is kept of each are words of the flows, never a caller's.
_QUESTIONS = 256


def find_choices(words: Sequence[Word], phrases: Sequence[str]) -> list[Span]:
    """Find expected phrases (kind ``"choice"``, value the phrase as the dialog gave it).

    Exact word sequences come first, longest first; without any, the phrase most alike ("current acount").
    """
    wordings = _wordings_of(tuple(phrases))
    return wordings.exactly_in(words) or wordings.nearly_in(words)


class _Wordings:
    """How the phrases of a question are said and written, ready to be looked for in any text."""

    def __init__(self, phrases: Sequence[str]) -> None:
        self._all = [(phrase, parts) for phrase in phrases for parts in _said_and_written(phrase)]
        self._texts = [" ".join(parts) for _, parts in self._all]
        self._by_first: dict[str, list[tuple[str, list[str]]]] = {}
        for phrase, parts in self._all:
            self._by_first.setdefault(parts[0], []).append((phrase, parts))
        self._sizes = np.array([len(parts) for _, parts in self._all], np.int64)
        self._lengths = np.array([len(text) for text in self._texts], np.int64)
        self._letters = np.array([_letters_before(text)[-1] for text in self._texts], np.int32).reshape(-1, _BINS)

    def exactly_in(self, words: Sequence[Word]) -> list[Span]:
        exact = [
            Span("choice", phrase, index, index + len(parts))
            for index, word in enumerate(words)
            for phrase, parts in self._by_first.get(word.text, ())
            if matches(words, index, parts)
        ]
        return sorted(exact, key=lambda span: (span.first - span.last, span.first))

    def nearly_in(self, words: Sequence[Word]) -> list[Span]:
        near: list[tuple[float, Span]] = []
        for which, index in self._may_be_alike(words):
            phrase, parts = self._all[which]
            said = " ".join(word.text for word in words[index : index + len(parts)])
            alike = difflib.SequenceMatcher(None, self._texts[which], said).ratio()
            if alike >= _ALIKE:
                near.append((alike, Span("choice", phrase, index, index + len(parts))))
        return [span for _, span in sorted(near, key=lambda item: -item[0])[:_MOST_NEAR]]

    def _may_be_alike(self, words: Sequence[Word]) -> list[tuple[int, int]]:
        """Return the wordings, by their number, and the words they may begin at, as far as letters in common allow.

        The matcher's ratio is at most that of the letters that two texts share, in whatever order. Nearly all pairs
        fall by it, so it is worked out for all of them at once.
        """
        lengths = np.array([len(word.text) for word in words], np.int64)
        ends = np.cumsum(lengths + 1) - 1
        letters = _letters_before(" ".join(word.text for word in words))
        which, first = np.nonzero(self._sizes[:, None] + np.arange(len(words)) <= len(words))
        start, end = (ends - lengths)[first], ends[first + self._sizes[which] - 1]
        shared = np.minimum(letters[end] - letters[start], self._letters[which]).sum(axis=1)
        likely = 2 * shared / (end - start + self._lengths[which]) >= _ALIKE
        return list(zip(which[likely].tolist(), first[likely].tolist(), strict=True))


@lru_cache(_QUESTIONS)
def _wordings_of(phrases: tuple[str, ...]) -> _Wordings:
    return _Wordings(phrases)


def _said_and_written(phrase: str) -> list[list[str]]:
    """Return the words of a phrase, and those that a recogniser writes which prefers figures ("12 ounce")."""
    words = split(normalise(phrase))
    spoken = [word.text for word in words]
    written: list[str] = []
    index = 0
    while index < len(words):
        number = below_hundred_at(words, index)
        written.append(str(number[0]) if number else words[index].text)
        index = number[1] if number else index + 1
    return [each for each in ([spoken] if written == spoken else [spoken, written]) if each]


def _letters_before(text: str) -> NDArray[np.int32]:
    """Return how often each letter stands before each place of `text`, its end included: ``(places, bins)``."""
    counts = np.zeros((len(text) + 1, _BINS), np.int32)
    counts[np.arange(1, len(text) + 1), [ord(letter) % _BINS for letter in text]] = 1
    return counts.cumsum(axis=0, dtype=np.int32)
