from __future__ import annotations

from datetime import date, time
from decimal import Decimal

import pytest

from voicebot.dialog.condition import parse_condition
from voicebot.dialog.events import Entity, Interpretation, SlotValue
from voicebot.dialog.expectation import AnswerKind
from voicebot.dialog.prompt import Prompt, parse_template
from voicebot.dialog.slots import Verdict, judge, keyed_candidates, mentioned_candidates, spoken_candidates
from voicebot.dialog.steps import Choice, Rule, SlotType
from voicebot.dialog.values import ValueKind

TODAY = date(2026, 3, 2)
TOO_LATE = Prompt("too_late", (parse_template("Too late."),))
WRONG = Prompt("wrong", (parse_template("Four digits."),))
CODE = SlotType("code", ValueKind.DIGITS, lengths=(4,), invalid=WRONG)
AT = SlotType("at", ValueKind.TIME, rules=(Rule(parse_condition("value.hour >= 9 and value.hour < 18"), TOO_LATE),))
SHELF = SlotType(
    "shelf", ValueKind.CHOICE, choices=(Choice("day", ("day", "another day")), Choice("none", ("not another day",)))
)


def heard(text: str, *entities: tuple[AnswerKind, SlotValue], affirmative: bool | None = None) -> Interpretation:
    found = tuple(Entity(kind, value, text, 0, len(text)) for kind, value in entities)
    return Interpretation(text, 0.9, entities=found, affirmative=affirmative)


def verdict(said: Interpretation, slot_type: SlotType, options: tuple[SlotValue, ...] = ()) -> Verdict:
    candidates = spoken_candidates(said, slot_type, options)
    return judge(candidates, slot_type, (), lambda value: {"value": value}.get, TODAY)


def value(said: Interpretation, slot_type: SlotType, options: tuple[SlotValue, ...] = ()) -> SlotValue | None:
    found = verdict(said, slot_type, options).candidate
    return found.value if found else None


def test_the_entity_of_the_right_length_is_taken_among_several() -> None:
    assert value(heard("x", (AnswerKind.DIGITS, "12"), (AnswerKind.DIGITS, "4071")), CODE) == "4071"


def test_digits_said_in_two_breaths_are_joined() -> None:
    assert value(heard("x", (AnswerKind.DIGITS, "40"), (AnswerKind.DIGITS, "71")), CODE) == "4071"


def test_a_wrong_length_is_refused_with_the_types_reason() -> None:
    found = verdict(heard("x", (AnswerKind.DIGITS, "40712")), CODE)
    assert (found.candidate, found.reason, found.refused) == (None, WRONG, "40712")


def test_four_o_clock_is_the_afternoon_where_only_that_will_do() -> None:
    assert value(heard("at four", (AnswerKind.TIME, time(4))), AT) == time(16)
    assert value(heard("at ten", (AnswerKind.TIME, time(10))), AT) == time(10)


@pytest.mark.parametrize("text", ["four am", "4 a.m.", "four in the morning"])
def test_four_in_the_morning_is_not(text: str) -> None:
    assert verdict(heard(text, (AnswerKind.TIME, time(4))), AT).reason == TOO_LATE


def test_the_longest_phrase_decides_between_choices() -> None:
    assert value(heard("Another day, please"), SHELF) == "day"
    assert value(heard("not another day"), SHELF) == "none"
    assert value(heard("yesterday"), SHELF) is None


@pytest.mark.parametrize(("text", "chosen"), [("the first one", 10), ("option two", 14), ("the later one", 14)])
def test_an_offered_value_is_chosen_by_its_number(text: str, chosen: int) -> None:
    assert value(heard(text), AT, options=(time(10), time(14))) == time(chosen)


def test_an_entity_of_another_type_than_its_kind_says_is_ignored() -> None:
    assert value(heard("x", (AnswerKind.TIME, "four"), (AnswerKind.DATE, time(10))), AT) is None


def test_names_and_texts_come_from_the_words() -> None:
    name = SlotType("name", ValueKind.NAME)
    assert value(heard("maria keller"), name) == "Maria Keller"
    assert value(heard("it is 4071 that i said to you before"), name) is None
    assert value(heard("x", (AnswerKind.NAME, "Ann")), name) == "Ann"
    assert value(heard("  ocean avenue "), SlotType("street", ValueKind.TEXT)) == "ocean avenue"
    assert value(heard(" "), SlotType("street", ValueKind.TEXT)) is None


def test_yes_money_and_codes_are_read() -> None:
    assert value(heard("yes", affirmative=True), SlotType("ok", ValueKind.YES_NO)) is True
    assert value(heard("x", (AnswerKind.MONEY, Decimal(5))), SlotType("sum", ValueKind.MONEY)) == Decimal(5)
    plate = SlotType("plate", ValueKind.ALPHANUMERIC, pattern="[A-Z]{2}[0-9]")
    assert value(heard("x", (AnswerKind.ALPHANUMERIC, "AB1")), plate) == "AB1"
    assert verdict(heard("x", (AnswerKind.DIGITS, "123")), plate).refused == "123"


def test_what_was_mentioned_before_fills_typed_slots_only() -> None:
    mentioned = [Entity(AnswerKind.TIME, time(10), "ten", 0, 3)]
    assert [candidate.value for candidate in mentioned_candidates(mentioned, "", AT)] == [time(10), time(22)]
    assert [candidate.value for candidate in mentioned_candidates([], "another day", SHELF)] == ["day"]
    assert list(mentioned_candidates(mentioned, "book it", SlotType("note", ValueKind.TEXT))) == []
    assert list(mentioned_candidates(mentioned, "book it", SlotType("name", ValueKind.NAME))) == []


@pytest.mark.parametrize(
    ("keys", "kind", "values"),
    [
        ("4071", ValueKind.DIGITS, ["4071"]),
        ("1", ValueKind.YES_NO, [True]),
        ("2", ValueKind.YES_NO, [False]),
        ("3", ValueKind.YES_NO, []),
        ("2", ValueKind.CHOICE, ["none"]),
        ("3", ValueKind.CHOICE, []),
        ("0315", ValueKind.DATE, [date(2026, 3, 15)]),
        ("0301", ValueKind.DATE, [date(2027, 3, 1)]),
        ("0230", ValueKind.DATE, []),
        ("1399", ValueKind.DATE, []),
        ("1430", ValueKind.TIME, [time(14, 30)]),
        ("230", ValueKind.TIME, [time(2, 30), time(14, 30)]),
        ("2430", ValueKind.TIME, []),
        ("1275", ValueKind.TIME, []),
        ("12*5", ValueKind.MONEY, [Decimal("12.5")]),
        ("12", ValueKind.MONEY, [Decimal(12)]),
        ("1*2*3", ValueKind.MONEY, []),
        ("*", ValueKind.MONEY, []),
        ("²", ValueKind.DIGITS, []),
        ("9" * 5000, ValueKind.CHOICE, []),
        ("4071", ValueKind.TEXT, []),
    ],
)
def test_keys_are_read_by_the_kind_that_is_asked_for(keys: str, kind: ValueKind, values: list[SlotValue]) -> None:
    slot_type = SlotType("x", kind, choices=SHELF.choices)
    assert [candidate.value for candidate in keyed_candidates(keys, slot_type, TODAY)] == values


def test_a_key_can_choose_what_was_offered() -> None:
    candidates = keyed_candidates("2", AT, TODAY, (time(10), time(14)))
    assert next(candidates).value == time(14)
