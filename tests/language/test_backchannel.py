"""Which words over a prompt leave it as it is."""

from __future__ import annotations

import pytest

from voicebot.dialog.events import IntentScore, Interpretation
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.language.backchannel import asks_for_nothing, is_backchannel, only_backchannel

OPEN = Expectation("open", (AnswerKind.OPEN,))
YES_NO = Expectation("sure", (AnswerKind.YES_NO, AnswerKind.OPEN))
DRASTIC = frozenset({"start_over", "goodbye"})
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


@pytest.mark.parametrize(("text", "expected"), [("it's left", False), ("leftover", True), ("the mane", True)])
def test_a_choice_among_few_words_is_an_answer_and_no_mumble(text: str, *, expected: bool) -> None:
    reading = Interpretation(text, 0.9)
    assert asks_for_nothing(reading, CHOICE, DRASTIC, spoken_ms=900, left_ms=3000) is expected


@pytest.mark.parametrize(
    ("text", "left_ms", "expected"), [("okay", 3000, True), ("okay", 1000, False), ("yes", 3000, False)]
)
def test_a_yes_or_no_question_takes_okay_for_an_answer_once_it_was_heard(
    text: str, left_ms: int, *, expected: bool
) -> None:
    assert is_backchannel(text, YES_NO, left_ms=left_ms) is expected


@pytest.mark.parametrize(
    ("text", "left_ms", "expected"),
    [("please", 3000, True), ("thank you", 3000, True), ("okay thanks", 3000, True), ("thank you", 800, False)],
)
def test_a_courtesy_after_the_answer_leaves_the_prompt_and_at_its_end_is_a_reply(
    text: str, left_ms: int, *, expected: bool
) -> None:
    assert is_backchannel(text, OPEN, left_ms=left_ms) is expected


def reading(text: str, *intents: str) -> Interpretation:
    return Interpretation(text, 0.9, tuple(IntentScore(intent, 0.9) for intent in intents))


@pytest.mark.parametrize(
    ("said", "spoken_ms", "nothing"),
    [
        (None, 800, True),
        (None, 4000, False),
        (reading("the"), 800, True),
        (reading("the"), 4000, False),
        (reading("stop"), 800, False),
        (reading("no that one"), 800, False),
        (reading("balance", "check_balance"), 800, False),
        (reading("okay"), 800, True),
    ],
)
def test_a_short_sound_in_which_nothing_was_understood_asks_for_nothing(
    said: Interpretation | None, spoken_ms: int, *, nothing: bool
) -> None:
    assert asks_for_nothing(said, OPEN, DRASTIC, spoken_ms=spoken_ms, left_ms=3000) is nothing


def test_a_word_not_understood_at_the_end_of_a_question_is_asked_again() -> None:
    assert not asks_for_nothing(reading("plover"), OPEN, DRASTIC, spoken_ms=800, left_ms=500)


@pytest.mark.parametrize(
    ("text", "intent", "confidence", "left_ms", "nothing"),
    [
        ("main", "start_over", 0.84, 3000, True),
        ("main", "start_over", 0.84, 500, True),
        ("goodbye", "goodbye", 0.99, 3000, True),
        ("goodbye", "goodbye", 0.99, 500, False),  # a reply to "is there anything else"
        ("start over", "start_over", 0.99, 3000, False),
        ("can we go back there", "start_over", 0.6, 3000, True),
        ("balance", "balance", 0.84, 3000, False),
    ],
)
def test_what_gives_up_everything_is_taken_from_no_doubtful_turn_over_a_prompt(
    text: str, intent: str, confidence: float, left_ms: int, *, nothing: bool
) -> None:
    said = Interpretation(text, 0.9, (IntentScore(intent, confidence),))
    assert asks_for_nothing(said, OPEN, DRASTIC, spoken_ms=900, left_ms=left_ms) is nothing
