"""The queues' board, on an SQLite file and on a PostgreSQL alike; two processes are two boards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from voicebot.records.board import AVAILABLE, BUSY, LEASE, RINGING, WRAP_UP, EntryRow, QueueBoard
from voicebot.records.callbacks import BOOKED, CALLING, DONE, CallbackBook
from voicebot.records.database import Database, locate

ANYWHERE = frozenset({"offline", "available", "break", "wrap_up"})


class Clock:
    def __init__(self) -> None:
        self.at = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def passes(self, time: timedelta) -> None:
        self.at += time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def database(tmp_path: Path, database_url: str) -> AsyncIterator[Database]:
    async with Database.served(locate(tmp_path, database_url), instance="main") as opened:
        yield opened


@pytest.fixture
def one(database: Database, clock: Clock) -> QueueBoard:
    return QueueBoard(database, instance="one", now=clock)


@pytest.fixture
def two(database: Database, clock: Clock) -> QueueBoard:
    return QueueBoard(database, instance="two", now=clock)


def entry(clock: Clock, entry_id: str = "e1") -> EntryRow:
    return EntryRow(entry_id, f"call-{entry_id}", "service", 0, "+15550100", clock())


async def state_of(board: QueueBoard, agent_id: str) -> str:
    return next(row.state for row in (await board.snapshot()).agents if row.id == agent_id)


async def test_of_two_processes_only_one_claims_an_agent(one: QueueBoard, two: QueueBoard, clock: Clock) -> None:
    await one.set_state("ana", AVAILABLE, reach="browser", allowed=ANYWHERE)
    await one.enter(entry(clock, "e1"))
    await two.enter(entry(clock, "e2"))
    tokens = await asyncio.gather(*(board.claim(name, "ana") for board, name in ((one, "e1"), (two, "e2")) * 5))
    assert [token for token in tokens if token is not None] == [1]


async def test_a_caller_who_has_been_claimed_is_not_claimed_again(one: QueueBoard, clock: Clock) -> None:
    for agent in ("ana", "ben"):
        await one.set_state(agent, AVAILABLE, reach="browser", allowed=ANYWHERE)
    await one.enter(entry(clock))
    assert await one.claim("e1", "ana") == 1
    assert await one.claim("e1", "ben") is None
    assert await state_of(one, "ben") == AVAILABLE


async def test_what_is_done_with_a_lost_claim_changes_nothing(one: QueueBoard, two: QueueBoard, clock: Clock) -> None:
    await one.set_state("ana", AVAILABLE, reach="browser", allowed=ANYWHERE)
    await one.enter(entry(clock))
    token = await one.claim("e1", "ana")
    assert token is not None
    clock.passes(LEASE + timedelta(seconds=1))
    assert [lost.id for lost in await two.take_lost()] == ["e1"]
    await two.enter(entry(clock, "e2"))
    assert await two.claim("e2", "ana") == token + 2
    assert not await one.hold("ana", token, BUSY)
    assert not await one.free("ana", token, AVAILABLE)
    assert await state_of(one, "ana") == RINGING


async def test_a_process_that_says_it_lives_loses_nobody(one: QueueBoard, two: QueueBoard, clock: Clock) -> None:
    await one.enter(entry(clock))
    for _ in range(4):
        clock.passes(LEASE / 2)
        await one.heartbeat()
    assert await two.take_lost() == []


async def test_the_callers_of_a_dead_process_are_found_once(one: QueueBoard, two: QueueBoard, clock: Clock) -> None:
    await one.enter(entry(clock))
    clock.passes(LEASE * 2)
    found = await asyncio.gather(*(two.take_lost() for _ in range(4)))
    assert [row.id for rows in found for row in rows] == ["e1"]


async def test_a_restarted_process_finds_what_it_had(one: QueueBoard, clock: Clock) -> None:
    await one.set_state("ana", AVAILABLE, reach="browser", allowed=ANYWHERE)
    await one.enter(entry(clock))
    await one.claim("e1", "ana")
    assert [row.number for row in await one.take_lost(starting=True)] == ["+15550100"]
    assert await state_of(one, "ana") == AVAILABLE


async def test_a_wrap_up_ends_by_itself(one: QueueBoard, clock: Clock) -> None:
    await one.set_state("ana", AVAILABLE, reach="browser", allowed=ANYWHERE)
    await one.enter(entry(clock))
    token = await one.claim("e1", "ana") or 0
    assert await one.free("ana", token, WRAP_UP, until=clock() + timedelta(seconds=30))
    await one.enter(entry(clock, "e2"))
    assert await one.claim("e2", "ana") is None
    clock.passes(timedelta(seconds=30))
    assert await one.claim("e2", "ana") == token + 1


async def test_an_agent_with_a_caller_cannot_set_their_state(one: QueueBoard, clock: Clock) -> None:
    await one.set_state("ana", AVAILABLE, reach="browser", allowed=ANYWHERE)
    await one.enter(entry(clock))
    await one.claim("e1", "ana")
    assert not await one.set_state("ana", "break", reach="browser", allowed=ANYWHERE)


async def test_the_length_of_calls_and_the_time_in_each_state_are_kept(one: QueueBoard, clock: Clock) -> None:
    await one.set_state("ana", AVAILABLE, reach="browser", allowed=ANYWHERE)
    began = clock()
    await one.enter(entry(clock))
    token = await one.claim("e1", "ana") or 0
    await one.hold("ana", token, BUSY)
    await one.joined("e1", "ana")
    clock.passes(timedelta(seconds=90))
    await one.leave("e1", "served")
    await one.free("ana", token, AVAILABLE)
    assert (await one.snapshot()).handled_s["service"] == [90.0]
    assert [state for _, state in await one.states_of("ana", began)] == [BUSY, AVAILABLE]


async def test_a_caller_who_goes_back_into_the_queue_keeps_their_place(one: QueueBoard, clock: Clock) -> None:
    await one.enter(entry(clock))
    await one.leave("e1", "left_queue")
    clock.passes(timedelta(seconds=40))
    await one.enter(EntryRow("e1", "call-e1", "service", 0, "", clock(), tried=("ana",)))
    (row,) = (await one.snapshot()).entries
    assert (clock() - row.entered_at, row.tried) == (timedelta(seconds=40), ("ana",))


# --- callbacks


def book(database: Database, clock: Clock, instance: str = "one") -> CallbackBook:
    return CallbackBook(database, instance=instance, now=clock)


async def booked(callbacks: CallbackBook, at: datetime, call_id: str = "c1") -> str:
    return await callbacks.book(
        call_id=call_id, queue="service", number="+15550100", zone="UTC", consent=True, reason="asked", at=at
    )


async def test_a_callback_is_claimed_when_it_is_due_and_by_one_process(database: Database, clock: Clock) -> None:
    one, two = book(database, clock), book(database, clock, "two")
    await booked(one, clock() + timedelta(minutes=5))
    assert await one.claim_due() is None
    clock.passes(timedelta(minutes=5))
    claimed = await asyncio.gather(*(callbacks.claim_due() for callbacks in (one, two) * 3))
    assert len([row for row in claimed if row]) == 1


async def test_a_callback_whose_process_died_is_made_again(database: Database, clock: Clock) -> None:
    one, two = book(database, clock), book(database, clock, "two")
    await booked(one, clock())
    first = await one.claim_due()
    assert first is not None
    clock.passes(timedelta(minutes=2))
    second = await two.claim_due()
    assert second is not None
    assert second.attempts == 2
    assert not await one.finish(first, "joined")
    assert await two.finish(second, "joined")
    assert [row.state for row in await one.list()] == [DONE]


async def test_a_call_has_one_callback_the_last_one_asked_for(database: Database, clock: Clock) -> None:
    one = book(database, clock)
    await booked(one, clock() + timedelta(minutes=5))
    await booked(one, clock() + timedelta(minutes=9))
    assert await one.booked("service") == [clock() + timedelta(minutes=9)]


async def test_a_callback_that_reached_nobody_waits_for_its_next_time(database: Database, clock: Clock) -> None:
    one = book(database, clock)
    await booked(one, clock())
    row = await one.claim_due()
    assert row is not None
    assert row.state == CALLING
    assert await one.postpone(row, clock() + timedelta(minutes=15), "no_answer")
    (again,) = await one.list()
    assert (again.state, again.attempts, again.result) == (BOOKED, 1, "no_answer")


async def test_a_message_is_kept_and_never_dialled(database: Database, clock: Clock) -> None:
    one = book(database, clock)
    await one.keep(call_id="c1", queue="service", number="", zone="UTC", reason="message")
    assert await one.claim_due() is None
    assert [row.reason for row in await one.list()] == ["message"]
