"""Postcodes as callers say them: "s w one a one a a", "nine oh two one oh", "sierra whiskey one ..."."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from voicebot.language.entities.codes import find_codes
from voicebot.language.entities.digits import find_digits
from voicebot.language.entities.span import Span
from voicebot.language.words import Phrases, Word

#: Royal Mail's formats, by whether each place is a letter or a digit.
_UK_SHAPES = ("A99AA", "A999AA", "AA99AA", "AA999AA", "A9A9AA", "AA9A9AA")
_UK = re.compile(r"[A-Z]{1,2}[0-9][0-9A-Z]?[0-9][A-Z]{2}")
_US = re.compile(r"[0-9]{5}(?:[0-9]{4})?")
#: What a place in the code shows that only the other sort of character can have been said.
_AS_DIGIT = {"O": "0", "I": "1", "L": "1", "S": "5", "Z": "2", "B": "8"}
_AS_LETTER = {"0": "O", "1": "I", "5": "S", "8": "A"}
_MOST_CHANGES = 2
_LEAD_INS = Phrases.of(("zip code", "zip", "postcode", "post code", "postal code", "the postcode's"), None)
#: How far behind "my zip code" the code itself may begin.
_NEAR = 3


def find_postcodes(words: Sequence[Word], *, expected: bool = False) -> list[Span]:
    """Find postcodes of the United Kingdom and the United States (kind ``"postcode"``).

    Values are as they are written: ``"SW1A 1AA"``, ``"90210"``, ``"90210-1234"``. In open text five digits are one only
    after "zip code" or "postcode", and letters must be said as such.
    """
    spans: list[Span] = []
    for span in find_codes(words, expected=expected, lengths=(5, 6, 7) if expected else ()):
        written = next(_uk_readings(str(span.value)), None)
        if written:
            spans.append(Span("postcode", written, span.first, span.last))
    for span in find_digits(words, expected=expected, lengths=(5, 9)):
        code = str(span.value)
        if _US.fullmatch(code) and (expected or _announced(words, span.first)):
            spans.append(Span("postcode", f"{code[:5]}-{code[5:]}" if code[5:] else code, span.first, span.last))
    return spans


def _uk_readings(code: str) -> Iterator[str]:
    """Yield the code as written if it is one, else what it becomes with an O for a zero and its like."""
    if _UK.fullmatch(code):
        yield f"{code[:-3]} {code[-3:]}"
        return
    for shape in _UK_SHAPES:
        if len(shape) != len(code):
            continue
        fitted = [_fit(character, place) for character, place in zip(code, shape, strict=True)]
        changes = sum(new != old for new, old in zip(fitted, code, strict=True))
        if all(fitted) and changes <= _MOST_CHANGES:
            written = "".join(fitted)
            yield f"{written[:-3]} {written[-3:]}"


def _fit(character: str, place: str) -> str:
    """Return what `character` must be in a `place` for a letter ("A") or a digit ("9"), empty if it cannot be."""
    if place == "9":
        return character if character.isdecimal() else _AS_DIGIT.get(character, "")
    return _AS_LETTER.get(character, "") if character.isdecimal() else character


def _announced(words: Sequence[Word], first: int) -> bool:
    starts = range(max(0, first - _NEAR - 1), first)
    return any((found := _LEAD_INS.at(words, index)) and found[1] <= first for index in starts)
