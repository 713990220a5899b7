"""Between a call and a write: approvals, notes of what was done, undoing it, and pauses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.fakes.sealing import KEYS
from voicebot.backends.backends import BackendResult
from voicebot.dialog.condition import parse_condition
from voicebot.dialog.events import SlotValue
from voicebot.dialog.flow import Operation, Undo
from voicebot.dialog.values import ValueKind
from voicebot.errors import BackendUnavailable
from voicebot.records.database import Database, locate
from voicebot.records.deeds import ALL, Approval, ApprovalState, Deeds, DeedState
from voicebot.records.tables import AUDIT, CALLS
from voicebot.work.supervision import Supervision

MONEY = {"account": ValueKind.DIGITS, "amount": ValueKind.MONEY, "pin": ValueKind.DIGITS}
CONTRACTS = {
    "bank.pay": Operation(
        "bank.pay",
        MONEY,
        {"reference": ValueKind.DIGITS},
        write=True,
        secret=frozenset(("pin",)),
        approve_when=parse_condition("amount > 100"),
        undo=Undo("bank.take_back", {"reference": "reference"}),
    ),
    "bank.take_back": Operation("bank.take_back", {"reference": ValueKind.DIGITS}, {}, ("gone",), write=True),
    "bank.letter": Operation("bank.letter", {}, {}, write=True, undo=Undo(by_hand="Run after the postman.")),
    "bank.balance": Operation("bank.balance", {}, {}),
}


class Bank:
    def __init__(self) -> None:
        self.done: list[tuple[str, Mapping[str, SlotValue], str | None]] = []
        self.answers: dict[str, str] = {}

    async def call(
        self, operation: str, arguments: Mapping[str, SlotValue], *, idempotency_key: str | None = None
    ) -> BackendResult:
        self.done.append((operation, dict(arguments), idempotency_key))
        outcome = self.answers.get(operation, "ok")
        return BackendResult(outcome, {"reference": "472"} if outcome == "ok" else {})


class Office:
    def __init__(self, database: Database, limit_s: float) -> None:
        self.now = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
        self.database = database
        self.deeds = Deeds(database, KEYS, now=lambda: self.now)
        self.told: list[Approval] = []
        self.supervision = Supervision(self.deeds, self._tell, limit_s=limit_s)
        self.bank = Bank()
        self.operations = self.supervision.of_call(lambda: "c1", self.bank, CONTRACTS)

    async def _tell(self, approval: Approval) -> None:
        self.told.append(approval)

    async def pay(self, amount: int, key: str = "k1") -> str:
        arguments: dict[str, SlotValue] = {"account": "400121", "amount": Decimal(amount), "pin": "4071"}
        return (await self.operations.call("bank.pay", arguments, idempotency_key=key)).outcome

    async def asked(self) -> Approval:
        async with asyncio.timeout(20):
            while not (waiting := await self.deeds.waiting()):
                await asyncio.sleep(0.02)
        return waiting[0]

    async def audited(self) -> list[tuple[str, str]]:
        async with self.database.connect() as connection:
            rows = await connection.execute(select(AUDIT.c.actor, AUDIT.c.action).order_by(AUDIT.c.number))
            return [(row.actor, row.action) for row in rows]


@asynccontextmanager
async def office(folder: Path, database_url: str, *, limit_s: float = 20.0) -> AsyncIterator[Office]:
    async with Database.served(locate(folder, database_url), instance="main") as database:
        here = Office(database, limit_s)
        async with database.begin() as connection:
            names = ("id", "instance", "channel", "direction", "caller", "called", "carrier_call_id", "flow_version")
            call = dict.fromkeys(names, "c1") | {"started_at": here.now, "goal_reached": False}
            await connection.execute(CALLS.insert().values(call))
        yield here


async def test_what_needs_no_approval_is_done_at_once_and_noted_without_its_secrets(
    tmp_path: Path, database_url: str
) -> None:
    async with office(tmp_path, database_url) as here:
        assert await here.pay(50) == "ok"
        (deed,) = await here.deeds.deeds(call_id="c1")
        assert (deed.operation, deed.state) == ("bank.pay", DeedState.DONE)
        assert "4071" not in deed.arguments
        assert here.told == []
        await here.operations.call("bank.balance", {})
        assert len(await here.deeds.deeds()) == 1


@pytest.mark.parametrize(("granted", "outcome"), [(True, "ok"), (False, "not_approved")])
async def test_a_risky_write_waits_for_a_person_and_does_what_they_say(
    tmp_path: Path, database_url: str, *, granted: bool, outcome: str
) -> None:
    async with office(tmp_path, database_url) as here:
        paying = asyncio.create_task(here.pay(150))
        approval = await here.asked()
        assert here.bank.done == []
        assert ("bank.pay", "4071" in approval.arguments) == (approval.operation, False)
        decided = await here.supervision.decide(approval.id, granted=granted, by="ana")
        assert decided is not None
        assert await paying == outcome
        assert len(here.bank.done) == granted
        assert here.told == [approval]
        # Whoever comes second changes nothing.
        late = await here.supervision.decide(approval.id, granted=not granted, by="ben")
        assert late is not None
        assert late.decided_by == "ana"
        assert await here.audited() == [("ana", f"approval_{decided.state}")]


async def test_a_decision_of_another_process_is_seen(tmp_path: Path, database_url: str) -> None:
    async with office(tmp_path, database_url) as here:
        paying = asyncio.create_task(here.pay(150))
        approval = await here.asked()
        await here.deeds.decide(approval.id, ApprovalState.GRANTED, "ana")
        assert await paying == "ok"


async def test_when_nobody_decides_the_caller_hears_so_and_a_later_yes_does_nothing(
    tmp_path: Path, database_url: str
) -> None:
    async with office(tmp_path, database_url, limit_s=0.3) as here:
        paying = asyncio.create_task(here.pay(150))
        approval = await here.asked()
        assert await paying == "nobody_decided"
        late = await here.supervision.decide(approval.id, granted=True, by="ana")
        assert late is not None
        assert late.state is ApprovalState.EXPIRED
        assert here.bank.done == []


async def test_a_decision_after_the_time_is_up_does_not_count(tmp_path: Path, database_url: str) -> None:
    async with office(tmp_path, database_url) as here:
        approval = await here.deeds.ask("a1", "c1", "bank.pay", "{}", 60)
        here.now += timedelta(seconds=61)
        decided = await here.deeds.decide(approval.id, ApprovalState.GRANTED, "ana")
        assert decided is not None
        assert decided.state is ApprovalState.WAITING
        assert await here.deeds.waiting() == []


async def test_a_caller_who_leaves_withdraws_the_question(tmp_path: Path, database_url: str) -> None:
    async with office(tmp_path, database_url) as here:
        paying = asyncio.create_task(here.pay(150))
        approval = await here.asked()
        paying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await paying
        left = {task.get_coro().__qualname__ for task in asyncio.all_tasks()}  # type: ignore[union-attr]  # coroutines
        assert "Event.wait" not in left, "nobody waits on for a decision"
        async with asyncio.timeout(20):
            while (found := await here.deeds.approval(approval.id)) and found.state is ApprovalState.WAITING:
                await asyncio.sleep(0.02)
        assert found is not None
        assert found.state is ApprovalState.WITHDRAWN
        assert here.bank.done == []


async def test_a_person_who_takes_a_question_back_lets_the_caller_hear_that_it_is_not_done(
    tmp_path: Path, database_url: str
) -> None:
    async with office(tmp_path, database_url) as here:
        paying = asyncio.create_task(here.pay(150))
        approval = await here.asked()
        withdrawn = await here.supervision.withdraw(approval.id, by="ana")
        assert withdrawn is not None
        assert withdrawn.state is ApprovalState.WITHDRAWN
        assert await paying == "not_approved"
        assert here.bank.done == []
        assert await here.audited() == [("ana", "approval_withdrawn")]


async def test_while_all_is_paused_nothing_is_written_and_reading_goes_on(tmp_path: Path, database_url: str) -> None:
    async with office(tmp_path, database_url) as here:
        await here.deeds.pause(ALL, "ana", "the bank's system is being moved")
        with pytest.raises(BackendUnavailable, match="paused"):
            await here.pay(50)
        assert (await here.operations.call("bank.balance", {})).outcome == "ok"
        assert await here.deeds.resume(ALL, "ben")
        assert not await here.deeds.resume(ALL, "ben")
        assert await here.pay(50) == "ok"
        assert await here.audited() == [("ana", "paused"), ("ben", "resumed")]
