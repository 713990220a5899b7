"""What the words so far do to the end of a turn."""

from __future__ import annotations

import pytest

from tests.speech.listening.scripted import SILENT, VOICED, detector, feed, until_ended
from voicebot.dialog.expectation import AnswerKind
from voicebot.speech.listening.patience import ENOUGH_MS, MAYBE_MS, PATIENCE
from voicebot.speech.listening.words import REQUEST_MS, said_so_far, tell_words

UNFINISHED_MS = PATIENCE[AnswerKind.OPEN].unfinished_ms


@pytest.mark.parametrize(
    ("said", "waited_ms"),
    [
        (1.0, ENOUGH_MS),
        (0.6, REQUEST_MS),
        (0.3, MAYBE_MS),
        (0.0, PATIENCE[AnswerKind.OPEN].unknown_ms),
        (-1.0, UNFINISHED_MS),
    ],
)
def test_the_less_words_seem_to_be_all_the_longer_the_turn_waits(said: float, waited_ms: int) -> None:
    turns = detector()
    feed(turns, VOICED, 600)
    feed(turns, SILENT, 200)
    tell_words(turns, said)
    assert 200 + until_ended(turns) == waited_ms


@pytest.mark.parametrize(
    ("said", "probability", "waited_ms"),
    [(0.3, 0.1, 1100), (0.3, 0.6, MAYBE_MS), (0.6, 0.1, REQUEST_MS), (1.0, 0.1, ENOUGH_MS)],
)
def test_words_that_may_be_all_in_a_voice_that_goes_on_wait_longer(
    said: float, probability: float, waited_ms: int
) -> None:
    turns = detector()
    feed(turns, VOICED, 600)
    feed(turns, SILENT, 200)
    turns.turn_probability(probability, pause=1)
    tell_words(turns, said)
    assert 200 + until_ended(turns) == waited_ms


def test_the_latest_words_count() -> None:
    turns = detector()
    feed(turns, VOICED, 600)
    feed(turns, SILENT, 200)
    tell_words(turns, 0.6)
    tell_words(turns, -1.0)
    assert 200 + until_ended(turns) == UNFINISHED_MS


@pytest.mark.parametrize(
    ("text", "others", "waited_ms"),
    [
        ("take my account", ("check my account balance",), MAYBE_MS),
        ("take my account", ("take a count",), UNFINISHED_MS),
        ("check my account balance", ("take my account",), REQUEST_MS),
        ("check my", ("check my account balance",), UNFINISHED_MS),
        ("", ("check my account balance",), MAYBE_MS),
        ("take my account", ("check my", "check my account balance"), UNFINISHED_MS),
        ("check my account balance", ("take my account", "check my"), MAYBE_MS),
        ("check my account balance", ("check my",), UNFINISHED_MS),
    ],
)
def test_readings_that_differ_in_whether_they_are_all_may_be_all(
    text: str, others: tuple[str, ...], waited_ms: int
) -> None:
    whole = {"check my account balance": 0.6, "check my": -1.0}
    turns = detector()
    feed(turns, VOICED, 600)
    feed(turns, SILENT, 200)
    turns.turn_probability(0.5, pause=1)
    tell_words(turns, said_so_far(text, others, lambda each: whole.get(each, 0.0)))
    assert 200 + until_ended(turns) == waited_ms
