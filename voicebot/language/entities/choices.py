"""Choices offered by a question: the phrases the dialog expects, found exactly or nearly."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from voicebot.language.entities.numbers import below_hundred_at
from voicebot.language.entities.span import Span
from voicebot.language.words import Word, matches, normalise, split

_ALIKE = 0.8


def find_choices(words: Sequence[Word], phrases: Sequence[str]) -> list[Span]:
    """Find expected phrases (kind ``"choice"``, value the phrase as the dialog gave it).

    Exact word sequences come first, longest first; without any, the phrase most alike ("current acount").
    """
    exact: list[Span] = []
    wordings = [(phrase, parts) for phrase in phrases for parts in _wordings(phrase)]
    for phrase, parts in wordings:
        exact.extend(
            Span("choice", phrase, index, index + len(parts))
            for index in range(len(words))
            if matches(words, index, parts)
        )
    if exact:
        return sorted(exact, key=lambda span: (span.first - span.last, span.first))
    near: list[tuple[float, Span]] = []
    for phrase, parts in wordings:
        target = " ".join(parts)
        for index in range(max(0, len(words) - len(parts) + 1)):
            window = words[index : index + len(parts)]
            alike = _alike(target, " ".join(word.text for word in window))
            if alike >= _ALIKE:
                near.append((alike, Span("choice", phrase, index, index + len(parts))))
    return [span for _, span in sorted(near, key=lambda item: -item[0])[:3]]


def _wordings(phrase: str) -> list[list[str]]:
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


def _alike(target: str, said: str) -> float:
    """Return how alike two texts are, 0 where that they are not is quickly seen."""
    # The matcher's own bound on its ratio from the lengths, and without the cost of making the matcher.
    if 2 * min(len(target), len(said)) < _ALIKE * (len(target) + len(said)):
        return 0.0
    matcher = difflib.SequenceMatcher(None, target, said)
    return matcher.ratio() if matcher.quick_ratio() >= _ALIKE else 0.0
