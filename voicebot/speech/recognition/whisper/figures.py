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
    return any(map(_is_digits, words)) and all(word in _AROUND or _is_digits(word) for word in words)


def count_digits(text: str) -> int:
    """Return how many digits `text` holds, as figures or as words, whatever else it says."""
    return sum(len(word) if word.isdecimal() else 1 for word in _WORD.findall(text.lower()) if _is_digits(word))


def one_word(text: str) -> bool:
    """Say whether `text` holds one word, however often, or digits alone: what a digit said by itself is written as."""
    words = set(_WORD.findall(text.lower()))
    return len(words) < 2 or all(map(_is_digits, words))


def _is_digits(word: str) -> bool:
    return word.isdecimal() or word in _DIGITS
