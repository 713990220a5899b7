"""Birth dates: a day, a month and a year in the past, in figures or words, the year often as two digits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date

from voicebot.language.entities.calendar_words import MONTHS
from voicebot.language.entities.digits import digit_at
from voicebot.language.entities.months import word_at
from voicebot.language.entities.numbers import ZERO, cardinal_at, ordinal_at
from voicebot.language.entities.span import Span
from voicebot.language.entities.years import year_at
from voicebot.language.words import Phrases, Word

#: Nobody alive is older.
_OLDEST_YEARS = 125
_ISO = re.compile(r"(\d{4})/(\d{2})/(\d{2})")
_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{2}|\d{4})")
_BORN = Phrases.of(("born", "date of birth", "birth date", "birthdate", "birthday", "birthday's", "d o b", "dob"), None)
_NEAR = 6

#: A year (of two digits where it is below 100), a month, a day, and the word after them.
_Read = tuple[int, int, int, int]


def find_birth_dates(words: Sequence[Word], today: date, *, expected: bool = False) -> list[Span]:
    """Find birth dates (kind ``"birth_date"``, value `date`).

    Figures are read month first, then day first. In open text one follows "born", "birthday" or "date of
    birth". A date without a year is none.
    """
    spans: list[Span] = []
    index = 0
    while index < len(words):
        reads = list(_reads_at(words, index, today)) if expected or _announced(words, index) else []
        days = [(day, read[3]) for read in reads if (day := _past_day(read, today))]
        spans.extend(Span("birth_date", day, index, after) for day, after in dict.fromkeys(days))
        index = max((after for _, after in days), default=index + 1)
    return spans


def _announced(words: Sequence[Word], first: int) -> bool:
    return any(_BORN.at(words, index) for index in range(max(0, first - _NEAR), first))


def _past_day(read: _Read, today: date) -> date | None:
    year, month, day, _ = read
    if year < 100:
        year += today.year - today.year % 100
        year -= 100 if year > today.year else 0
    try:
        found = date(year, month, day)
    except ValueError:
        return None
    return found if found < today and today.year - year <= _OLDEST_YEARS else None


def _reads_at(words: Sequence[Word], index: int, today: date) -> Iterator[_Read]:
    text = word_at(words, index)
    if match := _ISO.fullmatch(text):
        year, month, day = (int(part) for part in match.groups())
        yield year, month, day, index + 1
    elif match := _SLASHED.fullmatch(text):
        first, second, year = (int(part) for part in match.groups())
        yield from _both_orders(first, second, year, index + 1)
    elif figures := _figures_at(words, index):
        yield from figures
    elif word_at(words, index) not in ZERO and (year_first := year_at(words, index, today)):
        for day, month, after in _day_and_month_at(words, year_first[1]):
            yield year_first[0], month, day, after
    if text not in {"", "of"}:
        yield from _day_month_year_at(words, index, today)


def _both_orders(first: int, second: int, year: int, after: int) -> Iterator[_Read]:
    yield year, first, second, after
    yield year, second, first, after


def _figures_at(words: Sequence[Word], index: int) -> list[_Read]:
    """Read eight or six digits in a row, said one by one or written together: 05071951, 050751."""
    figures, after = "", index
    if word_at(words, index).isdecimal() and len(word_at(words, index)) in {6, 8}:
        figures, after = word_at(words, index), index + 1
    while len(figures) < 8 and (digit := digit_at(words, after)):
        figures, after = figures + digit, after + 1
    if len(figures) not in {6, 8}:
        return []
    return list(_both_orders(int(figures[:2]), int(figures[2:4]), int(figures[4:]), after))


def _day_month_year_at(words: Sequence[Word], index: int, today: date) -> Iterator[_Read]:
    """Read a day and month in either order and the year behind them."""
    for day, month, at in _day_and_month_at(words, index):
        year = year_at(words, at + (word_at(words, at) in {"in", "of"}), today, bare=True) or _short_year_at(words, at)
        if year:
            yield year[0] if year[0] > 99 else year[0] % 100, month, day, year[1]


def _short_year_at(words: Sequence[Word], index: int) -> tuple[int, int] | None:
    """Read "oh two" as 2."""
    if word_at(words, index) in ZERO and (digit := digit_at(words, index + 1)):
        return int(digit), index + 2
    return None


def _day_and_month_at(words: Sequence[Word], index: int) -> Iterator[tuple[int, int, int]]:
    """Yield (day, month, word after) for "the seventh of may", "may seventh", "oh five oh seven", "5 7"."""
    start = index + (word_at(words, index) in {"the", "on"})
    if named := MONTHS.get(word_at(words, start)):
        day = _figure_at(words, start + 1 + (word_at(words, start + 1) == "the"))
        if day:
            yield day[0], named, day[1]
        return
    first = _figure_at(words, start)
    if first is None:
        return
    at = first[1] + (word_at(words, first[1]) in {"of", "slash", "dash"})
    if named := MONTHS.get(word_at(words, at)):
        yield first[0], named, at + 1
        return
    second = _figure_at(words, at + (word_at(words, at) == "the"))
    if second is None:
        return
    after = second[1] + (word_at(words, second[1]) in {"slash", "dash"})
    if word_at(words, first[1]) == "of":  # "the seventh of the fifth" leaves no choice
        yield first[0], second[0], after
        return
    yield second[0], first[0], after
    yield first[0], second[0], after


def _figure_at(words: Sequence[Word], index: int) -> tuple[int, int] | None:
    """Read 1 to 31, with or without a zero in front."""
    zero = word_at(words, index) in ZERO
    read = (None if zero else ordinal_at(words, index)) or cardinal_at(words, index + zero)
    return read if read and 1 <= read[0] <= (9 if zero else 31) else None
