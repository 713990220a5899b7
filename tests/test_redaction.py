"""What is found in what was said, and what is left alone."""

from __future__ import annotations

import pytest

from voicebot.redaction import (
    Context,
    Sensitive,
    asked_by,
    asked_in,
    find,
    redact,
    says_card,
)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("it is four one one one one one one one one one one one one one one one thanks", "it is [card number] thanks"),
        ("forty one eleven eleven eleven double one triple one four", "[card number]"),
        ("4111 1111 1111 1111", "[card number]"),
        ("4111-1111-1111-1111 please", "[card number] please"),
        ("four one one um hang on one two sorry three four five six", "[card number]"),
        ("forty one hundred two thousand fifty five hundred", "[card number]"),
        ("my social is one two three four five six seven eight nine", "my social is [social security number]"),
        ("ssn 123-45-6789", "ssn [social security number]"),
        ("the cvv is four five six", "the cvv is [security code]"),
        ("the security code is nine okay hundred is that right", "the security code is [security code] is that right"),
        ("nine oh two is the security code", "[security code] is the security code"),
        ("my pin is twelve thirty four", "my pin is [pin]"),
        ("my account number is four oh two nine three eight", "my account number is [account number]"),
        ("send it to DE89 3704 0044 0532 0130 00", "send it to [account number]"),
    ],
)
def test_numbers_that_must_not_be_kept_are_found_however_they_are_said(said: str, kept: str) -> None:
    assert redact(said) == kept


@pytest.mark.parametrize(
    "said",
    [
        "where is my order four eight two one three",
        "the order number is 48213",
        "i was born on march third nineteen eighty five",
        "i paid forty five hundred dollars and twenty cents",
        "at ten thirty on friday the twenty first",
        "call me at five five five oh one nine nine",
        "the card ending in one two three four",
        "i have two cards and one account with three owners",
        "to be or not to be for one",
        "",
    ],
)
def test_other_numbers_are_left_alone(said: str) -> None:
    assert redact(said) == said


def test_what_was_asked_for_is_found_whatever_its_shape() -> None:
    assert [each.kind for each in find("one two three four", asked=Sensitive.PIN)] == [Sensitive.PIN]
    assert [each.kind for each in find("402938", asked=Sensitive.ACCOUNT)] == [Sensitive.ACCOUNT]
    assert find("one two three four") == ()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("authenticate.ask_account_number", Sensitive.ACCOUNT),
        ("card_number", Sensitive.CARD),
        ("ask_pin", Sensitive.PIN),
        ("security_code", Sensitive.CVV),
        ("social", Sensitive.SSN),
        ("order_number", None),
        ("shopping", None),
    ],
)
def test_a_slot_or_question_tells_by_its_name_what_it_asks_for(name: str, kind: Sensitive | None) -> None:
    assert asked_by(name) is kind


def test_a_question_tells_by_its_words() -> None:
    assert asked_in("What is your card number?") is Sensitive.CARD
    assert asked_in("And the three digits on the back?") is Sensitive.CVV
    assert asked_in("Shall I send you a new card?") is None


def test_a_number_split_over_turns_is_found_in_both() -> None:
    context = Context()
    first = "four one one one one one"
    assert [each.kind for each in find(first, ends=False)] == [Sensitive.NUMBER]
    context = context.after_answer(first).after_question("Go on.", "pattern.go_on")
    second = find("one one one one two two", asked=context.asked, begun=context.begun)
    assert [each.kind for each in second] == [Sensitive.CARD]


def test_so_many_digits_are_a_cards_whatever_was_asked_for() -> None:
    (found,) = find("4111 1111 1111 1111", asked=Sensitive.ACCOUNT)
    assert found.kind is Sensitive.CARD
    (found,) = find("four zero zero one two one", asked=Sensitive.ACCOUNT)
    assert found.kind is Sensitive.ACCOUNT


@pytest.mark.parametrize(
    ("said", "is_card"),
    [
        ("four one one one one one please one one one one one one one one one one", True),
        ("4111 1111 1111 1111", True),
        ("411111 got it 111111 then 1111", True),
        ("four zero zero one two one", False),
        ("it's 400121 and my phone number is 555 123 4567", False),
        ("account 400121 zip code 10001 born 1981", False),
        ("", False),
    ],
)
def test_a_card_is_told_by_how_many_digits_were_said_in_one_go(said: str, is_card: bool) -> None:
    assert says_card(said) is is_card
