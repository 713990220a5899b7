"""Numbers as they are spoken or written: "forty two", "a hundred and five", "two thousand", "1,200"; and ordinals."""

from __future__ import annotations

import re
from collections.abc import Sequence

from voicebot import numerals
from voicebot.language.entities.span import Span
from voicebot.language.words import Word

ZERO = numerals.ZERO
UNITS = numerals.UNITS
TEENS = numerals.TEENS
TENS = numerals.TENS
SCALES = {"thousand": 1_000, "million": 1_000_000}
ORDINAL_UNITS = {
    "first": 1,
    "second": 2,
    "third": 3,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "seventh": 7,
    "eighth": 8,
    "ninth": 9,
    "tenth": 10,
    "eleventh": 11,
    "twelfth": 12,
    "thirteenth": 13,
    "fourteenth": 14,
    "fifteenth": 15,
    "sixteenth": 16,
    "seventeenth": 17,
    "eighteenth": 18,
    "nineteenth": 19,
}
ORDINAL_TENS = {"twentieth": 20, "thirtieth": 30}

_LITERAL = re.compile(r"\d{1,3}(?:,\d{3}){1,5}|\d{1,18}")
_LITERAL_ORDINAL = re.compile(r"(\d{1,4})(?:st|nd|rd|th)")

_FIRST_WORDS = frozenset({"a", "zero", *UNITS, *TEENS, *TENS})

#: A value and the index of the word after it.
Read = tuple[int, int]


def literal(text: str) -> int | None:
    """Return the whole number a word of digits stands for (``"1,200"``), else None; also for no word at all."""
    return int(text.replace(",", "")) if text[:1].isdecimal() and _LITERAL.fullmatch(text) else None


def below_hundred_at(words: Sequence[Word], index: int) -> Read | None:
    """Read 0 to 99 in words, or a literal of at most two digits."""
    if index >= len(words) or not _may_begin_number(words[index].text):
        return None
    text = words[index].text
    if text in TENS:
        unit = UNITS.get(words[index + 1].text) if index + 1 < len(words) else None
        return (TENS[text] + unit, index + 2) if unit else (TENS[text], index + 1)
    value = UNITS.get(text) or TEENS.get(text)
    if value is None and text == "zero":
        value = 0
    if value is None and len(text) <= 2:
        value = literal(text)
    return None if value is None else (value, index + 1)


def _below_thousand_at(words: Sequence[Word], index: int) -> Read | None:
    article = index < len(words) and words[index].text == "a"
    start = (1, index + 1) if article else below_hundred_at(words, index)
    if start is None:
        return None
    value, after = start
    if after < len(words) and words[after].text == "hundred" and value > 0:
        value, after = value * 100, after + 1
        rest = below_hundred_at(words, _skip_and(words, after))
        return (value + rest[0], rest[1]) if rest and rest[0] > 0 else (value, after)
    if article:
        return (1, after) if _starts_scale(words, after) else None
    return value, after


def _starts_scale(words: Sequence[Word], index: int) -> bool:
    return index < len(words) and words[index].text in SCALES


def _may_begin_number(text: str) -> bool:
    """Most words of a turn cannot, and are not looked at further."""
    return text in _FIRST_WORDS or text[0].isdecimal()


def cardinal_at(words: Sequence[Word], index: int) -> Read | None:
    """Read the longest cardinal number that starts at `index`; "four five" is 4, the five is another number."""
    if index >= len(words) or not _may_begin_number(words[index].text):
        return None
    if words[index].text == "a" and index + 1 < len(words) and words[index + 1].text in {"dozen", "couple"}:
        return (12, index + 2) if words[index + 1].text == "dozen" else _couple_at(words, index + 2)
    whole = literal(words[index].text)
    if whole is not None and whole > 99:
        return whole, index + 1
    total, after, limit = 0, index, max(SCALES.values()) * 1_000
    found = False
    while group := _below_thousand_at(words, _skip_and(words, after) if found else after):
        value, next_index = group
        if _starts_scale(words, next_index):
            scale = SCALES[words[next_index].text]
            if scale >= limit:
                break
            total, after, limit, found = total + value * scale, next_index + 1, scale, True
            continue
        if found and value >= limit:
            break
        return (total + value, next_index) if not found or value > 0 else (total, after)
    return (total, after) if found else None


def _couple_at(words: Sequence[Word], index: int) -> Read:
    """Read what follows "a couple": "of hundred", "thousand", or nothing."""
    at = index + 1 if index < len(words) and words[index].text == "of" else index
    scale = {"hundred": 100, **SCALES}.get(words[at].text) if at < len(words) else None
    return (2 * scale, at + 1) if scale else (2, index)


def _skip_and(words: Sequence[Word], index: int) -> int:
    return index + 1 if index < len(words) and words[index].text == "and" else index


def ordinal_at(words: Sequence[Word], index: int) -> Read | None:
    """Read "third", "twenty first", "31st" at `index`."""
    if index >= len(words):
        return None
    text = words[index].text
    if text[0].isdecimal():
        match = _LITERAL_ORDINAL.fullmatch(text)
        return (int(match.group(1)), index + 1) if match else None
    if text in ORDINAL_UNITS:
        return ORDINAL_UNITS[text], index + 1
    if text in ORDINAL_TENS:
        return ORDINAL_TENS[text], index + 1
    if text in TENS and index + 1 < len(words):
        unit = ORDINAL_UNITS.get(words[index + 1].text, 10)
        if unit < 10:
            return TENS[text] + unit, index + 2
    return None


def find_numbers(words: Sequence[Word]) -> list[Span]:
    """Find every cardinal (kind ``"number"``, value `int`)."""
    spans, index = [], 0
    while index < len(words):
        if read := cardinal_at(words, index):
            spans.append(Span("number", read[0], index, read[1]))
            index = read[1]
        else:
            index += 1
    return spans


def find_ordinals(words: Sequence[Word]) -> list[Span]:
    """Find every ordinal (kind ``"ordinal"``, value `int`; "the last one" is -1)."""
    spans, index = [], 0
    while index < len(words):
        if read := ordinal_at(words, index):
            spans.append(Span("ordinal", read[0], index, read[1]))
            index = read[1]
        elif words[index].text == "last" and index + 1 < len(words) and words[index + 1].text == "one":
            spans.append(Span("ordinal", -1, index, index + 2))
            index += 2
        else:
            index += 1
    return spans
