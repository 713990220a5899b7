"""How much silence ends a turn: the one table of numbers behind `turn`, with the reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from voicebot.dialog.expectation import AnswerKind, Expectation


@dataclass(frozen=True, slots=True)
class Patience:
    """Milliseconds of silence that end a turn, by what the end-of-turn model says of the voice.

    `finished_ms` when it sounds finished or enough was recognised, `unfinished_ms` when it sounds cut short,
    `unknown_ms` while the model has not answered.
    """

    finished_ms: int
    unknown_ms: int
    unfinished_ms: int

    def needed_ms(self, probability: float | None) -> int:
        """Return the silence needed for the model's probability of being finished, straight between the two ends."""
        if probability is None:
            return self.unknown_ms
        sureness = (probability - UNFINISHED_BELOW) / (FINISHED_ABOVE - UNFINISHED_BELOW)
        return round(self.unfinished_ms + min(max(sureness, 0.0), 1.0) * (self.finished_ms - self.unfinished_ms))


#: The model is taken at its word outside these probabilities.
UNFINISHED_BELOW = 0.2
FINISHED_ABOVE = 0.7

PATIENCE: Mapping[AnswerKind, Patience] = MappingProxyType(
    {
        # People search for words in the middle of a request; the voice tells whether more is to come.
        AnswerKind.OPEN: Patience(300, 700, 1100),
        # "Yes" is whole at once. What sounds unfinished is "no, I meant …".
        AnswerKind.YES_NO: Patience(350, 350, 700),
        # Read from a list in the head or on paper: pauses between groups are as long as those at the end, and every
        # group sounds finished, so the model hardly counts. The expected length ends it sooner (`recognised_enough`).
        AnswerKind.DIGITS: Patience(1200, 1200, 1500),
        # Spelling is slower still: "B as in … Bravo".
        AnswerKind.ALPHANUMERIC: Patience(1300, 1300, 1600),
        # "The fourteenth … of October": one pause inside is common.
        AnswerKind.DATE: Patience(450, 600, 1000),
        AnswerKind.TIME: Patience(450, 600, 1000),
        AnswerKind.MONEY: Patience(450, 600, 1000),
        # First name, pause, last name.
        AnswerKind.NAME: Patience(500, 700, 1000),
        AnswerKind.CHOICE: Patience(350, 450, 800),
    }
)

#: After the whole expected answer was recognised only a breath is waited for, in case of "… no, wait".
ENOUGH_MS = 300


def patience_for(expectation: Expectation) -> Patience:
    """Return the patience for the likeliest kind of answer; an expectation without kinds is an open one."""
    return PATIENCE[expectation.kinds[0] if expectation.kinds else AnswerKind.OPEN]
