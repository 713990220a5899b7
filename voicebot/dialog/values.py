"""The types a slot, an argument or a result can have, and how each is said to a caller."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from enum import StrEnum
from typing import assert_never

from voicebot.dialog.events import SlotValue
from voicebot.dialog.expectation import AnswerKind


class ValueKind(StrEnum):
    """The types an admin can name. All but `MOMENT` and `NUMBER` can be asked of a caller.

    `PHONE` is digits, with a + in front where it was given; `POSTCODE` is letters and digits without spaces.
    """

    TEXT = "text"
    YES_NO = "yes_no"
    DIGITS = "digits"
    ALPHANUMERIC = "alphanumeric"
    NUMBER = "number"
    MONEY = "money"
    DATE = "date"
    TIME = "time"
    MOMENT = "moment"
    NAME = "name"
    CHOICE = "choice"
    PHONE = "phone"
    POSTCODE = "postcode"
    BIRTH_DATE = "birth_date"

    @property
    def answer(self) -> AnswerKind | None:
        """What the recogniser listens for when this is asked; None when it cannot be asked."""
        return _ANSWERS.get(self)

    @property
    def python_type(self) -> type[SlotValue]:
        return _PYTHON_TYPES[self]

    def accepts(self, value: SlotValue) -> bool:
        """Whether `value` is one of this kind, by its exact type: `True` is no number, a moment is no date.

        A `Decimal` may be no number; comparing one of those can even raise.
        """
        return type(value) is self.python_type and (not isinstance(value, Decimal) or value.is_finite())


_ANSWERS = {
    ValueKind.TEXT: AnswerKind.OPEN,
    ValueKind.YES_NO: AnswerKind.YES_NO,
    ValueKind.DIGITS: AnswerKind.DIGITS,
    ValueKind.ALPHANUMERIC: AnswerKind.ALPHANUMERIC,
    ValueKind.MONEY: AnswerKind.MONEY,
    ValueKind.DATE: AnswerKind.DATE,
    ValueKind.TIME: AnswerKind.TIME,
    ValueKind.NAME: AnswerKind.NAME,
    ValueKind.CHOICE: AnswerKind.CHOICE,
    ValueKind.PHONE: AnswerKind.DIGITS,
    ValueKind.POSTCODE: AnswerKind.ALPHANUMERIC,
    ValueKind.BIRTH_DATE: AnswerKind.DATE,
}

_PYTHON_TYPES: dict[ValueKind, type[SlotValue]] = {
    ValueKind.TEXT: str,
    ValueKind.YES_NO: bool,
    ValueKind.DIGITS: str,
    ValueKind.ALPHANUMERIC: str,
    ValueKind.NUMBER: int,
    ValueKind.MONEY: Decimal,
    ValueKind.DATE: date,
    ValueKind.TIME: time,
    ValueKind.MOMENT: datetime,
    ValueKind.NAME: str,
    ValueKind.CHOICE: str,
    ValueKind.PHONE: str,
    ValueKind.POSTCODE: str,
    ValueKind.BIRTH_DATE: date,
}
#: Kinds that are said character by character.
SPELT = frozenset({ValueKind.DIGITS, ValueKind.ALPHANUMERIC, ValueKind.PHONE, ValueKind.POSTCODE})


class Form(StrEnum):
    """How a prompt says a value: ``{slot:form}``. `PLAIN` follows the value's own type."""

    PLAIN = "plain"
    DIGITS = "digits"
    RELATIVE = "relative"
    COUNT = "count"


def spoken(value: SlotValue, kind: ValueKind, *, form: Form, noun: str, today: date) -> str:
    """Put `value` into words that every voice reads correctly and a person can read too.

    Digit strings are grouped (``"4 5 1, 2 0 7"``), money is in dollars, times in a.m. and p.m. `noun` follows a
    `COUNT` (``"3 days"``). `today` decides when a year or a relative word is said.
    """
    match form:
        case Form.DIGITS:
            return _digits(str(value))
        case Form.COUNT:
            return f"{value} {noun}" if value == 1 else f"{value} {noun}s"
        case Form.RELATIVE if isinstance(value, datetime):
            return f"{_relative_day(value.date(), today)} at {_clock(value.time())}"
        case Form.RELATIVE if isinstance(value, date):
            return _relative_day(value, today)
        case Form.PLAIN | Form.RELATIVE:
            return _plain(value, kind, today)
        case _:
            assert_never(form)


