"""What follows a call: its summary, the plan's tasks, each once, and the memory of a customer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.fakes.sealing import KEYS
from tests.work.test_plan import GOOD, plan_of
from voicebot.backends.backends import BackendResult
from voicebot.backends.sqlite import to_json
from voicebot.dialog.events import SlotValue
from voicebot.errors import BackendUnavailable
from voicebot.records.actions import ActionBook, ActionState
from voicebot.records.deeds import ALL, Deeds, FollowUpState
from voicebot.records.emptying import delete_words
from voicebot.records.facts import SealedFacts
from voicebot.records.record import Outcome, Speaker, TurnRecord
from voicebot.records.store import Store
from voicebot.records.tasks import Tasks
from voicebot.records.vault.keys import RecordingKeys
from voicebot.telephony.leg import Channel as CallChannel
from voicebot.telephony.leg import Direction, LegInfo
from voicebot.work.after_call import AFTER_CALL, TASK, AfterCall
from voicebot.work.customers import Customers
from voicebot.work.durable import DurableWork, Errand, ErrandState, Patience, durable_work
from voicebot.work.memory import RECALL, MemorySystem
from voicebot.work.messages import MessageFailed, MessageRefused
from voicebot.work.plan import Channel, Plan
from voicebot.work.planned import Planned

pytestmark = pytest.mark.xdist_group("durable")
NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


@dataclass
class Crm:
    """A system that may be away, and keeps what it is told under its key."""

    away: int = 0
    told: dict[str, Mapping[str, SlotValue]] = field(default_factory=dict)

    async def call(
        self, operation: str, arguments: Mapping[str, SlotValue], *, idempotency_key: str | None = None
    ) -> BackendResult:
        assert idempotency_key
        if self.away:
            self.away -= 1
            raise BackendUnavailable(f"{operation} is away")
        self.told.setdefault(idempotency_key, dict(arguments))
        return BackendResult("ok", {"reference": "7"})


@dataclass
class Phone:
    fails: int = 0
    reason: MessageFailed = field(default_factory=lambda: MessageFailed("not now"))
    dies: int = 0
    taken: list[tuple[str, str]] = field(default_factory=list)

    async def send(self, message_id: str, to: str, subject: str, text: str) -> str:
        if self.fails:
            self.fails -= 1
            raise self.reason
        self.taken.append((to, text))
        if self.dies:
            self.dies -= 1
            raise ConnectionResetError  # after the carrier took it, before that was noted
        return f"SM{len(self.taken)}"

    async def sent(self, to: str, text: str) -> Sequence[str]:
        return [f"SM{number}" for number, taken in enumerate(self.taken, 1) if taken == (to, text)]


class CountedCalls:
    """The calls of a store, and how often each was read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.read: list[str] = []

    async def get(self, call_id: str) -> Mapping[str, Any] | None:
        self.read.append(call_id)
        return await self._store.get(call_id)


@dataclass
class House:
    store: Store
    calls: CountedCalls
    deeds: Deeds
    customers: Customers
    plan: Plan
    work: DurableWork
    crm: Crm
    phone: Phone
    proven: bool = True

    def call(self, call_id: str, *, proven: bool = True, reached: bool = True, days_ago: int = 0) -> None:
        journal, at = self.store.journal, NOW - timedelta(days=days_ago)
        self.proven = proven
        info = LegInfo(
            leg_id=call_id,
            channel=CallChannel.TWILIO,
            caller="+15550100",
            called="+15550199",
            direction=Direction.INBOUND,
        )
        journal.begin_call(call_id, info, at, "v1")
        turn = TurnRecord(Speaker.CALLER, "book it", slots={"day": "2026-03-09"}, decision="answered")
        journal.add_turn(call_id, turn)
        journal.set_goal(call_id, "book_appointment", reached=reached)
        journal.end_call(call_id, at + timedelta(seconds=60), Outcome.COMPLETED, "we_hung_up")

    async def after(self, call_id: str) -> None:
        await self.store.journal.flush()
        slots: dict[str, SlotValue] = {"account": "400121", "authenticated": self.proven}
        await self.customers.keep(call_id, self.plan, slots)
        await self.work.begin(Errand(AFTER_CALL, call_id))
        assert await self.work.settled(Errand(AFTER_CALL, call_id)) is ErrandState.DONE


