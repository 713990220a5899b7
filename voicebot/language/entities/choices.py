"""Choices offered by a question: the phrases the dialog expects, found exactly or nearly."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from voicebot.language.entities.span import Span
from voicebot.language.words import Word, matches, normalise

_ALIKE = 0.8


def find_choices(words: Sequence[Word], phrases: Sequence[str]) -> list[Span]:
    """Find expected phrases (kind ``"choice"``, value the phrase as the dialog gave it).

    Exact word sequences come first, longest first; without any, the phrase most alike ("current acount").
    """
    exact: list[Span] = []
    parts_of = {phrase: parts for phrase in phrases if (parts := normalise(phrase).split())}
    for phrase, parts in parts_of.items():
        exact.extend(
            Span("choice", phrase, index, index + len(parts))
            for index in range(len(words))
            if matches(words, index, parts)
        )
    if exact:
        return sorted(exact, key=lambda span: (span.first - span.last, span.first))
    near: list[tuple[float, Span]] = []
    for phrase, parts in parts_of.items():
        target = " ".join(parts)
        for index in range(max(0, len(words) - len(parts) + 1)):
            window = words[index : index + len(parts)]
            alike = _alike(target, " ".join(word.text for word in window))
            if alike >= _ALIKE:
                near.append((alike, Span("choice", phrase, index, index + len(parts))))
    return [span for _, span in sorted(near, key=lambda item: -item[0])[:3]]


def _alike(target: str, said: str) -> float:
    """Return how alike two texts are, 0 where that they are not is quickly seen."""
    # The matcher's own bound on its ratio from the lengths, and without the cost of making the matcher.
    if 2 * min(len(target), len(said)) < _ALIKE * (len(target) + len(said)):
        return 0.0
    matcher = difflib.SequenceMatcher(None, target, said)
    return matcher.ratio() if matcher.quick_ratio() >= _ALIKE else 0.0
