from __future__ import annotations

import pytest

from voicebot.dialog.check_digits import CheckDigit, fits


@pytest.mark.parametrize("number", ["79927398713", "4539578763621486", "18", "000018"])
def test_a_number_with_its_luhn_digit_fits(number: str) -> None:
    assert fits(number, CheckDigit.LUHN)


@pytest.mark.parametrize("place", range(11))
def test_one_digit_misheard_never_fits(place: int) -> None:
    number = "79927398713"
    others = {number[:place] + digit + number[place + 1 :] for digit in "0123456789"} - {number}
    assert not any(fits(other, CheckDigit.LUHN) for other in others)


def test_two_check_digits_find_swapped_neighbours_too() -> None:
    # ISO/IEC 7064: the two digits make the whole number 1 modulo 97.
    assert fits("79444", CheckDigit.MOD_97_10)
    assert not fits("97444", CheckDigit.MOD_97_10)
    assert not fits("79454", CheckDigit.MOD_97_10)


@pytest.mark.parametrize("number", ["", "7", "7992739871x", "٧٩"])
def test_what_is_no_number_does_not_fit(number: str) -> None:
    assert not any(fits(number, rule) for rule in CheckDigit)
