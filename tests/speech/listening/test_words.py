"""What the words so far do to the end of a turn."""

from __future__ import annotations

import pytest

from tests.speech.listening.test_turn import SILENT, VOICED, detector, feed, until_ended
from voicebot.dialog.expectation import AnswerKind
from voicebot.speech.listening.patience import ENOUGH_MS, PATIENCE
from voicebot.speech.listening.words import MAYBE_MS, REQUEST_MS, tell_words

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


def test_the_latest_words_count() -> None:
    turns = detector()
    feed(turns, VOICED, 600)
    feed(turns, SILENT, 200)
    tell_words(turns, 0.6)
    tell_words(turns, -1.0)
    assert 200 + until_ended(turns) == UNFINISHED_MS
