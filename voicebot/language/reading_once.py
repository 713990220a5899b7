"""What was understood lately on one call, so that words are read once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from voicebot.dialog.events import Interpretation
from voicebot.dialog.expectation import Expectation
from voicebot.language.rephrasing import Rephrasing
from voicebot.language.understanding import Understanding, interpret_each

#: More than a turn has: of a number that was heard there may be thirty alternatives.
_KEPT = 64


class ReadingOnce:
    """An `Understanding` for one call, which its readings end with.

    The same words are read for the end of a turn, for the reply that is rendered ahead, and when the turn is over.
    Answers to a secret question are not kept.
    """

    def __init__(self, understanding: Understanding) -> None:
        self._understanding = understanding
        self._read_once = lru_cache(_KEPT)(understanding.read)

    def interpret(
        self, heard: Sequence[tuple[str, float]], expectation: Expectation, now: datetime
    ) -> tuple[Interpretation, ...]:
        """Return what `Understanding.interpret` does, reading relative to the minute of `now`."""
        read = self._understanding.read if expectation.secret else self._read_once
        return interpret_each(read, heard, expectation, now.replace(second=0, microsecond=0))

    def rephrasing(self, text: str, earlier: Sequence[str]) -> Rephrasing | None:
        """Return what `Understanding.rephrasing` does."""
        return self._understanding.rephrasing(text, earlier)
