from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal

import pytest

from voicebot.dialog.events import SlotValue
from voicebot.dialog.values import Form, ValueKind, spoken, written

TODAY = date(2026, 3, 2)


def say(value: SlotValue, kind: ValueKind = ValueKind.TEXT, form: Form = Form.PLAIN, noun: str = "") -> str:
    return spoken(value, kind, form=form, noun=noun, today=TODAY)


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ("0", "0 dollars"),
        ("1", "1 dollar"),
        ("0.01", "1 cent"),
        ("0.5", "50 cents"),
        ("1284.50", "1,284 dollars and 50 cents"),
        ("1000000", "1,000,000 dollars"),
        ("-58.20", "minus 58 dollars and 20 cents"),
        ("NaN", "an unknown amount"),
        ("Infinity", "an unknown amount"),
    ],
)
def test_money_is_said_in_dollars_and_cents(amount: str, words: str) -> None:
    assert say(Decimal(amount), ValueKind.MONEY) == words


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("400121", "4 0 0, 1 2 1"),
        ("4071", "4 0 7 1"),
        ("48213", "4 8 2, 1 3"),
        ("1234567", "1 2 3, 4 5 6 7"),
        ("12345678", "1 2 3 4, 5 6 7 8"),
        ("7", "7"),
        ("", ""),
    ],
)
def test_digits_are_said_in_groups_that_never_end_alone(code: str, words: str) -> None:
    assert say(code, ValueKind.DIGITS) == words


@pytest.mark.parametrize(
    ("day", "words"),
    [
        (date(2026, 3, 14), "Saturday, March 14th"),
        (date(2026, 3, 1), "Sunday, March 1st"),
        (date(2026, 3, 22), "Sunday, March 22nd"),
        (date(2026, 3, 23), "Monday, March 23rd"),
        (date(2026, 3, 11), "Wednesday, March 11th"),
        (date(2027, 3, 2), "Tuesday, March 2nd, 2027"),
    ],
)
def test_a_day_is_said_with_its_weekday_and_its_year_when_it_is_far_off(day: date, words: str) -> None:
    assert say(day, ValueKind.DATE) == words


@pytest.mark.parametrize(
    ("day", "words"),
    [(1, "yesterday"), (2, "today"), (3, "tomorrow"), (4, "on Wednesday, March 4th")],
)
def test_a_near_day_can_be_said_relative_to_today(day: int, words: str) -> None:
    assert say(date(2026, 3, day), ValueKind.DATE, Form.RELATIVE) == words


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (time(0, 0), "12 AM"),
        (time(0, 5), "12:05 AM"),
        (time(9), "9 AM"),
        (time(12), "noon"),
        (time(12, 30), "12:30 PM"),
        (time(16), "4 PM"),
        (time(23, 59), "11:59 PM"),
    ],
)
def test_a_time_is_said_with_its_half_of_the_day(at: time, words: str) -> None:
    assert say(at, ValueKind.TIME) == words


def test_the_other_kinds_are_said_as_people_say_them() -> None:
    assert say(value=True, kind=ValueKind.YES_NO) == "yes"
    assert say(value=False, kind=ValueKind.YES_NO) == "no"
    assert say(1, form=Form.COUNT, noun="day") == "1 day"
    assert say(3, form=Form.COUNT, noun="day") == "3 days"
    assert say("400121", ValueKind.TEXT, Form.DIGITS) == "4 0 0, 1 2 1"
    moment = datetime(2026, 3, 4, 15, 30)  # noqa: DTZ001  # a moment in the caller's own time
    assert say(moment, ValueKind.MOMENT) == "Wednesday, March 4th at 3:30 PM"


@pytest.mark.parametrize(
    ("value", "form", "words"),
    [
        (Decimal("1284.5"), Form.PLAIN, "$1,284.50"),
        (Decimal(-3), Form.PLAIN, "-$3.00"),
        ("400121", Form.PLAIN, "400121"),
        (date(2026, 3, 14), Form.PLAIN, "Saturday, March 14"),
        (date(2027, 3, 14), Form.PLAIN, "Sunday, March 14, 2027"),
        (date(2026, 3, 3), Form.RELATIVE, "tomorrow"),
        (date(2026, 3, 4), Form.RELATIVE, "on Wednesday, March 4"),
        (time(15, 30), Form.PLAIN, "3:30 PM"),
        (datetime(2026, 3, 4, 9), Form.PLAIN, "Wednesday, March 4, 9:00 AM"),  # noqa: DTZ001  # local
        (True, Form.PLAIN, "yes"),
        (3, Form.COUNT, "3 days"),
    ],
)
def test_what_is_read_is_written_as_people_write_it(value: SlotValue, form: Form, words: str) -> None:
    assert written(value, ValueKind.TEXT, form=form, noun="day", today=TODAY) == words


def test_a_kind_accepts_exactly_its_own_type() -> None:
    assert ValueKind.NUMBER.accepts(3)
    assert not ValueKind.NUMBER.accepts(value=True)
    assert ValueKind.DATE.accepts(TODAY)
    assert not ValueKind.DATE.accepts(datetime(2026, 3, 2))  # noqa: DTZ001  # only its type matters
    assert not ValueKind.MONEY.accepts(3)
    assert not ValueKind.MONEY.accepts(Decimal("sNaN"))
