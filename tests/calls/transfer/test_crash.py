"""A server process is killed with a caller in its queue: another one frees the agent and calls the caller back."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.fakes import postgresql
from voicebot.calls.transfer.floor import ContactCentre
from voicebot.records.board import LEASE, QueueBoard
from voicebot.records.callbacks import CallbackBook
from voicebot.records.context import ContextPacket
from voicebot.records.database import Database, locate
from voicebot.routing.agents import Agent, Reach, ReachKind
from voicebot.routing.queues import Queue, Routing

VICTIM = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from voicebot.records.board import EntryRow, QueueBoard
from voicebot.records.database import Database, locate

async def main():
    now = lambda: datetime.now(UTC)
    async with Database.served(locate(Path("."), sys.argv[1]), instance="victim") as database:
        board = QueueBoard(database, instance="victim", now=now)
        await board.set_state("ana", "available", reach="browser", allowed=frozenset({"offline"}))
        for name in ("ringing", "waiting"):
            await board.enter(EntryRow(name, "call-" + name, "service", 0, "+12025550100", now()))
        print("token", await board.claim("ringing", "ana"), flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture
def postgresql_url(postgresql_socket: str) -> Iterator[str]:
    with postgresql.fresh_database(postgresql_socket) as url:
        yield url


async def nothing_late(packet: ContextPacket) -> tuple[str, ...]:
    return ()


async def test_after_kill_9_the_callers_are_called_back_and_the_agent_is_free(
    tmp_path: Path, postgresql_url: str
) -> None:
    victim = await asyncio.create_subprocess_exec(
        sys.executable, "-c", VICTIM, postgresql_url, stdout=asyncio.subprocess.PIPE, cwd=tmp_path
    )
    assert victim.stdout is not None
    async with asyncio.timeout(60):
        assert await victim.stdout.readline() == b"token 1\n"
    victim.kill()
    await victim.wait()
    await victim.stdout.read()  # to its end, or the transport outlives the loop

    def after_the_lease() -> datetime:
        return datetime.now(UTC) + LEASE + timedelta(seconds=1)

    routing = Routing(
        {"service": Queue("service", "customer service")},
        {"ana": Agent("ana", "Ana", {}, (Reach(ReachKind.BROWSER),))},
        "service",
    )
    async with Database.served(locate(tmp_path, postgresql_url), instance="survivor") as database:
        board = QueueBoard(database, instance="survivor", now=after_the_lease)
        book = CallbackBook(database, instance="survivor", now=after_the_lease)
        centre = ContactCentre(
            lambda: routing,
            board,
            book,
            hours=dict,
            deliver=nothing_late,
            zone_of=lambda _number: ZoneInfo("UTC"),
            now=after_the_lease,
        )
        async with centre.running():
            promised = await book.list()
            assert {(row.call_id, row.reason, row.number) for row in promised} == {
                ("call-ringing", "cut_off", "+12025550100"),
                ("call-waiting", "cut_off", "+12025550100"),
            }
            found = await board.snapshot()
            assert found.entries == []
            assert [(row.state, row.token, row.entry_id) for row in found.agents] == [("available", 2, None)]
        async with centre.running():
            assert len(await book.list()) == 2, "nobody is called back twice"
