"""Agents and callers at different servers of one database: the callers of others are offered at the desks of this one.

Everything an offer is stands on the board already: whom an agent is rung for, under which token, and by which server.
So nothing is lost with a notice, or with a server that dies while it rings.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.exc import SQLAlchemyError

from voicebot.calls.transfer.desks import CallOffered, Desks, Withdrawal
from voicebot.calls.transfer.enduring import enduring
from voicebot.calls.transfer.seams import TalkLine, TalkNews
from voicebot.records.board import BUSY, LEASE, OFFLINE, RINGING, WRAP_UP, AgentRow, EntryRow, QueueBoard, Snapshot
from voicebot.records.context import read_context
from voicebot.records.contexts import Contexts
from voicebot.records.post import Hearing, Post, Question
from voicebot.records.servers import Servers
from voicebot.routing.agents import AgentState, ReachKind
from voicebot.routing.events import Claim
from voicebot.routing.queues import Routing

log = structlog.get_logger(__name__)

#: The board is looked at so often even when nobody said that it is different.
LOOK_EVERY_S = 1.0
_KEEP_EVERY_S = LEASE.total_seconds() / 3


class OtherServers:
    """What one server knows of the others, and shows of them at `desks`. `now` gives wall-clock time.

    `heard` is called when something on the board may be different; `answer` does what an agent at another server's desk
    wants, and returns whether it could. Run it on a PostgreSQL only: an SQLite file has no other servers.
    """

    def __init__(
        self,
        servers: Servers,
        post: Post,
        *,
        desks: Desks,
        board: QueueBoard,
        contexts: Contexts,
        find_routing: Callable[[], Routing],
        heard: Callable[[], None],
        answer: Callable[[Question], bool],
        now: Callable[[], datetime],
    ) -> None:
        self._servers = servers
        self._post = post
        self._desks = desks
        self._board = board
        self._contexts = contexts
        self._find_routing = find_routing
        self._heard = heard
        self._answer = answer
        self._now = now
        self._look_soon = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Be one of the servers while the block lasts."""
        await self._servers.keep(())
        tasks = [
            asyncio.create_task(
                enduring(
                    self._keep, part="the list of servers", every_s=_KEEP_EVERY_S, soon=self._desks.opened_or_closed
                )
            ),
            asyncio.create_task(
                enduring(self._look, part="other servers' offers", every_s=LOOK_EVERY_S, soon=self._look_soon)
            ),
        ]
        try:
            async with self._post.running(Hearing(self._changed, self._answer, self._hear)):
                yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with suppress(SQLAlchemyError):  # what it has not taken back runs out
                await self._servers.keep(())

    # --- for desks

    async def url_of(self, server: str) -> str | None:
        """Return where browsers reach a server; None where they cannot."""
        return await self._servers.url_of(server)

    async def urls(self) -> Sequence[str]:
        """Return where browsers reach each server."""
        try:
            return await self._servers.urls()
        except SQLAlchemyError as error:
            log.error("the other servers are not known", error=type(error).__name__)
            return ()

    async def ask(self, server: str, question: Question) -> bool:
        """Have the server that holds a caller do what their agent wants; False when it was not done."""
        return await self._post.ask(server, question)

    # --- beneath

    def _changed(self) -> None:
        self._look_soon.set()
        self._heard()

    def _hear(self, told: Mapping[str, Any]) -> None:
        try:
            news = _NEWS.validate_python(told)
        except ValidationError as error:
            log.warning("another server told what is not known here", problems=error.error_count())
            return
        claim = Claim(news.agent, news.token)
        if isinstance(news, _Talk):
            self._desks.talk_of_another(claim, news.news)
        else:
            self._desks.talk_written(claim, news.line)

    async def _keep(self) -> None:
        self._look_soon.set()
        await self._servers.keep(self._desks.open_desks)

    async def _look(self) -> None:
        """Offer at our desks whom others ring our agents for, and withdraw whom they ring no more for."""
        here = self._desks.open_desks
        if not here and not self._desks.offered_by_others and not self._desks.told_by_others:
            return
        board = await self._board.snapshot()
        going_on = {Claim(row.id, row.token) for row in board.agents if row.entry_id is not None}
        for claim in self._desks.told_by_others - going_on:
            self._desks.talk_of_another(claim, None)
        rung = {
            Claim(row.id, row.token): row
            for row in board.agents
            if row.state == RINGING and row.id in here and row.instance not in {None, self._board.instance}
        }
        for claim in self._desks.offered_by_others - rung.keys():
            self._desks.withdraw(claim, _why_withdrawn(claim, board))
        for claim, row in rung.items():
            if claim not in self._desks.offered_by_others:
                await self._offer(claim, row, board)

    async def _offer(self, claim: Claim, row: AgentRow, board: Snapshot) -> None:
        entry = next((entry for entry in board.entries if entry.id == row.entry_id), None)
        document = await self._contexts.get(entry.call_id) if entry is not None else None
        if entry is None or document is None or row.instance is None:
            return  # the packet comes before anybody is rung, so it is there at the next look
        in_page = self._reach(row) is ReachKind.BROWSER
        left_s = max(1.0, self._ring_s(entry) - (self._now() - row.since).total_seconds())
        offer = CallOffered(claim, read_context(document), left_s, in_page)
        self._desks.offer_of_another(offer, server=row.instance)

    def _reach(self, row: AgentRow) -> ReachKind | None:
        agent = self._find_routing().agents.get(row.id)
        if agent is None:
            return None
        return next((reach.kind for reach in agent.reaches if reach.kind.value == row.reach), agent.reaches[0].kind)

    def _ring_s(self, entry: EntryRow) -> float:
        queue = self._find_routing().queues.get(entry.queue)
        return queue.ring_s if queue else 0.0


