"""Telephone numbers, told from cards' by the words that ask for or name them and by how many digits they have. Pure.

Their shape tells nothing: ten digits may be a telephone number with its area code, or a card's of which some were not
heard. So one stays only where its name was said, in words that no card goes by ("pay by phone" is no such name).
"""

from __future__ import annotations

import re

#: Digits of a telephone number with its country (ITU-T E.164) that fall short of a card's.
MOST_DIGITS = 12
_FEWEST_DIGITS = 7
_LINE = r"(?:phone|telephone|cell ?phone|mobile|cell)"
_PEOPLE = r"(?:me|us|you|him|her|them)"
_REACHED = rf"(?:call|reach|ring|phone|text) {_PEOPLE}(?: back)?(?: please)? (?:at|on|under)"
_NAME = re.compile(rf"\b(?:{_LINE} number|area code|{_REACHED})\b")
_QUESTION = re.compile(rf"\b(?:{_LINE} number|number\b[^.?!]*\b(?:call|reach|ring|text) {_PEOPLE}|{_REACHED})\b")
_PARTS = frozenset({"phone", "telephone", "mobile"})


def asked_for(question: str, prompt: str | None = None) -> bool:
    """Say whether a question, or its name (``"callback.ask_phone"``), asks for a telephone number."""
    return is_slot(prompt or "") or _QUESTION.search(question.lower()) is not None


def is_slot(name: str) -> bool:
    """Say whether a slot or question of that name is for a telephone number."""
    return not _PARTS.isdisjoint(re.split(r"[^a-z]+", name.lower()))


def named_at(before: str) -> int | None:
    """Return where in the words before a number they end that call it a telephone number, None where none do."""
    ends = [match.end() for match in _NAME.finditer(before)]
    return max(ends, default=None)


def is_number(value: str) -> bool:
    """Say whether the value of such a slot has as many digits as a telephone number, and as no card has."""
    digits = sum(char.isdigit() for char in value)
    return _FEWEST_DIGITS <= digits <= MOST_DIGITS and re.fullmatch(r"[\d\s()+./-]+", value) is not None
