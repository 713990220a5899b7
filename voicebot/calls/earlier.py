"""What the caller said earlier on the call, to notice who says the same again in other words."""

from __future__ import annotations

from collections import deque

from voicebot.calls.seams import Understanding

#: Turns that are compared; who repeats themselves does so soon.
_REMEMBERED = 8


class EarlierTurns:
    """The latest turns of one caller. Secrets never come here."""

    def __init__(self, understanding: Understanding) -> None:
        self._understanding = understanding
        self._said: deque[str] = deque(maxlen=_REMEMBERED)

    def add(self, text: str) -> float:
        """Return how alike a new turn is to an earlier one (0 to 1), and remember it."""
        found = self._understanding.rephrasing(text, tuple(self._said)) if self._said else None
        self._said.append(text)
        return found.similarity if found else 0.0