@asynccontextmanager
async def house(
    folder: Path, database_url: str, crm: Crm | None = None, phone: Phone | None = None
) -> AsyncIterator[House]:
    crm, phone, plan = crm or Crm(), phone or Phone(), plan_of(folder, GOOD)
    async with Store.open(folder, url=database_url, on_failure=lambda _: None, now=lambda: NOW) as store:
        deeds = Deeds(store.database, KEYS, now=lambda: NOW)
        customers = Customers(SealedFacts(store.database), RecordingKeys.kept_in(folder))

        @asynccontextmanager
        async def planned(version: str) -> AsyncIterator[Planned]:
            assert version == "v1"  # the flows that led the calls, whatever is current
            yield Planned(plan, crm, {})

        calls = CountedCalls(store)
        after = AfterCall(
            calls=calls,
            deeds=deeds,
            tasks=Tasks(store.database, now=lambda: NOW),
            customers=customers,
            planned=planned,
            senders={Channel.SMS: phone},
        )
        patience = Patience(attempts=4, first_wait_s=0.01, factor=1.0)
        async with durable_work(store.database.url, instance="main", jobs=after.jobs(), patience=patience) as work:
            yield House(store, calls, deeds, customers, plan, work, crm, phone)


async def test_a_call_is_summed_up_and_each_task_that_applies_is_done_once(tmp_path: Path, database_url: str) -> None:
    async with house(tmp_path, database_url, Crm(away=2), Phone(fails=1)) as here:
        here.call("c1")
        await here.store.journal.flush()
        await here.deeds.note(
            "d1", "c1", "calendar.book", to_json({}), to_json({"reference": "472", "fee": Decimal(5)})
        )
        for _ in range(2):
            await here.after("c1")
        for task in ("note", "sms"):
            assert await here.work.settled(Errand(TASK, f"c1/{task}")) is ErrandState.DONE
        summary = await here.deeds.summary("c1")
        assert summary == (
            "Wanted book appointment (day 2026-03-09) and got it."
            " Done: calendar book (reference 472, fee 5). The caller was done."
        )
        assert here.crm.told == {"after:c1/note": {"who": "400121", "text": summary}}
        assert here.phone.taken == [("+15550100", "Booked for Monday, March 9, 2026.")]
        assert {deed.operation for deed in await here.deeds.deeds(call_id="c1")} == {"calendar.book", "crm.note"}
        assert await here.deeds.follow_ups() == []


async def test_a_record_is_read_once_for_all_the_work_after_its_call(tmp_path: Path, database_url: str) -> None:
    async with house(tmp_path, database_url, Crm(away=1), Phone(fails=1)) as here:
        for call_id in ("c1", "c2"):
            here.call(call_id)
            await here.after(call_id)
        for task in ("c1/note", "c2/note", "c1/sms", "c2/sms"):
            assert await here.work.settled(Errand(TASK, task)) is ErrandState.DONE
        assert sorted(here.calls.read) == ["c1", "c2"]


async def test_of_a_call_whose_words_were_deleted_meanwhile_nothing_is_remembered(
    tmp_path: Path, database_url: str
) -> None:
    async with house(tmp_path, database_url) as here:
        here.call("c1")
        await here.after("c1")
        for task in ("note", "sms"):
            await here.work.settled(Errand(TASK, f"c1/{task}"))
        async with here.store.database.begin() as connection:
            await delete_words(connection, ["c1"])
        await here.work.begin(Errand(TASK, "c1/call_back"))
        await here.work.settled(Errand(TASK, "c1/call_back"))
        assert here.calls.read == ["c1", "c1"]