def written(value: SlotValue, kind: ValueKind, *, form: Form, noun: str, today: date) -> str:
    """Put `value` as people read it in a chat: ``$1,284.50``, ``400121``, ``Tuesday, March 10``, ``3:30 PM``."""
    match value:
        case bool():
            return "yes" if value else "no"
        case Decimal() if value.is_finite():
            sign = "-" if value < 0 else ""
            return f"{sign}${abs(value):,.2f}"
        case datetime() if form is Form.RELATIVE:
            return f"{_written_relative_day(value.date(), today)} at {_written_clock(value.time())}"
        case datetime():
            return f"{_written_day(value.date(), today)}, {_written_clock(value.time())}"
        case date() if form is Form.RELATIVE:
            return _written_relative_day(value, today)
        case date():
            return _written_day(value, today)
        case time():
            return _written_clock(value)
        case str():
            return value
        case _:
            return spoken(value, kind, form=form, noun=noun, today=today)


def _written_relative_day(value: date, today: date) -> str:
    return _NEAR_DAYS.get((value - today).days) or f"on {_written_day(value, today)}"


def _written_day(value: date, today: date) -> str:
    named = f"{WEEKDAYS[value.weekday()].capitalize()}, {MONTHS[value.month - 1]} {value.day}"
    return named if value.year == today.year else f"{named}, {value.year}"


def _written_clock(value: time) -> str:
    return f"{value.hour % 12 or 12}:{value.minute:02} {'AM' if value.hour < 12 else 'PM'}"


def _plain(value: SlotValue, kind: ValueKind, today: date) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case Decimal():
            return _money(value)
        case datetime():
            return f"{_day(value.date(), today)} at {_clock(value.time())}"
        case date():
            return _day(value, today)
        case time():
            return _clock(value)
        case str() if kind in SPELT:
            return _digits(value)
        case _:
            return str(value)


def _digits(value: str) -> str:
    size = 3 if len(value) % 3 == 0 else 4 if len(value) % 4 == 0 else 3
    groups = [value[start : start + size] for start in range(0, len(value), size)]
    if len(groups) > 1 and len(groups[-1]) == 1:
        groups[-2:] = [groups[-2] + groups[-1]]
    return ", ".join(" ".join(group) for group in groups)


def _money(value: Decimal) -> str:
    if not value.is_finite():
        return "an unknown amount"
    cents_in_all = int((abs(value) * 100).to_integral_value())
    dollars, cents = divmod(cents_in_all, 100)
    parts = []
    if dollars or not cents:
        parts.append(f"{dollars:,} dollar" if dollars == 1 else f"{dollars:,} dollars")
    if cents:
        parts.append(f"{cents} cent" if cents == 1 else f"{cents} cents")
    return ("minus " if value < 0 else "") + " and ".join(parts)


def _ordinal(number: int) -> str:
    suffix = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def _day(value: date, today: date) -> str:
    named = f"{WEEKDAYS[value.weekday()].capitalize()}, {MONTHS[value.month - 1]} {_ordinal(value.day)}"
    months_apart = abs((value.year - today.year) * 12 + value.month - today.month)
    return named if months_apart < 9 else f"{named}, {value.year}"


def _relative_day(value: date, today: date) -> str:
    return _NEAR_DAYS.get((value - today).days) or f"on {_day(value, today)}"


def _clock(value: time) -> str:
    if (value.hour, value.minute) == (12, 0):
        return "noon"
    hour = value.hour % 12 or 12
    half = "AM" if value.hour < 12 else "PM"
    return f"{hour} {half}" if value.minute == 0 else f"{hour}:{value.minute:02} {half}"


_NEAR_DAYS = {-1: "yesterday", 0: "today", 1: "tomorrow"}
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def weekday_of(value: date) -> str:
    """Return the lower-case English name that conditions compare with (``day.weekday == "monday"``)."""
    return WEEKDAYS[value.weekday()]
