from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialog.strategies import values
from voicebot.dialog.condition import ConditionError, holds, names_in, parse_condition
from voicebot.dialog.events import SlotValue

TODAY = date(2026, 3, 2)
SLOTS: dict[str, SlotValue] = {
    "late": True,
    "paid": False,
    "days": 4,
    "amount": Decimal("84.20"),
    "status": "shipped",
    "day": date(2026, 3, 7),
    "at": time(16, 30),
    "moment": datetime(2026, 3, 4, 9, 0),  # noqa: DTZ001  # local time
}


def true(text: str) -> bool:
    return holds(parse_condition(text), SLOTS.get, TODAY)


@pytest.mark.parametrize(
    "text",
    [
        "late",
        "not paid",
        "days > 3 and days < 5",
        "1 < days <= 4",
        "days != 3",
        "days == 4.0",
        "days > -1",
        "amount >= 84.2",
        "amount < 100",
        'status == "shipped"',
        'status in ["shipped", "delivered"]',
        'status not in ["lost"]',
        "late == yes",
        "paid == no",
        "late or paid",
        "not (late and paid)",
        "day.weekday == 'saturday'",
        "day.days_ahead == 5",
        "moment.days_ahead == 2",
        "at.hour == 16",
        "moment.hour == 9",
        "status.length == 7",
        'day > "2026-03-06"',
        'at < "17:00"',
        "missing != 3",
        "not missing",
    ],
)
def test_a_condition_holds(text: str) -> None:
    assert true(text)


@pytest.mark.parametrize(
    "text",
    [
        "paid",
        "missing",
        "missing == 3",
        "missing > 3",
        "missing < 3",
        "missing.length > 0",
        "days > 4",
        "days == status",
        "status > days",
        "status.hour == 3",
        "status.weekday == 'monday'",
        "days.days_ahead == 1",
        'day == "someday"',
        'day > "someday"',
    ],
)
def test_a_condition_does_not_hold(text: str) -> None:
    assert not true(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "days >",
        "days + 1 > 3",
        "print(1)",
        "days is 3",
        "3",
        "days.colour == 1",
        "[x for x in y]",
        "a.b.c",
        "(" * 300,
    ],
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ConditionError):
        parse_condition(text)


def test_the_names_of_a_condition_are_found_in_order() -> None:
    assert names_in(parse_condition("a > 1 and (b or not c) and d in [e, 2]")) == ("a", "b", "c", "d", "e")


@given(left=st.none() | values(), right=st.none() | values(), sign=st.sampled_from(["==", "!=", "<", "<=", ">", ">="]))
def test_comparing_anything_with_anything_never_raises(
    left: SlotValue | None, right: SlotValue | None, sign: str
) -> None:
    slots = {"left": left, "right": right}
    assert holds(parse_condition(f"left {sign} right"), slots.get, TODAY) in {True, False}


def test_an_amount_that_is_no_number_is_unlike_everything() -> None:
    slots: dict[str, SlotValue] = {"odd": Decimal("sNaN"), "amount": Decimal(1)}
    assert holds(parse_condition("odd != amount"), slots.get, TODAY)
    assert not holds(parse_condition("odd == amount or odd < amount or odd > amount"), slots.get, TODAY)


@given(text=st.text(max_size=40))
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    try:
        parse_condition(text)
    except ConditionError:
        return
