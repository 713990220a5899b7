"""What a recogniser writes in figures means what callers said in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.language.entities.finder import find_entities
from voicebot.language.words import normalise

#: A Saturday.
NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def first(text: str, kind: AnswerKind, lengths: tuple[int, ...] = (), phrases: tuple[str, ...] = ()) -> object:
    expectation = Expectation("question", (kind,), phrases, lengths)
    found = find_entities(normalise(text), expectation, NOW).entities
    return next((each.value for each in found if each.kind == kind.value), None)


@pytest.mark.parametrize(
    ("written", "spoken", "kind", "lengths"),
    [
        *((each, "four five one two", AnswerKind.DIGITS, (4,)) for each in ("4512", "4-5-1-2", "4 5 1 2.", "451-2")),
        *((each, "four oh two seven nine one", AnswerKind.DIGITS, (6,)) for each in ("402-791.", "40 27 91")),
        *((each, "b seven k four two", AnswerKind.ALPHANUMERIC, (5,)) for each in ("B7K42", "B-7-K-4-2", "B.7.K.4.2.")),
        ("$42.60.", "forty two dollars and sixty cents", AnswerKind.MONEY, ()),
        ("$1,250", "one thousand two hundred and fifty dollars", AnswerKind.MONEY, ()),
        ("10:30 a.m.", "ten thirty am", AnswerKind.TIME, ()),
        ("10.30 AM", "ten thirty am", AnswerKind.TIME, ()),
        ("March 3rd.", "march third", AnswerKind.DATE, ()),
        ("Friday the 27th.", "friday the twenty seventh", AnswerKind.DATE, ()),
    ],
)  # fmt: skip
def test_figures_and_words_give_the_same_value(
    written: str, spoken: str, kind: AnswerKind, lengths: tuple[int, ...]
) -> None:
    value = first(written, kind, lengths)
    assert value is not None
    assert value == first(spoken, kind, lengths)


@pytest.mark.parametrize(
    ("written", "choice"),
    [
        ("12-ounce.", "twelve ounce"),
        ("the 24 hour one", "twenty four hour"),
        ("Number 2.", "number two"),
        ("none", None),
    ],
)
def test_choices_with_numbers_are_found_in_figures(written: str, choice: str | None) -> None:
    offered = ("twelve ounce", "twenty four hour", "number two")
    assert first(written, AnswerKind.CHOICE, phrases=offered) == choice


def test_a_number_at_the_end_of_a_sentence_is_not_taken_for_spelling() -> None:
    assert normalise("It's 1.5.") == "it's 1.5"
    assert normalise("At 3 p.m. in the U.S.A.") == "at 3 pm in the u s a"
