"""Which words over a prompt leave it as it is."""

from __future__ import annotations

import pytest

from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.language.backchannel import is_backchannel, only_backchannel

OPEN = Expectation("open", (AnswerKind.OPEN,))
YES_NO = Expectation("sure", (AnswerKind.YES_NO, AnswerKind.OPEN))
CHOICE = Expectation("which", (AnswerKind.CHOICE,), phrases=("the right one", "Right", "left"))


@pytest.mark.parametrize(
    "text", ["uh huh", "Uh-huh.", "mm-hmm", "okay", "yeah okay", "I see", "oh right", "Okay, great!"]
)
def test_listeners_words_alone_are_a_backchannel(text: str) -> None:
    assert only_backchannel(text)
    assert is_backchannel(text, OPEN, left_ms=3000)


@pytest.mark.parametrize(
    "text", ["", "no", "stop", "wait", "okay stop", "yeah but where is it", "i want an agent", "help"]
)
def test_other_words_are_none(text: str) -> None:
    assert not is_backchannel(text, OPEN, left_ms=3000)


def test_what_is_offered_as_a_choice_is_an_answer() -> None:
    assert not is_backchannel("right", CHOICE, left_ms=3000)
    assert is_backchannel("okay", CHOICE, left_ms=3000)


@pytest.mark.parametrize(
    ("text", "left_ms", "expected"), [("okay", 3000, True), ("okay", 1000, False), ("yes", 3000, False)]
)
def test_a_yes_or_no_question_takes_okay_for_an_answer_once_it_was_heard(
    text: str, left_ms: int, *, expected: bool
) -> None:
    assert is_backchannel(text, YES_NO, left_ms=left_ms) is expected
