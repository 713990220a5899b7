"""A call's readings are those of the understanding it reads with, each made once."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tests.language.test_interpret_holds import understanding
from tests.language.test_understanding import NOW, OPEN
from voicebot.dialog.events import Interpretation
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.language.reading_once import ReadingOnce
from voicebot.language.understanding import Understanding

DAY = Expectation("day", (AnswerKind.DATE, AnswerKind.OPEN))
PIN = Expectation("pin", (AnswerKind.DIGITS,), lengths=(4,), secret=True)


@pytest.fixture
def texts_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the texts that are read anew."""
    texts: list[str] = []
    read = Understanding.read

    def noting(
        self: Understanding, text: str, expectation: Expectation, now: datetime, *, for_requests: bool
    ) -> Interpretation:
        texts.append(text)
        return read(self, text, expectation, now, for_requests=for_requests)

    monkeypatch.setattr(Understanding, "read", noting)
    return texts


def test_words_of_a_pause_are_not_read_again_when_the_turn_is_over(texts_read: list[str]) -> None:
    of_call = ReadingOnce(understanding())
    at_pause = of_call.interpret([("Next Tuesday.", 1.0)], DAY, NOW)
    at_end = of_call.interpret([("next tuesday", 0.6), ("next choose day", 0.2)], DAY, NOW + timedelta(seconds=2))
    assert texts_read == ["next tuesday", "next choose day"]
    assert at_end[0] == replace(at_pause[0], confidence=0.6)


@pytest.mark.parametrize(("asked", "later"), [(OPEN, NOW), (DAY, NOW + timedelta(days=30))], ids=["question", "day"])
def test_another_question_or_day_gives_another_reading(asked: Expectation, later: datetime) -> None:
    of_call = ReadingOnce(understanding())
    before = of_call.interpret([("the fourteen", 1.0)], DAY, NOW)
    after = of_call.interpret([("the fourteen", 1.0)], asked, later)
    assert after == understanding().interpret([("the fourteen", 1.0)], asked, later)
    assert after != before


def test_alternatives_are_read_as_without_it() -> None:
    of_call = ReadingOnce(understanding())
    heard = [(f"where is my order {number}", 0.9 - number / 10) for number in range(7)]
    of_call.interpret(heard[::-1], OPEN, NOW)
    assert of_call.interpret(heard, OPEN, NOW) == understanding().interpret(heard, OPEN, NOW)


def test_answers_to_a_secret_question_are_not_kept(texts_read: list[str]) -> None:
    of_call = ReadingOnce(understanding())
    for _ in range(2):
        of_call.interpret([("four two seven one", 1.0)], PIN, NOW)
    assert len(texts_read) == 2
