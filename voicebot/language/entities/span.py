"""What every finder of this folder returns: a value with the words it was read from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voicebot.dialog.events import Entity, SlotValue
from voicebot.language.words import Word


@dataclass(frozen=True, slots=True)
class Span:
    """A value read from `words[first:last]`. Spans over the same words are rival readings, the likeliest first."""

    kind: str
    value: SlotValue
    first: int
    last: int

    def entity(self, words: Sequence[Word], text: str) -> Entity:
        start, end = words[self.first].start, words[self.last - 1].end
        return Entity(kind=self.kind, value=self.value, text=text[start:end], start=start, end=end)

    def covers(self, other: Span) -> bool:
        return self.first <= other.first and other.last <= self.last
