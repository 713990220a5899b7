"""Telephone numbers, said or written: "plus one five five five ...", "area code two oh two", "0207 946 0018"."""

from __future__ import annotations

from collections.abc import Sequence

from voicebot.language.entities.digits import find_digits
from voicebot.language.entities.span import Span
from voicebot.language.words import Word

_SHORTEST, _LONGEST = 7, 15


def find_phones(words: Sequence[Word], *, expected: bool = False) -> list[Span]:
    """Find telephone numbers (kind ``"phone"``, value `str` of digits, with "+" when the caller said plus)."""
    spans: list[Span] = []
    for span in find_digits(words, expected=expected):
        digits = str(span.value)
        if _SHORTEST <= len(digits) <= _LONGEST:
            plus = span.first > 0 and words[span.first - 1].text == "plus"
            spans.append(Span("phone", "+" + digits if plus else digits, span.first - plus, span.last))
    return spans
