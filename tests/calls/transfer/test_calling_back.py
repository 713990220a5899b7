"""Callbacks: made when they may be, once, and given up only after real attempts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from voicebot.calls.transfer import calling_back
from voicebot.calls.transfer.calling_back import CallbackMaker
from voicebot.records import callbacks
from voicebot.records.callbacks import BOOKED, DONE, FAILED, CallbackBook, CallbackRow
from voicebot.records.context import ContextPacket
from voicebot.records.contexts import Contexts
from voicebot.records.database import Database, locate
from voicebot.routing.callbacks import Again, GivenUp
from voicebot.routing.destinations import Dial
from voicebot.routing.queues import Callbacks, Queue, Routing
from voicebot.simulation.played_parties import PlayedLeg
from voicebot.telephony.leg import CallLeg

QUEUE = Queue("service", "customer service")
OUTSIDE = Queue("outside", "the shop", elsewhere=(Dial("+15550123"),))
ROUTING = Routing({"service": QUEUE, "outside": OUTSIDE}, {}, "service", callbacks=Callbacks(0, 24, attempts=2))


def now() -> datetime:
    return datetime.now(UTC)


class RungLeg(PlayedLeg):
    async def run(self) -> None:
        """Be carried until it is hung up."""
        async for _event in self.events():
            pass


@dataclass
class Dialled:
    """A telephone network in which everybody answers; `talk` says what comes of it."""

    taken: bool = True
    staffed: bool = True
    numbers: list[str] = field(default_factory=list)
    followings: list[Again | GivenUp] = field(default_factory=list)

    async def dial(self, reach: str, **_options: Any) -> Any:
        self.numbers.append(reach)
        return RungLeg(f"leg-{len(self.numbers)}")

    async def talk(self, leg: CallLeg, row: CallbackRow, packet: ContextPacket, following: Again | GivenUp) -> bool:
        del leg, row, packet
        self.followings.append(following)
        return self.taken

    async def can_serve(self, queue: Queue) -> bool:
        del queue
        return self.staffed


@asynccontextmanager
async def making(tmp_path: Path, network: Dialled) -> AsyncIterator[CallbackBook]:
    async with Database.served(locate(tmp_path), instance="test") as database:
        book = CallbackBook(database, instance="test", now=now)
        maker = CallbackMaker(
            book,
            Contexts(database, now=now),
            lambda: ROUTING,
            find_dialer=lambda: network,
            is_open=lambda _queue, _at: True,
            can_serve=network.can_serve,
            talk=network.talk,
            now=now,
        )
        running = asyncio.create_task(maker.run())
        try:
            yield book
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def row_in(book: CallbackBook, state: str, *, result: str) -> CallbackRow:
    async with asyncio.timeout(10):
        while True:
            for row in await book.list():
                if (row.state, row.result) == (state, result):
                    return row
            await asyncio.sleep(0.02)


async def promised(book: CallbackBook, *, consent: bool = True) -> None:
    await book.book(
        call_id="c1", queue="service", number="+15550100", zone="UTC", consent=consent, reason="asked", at=now()
    )


@pytest.fixture(autouse=True)
def looks_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling_back, "LOOK_EVERY_S", 0.02)


async def test_a_callback_that_was_taken_is_made_once(tmp_path: Path) -> None:
    network = Dialled()
    async with making(tmp_path, network) as book:
        await promised(book)
        await row_in(book, DONE, result="taken")
        await asyncio.sleep(0.1)
    assert network.numbers == ["+15550100"]


async def test_one_that_nobody_took_is_made_again_later(tmp_path: Path) -> None:
    network = Dialled(taken=False)
    async with making(tmp_path, network) as book:
        await promised(book)
        row = await row_in(book, BOOKED, result="nobody_took_it")
    assert row.attempts == 1
    assert row.due_at > now()
    assert network.followings == [Again(row.due_at)], "called again at another time than was said"


async def test_one_that_breaks_is_an_attempt_and_made_again_later(tmp_path: Path) -> None:
    class Broken(Dialled):
        async def talk(self, leg: CallLeg, row: CallbackRow, packet: ContextPacket, following: Again | GivenUp) -> bool:
            raise ValueError("the talk broke")

    network = Broken()
    async with making(tmp_path, network) as book:
        await promised(book)
        row = await row_in(book, BOOKED, result="broken")
    assert (row.attempts, network.numbers) == (1, ["+15550100"])
    assert row.due_at > now()


async def test_one_at_which_servers_die_is_given_up_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Database.served(locate(tmp_path), instance="test") as database:
        book = CallbackBook(database, instance="test", now=now)
        await promised(book)
        with monkeypatch.context() as dying:
            dying.setattr(callbacks, "LEASE", timedelta(seconds=-1))  # who claims it has died at once
            claimed = [await book.claim_due() for _ in range(ROUTING.callbacks.attempts)]
        assert all(claimed)
    network = Dialled()
    async with making(tmp_path, network) as book:
        await row_in(book, FAILED, result="broken")
    assert network.numbers == []


async def test_nobody_is_called_to_be_told_that_nobody_is_there_and_that_is_no_attempt(tmp_path: Path) -> None:
    network = Dialled(staffed=False)
    async with making(tmp_path, network) as book:
        await promised(book)
        row = await row_in(book, BOOKED, result="nobody_there")
    assert (row.attempts, network.numbers) == (0, [])


async def test_a_queue_whose_agents_are_elsewhere_needs_none_of_ours(tmp_path: Path) -> None:
    network = Dialled(staffed=False)
    async with making(tmp_path, network) as book:
        await book.book(
            call_id="c1", queue="outside", number="+15550100", zone="UTC", consent=True, reason="asked", at=now()
        )
        await row_in(book, DONE, result="taken")
    assert network.numbers == ["+15550100"]


async def test_without_consent_nobody_is_called(tmp_path: Path) -> None:
    network = Dialled()
    async with making(tmp_path, network) as book:
        await promised(book, consent=False)
        await row_in(book, FAILED, result="no_consent")
    assert network.numbers == []
