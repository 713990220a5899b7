"""Which of two recognisers' alternatives counts as what was said."""

from __future__ import annotations

import pytest

from voicebot.speech.asr import Hypothesis
from voicebot.speech.recognition.known import words_of
from voicebot.speech.recognition.two_pass.choosing import (
    choose,
    choose_number,
    likely_enough,
    settled,
    worth_weighing,
)

KNOWN = frozenset("i want a light roast coffee with skim milk my order twelve ounce cancel to the please".split())


def heard(*texts: str, confidence: float = 0.9) -> tuple[Hypothesis, ...]:
    return tuple(Hypothesis(text, confidence - rank / 100) for rank, text in enumerate(texts))


def first(dictated: tuple[Hypothesis, ...], expected: tuple[Hypothesis, ...]) -> str:
    return choose(dictated, expected, KNOWN)[0].text


def test_the_alternative_without_a_strangers_word_counts() -> None:
    assert first(heard("A light rose coffee.", "A light roast coffee."), heard("my milk")) == "A light roast coffee."


def test_an_alternative_that_is_far_less_likely_does_not() -> None:
    dictated = (Hypothesis("I want a refund.", 0.95), Hypothesis("I want a roast.", 0.2))
    assert first(dictated, heard("a coffee")) == "I want a refund."


def test_where_none_is_free_of_them_the_words_of_the_domain_count_that_sound_the_same() -> None:
    assert first(heard("a coffee with skin milk"), heard("a coffee with skim milk")) == "a coffee with skim milk"


@pytest.mark.parametrize(
    ("dictated", "expected", "enough"),
    [
        ("A light roast coffee.", "", True),
        ("A coffee with skin milk.", "a coffee with skim milk", True),
        ("A coffee with skin milk.", "to cancel my order", False),
        ("A coffee with skin milk.", "", False),
    ],
)
def test_alternatives_are_not_asked_for_where_one_would_not_be_chosen_anyway(
    dictated: str, expected: str, *, enough: bool
) -> None:
    assert settled(dictated, heard(expected) if expected else (), KNOWN) is enough


def test_what_the_second_pass_finds_as_likely_of_the_firsts_words_counts() -> None:
    dictated, expected = heard("Can someone.", confidence=0.2), heard("cancel my order please", "cancel my order")
    assert choose(dictated, expected, KNOWN)[0].text == "Can someone."
    ranked = choose(dictated, expected, KNOWN, preferred=True)
    assert [each.text for each in ranked] == ["cancel my order please", "Can someone.", "cancel my order"]
    assert choose(dictated, (), KNOWN, preferred=True)[0].text == "Can someone.", "the first pass may have died since"


@pytest.mark.parametrize(
    ("dictated", "expected", "worth"),
    [
        ("Can someone.", "cancel my order please", True),
        ("I want a coffee.", "i want a coffee with milk", True),
        ("I want a light coffee.", "i want light a coffee", True),
        ("I want a coffee.", "i want a coffee", False),
        ("I want a coffee with milk.", "i want a coffee", False),
        ("I want a coffee with milk.", "cancel a coffee", False),
        ("I want a light a coffee.", "i want a light coffee", True),
        ("I want a coffee.", "", False),
    ],
)
def test_words_that_leave_some_out_are_not_weighed(dictated: str, expected: str, *, worth: bool) -> None:
    assert worth_weighing(dictated, expected) is worth


def test_words_that_are_expected_may_be_a_little_less_likely() -> None:
    assert [likely_enough(likelier) for likelier in (2.0, -4.0, -10.0)] == [True, True, False]


@pytest.mark.parametrize("expected", ["i want to cancel my order", "a coffee", ""])
def test_speech_of_something_else_stands_as_it_was_dictated(expected: str) -> None:
    said = "I want to cancel my subscription."
    assert first(heard(said), heard(expected) if expected else ()) == said


def test_figures_are_known_as_the_words_that_they_are_said_with() -> None:
    assert words_of("A 12-ounce, please: $42.60 at 10:30!") == [
        "a", "twelve", "ounce", "please", "forty", "two", "sixty", "at", "ten", "thirty",
    ]  # fmt: skip
    assert words_of("007, 0 and 1250") == ["007", "zero", "and", "1250"]
    assert first(heard("a 12-ounce coffee", "a trouncing coffee"), heard("a coffee")) == "a 12-ounce coffee"


