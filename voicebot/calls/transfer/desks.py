"""Agents' desks: whoever sits at one sees who is offered to them before they answer, and takes or declines the call.

A desk page holds a `DeskSession`; an agent may have several open. What a page is told are the events below; what it
does are the methods of `Desks`. A call taken in the page brings its audio as a leg of its own (`Desks.bring`).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from voicebot.calls.transfer.seams import RingFailed, TalkLine, TalkNews
from voicebot.records.context import ContextPacket
from voicebot.routing.agents import Agent
from voicebot.routing.events import Claim
from voicebot.routing.queues import Failure
from voicebot.telephony.leg import CallLeg, HangUpReason

#: Events waiting for a page that does not read; more and it is told to look at the board anew.
MOST_WAITING = 200
#: So much of what was said is shown to a page that is opened later; the record has all of it.
MOST_LINES = 100


class Withdrawal(StrEnum):
    """Why a call is no longer offered."""

    TAKEN = "taken"
    DECLINED = "declined"
    NO_ANSWER = "no_answer"
    CALLER_LEFT = "caller_left"


@dataclass(frozen=True, slots=True)
class CallOffered:
    """A caller for this agent. `in_page`: taking it opens the page's own audio; else their telephone rings."""

    claim: Claim
    packet: ContextPacket
    ring_s: float
    in_page: bool


@dataclass(frozen=True, slots=True)
class OfferWithdrawn:
    claim: Claim
    why: Withdrawal


@dataclass(frozen=True, slots=True)
class BoardChanged:
    """Something on the board is different: queues, agents, callbacks."""


@dataclass(frozen=True, slots=True)
class TalkChanged:
    """How the call of the agent stands; None once they have it no more."""

    claim: Claim
    news: TalkNews | None


@dataclass(frozen=True, slots=True)
class TalkWritten:
    """Something was said in the agent's call."""

    claim: Claim
    line: TalkLine


DeskEvent = CallOffered | OfferWithdrawn | BoardChanged | TalkChanged | TalkWritten


class DeskSession:
    """One open page of one agent; `events` ends when the page is detached."""

    def __init__(self, agent_id: str) -> None:
        self.agent_id = agent_id
        self._waiting: asyncio.Queue[DeskEvent | None] = asyncio.Queue(MOST_WAITING)

    def tell(self, event: DeskEvent) -> None:
        """Pass an event on; a page that does not read loses the rest, and shows what the board says when it does."""
        with suppress(asyncio.QueueFull):
            self._waiting.put_nowait(event)

    async def events(self) -> AsyncIterator[DeskEvent]:
        while (event := await self._waiting.get()) is not None:
            yield event

    def close(self) -> None:
        with suppress(asyncio.QueueFull):
            self._waiting.put_nowait(None)


class _Offer:
    """A call that is offered to one agent and not yet decided."""

    def __init__(self, event: CallOffered) -> None:
        self.event = event
        self.declined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.leg: asyncio.Future[CallLeg] = asyncio.get_running_loop().create_future()


async def _nowhere_else(_agent_id: str) -> bool:
    return False


