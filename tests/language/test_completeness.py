from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from voicebot.dialog.events import IntentScore, Interpretation
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.language.completeness import MORE_FOLLOWS, completeness
from voicebot.language.endings import Endings
from voicebot.language.understanding import Understanding

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=ZoneInfo("America/New_York"))
INTENTS = {
    "balance": ("what's my balance", "check my account balance", "how much money do i have", "balance please"),
    "order": ("where is my order", "track my package", "has my order shipped", "order status please"),
    "hours": ("when are you open", "what are your opening hours", "how late are you open", "opening times please"),
}
ENDINGS = Endings(example for examples in INTENTS.values() for example in examples)
OPEN = Expectation("open", (AnswerKind.OPEN,))
SURE = Expectation("sure", (AnswerKind.YES_NO, AnswerKind.OPEN))
DAY = Expectation("day", (AnswerKind.DATE, AnswerKind.OPEN))
TIME = Expectation("time", (AnswerKind.TIME, AnswerKind.OPEN))
ACCOUNT = Expectation("account", (AnswerKind.DIGITS, AnswerKind.OPEN), lengths=(6,))


@pytest.fixture(scope="module")
def understanding() -> Understanding:
    return Understanding(INTENTS)


@pytest.mark.parametrize(
    ("text", "expectation", "whole"),
    [
        ("what's my account balance", OPEN, True),
        ("i'd like to check my", OPEN, False),
        ("what's my balance thank you", OPEN, True),
        ("um", OPEN, False),
        ("balance please", OPEN, False),
        ("four zero zero one two one", ACCOUNT, True),
        ("four zero zero one", ACCOUNT, False),
        ("my account number is four zero zero one two one", ACCOUNT, True),
        ("four zero zero one two one no wait", ACCOUNT, False),
        ("yes", SURE, True),
        ("no", SURE, False),
        ("no that's wrong", SURE, True),
    ],
)
def test_words_tell_whether_more_must_follow(
    understanding: Understanding, text: str, expectation: Expectation, *, whole: bool
) -> None:
    (reading,) = understanding.interpret([(text, 1.0)], expectation, NOW)
    assert (completeness(reading, expectation, ENDINGS) > 0) is whole


@pytest.mark.parametrize(
    ("text", "expectation", "whole"),
    [
        ("next tuesday at three", DAY, True),
        ("next tuesday", DAY, True),
        ("tomorrow afternoon", DAY, True),
        ("friday morning please", DAY, True),
        ("on tuesday i think", DAY, True),
        ("next tuesday at", DAY, False),
        ("tuesday or", DAY, False),
        ("tuesday or maybe", DAY, False),
        ("tuesday no", DAY, False),
        ("the fourteenth", DAY, False),
        ("the fourteenth of october", DAY, False),
        ("in the morning", DAY, False),
        ("three thirty", TIME, True),
        ("half past two", TIME, True),
        ("three pm please", TIME, True),
        ("noon", TIME, True),
        ("at three or", TIME, False),
        ("in the morning", TIME, False),
        ("tuesday", TIME, False),
        ("tomorrow", ACCOUNT, False),
    ],
)
def test_a_day_or_time_that_was_asked_for_may_be_whole(
    understanding: Understanding, text: str, expectation: Expectation, *, whole: bool
) -> None:
    (reading,) = understanding.interpret([(text, 1.0)], expectation, NOW)
    assert (completeness(reading, expectation, ENDINGS) > 0) is whole


def test_a_whole_number_is_surer_than_a_whole_request(understanding: Understanding) -> None:
    (number,) = understanding.interpret([("four zero zero one two one", 1.0)], ACCOUNT, NOW)
    (request,) = understanding.interpret([("what's my account balance", 1.0)], OPEN, NOW)
    assert completeness(number, ACCOUNT, ENDINGS) > completeness(request, OPEN, ENDINGS) > 0


@pytest.mark.parametrize(
    ("text", "breaks_off"),
    [
        ("i'd like a coffee with a", True),
        ("where is my order and my", True),
        ("i want to put it on", False),
        ("book me in on", True),
        ("hold on", False),
        ("where are you from", False),
        ("what's my balance", False),
        ("on", True),
        ("yes", False),
    ],
)
def test_words_that_break_off_say_that_more_follows(
    understanding: Understanding, text: str, *, breaks_off: bool
) -> None:
    (reading,) = understanding.interpret([(text, 1.0)], OPEN, NOW)
    assert (completeness(reading, OPEN, ENDINGS) == MORE_FOLLOWS) is breaks_off


ORDERS = (
    "a small coffee", "a small coffee with milk", "a large coffee", "a large tea with milk and sugar", "a small tea",
)  # fmt: skip
ASKED = tuple(f"{asked} i have {order}" for order in ORDERS for asked in ("can", "may"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("can i have a small", MORE_FOLLOWS),
        ("can i have a large", MORE_FOLLOWS),
        ("can i have a large coffee", 0.6),
        ("could i have a small coffee", 0.3),
        ("i want the tea with milk and sugar", 0.6),
        ("can i have a croissant", 0.6),
    ],
)
def test_a_request_is_as_whole_as_the_examples_that_end_so(text: str, expected: float) -> None:
    sure = Interpretation(text, 0.9, intents=(IntentScore("order", 0.95),))
    assert completeness(sure, OPEN, Endings(ASKED)) == expected


def test_where_something_else_was_asked_for_no_example_says_that_more_follows() -> None:
    reading = Interpretation("can i have a small", 0.9)
    assert completeness(reading, DAY, Endings(ASKED)) == 0.0
