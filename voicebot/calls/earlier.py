"""What the caller said earlier on the call, to notice who says the same again in other words."""

from __future__ import annotations

from collections import deque

from voicebot.calls.seams import Understanding
from voicebot.dialog.events import Interpretation

#: Turns that are compared; who repeats themselves does so soon.
_REMEMBERED = 8
#: A value with so few words around it answers a question.
_ANSWER_WORDS = 5


class EarlierTurns:
    """The latest turns of one caller. Secrets never come here."""

    def __init__(self, understanding: Understanding) -> None:
        self._understanding = understanding
        self._said: deque[str] = deque(maxlen=_REMEMBERED)

    def add(self, reading: Interpretation) -> float:
        """Return how alike a new turn is to an earlier one (0 to 1), and remember it.

        A short answer is neither compared nor kept: "at four" said twice is a time given twice, no request put again.
        """
        text = reading.text
        answers = bool(reading.entities) or reading.affirmative is not None
        if not text or (answers and len(text.split()) <= _ANSWER_WORDS):
            return 0.0
        found = self._understanding.rephrasing(text, tuple(self._said)) if self._said else None
        self._said.append(text)
        return found.similarity if found else 0.0