class Desks:
    """All desks of this process. `share` lets an agent see a call from then on.

    `is_open_elsewhere` tells whether an agent has a page open at another server, which then shows them our offers.
    """

    def __init__(
        self,
        *,
        share: Callable[[str, str], None] = lambda _call, _agent: None,
        is_open_elsewhere: Callable[[str], Awaitable[bool]] = _nowhere_else,
    ) -> None:
        self._share = share
        self._is_open_elsewhere = is_open_elsewhere
        #: Set when a page was opened or closed, for whoever tells other servers.
        self.opened_or_closed = asyncio.Event()
        self._sessions: defaultdict[str, set[DeskSession]] = defaultdict(set)
        self._offers: dict[Claim, _Offer] = {}
        self._talks: dict[Claim, TalkNews] = {}
        self._lines: dict[Claim, deque[TalkLine]] = {}
        self._told_by_others: set[Claim] = set()
        #: Offers of other servers, each with the server's name.
        self._others: dict[Claim, tuple[str, CallOffered]] = {}
        #: Legs of pages, each until it has ended.
        self._legs: dict[CallLeg, asyncio.Event] = {}

    @asynccontextmanager
    async def attached(self, agent_id: str) -> AsyncIterator[DeskSession]:
        """Have a page open while the block lasts; what is offered to the agent already is told first."""
        session = DeskSession(agent_id)
        self._sessions[agent_id].add(session)
        self.opened_or_closed.set()
        offers = [offer.event for offer in self._offers.values()] + [offer for _, offer in self._others.values()]
        for offer in offers:
            if offer.claim.agent_id == agent_id:
                session.tell(offer)
        for claim, news in self._talks.items():
            if claim.agent_id == agent_id:
                session.tell(TalkChanged(claim, news))
                for line in self._lines.get(claim, ()):
                    session.tell(TalkWritten(claim, line))
        try:
            yield session
        finally:
            self._sessions[agent_id].discard(session)
            if not self._sessions[agent_id]:
                del self._sessions[agent_id]
            self.opened_or_closed.set()
            session.close()

    def is_open(self, agent_id: str) -> bool:
        """Tell whether an agent has a page open here."""
        return bool(self._sessions.get(agent_id))

    @property
    def open_desks(self) -> AbstractSet[str]:
        """The agents who have a page open here."""
        return {agent_id for agent_id, sessions in self._sessions.items() if sessions}

    def board_changed(self) -> None:
        for sessions in self._sessions.values():
            for session in sessions:
                session.tell(BoardChanged())

    # --- what a page does

    def decline(self, agent_id: str, token: int) -> bool:
        """Decline what is offered; False when it no longer is."""
        offer = self._offers.get(Claim(agent_id, token))
        if offer is None or offer.declined.done():
            return False
        offer.declined.set_result(None)
        return True

    def may_take(self, agent_id: str, token: int) -> bool:
        """Tell whether this call is offered to the agent, to be taken in the page."""
        offer = self._offers.get(Claim(agent_id, token))
        return offer is not None and offer.event.in_page and not offer.leg.done()

    async def bring(self, agent_id: str, token: int, leg: CallLeg) -> None:
        """Take the call with the page's own audio, and return when that leg may be closed."""
        offer = self._offers.get(Claim(agent_id, token))
        if offer is None or offer.leg.done():
            await leg.hang_up(HangUpReason.COMPLETED)
            return
        released = self._legs[leg] = asyncio.Event()
        offer.leg.set_result(leg)
        try:
            await released.wait()
        finally:
            self._legs.pop(leg, None)

    # --- what a transfer does

    @asynccontextmanager
    async def offering(
        self, claim: Claim, packet: ContextPacket, *, ring_s: float, in_page: bool
    ) -> AsyncIterator[asyncio.Future[None]]:
        """Show an agent's desks who is calling while the block lasts, and yield what is done when they decline."""
        offer = self._offers[claim] = _Offer(CallOffered(claim, packet, ring_s, in_page))
        self._share(packet.call_id, claim.agent_id)
        self._tell(claim, offer.event)
        why = Withdrawal.CALLER_LEFT
        try:
            yield offer.declined
            why = Withdrawal.TAKEN
        except RingFailed as failed:
            why = Withdrawal.DECLINED if failed.failure is Failure.DECLINED else Withdrawal.NO_ANSWER
            raise
        finally:
            del self._offers[claim]
            self._tell(claim, OfferWithdrawn(claim, why))

    async def ring(self, agent: Agent, claim: Claim, packet: ContextPacket, *, timeout_s: float) -> CallLeg:
        """Offer a call to be taken in the page and return the page's leg; raises `RingFailed`."""
        if not self.is_open(agent.id) and not await self._is_open_elsewhere(agent.id):
            raise RingFailed(Failure.UNREACHABLE)
        async with self.offering(claim, packet, ring_s=timeout_s, in_page=True) as declined:
            leg = self._offers[claim].leg
            decided: set[asyncio.Future[Any]] = {declined, leg}
            await asyncio.wait(decided, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if leg.done():
                return leg.result()
            raise RingFailed(Failure.DECLINED if declined.done() else Failure.NO_ANSWER)

    def release(self, leg: CallLeg) -> None:
        """Let go of a page's leg: whoever brought it may close it."""
        if (released := self._legs.get(leg)) is not None:
            released.set()

    def talk_changed(self, claim: Claim, news: TalkNews | None) -> None:
        """Show how the call of an agent stands, also to a page that is opened later."""
        if news is None:
            self._talks.pop(claim, None)
            self._lines.pop(claim, None)
        else:
            self._talks[claim] = news
        self._tell(claim, TalkChanged(claim, news))

    def talk_written(self, claim: Claim, line: TalkLine) -> None:
        """Show what was said in the call of an agent; what comes when they have it no more, too, if a page is open."""
        if claim in self._talks:
            self._lines.setdefault(claim, deque(maxlen=MOST_LINES)).append(line)
        self._tell(claim, TalkWritten(claim, line))

    # --- what other servers offer, and how the calls of our agents stand there

    @property
    def told_by_others(self) -> AbstractSet[Claim]:
        """The calls at other servers that are shown here."""
        return self._told_by_others

    def talk_of_another(self, claim: Claim, news: TalkNews | None) -> None:
        """Show how a call that another server has stands."""
        if news is None:
            self._told_by_others.discard(claim)
        else:
            self._told_by_others.add(claim)
        self.talk_changed(claim, news)

    @property
    def offered_by_others(self) -> AbstractSet[Claim]:
        return self._others.keys()

    def server_of(self, agent_id: str, token: int) -> str | None:
        """Return the server whose offer this is; None when it is ours, or none."""
        found = self._others.get(Claim(agent_id, token))
        return found[0] if found else None

    def offer_of_another(self, offer: CallOffered, *, server: str) -> None:
        """Show an agent's desks whom another server rings them for; it is `server` that they take the call from."""
        self._others[offer.claim] = server, offer
        self._tell(offer.claim, offer)

    def withdraw(self, claim: Claim, why: Withdrawal) -> None:
        """Take an offer of another server back."""
        del self._others[claim]
        self._tell(claim, OfferWithdrawn(claim, why))

    def _tell(self, claim: Claim, event: DeskEvent) -> None:
        for session in self._sessions.get(claim.agent_id, ()):
            session.tell(event)
