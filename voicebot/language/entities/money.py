"""Amounts of money: "forty five dollars and twenty cents", "twelve fifty", "two pounds ten", "$45.20", "a grand"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from voicebot.language.entities.numbers import UNITS, ZERO, below_hundred_at, cardinal_at
from voicebot.language.entities.span import Span
from voicebot.language.words import Word, matches

MAJOR = frozenset({"dollar", "dollars", "buck", "bucks", "pound", "pounds", "quid", "euro", "euros"})
MINOR = frozenset({"cent", "cents", "pence", "penny", "pennies", "p"})
_LITERAL = re.compile(r"([$£€]?)(\d{1,12}(?:,\d{3}){0,3}(?:\.\d{1,6})?)(k?)")
_NOTES = {"fiver": Decimal(5), "tenner": Decimal(10)}
_PARTS = {"half": Decimal("0.5"), "quarter": Decimal("0.25")}
_CENT = Decimal("0.01")

_Amount = tuple[Decimal, int]


def _decimals_at(words: Sequence[Word], index: int) -> tuple[str, int]:
    """Read the digits said after "point"."""
    digits = ""
    while index < len(words):
        text = words[index].text
        if text in ZERO:
            digits += "0"
        elif text in UNITS:
            digits += str(UNITS[text])
        elif not digits and (pair := below_hundred_at(words, index)):
            return str(pair[0]), pair[1]
        else:
            break
        index += 1
    return digits, index


def _number_at(words: Sequence[Word], index: int) -> tuple[Decimal, int, bool] | None:
    """Read a number with optional fraction; the flag says whether a currency sign was written."""
    if index >= len(words):
        return None
    match = _LITERAL.fullmatch(words[index].text)
    if match:
        value = Decimal(match.group(2).replace(",", "")) * (1000 if match.group(3) else 1)
        after = index + 1
        if after < len(words) and words[after].text in {"hundred", "thousand", "million", "k"}:
            value *= {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "k": 1_000}[words[after].text]
            after += 1
        return value, after, bool(match.group(1))
    whole = cardinal_at(words, index)
    if whole is None:
        return None
    value, after = Decimal(whole[0]), whole[1]
    if after < len(words) and words[after].text == "point":
        digits, end = _decimals_at(words, after + 1)
        if digits:
            value, after = Decimal(f"{whole[0]}.{digits}"), end
            if after < len(words) and words[after].text in {"thousand", "million"}:
                value, after = value * (1_000 if words[after].text == "thousand" else 1_000_000), after + 1
    return value, after, False


def _scaled_at(words: Sequence[Word], value: Decimal, index: int) -> _Amount | None:
    """Read "and a half", "k", "and a half thousand", "grand" after a number."""
    part = _PARTS.get(_word_at(words, index + 2)) if matches(words, index, ("and", "a")) else None
    after = index + 3 if part else index
    value += part or 0
    scale = {"k": 1_000, "grand": 1_000, "thousand": 1_000, "million": 1_000_000}.get(_word_at(words, after))
    if scale:
        return value * scale, after + 1
    return (value, after) if part else None


def _word_at(words: Sequence[Word], index: int) -> str:
    return words[index].text if index < len(words) else ""


def _minor_at(words: Sequence[Word], index: int) -> _Amount | None:
    """Read "(and) twenty (cents)" after an amount in the major unit."""
    start = index + 1 if _word_at(words, index) == "and" else index
    if _word_at(words, start) in ZERO and (unit := below_hundred_at(words, start + 1)) and unit[0] < 10:
        return Decimal(unit[0]) / 100, unit[1]
    cents = below_hundred_at(words, start)
    if cents is None:
        return None
    if _word_at(words, cents[1]) in MINOR:
        return Decimal(cents[0]) / 100, cents[1] + 1
    # "two pounds fifty" but not "two pounds and fifty people".
    ends = start == index or cents[1] == len(words)
    return (Decimal(cents[0]) / 100, cents[1]) if ends and cents[0] >= 10 else None


def _amount_at(words: Sequence[Word], index: int, *, expected: bool) -> _Amount | None:
    text = _word_at(words, index)
    if text == "half" and _word_at(words, index + 1) == "a" and _word_at(words, index + 2) in {"million", "grand"}:
        return Decimal(500_000 if _word_at(words, index + 2) == "million" else 500), index + 3
    if text in {"a", "one"} and _word_at(words, index + 1) in {"grand", "buck", "dollar", "quid", "pound"}:
        if _word_at(words, index + 1) == "grand":
            return Decimal(1000), index + 2
        minor = _minor_at(words, index + 2)
        return (1 + minor[0], minor[1]) if minor else (Decimal(1), index + 2)
    if text in _NOTES:
        return _NOTES[text], index + 1
    read = _number_at(words, index)
    if read is None:
        return None
    value, after, signed = read
    if scaled := _scaled_at(words, value, after):
        value, after = scaled
    unit = _word_at(words, after)
    if unit in MAJOR:
        after += 1
        if minor := _minor_at(words, after):
            return value + minor[0], minor[1]
        if (
            _word_at(words, after) == "and"
            and _word_at(words, after + 1) == "a"
            and _word_at(words, after + 2) == "half"
        ):
            return value + Decimal("0.50"), after + 3
        return value, after
    if unit in MINOR and value < 1000:
        return value / 100, after + 1
    if signed:
        return value, after
    if (minor := _minor_at(words, after)) and value < 1000 and (expected or _word_at(words, minor[1] - 1) in MINOR):
        return value + minor[0], minor[1]
    return (value, after) if expected else None


def find_money(words: Sequence[Word], *, expected: bool = False) -> list[Span]:
    """Find amounts (kind ``"money"``, value `Decimal` in the major unit, two places).

    In open text an amount needs its unit or sign; where money is `expected` a bare number is one, and "twelve fifty"
    is 12.50 with 1250 as rival reading.
    """
    spans: list[Span] = []
    index = 0
    while index < len(words):
        amount = _amount_at(words, index, expected=expected)
        if amount is None:
            index += 1
            continue
        value, after = amount
        spans.append(Span("money", value.quantize(_CENT), index, after))
        if expected and value != value.to_integral_value() and not _has_unit(words[index:after]):
            spans.append(Span("money", (value * 100).quantize(_CENT), index, after))
        index = after
    return sorted(spans, key=lambda span: not _has_unit(words[span.first : span.last]))


def _has_unit(words: Sequence[Word]) -> bool:
    return any(word.text in MAJOR | MINOR | {"point"} or not word.text.isalpha() for word in words)