async def test_nobody_who_has_not_proved_who_they_are_is_written_to_a_customers_file(
    tmp_path: Path, database_url: str
) -> None:
    async with house(tmp_path, database_url) as here:
        here.call("c1", proven=False, reached=False)
        await here.after("c1")
        assert await here.work.settled(Errand(TASK, "c1/call_back")) is ErrandState.DONE
        assert here.crm.told == {}
        assert await here.deeds.past(here.customers.hashes("400121")) == []
        (left,) = await here.deeds.follow_ups()
        assert (left.text, left.due_at) == ("Call +15550100.", NOW + timedelta(hours=4))
        assert await here.deeds.settle(left.id, FollowUpState.DONE, "ana")
        assert not await here.deeds.settle(left.id, FollowUpState.CANCELLED, "ben")


async def test_a_system_that_stays_away_holds_nothing_else_up_and_is_tried_again_when_told(
    tmp_path: Path, database_url: str
) -> None:
    async with house(tmp_path, database_url, Crm(away=100)) as here:
        here.call("c1")
        await here.after("c1")
        errand = Errand(TASK, "c1/note")
        assert await here.work.settled(errand) is ErrandState.FAILED
        assert await here.work.settled(Errand(TASK, "c1/sms")) is ErrandState.DONE
        assert [report.errand for report in await here.work.failed()] == [errand]
        here.crm.away = 0
        await here.work.again(errand)
        async with asyncio.timeout(10):
            while not here.crm.told:
                await asyncio.sleep(0.05)


async def test_a_message_that_a_dying_server_sent_is_not_sent_again(tmp_path: Path, database_url: str) -> None:
    async with house(tmp_path, database_url, phone=Phone(dies=1)) as here:
        for call_id in ("c1", "c2"):
            here.call(call_id)
            await here.after(call_id)
            assert await here.work.settled(Errand(TASK, f"{call_id}/sms")) is ErrandState.DONE
        # The same words to the same person, for two calls: once each, although the first was not noted at once.
        assert here.phone.taken == [("+15550100", "Booked for Monday, March 9, 2026.")] * 2
        assert await here.deeds.is_noted("SM1")
        assert await here.deeds.is_noted("SM2")


async def test_a_message_that_will_never_be_taken_is_tried_once_and_says_why_once(
    tmp_path: Path, database_url: str
) -> None:
    phone = Phone(fails=100, reason=MessageRefused("SMS not sent: no telephone number."))
    async with house(tmp_path, database_url, phone=phone) as here:
        here.call("c1")
        with structlog.testing.capture_logs() as logs:
            await here.after("c1")
            assert await here.work.settled(Errand(TASK, "c1/sms")) is ErrandState.FAILED
        assert phone.fails == 99
        told = [line for line in logs if line.get("subject") == "c1/sms"]
        assert [(line["event"], line["reason"]) for line in told] == [
            ("work refused", "SMS not sent: no telephone number.")
        ]
        assert [report.errand.subject for report in await here.work.failed()] == ["c1/sms"]


async def test_while_all_is_paused_no_task_writes_and_it_is_done_when_all_goes_on(
    tmp_path: Path, database_url: str
) -> None:
    async with house(tmp_path, database_url) as here:
        await here.deeds.pause(ALL, "ana", "the CRM is being moved")
        here.call("c1")
        await here.after("c1")
        errand = Errand(TASK, "c1/note")
        assert await here.work.settled(errand) is ErrandState.FAILED
        assert here.crm.told == {}
        assert await here.deeds.resume(ALL, "ana")
        await here.work.again(errand)
        async with asyncio.timeout(10):
            while not here.crm.told:
                await asyncio.sleep(0.05)


async def test_who_a_customer_is_cannot_be_read_from_what_is_kept(tmp_path: Path, database_url: str) -> None:
    async with house(tmp_path, database_url) as here:
        here.call("c1")
        await here.after("c1")
        sealed = await SealedFacts(here.store.database).of("c1")
        assert sealed is not None
        assert b"400121" not in sealed
        assert (await here.customers.facts("c1"))["customer"] == "400121"


