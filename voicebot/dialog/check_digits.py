"""Check digits: what tells a number that was misheard from one that can be."""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never


class CheckDigit(StrEnum):
    """The rules a type of digits can name. `LUHN`: ISO/IEC 7812-1, annex B; `MOD_97_10`: ISO/IEC 7064, two digits."""

    LUHN = "luhn"
    MOD_97_10 = "mod_97_10"


def fits(number: str, rule: CheckDigit) -> bool:
    """Say whether the last digit, or the last two, follow from the others; False for what is not all digits."""
    if not (number.isascii() and number.isdecimal()) or len(number) < 2:
        return False
    match rule:
        case CheckDigit.LUHN:
            return _luhn_sum(number) % 10 == 0
        case CheckDigit.MOD_97_10:
            return int(number) % 97 == 1
        case _:
            assert_never(rule)


def _luhn_sum(number: str) -> int:
    """Add up the digits, every second one from the right doubled and its own digits added."""
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(number))]
    return sum(digit // 10 + digit % 10 for digit in doubled)
