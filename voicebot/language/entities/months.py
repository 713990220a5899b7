"""Days that are named by their month: "the first Monday in April", "mid May", "the end of June"."""

from __future__ import annotations

import calendar
from collections.abc import Callable, Sequence
from datetime import date, timedelta

from dateutil.relativedelta import relativedelta

from voicebot.language.entities.calendar_words import MONTHS, WEEKDAYS
from voicebot.language.entities.numbers import ordinal_at
from voicebot.language.words import Phrases, Word, matches

_MIDDLE = 15
#: Whether the end of a month is meant.
_EDGES = Phrases(
    {"last day": True, "very end": True, "end": True, "first day": False, "beginning": False, "start": False}
)
_MOST_OF_A_WEEKDAY = 5


def word_at(words: Sequence[Word], index: int) -> str:
    """Return the word at `index`, empty where there is none."""
    return words[index].text if 0 <= index < len(words) else ""


def month_after(words: Sequence[Word], index: int, today: date) -> tuple[int, int | None, int] | None:
    """Read "of march", "march", "of next month" and return the month, its year if known, and the word after."""
    at = index + 1 if word_at(words, index) == "of" else index
    if word_at(words, at) in MONTHS:
        return MONTHS[word_at(words, at)], None, at + 1
    for phrase, ahead in (
        (("next", "month"), 1),
        (("the", "next", "month"), 1),
        (("this", "month"), 0),
        (("the", "month"), 0),
    ):
        if matches(words, at, phrase):
            month = today.replace(day=1) + relativedelta(months=ahead)
            return month.month, month.year, at + len(phrase)
    return None


def within_month_at(words: Sequence[Word], index: int, today: date) -> tuple[tuple[date, ...], int] | None:
    """Read a weekday of a month or its middle, the next such day from `today` on."""
    start = index + (word_at(words, index) == "the")
    if word_at(words, start) in {"mid", "middle"}:
        month = month_after(words, start + 1, today)
        return _coming(today, month, lambda year, number: date(year, number, _MIDDLE)) if month else None
    if edge := _EDGES.at(words, start):
        month = month_after(words, edge[1], today)
        at_end = edge[0]
        return _coming(today, month, lambda year, of: _edge(year, of, at_end=at_end)) if month else None
    count = (-1, start + 1) if word_at(words, start) == "last" else ordinal_at(words, start)
    if count is None or not -1 <= count[0] <= _MOST_OF_A_WEEKDAY:
        return None
    number, after = count
    weekday = WEEKDAYS.get(word_at(words, after))
    if weekday is None or word_at(words, after + 1) not in {"in", "of"}:
        return None
    month = month_after(words, after + 1 + (word_at(words, after + 1) == "in"), today)
    return _coming(today, month, lambda year, of: _nth(year, of, weekday, number)) if month else None


def _edge(year: int, month: int, *, at_end: bool) -> date:
    return date(year, month, calendar.monthrange(year, month)[1] if at_end else 1)


def _nth(year: int, month: int, weekday: int, number: int) -> date | None:
    """Return the `number`-th such weekday of a month, the last for -1, None where the month has fewer."""
    first = date(year, month, 1)
    days = calendar.monthrange(year, month)[1]
    found = [first + timedelta(days=ahead) for ahead in range((weekday - first.weekday()) % 7, days, 7)]
    return found[-1] if number < 0 else found[number - 1] if 0 < number <= len(found) else None


def _coming(
    today: date, month: tuple[int, int | None, int], day_of: Callable[[int, int], date | None]
) -> tuple[tuple[date, ...], int] | None:
    number, year, after = month
    years = (year,) if year else (today.year, today.year + 1)
    found = [day for each in years if (day := day_of(each, number)) and day >= today]
    return (tuple(found[:1]), after) if found else None