async def test_calls_whose_work_was_never_begun_are_found(tmp_path: Path, database_url: str) -> None:
    async with house(tmp_path, database_url) as here:
        here.call("c1")
        here.call("c2", days_ago=30)
        await here.store.journal.flush()
        assert await here.deeds.unworked(NOW - timedelta(days=7), NOW) == []  # its own server may be about to
        assert await here.deeds.unworked(NOW - timedelta(days=7), NOW + timedelta(minutes=2)) == ["c1"]
        await here.after("c1")
        assert await here.deeds.unworked(NOW - timedelta(days=7), NOW + timedelta(minutes=2)) == []


async def test_the_next_call_of_a_customer_knows_the_last_ones(tmp_path: Path, database_url: str) -> None:
    async with house(tmp_path, database_url) as here:
        memory = MemorySystem(here.deeds, here.customers, now=lambda: NOW)

        async def recall(customer: str) -> BackendResult:
            return await memory.call(RECALL, {"account_number": customer}, idempotency_key=None)

        assert (await recall("400121")).outcome == "nothing"
        here.call("c1", days_ago=40)
        here.call("c2", days_ago=3, reached=False)
        here.call("c3", days_ago=1, reached=False)
        for call_id in ("c1", "c2", "c3"):
            await here.after(call_id)
        assert await here.work.settled(Errand(TASK, "c3/call_back")) is ErrandState.DONE
        known = (await recall("400121")).result
        assert (known["calls"], known["for_the_same"], known["last_goal"]) == (2, 2, "book appointment")
        assert (known["last_reached"], known["last_outcome"], known["last_days"]) == (False, "completed", 1)
        assert known["callback"] is False
        assert known["open"] == "Call +15550100."
        assert (await recall("448205")).outcome == "nothing"


async def test_what_a_call_leaves_is_kept_though_the_work_began_without_it(tmp_path: Path, database_url: str) -> None:
    async with house(tmp_path, database_url) as here:
        here.call("c1")
        await here.store.journal.flush()
        await here.deeds.note_summary("c1", "Begun by the sweep of another server.")
        for account in ("400121", "400999"):
            await here.customers.keep("c1", here.plan, {"account": account, "authenticated": True})
        assert (await here.customers.facts("c1"))["customer"] == "400121"
        memory = MemorySystem(here.deeds, here.customers, now=lambda: NOW)
        found = await memory.call(RECALL, {"customer": "400121"}, idempotency_key=None)
        assert found.outcome == "ok"


async def test_a_task_that_was_given_up_is_listed_so_and_once_cancelled_it_is_not_done_when_tried_again(
    tmp_path: Path, database_url: str
) -> None:
    async with house(tmp_path, database_url, Crm(away=10**6), Phone(reason=MessageRefused("no such number"))) as here:
        here.phone.fails = 1
        here.call("c1")
        await here.after("c1")
        for task in ("note", "sms"):
            assert await here.work.settled(Errand(TASK, f"c1/{task}")) is ErrandState.FAILED
        book = ActionBook(here.store.database, now=lambda: NOW)
        found = {action.subject: action for action in await book.of_call("c1")}
        assert {subject: action.state for subject, action in found.items()} == {
            "c1/note": ActionState.FAILED,
            "c1/sms": ActionState.FAILED,
        }
        assert found["c1/sms"].problem == "no such number"
        assert found["c1/note"].problem == "crm.note is away"
        assert await book.stop(found["c1/note"], "ana")
        here.crm.away = 0
        for task in ("note", "sms"):
            await here.work.again(Errand(TASK, f"c1/{task}"))
        async with asyncio.timeout(10):
            while not here.phone.taken or await here.work.failed():
                await asyncio.sleep(0.05)
        for task in ("note", "sms"):
            assert await here.work.settled(Errand(TASK, f"c1/{task}")) is ErrandState.DONE
        assert (here.crm.told, len(here.phone.taken)) == ({}, 1)
        states = {action.subject: action.state for action in await book.of_call("c1")}
        assert states == {"c1/note": ActionState.CANCELLED, "c1/sms": ActionState.DONE}
