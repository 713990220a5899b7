"""Words as they are said, and whether a question expects all of them."""

from __future__ import annotations

import re
from collections.abc import Collection

from voicebot.numerals import TEENS, TENS, UNITS
from voicebot.speech.recognition.sphinx.spoken import WEEKDAYS

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*|\d+")
#: The usual word of each number; the rarer spellings ("fourty") come after it in the tables.
_NUMERALS = {number: word for word, number in reversed((*UNITS.items(), *TEENS.items(), *TENS.items()))}
#: Callers name a day in any request, whether or not an example does.
_DAYS = frozenset((*WEEKDAYS, "today", "tomorrow", "tonight", "weekend"))


def all_known(text: str, known: Collection[str]) -> bool:
    """Say whether `text` has words and each of them is one that the question expects, a number or a day."""
    words = words_of(text)
    return bool(words) and all(word in known or word in _DAYS or word.isdecimal() for word in words)


def words_of(text: str) -> list[str]:
    """Return the words of `text` as they are said, figures below a hundred too: "12-ounce" is "twelve", "ounce"."""
    said: list[str] = []
    for word in _WORD.findall(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")):
        said += _spoken(word) if word.isdecimal() else [word]
    return said


def _spoken(figures: str) -> list[str]:
    number = int(figures)
    if figures == "0":
        return ["zero"]
    if str(number) != figures or number > 99:
        return [figures]
    if number in _NUMERALS:
        return [_NUMERALS[number]]
    return [_NUMERALS[number // 10 * 10], _NUMERALS[number % 10]]
