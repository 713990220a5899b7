"""Years as they are spoken: "nineteen eighty four", "two thousand and five", "twenty twenty six", "84"."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from voicebot.language.entities.numbers import ZERO, below_hundred_at, cardinal_at, literal
from voicebot.language.words import Word

_EARLIEST, _LATEST = 1900, 2099


def year_at(words: Sequence[Word], index: int, today: date, *, bare: bool = False) -> tuple[int, int] | None:
    """Read a year at `index`; with `bare` also two digits, at most ten years ahead of `today`."""
    if index >= len(words):
        return None
    whole = literal(words[index].text)
    if whole is not None and len(words[index].text) == 4:
        return (whole, index + 1) if _EARLIEST <= whole <= _LATEST else None
    number = cardinal_at(words, index)
    if number and _EARLIEST <= number[0] <= _LATEST:
        return number
    century = below_hundred_at(words, index)
    if century is None:
        return None
    if century[0] in {19, 20}:
        after = century[1]
        if after < len(words) and words[after].text in ZERO:
            unit = below_hundred_at(words, after + 1)
            if unit and unit[0] < 10:
                return century[0] * 100 + unit[0], unit[1]
        rest = below_hundred_at(words, after)
        if rest and rest[0] >= 10:
            return century[0] * 100 + rest[0], rest[1]
    if bare:
        year = today.year - today.year % 100 + century[0]
        return (year - 100 if year > today.year + 10 else year), century[1]
    return None
