"""The words that name days: weekdays, months, holidays, stretches of time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

from dateutil.easter import easter
from dateutil.relativedelta import relativedelta
from dateutil.relativedelta import weekday as which_weekday

from voicebot.language.words import Phrases

WEEKDAYS = {
    name: number
    for number, names in enumerate(
        (
            ("monday", "mondays", "mon"),
            ("tuesday", "tuesdays", "tues", "tue"),
            ("wednesday", "wednesdays", "wed", "weds"),
            ("thursday", "thursdays", "thurs", "thur", "thu"),
            ("friday", "fridays", "fri"),
            ("saturday", "saturdays"),
            ("sunday", "sundays"),
        )
    )
    for name in names
}
MONTHS = {
    name: number
    for number, names in enumerate(
        (
            ("january", "jan"),
            ("february", "feb"),
            ("march",),
            ("april", "apr"),
            ("may",),
            ("june", "jun"),
            ("july", "jul"),
            ("august", "aug"),
            ("september", "sept", "sep"),
            ("october", "oct"),
            ("november", "nov"),
            ("december", "dec"),
        ),
        start=1,
    )
    for name in names
}
#: Days named relative to today, in days ahead.
NAMED_DAYS = Phrases(
    {
        "the day after tomorrow": 2,
        "day after tomorrow": 2,
        "the day before yesterday": -2,
        "day before yesterday": -2,
        "today": 0,
        "tonight": 0,
        "this morning": 0,
        "this afternoon": 0,
        "this evening": 0,
        "same day next week": 7,
        "this time next week": 7,
        "same time next week": 7,
        "this time tomorrow": 1,
        "this day next week": 7,
        "tomorrow": 1,
        "tomorrow's": 1,
        "yesterday": -1,
    }
)
#: Month and day of holidays that never move.
HOLIDAYS = Phrases(
    {
        "christmas eve": (12, 24),
        "christmas day": (12, 25),
        "christmas": (12, 25),
        "boxing day": (12, 26),
        "new year's eve": (12, 31),
        "new years eve": (12, 31),
        "new year's day": (1, 1),
        "new years day": (1, 1),
        "new year's": (1, 1),
        "valentine's day": (2, 14),
        "valentines day": (2, 14),
        "halloween": (10, 31),
        "independence day": (7, 4),
        "saint patrick's day": (3, 17),
        "st patrick's day": (3, 17),
        "veterans day": (11, 11),
        "juneteenth": (6, 19),
    }
)


def _weekday_of(month: int, weekday: int, number: int) -> Callable[[int], date]:
    """Return what gives the `number`-th such weekday of a month in a year, the last for -1."""
    first_or_last = 31 if number < 0 else 1  # a day that a month has not is its last
    return lambda year: date(year, month, 1) + relativedelta(day=first_or_last, weekday=which_weekday(weekday, number))


#: Holidays that move, and when they are in a year.
MOVABLE_HOLIDAYS: Phrases[Callable[[int], date]] = Phrases(
    {
        "good friday": lambda year: easter(year) - timedelta(days=2),
        "easter monday": lambda year: easter(year) + timedelta(days=1),
        "easter sunday": easter,
        "easter": easter,
        "thanksgiving day": _weekday_of(11, 3, 4),
        "thanksgiving": _weekday_of(11, 3, 4),
        "labor day": _weekday_of(9, 0, 1),
        "labour day": _weekday_of(9, 0, 1),
        "memorial day": _weekday_of(5, 0, -1),
        "columbus day": _weekday_of(10, 0, 2),
        "mother's day": _weekday_of(5, 6, 2),
        "father's day": _weekday_of(6, 6, 3),
    }
)


def _monday(today: date) -> date:
    """Return the Monday of next week."""
    return today + timedelta(days=7 - today.weekday())


def _friday(today: date) -> date:
    return today + timedelta(days=(4 - today.weekday()) % 7)


def _saturday(today: date) -> date:
    return today + timedelta(days=(5 - today.weekday()) % 7)


def _month(today: date, ahead: int) -> date:
    """Return the first day of a month."""
    return today.replace(day=1) + relativedelta(months=ahead)


#: Stretches of time and the day each stands for.
PERIODS: Phrases[Callable[[date], date]] = Phrases(
    {
        "the week after next": lambda today: _monday(today) + timedelta(weeks=1),
        "week after next": lambda today: _monday(today) + timedelta(weeks=1),
        "next week": _monday,
        "the beginning of next week": _monday,
        "beginning of next week": _monday,
        "the end of next week": lambda today: _monday(today) + timedelta(days=4),
        "end of next week": lambda today: _monday(today) + timedelta(days=4),
        "the end of the week": _friday,
        "end of the week": _friday,
        "this weekend": _saturday,
        "the weekend": _saturday,
        "next weekend": lambda today: _saturday(today) + timedelta(weeks=1),
        "next month": lambda today: _month(today, 1),
        "the beginning of next month": lambda today: _month(today, 1),
        "start of next month": lambda today: _month(today, 1),
        "the end of the month": lambda today: _month(today, 1) - timedelta(days=1),
        "the last day of the month": lambda today: _month(today, 1) - timedelta(days=1),
        "end of the month": lambda today: _month(today, 1) - timedelta(days=1),
        "the end of next month": lambda today: _month(today, 2) - timedelta(days=1),
    }
)
UNITS = {
    "day": "days",
    "days": "days",
    "week": "weeks",
    "weeks": "weeks",
    "fortnight": "fortnights",
    "fortnights": "fortnights",
    "month": "months",
    "months": "months",
    "year": "years",
    "years": "years",
}