@dataclass(frozen=True, slots=True)
class _Talk:
    agent: str
    token: int
    news: TalkNews | None


@dataclass(frozen=True, slots=True)
class _Line:
    agent: str
    token: int
    line: TalkLine


_TALK: TypeAdapter[_Talk] = TypeAdapter(_Talk)
_LINE: TypeAdapter[_Line] = TypeAdapter(_Line)
_NEWS: TypeAdapter[_Talk | _Line] = TypeAdapter(_Talk | _Line)
#: A notice has little room, and every letter may take twelve bytes of it.
_MOST_LETTERS = 600


def talk_notice(claim: Claim, news: TalkNews | None) -> dict[str, Any]:
    """Return how other servers are told how the call of an agent stands."""
    told: dict[str, Any] = _TALK.dump_python(_Talk(claim.agent_id, claim.token, news), mode="json")
    return told


def line_notice(claim: Claim, line: TalkLine) -> dict[str, Any]:
    """Return how other servers are told what was said in the call of an agent; the record has the rest of it."""
    short = replace(line, text=line.text[:_MOST_LETTERS])
    told: dict[str, Any] = _LINE.dump_python(_Line(claim.agent_id, claim.token, short), mode="json")
    return told


def finding_desks(servers: Servers) -> Callable[[str], Awaitable[bool]]:
    """Return what tells whether an agent has a page open at another server."""

    async def find(agent_id: str) -> bool:
        try:
            return await servers.has_desk_elsewhere(agent_id)
        except SQLAlchemyError as error:
            log.error("the other servers are not known", error=type(error).__name__)
            return True  # nothing says that they have none, and ringing in vain ends

    return find


def _why_withdrawn(claim: Claim, board: Snapshot) -> Withdrawal:
    """Tell by what has become of the agent why they are rung no more."""
    row = next((row for row in board.agents if row.id == claim.agent_id), None)
    if row is None or row.token != claim.token:
        return Withdrawal.CALLER_LEFT
    found = {
        BUSY: Withdrawal.TAKEN,
        WRAP_UP: Withdrawal.DECLINED,
        AgentState.BREAK: Withdrawal.NO_ANSWER,
        OFFLINE: Withdrawal.NO_ANSWER,
    }
    return found.get(row.state, Withdrawal.CALLER_LEFT)
