"""Personal values of actions: masked where they are listed, sealed where they lie, whole for what needs them."""

from __future__ import annotations

import json

import pytest

from tests.fakes.sealing import KEYS
from voicebot.records.personal_values import PersonalValues, has_masked, masked
from voicebot.records.vault.keys import RecordingKey, RecordingKeys

OTHER = RecordingKeys(RecordingKey.of(b"o" * 32))


def values(**given: tuple[str, str] | None) -> str:
    return json.dumps({name: entry and list(entry) for name, entry in given.items()})


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("account_number", "40293817", "[account number]"),
        ("iban", "DE02120300000000202051", "[account number]"),
        ("card", "4539148803436467", "[card number]"),
        ("note", "pay from card 4539 1488 0343 6467", "pay from card [card number]"),
        ("order_number", "40293", "40293"),
        ("account_type", "savings", "savings"),
    ],
)
def test_numbers_of_accounts_and_cards_are_named_as_transcripts_do(name: str, value: str, shown: str) -> None:
    kept = values(**{name: ("str", value)})
    assert json.loads(masked(kept)) == {name: ["str", shown]}
    assert has_masked(kept) is (value != shown)
    assert has_masked(masked(kept)) is (value != shown)


def test_what_was_taken_apart_is_whole_again_with_the_same_types() -> None:
    arguments = values(account_number=("int", "40293817"), amount=("Decimal", "3.50"), until=None)
    shown, sealed = PersonalValues(KEYS).apart("a1", arguments=arguments, result="{}")
    assert "40293817" not in str(shown)
    assert sealed is not None
    assert b"40293817" not in sealed
    whole = PersonalValues(KEYS).together("a1", sealed, **shown)
    assert {part: json.loads(text) for part, text in whole.items()} == {
        "arguments": json.loads(arguments),
        "result": {},
    }


def test_nothing_is_sealed_where_nothing_is_personal() -> None:
    arguments = values(order_number=("str", "40293"))
    assert PersonalValues(KEYS).apart("a1", arguments=arguments) == ({"arguments": arguments}, None)


@pytest.mark.parametrize(("name", "keys"), [("a2", KEYS), ("a1", OTHER)])
def test_without_the_key_or_as_another_action_a_number_is_not_there(name: str, keys: RecordingKeys) -> None:
    arguments = values(account_number=("str", "40293817"), amount=("int", "3"))
    shown, sealed = PersonalValues(KEYS).apart("a1", arguments=arguments)
    whole = PersonalValues(keys).together(name, sealed, **shown)
    assert json.loads(whole["arguments"]) == {"account_number": None, "amount": ["int", "3"]}


def test_what_was_emptied_by_its_age_stays_empty() -> None:
    _, sealed = PersonalValues(KEYS).apart("a1", arguments=values(account_number=("str", "40293817")))
    assert PersonalValues(KEYS).together("a1", sealed, arguments="{}") == {"arguments": "{}"}
