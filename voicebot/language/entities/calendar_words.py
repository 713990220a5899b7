"""The words that name days: weekdays, months, holidays, stretches of time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

from dateutil.relativedelta import relativedelta

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
