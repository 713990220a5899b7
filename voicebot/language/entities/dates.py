"""Dates as callers say them, relative to today: "next Tuesday", "the fifteenth", "in two weeks", "march third"."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Sequence
from datetime import date, timedelta

from dateutil.relativedelta import relativedelta

from voicebot.language.entities.calendar_words import (
    HOLIDAYS,
    MONTHS,
    MOVABLE_HOLIDAYS,
    NAMED_DAYS,
    PERIODS,
    UNITS,
    WEEKDAYS,
)
from voicebot.language.entities.months import month_after, within_month_at
from voicebot.language.entities.numbers import TEENS, TENS, cardinal_at, literal, ordinal_at
from voicebot.language.entities.span import Span
from voicebot.language.entities.years import year_at
from voicebot.language.words import Word, matches

_ISO = re.compile(r"(\d{4})/(\d{2})/(\d{2})")
_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})(?:/(\d{2}|\d{4}))?")

_THE_ONE_AFTER = (("next", "one"), ("next",), ("one", "after"), ("week", "after"), ("following", "one"), ("following",))

#: Rival dates, the likeliest first, and the index of the word after them.
_Found = tuple[tuple[date, ...], int]


def _day(year: int, month: int, day: int) -> date | None:
    return date(year, month, day) if 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1] else None


def _coming(today: date, month: int, day: int) -> date | None:
    """Return the next such day of the year, today included; 29 February waits for a leap year."""
    years = range(today.year, today.year + 9)
    return next((found for year in years if (found := _day(year, month, day)) and found >= today), None)


def _coming_day_of_month(today: date, day: int) -> date | None:
    for ahead in range(12):
        first = today.replace(day=1) + relativedelta(months=ahead)
        found = _day(first.year, first.month, day)
        if found and found >= today:
            return found
    return None


def _shift(start: date, count: int, unit: str) -> date:
    if unit == "fortnights":
        return start + timedelta(weeks=2 * count)
    steps = {"days": relativedelta(days=count), "weeks": relativedelta(weeks=count)}
    steps |= {"months": relativedelta(months=count), "years": relativedelta(years=count)}
    return start + steps[unit]


def _text(words: Sequence[Word], index: int) -> str:
    return words[index].text if 0 <= index < len(words) else ""


def _coming_weekday(today: date, weekday: int) -> date:
    return today + timedelta(days=(weekday - today.weekday() - 1) % 7 + 1)


def _named_at(words: Sequence[Word], index: int, today: date) -> _Found | None:
    if named := NAMED_DAYS.at(words, index):
        days, after = named
        if _text(words, after) == "week":
            return (today + timedelta(days=days + 7),), after + 1
        return (today + timedelta(days=days),), after
    if holiday := HOLIDAYS.at(words, index):
        found = _coming(today, *holiday[0])
        return ((found,), holiday[1]) if found else None
    if movable := MOVABLE_HOLIDAYS.at(words, index):
        this_year, next_year = (movable[0](year) for year in (today.year, today.year + 1))
        return (this_year if this_year >= today else next_year,), movable[1]
    return None


def _literal_at(words: Sequence[Word], index: int, today: date) -> _Found | None:
    text = _text(words, index)
    if match := _ISO.fullmatch(text):
        found = _day(*(int(part) for part in match.groups()))
        return ((found,), index + 1) if found else None
    match = _SLASHED.fullmatch(text)
    if not match:
        return None
    first, second, written = int(match.group(1)), int(match.group(2)), match.group(3)
    readings = []
    for month, day in ((first, second), (second, first)):
        if written:
            year = int(written) if len(written) == 4 else _century(int(written), today)
            found = _day(year, month, day)
        else:
            found = _coming(today, month, day)
        if found and found not in readings:
            readings.append(found)
    return (tuple(readings), index + 1) if readings else None


def _century(two_digits: int, today: date) -> int:
    """Read '84 as 1984 and '27 as 2027: at most ten years ahead of today."""
    year = today.year - today.year % 100 + two_digits
    return year - 100 if year > today.year + 10 else year


def _count_at(words: Sequence[Word], index: int) -> tuple[int, int] | None:
    if _text(words, index) in {"a", "an"} and _text(words, index + 1) == "couple":
        after = index + 2
        return 2, after + 1 if _text(words, after) == "of" else after
    if _text(words, index) in {"a", "an"}:
        return 1, index + 1
    return cardinal_at(words, index)


def _relative_at(words: Sequence[Word], index: int, today: date) -> _Found | None:
    """Read "in two weeks", "three days from now", "a week from tuesday", "two weeks ago", "the day before friday"."""
    leading = _text(words, index) in {"in", "within"}
    start = index + leading
    count = _count_at(words, start + (_text(words, start) in {"about", "around", "roughly"}))
    if count is None and _text(words, start) == "the":
        count = 1, start + 1
    if count is None or (unit := UNITS.get(_text(words, count[1]).removesuffix("'s"))) is None:
        return None
    number, after = count[0], count[1] + 1
    if number > 1000:
        return None
    if _text(words, after) == "ago":
        return (_shift(today, -number, unit),), after + 1
    if _text(words, after) in {"today", "tomorrow"}:
        return (_shift(today + timedelta(days=_text(words, after) == "tomorrow"), number, unit),), after + 1
    if _text(words, after) == "before" and (anchor := _anchor_at(words, after + 1, today)):
        return (_shift(anchor[0][0], -number, unit),), anchor[1]
    if _text(words, start) == "the" and _text(words, after) != "after":
        return None
    if _text(words, after) in {"from", "after", "on"}:
        if _text(words, after + 1) in {"now", "today"}:
            return (_shift(today, number, unit),), after + 2
        if anchor := _anchor_at(words, after + 1, today):
            return (_shift(anchor[0][0], number, unit),), anchor[1]
    if _text(words, after) in {"time", "later", "ahead"}:
        after += 1
    elif matches(words, after, ("or", "so")):
        after += 2
    elif not leading:
        return None
    return (_shift(today, number, unit),), after


def _anchor_at(words: Sequence[Word], index: int, today: date) -> _Found | None:
    """Read the day that another is counted from."""
    named = _named_at(words, index, today) or _weekday_at(words, index, today)
    return named or _month_day_at(words, index, today) or _day_of_month_at(words, index, today, expected=False)


def _not_this_but_next_at(words: Sequence[Word], index: int, today: date) -> _Found | None:
    """Read "not this friday but the next", "not this friday, the one after"."""
    if not matches(words, index, ("not", "this")):
        return None
    weekday = WEEKDAYS.get(_text(words, index + 2))
    at = index + 3
    while _text(words, at) in {"but", "the"}:
        at += 1
    for phrase in _THE_ONE_AFTER:
        if weekday is not None and matches(words, at, phrase):
            return (_coming_weekday(today, weekday) + timedelta(weeks=1),), at + len(phrase)
    return None


def _weekday_at(words: Sequence[Word], index: int, today: date) -> _Found | None:
    """Read a weekday with what qualifies it: "this", "next", "last", "coming", "week", "after next"."""
    start = index
    while _text(words, start) in {"on", "the", "coming", "following"}:
        start += 1
    which = _text(words, start) if _text(words, start) in {"this", "next", "last"} else ""
    at = start + bool(which)
    if _text(words, at) == "coming":
        at += 1
    if (weekday := WEEKDAYS.get(_text(words, at))) is None:
        return None
    coming, after = _coming_weekday(today, weekday), at + 1
    if _text(words, after) in {"of", "in"} and _text(words, after + 1) in {"next", "this"}:
        after += _text(words, after + 2) == "week"
    if which == "last":
        return (coming - timedelta(weeks=1 if coming - timedelta(weeks=1) < today else 2),), after
    in_next_week = today + timedelta(days=7 - today.weekday() + weekday)
    if which == "next" or matches(words, after, ("next", "week")):
        after += 0 if which else 2
        return (in_next_week,) if in_next_week == coming else (in_next_week, coming), after
    if matches(words, after, ("after", "next")):
        return (in_next_week + timedelta(weeks=1),), after + 2
    if _text(words, after) == "week" and _text(words, after + 1) not in {"day", "days", "end"}:
        return (coming + timedelta(weeks=1),), after + 1
    if matches(words, after, ("this", "week")):
        after += 2
    if _text(words, after) == "fortnight":
        return (coming + timedelta(weeks=2),), after + 1
    # Someone who says the name of today's weekday rather than "today" means the one a week ahead.
    return ((coming, today) if weekday == today.weekday() else (coming,)), after


def _calendar_day_at(words: Sequence[Word], index: int) -> tuple[int, int] | None:
    """Read a day of a month, ordinal or cardinal, 1 to 31."""
    read = ordinal_at(words, index) or cardinal_at(words, index)
    return read if read and 1 <= read[0] <= 31 else None


def _month_day_at(words: Sequence[Word], index: int, today: date) -> _Found | None:
    """Read "march third", "the third of march", "5 june 1984", "the first of next month"."""
    start = index + 1 if _text(words, index) == "the" else index
    year: int | None = None
    if _text(words, start) in MONTHS:
        month, at = MONTHS[_text(words, start)], start + 1
        at += _text(words, at) == "the"
        read = _calendar_day_at(words, at)
        if read is None:
            return None
        day, after = read
    else:
        read = _calendar_day_at(words, start)
        if read is None:
            return None
        day, at = read
        following = month_after(words, at, today) or _numbered_month_after(words, at)
        if following is None:
            return None
        month, year, after = following
    if year is None:
        comma = after + (_text(words, after) in {"in", "of"})
        found_year = year_at(words, comma, today)
        if found_year:
            year, after = found_year
    found = _day(year, month, day) if year else _coming(today, month, day)
    if found and found < today and _text(words, after - 1) == "month":
        found = _coming_day_of_month(today, day)
    return ((found,), after) if found else None


def _numbered_month_after(words: Sequence[Word], index: int) -> tuple[int, int | None, int] | None:
    """Read "of the third" after a day: the month by its number."""
    if not matches(words, index, ("of", "the")):
        return None
    read = ordinal_at(words, index + 2)
    is_month = read is not None and 1 <= read[0] <= 12 and _text(words, read[1]) != "month"
    return (read[0], None, read[1]) if read and is_month else None


def _month_then_day_at(words: Sequence[Word], index: int, today: date) -> _Found | None:
    """Read "next month on the third", "this month the ninth"."""
    for phrase, ahead in ((("next", "month"), 1), (("this", "month"), 0)):
        if matches(words, index, phrase):
            at = index + 2
            at += _text(words, at) == "on"
            at += _text(words, at) == "the"
            read = _calendar_day_at(words, at)
            first = today.replace(day=1) + relativedelta(months=ahead)
            found = _day(first.year, first.month, read[0]) if read else None
            return ((found,), read[1]) if read and found else None
    return None


def _numeric_at(words: Sequence[Word], index: int, today: date) -> _Found | None:
    """Read a date said in figures: "oh five oh six eighty four", "six five nineteen eighty four" (month first)."""
    first = _figure_at(words, index)
    second = _figure_at(words, first[1]) if first else None
    if first is None or second is None:
        return None
    year = year_at(words, second[1], today, bare=True)
    if year is None:
        return None
    readings = [
        found
        for month, day in ((first[0], second[0]), (second[0], first[0]))
        if (found := _day(year[0], month, day)) is not None
    ]
    return (tuple(dict.fromkeys(readings)), year[1]) if readings else None


def _figure_at(words: Sequence[Word], index: int) -> tuple[int, int] | None:
    if _text(words, index) in {"oh", "o", "zero"}:
        read = cardinal_at(words, index + 1)
        return read if read and 1 <= read[0] <= 9 else None
    read = cardinal_at(words, index)
    return read if read and 1 <= read[0] <= 31 else None


def _day_of_month_at(words: Sequence[Word], index: int, today: date, *, expected: bool) -> _Found | None:
    """Read "the fifteenth"; where a date is expected also "fifteenth" and "the fifteen"."""
    start = index + 1 if _text(words, index) == "the" else index
    read = ordinal_at(words, start)
    if read is None and expected and start > index and _text(words, start) in {*TEENS, *TENS}:
        read = cardinal_at(words, start)
    if read is None and expected and len(words) == 1 and literal(_text(words, start)) is not None:
        read = cardinal_at(words, start)
    if read is None or not 1 <= read[0] <= 31 or (start == index and not expected):
        return None
    if _text(words, read[1]) in {"thing", "one", "time", "order", "option", "account", "card", "floor", "of"}:
        return None
    found = _coming_day_of_month(today, read[0])
    return ((found,), read[1]) if found else None


def _period_at(words: Sequence[Word], index: int, today: date) -> _Found | None:
    """Read "next week", "the end of the month", "this weekend": the first day that counts."""
    found = PERIODS.at(words, index)
    return ((found[0](today),), found[1]) if found else None


def _week_then_day_at(words: Sequence[Word], index: int, today: date) -> _Found | None:
    """Read "next week (on) thursday", "the week after next on friday"."""
    for phrase, weeks in ((("next", "week"), 1), (("the", "week", "after", "next"), 2), (("this", "week"), 0)):
        if matches(words, index, phrase):
            at = index + len(phrase)
            at += _text(words, at) == "on"
            weekday = WEEKDAYS.get(_text(words, at))
            if weekday is not None:
                return (today + timedelta(days=7 * weeks - today.weekday() + weekday),), at + 1
    return None


def _weekday_with_day_at(words: Sequence[Word], index: int, today: date) -> _Found | None:
    """Read "friday the fifteenth", "tuesday march third": the weekday chooses among months."""
    weekday = _weekday_at(words, index, today)
    if weekday is None:
        return None
    at = weekday[1] + (_text(words, weekday[1]) == "on")
    named = _month_day_at(words, at, today)
    if named:
        return named
    read = ordinal_at(words, at + (_text(words, at) == "the"))
    if read is None or not 1 <= read[0] <= 31:
        return None
    wanted = weekday[0][0].weekday()
    for ahead in range(13):
        first = today.replace(day=1) + relativedelta(months=ahead)
        found = _day(first.year, first.month, read[0])
        if found and found >= today and found.weekday() == wanted:
            return (found,), read[1]
    return None


def find_dates(words: Sequence[Word], today: date, *, expected: bool = False) -> list[Span]:
    """Find dates (kind ``"date"``, value `date`), reading forward in time as appointments need.

    `today` is the caller's. Rival readings ("next friday") follow each other, the likeliest first.
    """
    readers: tuple[Callable[[Sequence[Word], int, date], _Found | None], ...] = (
        _not_this_but_next_at,
        _weekday_with_day_at,
        _month_then_day_at,
        within_month_at,
        _week_then_day_at,
        _relative_at,
        _month_day_at,
        _period_at,
        _weekday_at,
        _named_at,
        _literal_at,
    )
    spans: list[Span] = []
    index = 0
    while index < len(words):
        found = next((found for reader in readers if (found := reader(words, index, today))), None)
        if found is None and expected:
            found = _numeric_at(words, index, today)
        if found is None:
            found = _day_of_month_at(words, index, today, expected=expected)
        if found is None:
            index += 1
            continue
        first = index + 1 if words[index].text == "on" else index
        spans.extend(Span("date", value, first, found[1]) for value in found[0])
        index = found[1]
    return spans
