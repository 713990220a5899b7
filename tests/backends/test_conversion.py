from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest

from voicebot.backends.conversion import Unconvertible, typed, written
from voicebot.backends.resilience import Breaker, Patience, RateLimit
from voicebot.dialog.events import SlotValue
from voicebot.dialog.values import ValueKind
from voicebot.errors import BackendUnavailable


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("x", ValueKind.TEXT, "x"),
        (7, ValueKind.DIGITS, "7"),
        ("007", ValueKind.DIGITS, "007"),
        (1, ValueKind.YES_NO, True),
        ("no", ValueKind.YES_NO, False),
        (Decimal("3.0"), ValueKind.NUMBER, 3),
        ("12.10", ValueKind.MONEY, Decimal("12.10")),
        (12, ValueKind.MONEY, Decimal(12)),
        ("2026-03-05", ValueKind.DATE, date(2026, 3, 5)),
        ("2026-03-05T10:00:00+00:00", ValueKind.DATE, date(2026, 3, 5)),
        (datetime(2026, 3, 5, 9, tzinfo=UTC), ValueKind.DATE, date(2026, 3, 5)),
        ("9:30", ValueKind.TIME, time(9, 30)),
        (time(9), ValueKind.TIME, time(9)),
        ("2026-03-05T10:00:00", ValueKind.MOMENT, datetime(2026, 3, 5, 10)),  # noqa: DTZ001  # as the system wrote it
        (None, ValueKind.MONEY, None),
    ],
)
def test_a_field_becomes_its_kind(value: object, kind: ValueKind, expected: SlotValue | None) -> None:
    converted = typed(value, kind)
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1.5, ValueKind.MONEY),
        ("NaN", ValueKind.MONEY),
        (True, ValueKind.MONEY),
        ("3.5", ValueKind.NUMBER),
        (True, ValueKind.NUMBER),
        ("maybe", ValueKind.YES_NO),
        ({"a": 1}, ValueKind.TEXT),
        (True, ValueKind.TEXT),
        ("tomorrow", ValueKind.DATE),
        ("1030", ValueKind.TIME),
        ("25:00", ValueKind.TIME),
        ([], ValueKind.MOMENT),
    ],
)
def test_a_field_of_another_kind_is_refused_without_being_quoted(value: object, kind: ValueKind) -> None:
    with pytest.raises(Unconvertible) as caught:
        typed(value, kind)
    assert str(caught.value) == f"not {kind}"


def test_values_are_written_as_systems_read_them() -> None:
    values: list[SlotValue] = [True, 3, Decimal("1E+2"), date(2026, 3, 5), time(9, 30), "a b"]
    assert [written(value) for value in values] == ["true", "3", "100", "2026-03-05", "09:30:00", "a b"]


def test_pauses_double_and_spread() -> None:
    patience = Patience(pause_s=0.2)
    assert [patience.pause_before(attempt, 1.0) for attempt in (1, 2, 3)] == pytest.approx([0.2, 0.4, 0.8])
    assert patience.pause_before(1, 0.0) == pytest.approx(0.1)


class _Trouble(Exception):
    """What a system's failure looks like here."""


def test_a_breaker_lets_one_try_through_after_its_rest() -> None:
    now_s = [0.0]
    breaker = Breaker("shop", lambda: now_s[0], failures_most=2, rest_s=10.0)

    def fail(error: BaseException) -> None:
        with pytest.raises(type(error)), breaker.attempt(_Trouble):
            raise error

    def rests() -> bool:
        called_off = asyncio.CancelledError()  # says nothing about the system
        with pytest.raises((BackendUnavailable, type(called_off))) as raised, breaker.attempt(_Trouble):
            raise called_off
        return issubclass(raised.type, BackendUnavailable)

    fail(_Trouble())
    assert not rests()
    fail(_Trouble())
    assert rests()
    now_s[0] = 10.0
    with breaker.attempt(_Trouble):
        assert rests()  # one tries, the others wait for what comes of it
        breaker_was_open = breaker.is_open
    assert breaker_was_open
    assert not breaker.is_open
    fail(_Trouble())
    fail(_Trouble())
    now_s[0] = 20.0
    fail(_Trouble())
    now_s[0] = 29.0
    assert rests()
    now_s[0] = 30.0
    assert not rests()


def test_a_breaker_whose_try_was_called_off_lets_the_next_one_through() -> None:
    now_s = [0.0]
    breaker = Breaker("shop", lambda: now_s[0], failures_most=1, rest_s=10.0)
    with pytest.raises(_Trouble), breaker.attempt(_Trouble):
        raise _Trouble
    now_s[0] = 10.0
    with pytest.raises(asyncio.CancelledError), breaker.attempt(_Trouble):
        raise asyncio.CancelledError
    with breaker.attempt(_Trouble):
        pass
    assert not breaker.is_open


async def test_a_rate_limit_allows_a_burst_and_then_turns_away() -> None:
    limit = RateLimit(10.0, lambda: 5.0, wait_most_s=0.0)
    await limit.admit()
    with pytest.raises(BackendUnavailable):
        await limit.admit()
    later = [5.0]
    burst = RateLimit(8.0, lambda: later[0], wait_most_s=0.0)
    later[0] = 60.0
    for _ in range(9):  # a second's worth, and the one whose turn it is now
        await burst.admit()
    with pytest.raises(BackendUnavailable):
        await burst.admit()
