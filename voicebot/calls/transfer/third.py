"""Somebody the agent asks into the call: found in a queue, rung and told who calls as any agent is."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from voicebot.calls.transfer.errands import Errands
from voicebot.calls.transfer.seams import Floor, Lines, Party, Place, RingFailed
from voicebot.records.context import ContextPacket
from voicebot.routing.events import Claim, Event, ThirdAccepted, ThirdFailed
from voicebot.routing.queues import Failure, Queue
from voicebot.routing.wording import Wording
from voicebot.telephony.leg import CallLeg, HangUpReason

log = structlog.get_logger(__name__)

#: Somebody a colleague waits for comes before callers who wait alone.
INVITED_PRIORITY = 50


@dataclass(frozen=True, slots=True)
class Third:
    """A third party on an open line. `place` is what holds them on the board."""

    claim: Claim
    party: Party
    name: str
    place: Place


class Invitations:
    """One invitation at a time, for the call at `place`. `tell` gets what comes of it."""

    def __init__(
        self,
        place: Place,
        *,
        floor: Floor,
        lines: Lines,
        make_party: Callable[[CallLeg], Party],
        wording: Wording,
        errands: Errands,
        tell: Callable[[Event], None],
    ) -> None:
        self._call = place
        self._floor = floor
        self._lines = lines
        self._make_party = make_party
        self._wording = wording
        self._errands = errands
        self._tell = tell
        self._work: asyncio.Task[None] | None = None
        self._accepted: Third | None = None

    def invite(self, queue: Queue, introduction: str, packet: ContextPacket, *, only: str) -> None:
        """Ask agents of `queue` one after the other, or `only` one, until one accepts or nobody is left."""
        self._work = self._errands.start(self._invite(queue, introduction, packet, only))

    def accepted(self, claim: Claim) -> Third | None:
        """Return who has accepted under this claim, once; None if they were called off meanwhile."""
        third = self._accepted
        if third is None or third.claim != claim:
            return None
        self._accepted = None
        return third

    async def call_off(self) -> None:
        """Stop asking; nothing rings on, and who had accepted is let go."""
        work, self._work = self._work, None
        if work is not None:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        third, self._accepted = self._accepted, None
        if third is not None:
            await self.let_go(third, wrap_up_s=0.0)

    async def let_go(self, third: Third, *, wrap_up_s: float) -> None:
        await third.party.leg.hang_up(HangUpReason.COMPLETED)
        self._lines.release(third.party.leg)
        await self._floor.free(third.claim, None, talked=wrap_up_s > 0, wrap_up_s=wrap_up_s)
        await self._floor.leave(third.place, "third_left")

    async def _invite(self, queue: Queue, introduction: str, packet: ContextPacket, only: str) -> None:
        place = replace(self._call, entry_id=secrets.token_hex(16), number="", priority=INVITED_PRIORITY)
        others = tuple(one for one in self._floor.routing.agents if one != only) if only else ()
        tried: tuple[str, ...] = others
        failure = Failure.NO_ANSWER
        try:
            for _ in range(queue.max_tries):
                if not await self._floor.can_serve(queue, tried):
                    break
                claim = await self._claimed(place, queue, tried)
                if claim is None:
                    break
                third = await self._ring(claim, queue, introduction, packet, place)
                if isinstance(third, Third):
                    self._accepted = third
                    self._tell(ThirdAccepted(third.claim))
                    return
                failure = third
                tried = (*tried, claim.agent_id)
        finally:
            if self._accepted is None:
                await self._floor.leave(place, "nobody_came")
        self._tell(ThirdFailed(failure))

    async def _claimed(self, place: Place, queue: Queue, tried: tuple[str, ...]) -> Claim | None:
        """Wait for an agent of the queue who is free, for as long as a caller would be let ring."""
        found: asyncio.Future[Claim] = asyncio.get_running_loop().create_future()

        def claimed(claim: Claim) -> None:
            if not found.done():
                found.set_result(claim)

        await self._floor.enter(place, queue.name, tried, claimed)
        claim: Claim | None = None
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(queue.ring_s):
                    claim = await asyncio.shield(found)
        finally:
            if claim is None:
                if not found.done():
                    await self._floor.leave(place, "nobody_free")
                if found.done():  # they were claimed in the moment in which nobody waited any more
                    await self._floor.free(found.result(), None, talked=False, wrap_up_s=0.0)
                found.cancel()
        return claim

    async def _ring(
        self, claim: Claim, queue: Queue, introduction: str, packet: ContextPacket, place: Place
    ) -> Third | Failure:
        """Return the third party once they have accepted, or why they did not; an agent who did not is freed."""
        party: Party | None = None
        failure: Failure | None = None
        joined = False
        try:
            agent, reach = await self._floor.reach_of(claim)
            reached = await self._lines.ring(agent, reach, claim, packet, timeout_s=queue.ring_s)
            party = self._make_party(reached.leg)
            if not reached.accepted:
                question = self._wording.text("third_question")
                failure = await party.ask(introduction, question, accept_s=queue.accept_s)
            if failure is None:
                joined = await self._floor.joined(place, claim)
                failure = None if joined else Failure.CLAIM_LOST
            if failure is None:
                return Third(claim, party, agent.name, place)
        except RingFailed as failed:
            failure = failed.failure
        finally:
            if not joined:
                if party is not None:
                    await party.leg.hang_up(HangUpReason.COMPLETED)
                    self._lines.release(party.leg)
                await self._floor.free(claim, failure, talked=False, wrap_up_s=queue.wrap_up_s)
        log.info("a third party did not come", failure=failure.value)
        return failure
