"""Two servers on one PostgreSQL, without calls around them: one's callers at the other's desks."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fakes import postgresql
from tests.fakes.contact_centre import ROUTING, packet
from voicebot.calls.transfer.desks import (
    CallOffered,
    Desks,
    DeskSession,
    OfferWithdrawn,
    TalkChanged,
    TalkWritten,
    Withdrawal,
)
from voicebot.calls.transfer.other_servers import OtherServers, finding_desks, line_notice, talk_notice
from voicebot.calls.transfer.seams import FlowRun, RingFailed, TalkLine, TalkNews
from voicebot.records.board import EntryRow, QueueBoard
from voicebot.records.contexts import Contexts
from voicebot.records.database import Database, locate
from voicebot.records.post import Post, Question
from voicebot.records.servers import Servers
from voicebot.routing.events import Claim
from voicebot.routing.queues import Failure


class Server:
    """One server's part in it; what the other asks is `asked`, and done."""

    def __init__(self, database: Database, name: str) -> None:
        ids = itertools.count()
        self.asked: list[Question] = []
        self.servers = Servers(database, instance=name, url=f"https://{name}.example", now=now)
        self.post = Post(database, instance=name, new_id=lambda: f"{name}-{next(ids)}")
        self.board = QueueBoard(database, instance=name, now=now)
        self.contexts = Contexts(database, now=now)
        self.desks = Desks(is_open_elsewhere=finding_desks(self.servers))
        self.others = OtherServers(
            self.servers,
            self.post,
            desks=self.desks,
            board=self.board,
            contexts=self.contexts,
            find_routing=lambda: ROUTING,
            heard=lambda: None,
            answer=self.answer,
            now=now,
        )

    def answer(self, question: Question) -> bool:
        self.asked.append(question)
        return self.desks.decline(str(question["agent"]), int(question["token"]))

    async def claim_ana(self) -> Claim:
        """Claim Ana, who is available, for a caller of this server."""
        await self.board.set_state("ana", "available", reach="browser", allowed=frozenset({"offline"}))
        await self.contexts.put(packet())
        await self.board.enter(EntryRow("entry-1", "call-1", "service", 0, "", now()))
        token = await self.board.claim("entry-1", "ana")
        assert token is not None
        self.post.tell_changed()
        return Claim("ana", token)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def shared_url(postgresql_socket: str) -> Iterator[str]:
    with postgresql.fresh_database(postgresql_socket) as url:
        yield url


@asynccontextmanager
async def two_servers(folder: Path, url: str) -> AsyncIterator[tuple[Server, Server]]:
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.prepared(locate(folder, url)))
        east, west = Server(database, "east"), Server(database, "west")
        await stack.enter_async_context(east.others.running())
        await stack.enter_async_context(west.others.running())
        yield east, west


async def next_event(session: DeskSession) -> object:
    async with asyncio.timeout(10):
        return await anext(aiter(session.events()))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_call_of_one_server_is_offered_and_declined_at_the_desk_of_the_other(
    tmp_path: Path, shared_url: str
) -> None:
    async with two_servers(tmp_path, shared_url) as (east, west), west.desks.attached("ana") as page:
        async with asyncio.timeout(10):
            while not await east.servers.has_desk_elsewhere("ana"):
                await asyncio.sleep(0.02)
        claim = await east.claim_ana()
        ringing = asyncio.create_task(east.desks.ring(ROUTING.agents["ana"], claim, packet(), timeout_s=20.0))
        offer = await next_event(page)
        assert isinstance(offer, CallOffered)
        assert (offer.claim, offer.packet.summary, offer.in_page) == (claim, packet().summary, True)
        assert west.desks.server_of("ana", claim.token) == "east"
        assert await west.others.url_of("east") == "https://east.example"
        async with west.desks.attached("ana") as second_page:
            assert await next_event(second_page) == offer

        assert await west.others.ask("east", {"agent": "ana", "token": claim.token})
        with pytest.raises(RingFailed) as failed:
            await ringing
        assert failed.value.failure is Failure.DECLINED
        await east.board.free("ana", claim.token, "wrap_up")
        east.post.tell_changed()
        assert await next_event(page) == OfferWithdrawn(claim, Withdrawal.DECLINED)
        assert west.desks.server_of("ana", claim.token) is None


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("busy", Withdrawal.TAKEN),
        ("break", Withdrawal.NO_ANSWER),
        ("available", Withdrawal.CALLER_LEFT),
    ],
)
async def test_why_a_call_is_withdrawn_is_told_by_what_the_agent_does_then(
    tmp_path: Path, shared_url: str, state: str, why: Withdrawal
) -> None:
    async with two_servers(tmp_path, shared_url) as (east, west), west.desks.attached("ana") as page:
        claim = await east.claim_ana()
        assert isinstance(await next_event(page), CallOffered)
        if state == "busy":
            await east.board.hold("ana", claim.token, state)
        else:
            await east.board.free("ana", claim.token, state)
        # Nobody says so: the board is looked at all the same.
        assert await next_event(page) == OfferWithdrawn(claim, why)


async def test_a_desk_is_told_how_its_call_at_another_server_stands_until_that_is_over(
    tmp_path: Path, shared_url: str
) -> None:
    async with two_servers(tmp_path, shared_url) as (east, west):
        claim = await east.claim_ana()
        await east.board.hold("ana", claim.token, "busy")
        news = TalkNews("held", third="Ben", flow="bill_payment", run=FlowRun(done=True), failed=Failure.BUSY)
        async with west.desks.attached("ana") as page:
            east.post.tell(talk_notice(claim, news))
            assert await next_event(page) == TalkChanged(claim, news)
            east.post.tell(line_notice(claim, TalkLine("caller", 21_000, "🙂" * 5000)))
            assert await next_event(page) == TalkWritten(claim, TalkLine("caller", 21_000, "🙂" * 600))
            # The server dies with nothing said; another frees the agent.
            await west.board.free("ana", claim.token, "available")
            assert await next_event(page) == TalkChanged(claim, None)
        west.post.tell({"agent": "ana", "token": "none"})
        east.post.tell(talk_notice(claim, None))
        await until(lambda: not west.desks.told_by_others)


async def test_an_agent_without_a_page_anywhere_is_not_reached(tmp_path: Path, shared_url: str) -> None:
    async with two_servers(tmp_path, shared_url) as (east, west):
        async with west.desks.attached("ben"):
            pass
        with pytest.raises(RingFailed) as failed:
            await east.desks.ring(ROUTING.agents["ana"], Claim("ana", 1), packet(), timeout_s=20.0)
        assert failed.value.failure is Failure.UNREACHABLE
