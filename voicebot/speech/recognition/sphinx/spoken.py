"""Words that callers use for digits, numbers, days and months, in the spelling that `language` reads back."""

from __future__ import annotations

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEENS = (
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")
SPELLING = (
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliet", "kilo", "lima",
    "mike", "november", "oscar", "papa", "quebec", "romeo", "sierra", "tango", "uniform", "victor", "whiskey",
    "xray", "yankee", "zulu",
)  # fmt: skip

_UNIT_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
_TEEN_ORDINALS = (
    "tenth", "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth",
    "sixteenth", "seventeenth", "eighteenth", "nineteenth",
)  # fmt: skip


def cardinals_below_hundred() -> tuple[str, ...]:
    """Return "one" to "ninety nine"; the index is the number less one."""
    compound = [f"{ten} {digit}" if digit else ten for ten in TENS for digit in ("", *DIGITS[1:])]
    return (*DIGITS[1:], *TEENS, *compound)


def ordinals_to_31() -> tuple[str, ...]:
    """Return "first" to "thirty first"."""
    twenties = ("twentieth", *(f"twenty {unit}" for unit in _UNIT_ORDINALS))
    return (*_UNIT_ORDINALS, *_TEEN_ORDINALS, *twenties, "thirtieth", "thirty first")
