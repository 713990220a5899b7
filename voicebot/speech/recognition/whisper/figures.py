"""Whether a transcript is a number read out, and nothing else: then the search among digits alone knows better."""

from __future__ import annotations

import re

from voicebot.numerals import UNITS, ZERO

#: What people say before, between and after the digits without its changing them.
_AROUND = frozenset(
    "um uh er and it it's is that's that my the number account order pin yes yeah okay so sure please thanks thank you"
    " dash".split()
)
_DIGITS = frozenset({*ZERO, *UNITS})
_WORD = re.compile(r"[a-z']+|\d+")


def only_digits(text: str) -> bool:
    """Say whether `text` holds digits, as figures or as words, and apart from them only what surrounds a number.

    "Double seven" and "forty two" are no single digits: what they stand for is read from the text.
    """
    words = _WORD.findall(text.lower())
    digits = [word for word in words if word.isdecimal() or word in _DIGITS]
    return bool(digits) and all(word in _AROUND for word in words if word not in digits)
