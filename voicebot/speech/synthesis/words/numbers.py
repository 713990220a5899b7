"""Numbers in English words, as a clerk would say them on the phone. Pure."""

from __future__ import annotations

from num2words import num2words

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_LONGEST_SAID_AS_NUMBER = 12

# "eigh" is the letter A in every engine here; a lone "A" is read as the article.
_LETTERS = {"A": "eigh"}


def cardinal(number: int) -> str:
    """Return 1234 as "one thousand two hundred thirty-four"."""
    return _plain(str(num2words(number)))


def ordinal(number: int) -> str:
    """Return 21 as "twenty-first"."""
    return _plain(str(num2words(number, to="ordinal")))


def year(number: int) -> str:
    """Return 2026 as "twenty twenty-six", 1905 as "nineteen oh-five", 2005 as "two thousand five"."""
    return _plain(str(num2words(number, to="year")))


def digits(text: str) -> str:
    """Return "407" as "four zero seven"; anything but digits is left out."""
    return " ".join(_DIGITS[int(digit)] for digit in text if digit.isascii() and digit.isdigit())


def decimal(text: str) -> str:
    """Return "1,003.50" as "one thousand three point five zero" and "5" as "five"; `text` may begin with a minus."""
    sign = "minus " if text.startswith(("-", "\N{MINUS SIGN}")) else ""
    whole, point, fraction = text.lstrip("-\N{MINUS SIGN}").replace(",", "").partition(".")
    if len(whole) > _LONGEST_SAID_AS_NUMBER:
        return sign + digit_groups(whole) + (f" point {digits(fraction)}" if fraction else "")
    words = cardinal(int(whole or "0"))
    return sign + words + (f" point {digits(fraction)}" if point and fraction else "")


def digit_groups(text: str) -> str:
    """Return a long number digit by digit, in threes or fours with commas between, so that it can be written down."""
    size = 3 if len(text) % 3 == 0 else 4 if len(text) % 4 == 0 else 3
    groups = [text[start : start + size] for start in range(0, len(text), size)]
    if len(groups) > 1 and len(groups[-1]) == 1:
        groups[-2:] = [groups[-2] + groups[-1]]
    return ", ".join(digits(group) for group in groups)


def letters(text: str, between: str = " ") -> str:
    """Return "AB4" as "eigh B four"; what is neither a letter nor a digit is left out."""
    return between.join(_letter(character) for character in text.upper() if character.isalnum())


def _letter(character: str) -> str:
    if character.isascii() and character.isdigit():
        return _DIGITS[int(character)]
    return _LETTERS.get(character, character)


def money(amount: str, unit: str, units: str, hundredth: str, hundredths: str) -> str:
    """Return "42.60" with ("dollar", "dollars", "cent", "cents") as "forty-two dollars and sixty cents".

    A fraction of more than two digits is said as a decimal number of `units`.
    """
    sign = "minus " if amount.startswith(("-", "\N{MINUS SIGN}")) else ""
    whole, _, fraction = amount.lstrip("-\N{MINUS SIGN}").replace(",", "").partition(".")
    if len(fraction) > 2:
        return f"{sign}{decimal(whole + '.' + fraction)} {units}"
    count, parts = int(whole or "0"), int(fraction.ljust(2, "0") or "0")
    said = []
    if count or not parts:
        said.append(f"{cardinal(count)} {unit if count == 1 else units}")
    if parts:
        said.append(f"{cardinal(parts)} {hundredth if parts == 1 else hundredths}")
    return sign + " and ".join(said)


def _plain(words: str) -> str:
    """Drop the commas, which a voice would pause at, and the British "and"."""
    return words.replace(",", "").replace(" and ", " ")
