from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date
from decimal import Decimal

import pytest

from voicebot.backends.backends import BackendResult, Backends
from voicebot.dialog.events import SlotValue
from voicebot.dialog.flow import Operation
from voicebot.dialog.values import ValueKind
from voicebot.errors import BackendUnavailable, LocalProtocolError

LOOK_UP = Operation("orders.look_up", {"number": ValueKind.DIGITS}, {"due": ValueKind.DATE}, ("not_found",))
PAY = Operation("bills.pay", {"amount": ValueKind.MONEY}, {}, (), write=True)


class PlayedSystem:
    """Answers what it is told to, after as long as it is told."""

    def __init__(self, answer: BackendResult | Exception, delay_s: float = 0.0) -> None:
        self._answer = answer
        self._delay_s = delay_s
        self.keys: list[str | None] = []
        self.closed = False

    @property
    def operations(self) -> frozenset[str]:
        return frozenset({"orders.look_up", "bills.pay"})

    async def call(
        self, operation: str, arguments: Mapping[str, SlotValue], *, idempotency_key: str | None
    ) -> BackendResult:
        self.keys.append(idempotency_key)
        await asyncio.sleep(self._delay_s)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    async def close(self) -> None:
        self.closed = True


def backends(system: PlayedSystem, timeout_s: float = 5.0) -> Backends:
    contracts = {operation.name: operation for operation in (LOOK_UP, PAY)}
    return Backends((system,), contracts, timeout_s=timeout_s)


async def test_a_typed_answer_comes_back_as_it_is() -> None:
    answer = BackendResult("ok", {"due": date(2026, 3, 2)})
    assert await backends(PlayedSystem(answer)).call("orders.look_up", {"number": "48213"}) == answer


async def test_a_named_failure_is_a_result() -> None:
    found = await backends(PlayedSystem(BackendResult("not_found"))).call("orders.look_up", {"number": "48213"})
    assert found.outcome == "not_found"


@pytest.mark.parametrize(
    "answer",
    [
        BackendResult("exploded"),
        BackendResult("ok", {"due": "tomorrow"}),
        BackendResult("ok", {"never_declared": 1}),
        BackendResult("ok", {"due": True}),
    ],
)
async def test_an_answer_that_is_not_as_declared_counts_as_unavailable(answer: BackendResult) -> None:
    with pytest.raises(BackendUnavailable):
        await backends(PlayedSystem(answer)).call("orders.look_up", {"number": "48213"})


async def test_a_system_that_takes_too_long_is_unavailable() -> None:
    slow = PlayedSystem(BackendResult("ok"), delay_s=30)
    with pytest.raises(BackendUnavailable, match=r"within 0\.02 s"):
        await backends(slow, timeout_s=0.02).call("orders.look_up", {"number": "48213"})


async def test_a_system_that_breaks_down_is_unavailable_to_whoever_waits() -> None:
    with pytest.raises(BackendUnavailable, match="broke down") as caught:
        await backends(PlayedSystem(ZeroDivisionError("48213"))).call("orders.look_up", {"number": "48213"})
    assert "48213" not in str(caught.value)


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("orders.forget", {}),
        ("orders.look_up", {}),
        ("orders.look_up", {"number": "1", "more": "2"}),
        ("orders.look_up", {"number": 48213}),
        ("bills.pay", {"amount": Decimal(5)}),
    ],
)
async def test_a_call_that_breaks_the_contract_is_our_own_error_and_reaches_no_system(
    operation: str, arguments: dict[str, SlotValue]
) -> None:
    system = PlayedSystem(BackendResult("ok"))
    with pytest.raises(LocalProtocolError):
        await backends(system).call(operation, arguments)
    assert system.keys == []


async def test_a_write_takes_its_key_along() -> None:
    system = PlayedSystem(BackendResult("ok"))
    await backends(system).call("bills.pay", {"amount": Decimal(5)}, idempotency_key="call/7")
    assert system.keys == ["call/7"]


def test_an_operation_that_no_system_carries_out_is_noticed_at_once() -> None:
    contracts = {"moon.fly": Operation("moon.fly", {}, {})}
    with pytest.raises(LocalProtocolError, match=r"moon\.fly"):
        Backends((PlayedSystem(BackendResult("ok")),), contracts, timeout_s=1)


async def test_an_error_names_no_argument_value() -> None:
    with pytest.raises(LocalProtocolError) as caught:
        await backends(PlayedSystem(BackendResult("ok"))).call("orders.look_up", {"number": 987654})
    assert "987654" not in str(caught.value)


async def test_closing_closes_the_systems() -> None:
    system = PlayedSystem(BackendResult("ok"))
    await backends(system).close()
    assert system.closed