def test_what_nobody_else_heard_is_half_as_sure() -> None:
    alone = choose(heard("Tell me about my loan."), heard("light roast"), KNOWN)
    both = choose(heard("I want a coffee."), heard("i want a coffee"), KNOWN)
    assert alone[0].confidence == pytest.approx(0.45)
    assert both[0].confidence == pytest.approx(0.9)
    assert [each.text for each in both] == ["I want a coffee."], "the same words are one alternative"
    assert [each.text for each in alone] == ["Tell me about my loan.", "light roast"]
    assert alone[1].confidence <= alone[0].confidence


def test_requests_that_only_the_first_pass_makes_of_other_talk_do_not_count_at_an_open_question() -> None:
    dictated, expected = heard("Do you do car insurance?"), heard("tuesday at current sure", "i want to cancel")
    assert [each.text for each in choose(dictated, expected, KNOWN, closed=False)] == ["Do you do car insurance?"]
    closed = choose(dictated, expected, KNOWN)
    assert [each.text for each in closed] == ["Do you do car insurance?", *(each.text for each in expected)]
    alike = choose(heard("I want to cancer my order."), heard("i want to cancel my orders"), KNOWN, closed=False)
    assert "i want to cancel my orders" in [each.text for each in alike]


def test_words_of_the_domain_do_not_replace_a_whole_sentence_of_others() -> None:
    said = "Do you sell concert tickets?"
    assert first(heard(said), heard("do you so come service it's it's")) == said


def test_where_the_second_pass_heard_nothing_the_first_one_counts() -> None:
    assert first((), heard("no")) == "no"
    assert choose((), (), KNOWN) == ()


def test_where_the_second_pass_is_sure_of_other_words_the_firsts_numbers_do_not_count() -> None:
    first_pass = heard("oh nine two oh", "no that's all of it")
    ranked = choose_number(heard("No, that's all."), first_pass, KNOWN)
    assert [each.text for each in ranked] == ["No, that's all.", "no that's all of it"]
    doubted = choose_number(heard("Bad for one.", "4 1"), heard("nine one"), KNOWN)
    assert [each.text for each in doubted] == ["Bad for one.", "4 1", "nine one"], "it may have been one"
    assert [each.text for each in choose_number((), heard("four one"), KNOWN)] == ["four one"]


def test_where_the_second_pass_can_tell_that_no_digit_was_said_the_firsts_does_not_count() -> None:
    assert choose_number((), heard("three"), KNOWN, none_said=True) == ()
    kept = choose_number((), heard("three", "cancel my order"), KNOWN, none_said=True)
    assert [each.text for each in kept] == ["cancel my order"]


def test_words_that_count_in_place_of_the_second_passs_do_at_a_question_for_a_number() -> None:
    dictated, expected = heard("Let me take your last."), heard("this is ridiculous", "three")
    assert choose_number(dictated, expected, KNOWN)[0].text == "Let me take your last."
    assert choose_number(dictated, expected, KNOWN, preferred=True)[0].text == "this is ridiculous"
    first_a_number = heard("three", "this is ridiculous")
    assert choose_number(dictated, first_a_number, KNOWN, preferred=True)[0].text == "Let me take your last."


def test_of_a_number_all_alternatives_stay_the_second_passs_first() -> None:
    ranked = choose_number(heard("4 5 1 2", "4 5 1 3"), heard("four five one two", "nine five one two"), KNOWN)
    assert [each.text for each in ranked] == ["4 5 1 2", "4 5 1 3", "nine five one two"]
    assert [each.confidence for each in ranked] == sorted((each.confidence for each in ranked), reverse=True)


def test_other_words_than_a_number_are_doubted_where_only_one_pass_heard_them() -> None:
    alone, both = (
        choose_number(heard("let me take your list", confidence=0.8), heard(expected), KNOWN)[0]
        for expected in ("this is ridiculous", "let me take your list")
    )
    assert alone.text == both.text
    assert [alone.confidence, both.confidence] == pytest.approx([0.4, 0.8])
    assert choose_number(heard("a light rose"), heard("a light roast"), KNOWN)[0].text == "a light roast"
