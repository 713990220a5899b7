"""What a Whisper model is told of the answer before it hears."""

from __future__ import annotations

from voicebot.dialog.expectation import AnswerKind
from voicebot.speech.recognition.whisper.hints import cue_for, telling
from voicebot.speech.recognition.wire import Request


def asked(*kinds: AnswerKind, phrases: tuple[str, ...] = (), lengths: tuple[int, ...] = ()) -> Request:
    return Request("question", kinds, phrases, lengths, secret=False, domain=None)


def test_an_open_question_shows_requests_and_a_closed_one_its_answers() -> None:
    examples, names = ("where is my order",), ("acme",)
    assert cue_for(asked(AnswerKind.OPEN), names, examples).prompt == "Where is my order. Acme."
    closed = cue_for(asked(AnswerKind.CHOICE, phrases=("checking", "savings")), (), examples)
    assert closed.prompt == "Checking. Savings."


def test_only_a_question_for_digits_asks_for_numbers_of_its_lengths() -> None:
    assert cue_for(asked(AnswerKind.DIGITS, lengths=(4, 6)), (), ()).lengths == (4, 6)
    assert cue_for(asked(AnswerKind.DIGITS), (), ()).lengths == ()
    assert cue_for(asked(AnswerKind.YES_NO), (), ()).lengths is None


def test_the_hint_stays_short_whatever_the_data_holds() -> None:
    names = tuple(f"person number {count}" for count in range(500))
    assert len(cue_for(asked(AnswerKind.NAME), names, ()).prompt) <= 400


def test_the_examples_with_the_most_different_words_are_chosen() -> None:
    examples = ("a small latte", "a small coffee", "a large latte with soy milk", "a small latte please")
    chosen = telling(examples)
    assert chosen[0] == "a large latte with soy milk"
    words = {word for example in examples for word in example.split()}
    assert {word for example in chosen for word in example.split()} == words
    assert telling(()) == ()
