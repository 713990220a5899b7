"""Where in a recording the words are that must not be heard, by the times that a recogniser gave them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voicebot.redaction import Sensitive, find


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word of a turn with its place in the recording, in milliseconds."""

    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class SilentSpan:
    kind: Sensitive
    start_ms: int
    end_ms: int


def silent_spans(
    words: Sequence[TimedWord],
    *,
    asked: Sensitive | None = None,
    begun: int = 0,
    unasked: bool = False,
    phone: bool = False,
) -> tuple[tuple[SilentSpan, ...], frozenset[int]]:
    """Return where the words say what must not be heard, and the indices of those words."""
    starts, at, text = [], 0, " ".join(word.text for word in words)
    for word in words:
        starts.append(at)
        at += len(word.text) + 1
    spans, hidden = [], set()
    for finding in find(text, asked=asked, begun=begun, unasked=unasked, phone=phone):
        inside = [
            index
            for index, word in enumerate(words)
            if starts[index] < finding.end and finding.start < starts[index] + len(word.text)
        ]
        hidden.update(inside)
        if inside:
            spans.append(SilentSpan(finding.kind, words[inside[0]].start_ms, words[inside[-1]].end_ms))
    return tuple(spans), frozenset(hidden)
