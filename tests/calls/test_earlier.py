"""Who puts the same request again is noticed; who gives the same value again is not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time

import pytest

from voicebot.calls.earlier import EarlierTurns
from voicebot.calls.seams import Likeness
from voicebot.dialog.events import Entity, Interpretation
from voicebot.dialog.expectation import Expectation
from voicebot.language.rephrasing import Rephrasing


class Ears:
    """Takes any two turns with the same last word for the same."""

    def interpret(
        self, heard: Sequence[tuple[str, float]], expectation: Expectation, now: datetime
    ) -> tuple[Interpretation, ...]:
        raise AssertionError("nothing is interpreted here")

    def rephrasing(self, text: str, earlier: Sequence[str]) -> Likeness | None:
        ends = text.rpartition(" ")[2]
        alike = [number for number, said in enumerate(earlier) if said.endswith(ends)]
        return Rephrasing(0.9, alike[-1]) if alike else None


FOUR = (Entity("time", time(16), "at four", 0, 7),)


@pytest.mark.parametrize(
    ("first", "again", "likeness"),
    [
        (Interpretation("where is my order", 0.9), Interpretation("i asked about my order", 0.9), 0.9),
        (Interpretation("at four", 0.9, entities=FOUR), Interpretation("so at four", 0.9, entities=FOUR), 0.0),
        (Interpretation("yes", 0.9, affirmative=True), Interpretation("yes", 0.9, affirmative=True), 0.0),
        (
            Interpretation("can i come in today at four", 0.9, entities=FOUR),
            Interpretation("i would like to come in at four", 0.9, entities=FOUR),
            0.9,
        ),
    ],
)
def test_requests_are_compared_and_short_answers_are_not(
    first: Interpretation, again: Interpretation, likeness: float
) -> None:
    earlier = EarlierTurns(Ears())
    assert earlier.add(first) == 0.0
    assert earlier.add(again) == likeness
