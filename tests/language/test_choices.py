"""What is nearly a choice: the letters in common rule out most comparisons, and none that would have told it."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

from hypothesis import example, given
from hypothesis import strategies as st

from voicebot.language.entities.choices import find_choices
from voicebot.language.entities.span import Span
from voicebot.language.words import normalise, split

ALIKE = 0.8
PHRASES = ("current account", "savings account", "the other address", "call me back", "wait", "café")
words = st.sampled_from(" ".join(PHRASES).split()) | st.text("aceinstuwé'09", min_size=1, max_size=9)
said = st.lists(words, max_size=8).map(lambda each: normalise(" ".join(each)))


def compared_with_all(text: str, phrases: Sequence[str]) -> list[tuple[float, Span]]:
    """Compare every phrase with every run of as many words."""
    heard = text.split()
    spans = [
        (SequenceMatcher(None, phrase, " ".join(heard[first : first + size])).ratio(), phrase, first, first + size)
        for phrase in phrases
        for size in [len(phrase.split())]
        for first in range(len(heard) - size + 1)
    ]
    return [(alike, Span("choice", phrase, first, last)) for alike, phrase, first, last in spans if alike >= ALIKE]


@given(said, st.lists(st.sampled_from(PHRASES), unique=True))
@example("my current acount please", ["savings account", "current account"])
@example("curent savings acount", ["savings account", "current account"])
@example("", ["wait"])
def test_the_most_alike_of_all_phrases_are_found(text: str, phrases: list[str]) -> None:
    found = find_choices(split(text), phrases)
    near = sorted(compared_with_all(text, phrases), key=lambda each: -each[0])
    exact = [span for alike, span in near if alike == 1.0]
    assert found == ([span for _, span in near[:3]] if not exact else sorted(exact, key=by_length))


def by_length(span: Span) -> tuple[int, int]:
    return span.first - span.last, span.first
