"""The agent's side of a transfer: rung, briefed, joined, put aside and let go; what the agent does is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from voicebot.calls.transfer.errands import Errands
from voicebot.calls.transfer.seams import Floor, Lines, Party, Place, RingFailed
from voicebot.calls.transfer.timings import Timings
from voicebot.media.bridge import Bridge, Side
from voicebot.records.context import ContextPacket
from voicebot.routing.actions import FreeAgent
from voicebot.routing.events import AgentAccepted, AgentAnswered, AgentFailed, AgentLeft, CallerLeft, Claim, Event
from voicebot.routing.queues import Failure, Queue
from voicebot.routing.wording import Wording
from voicebot.telephony.leg import CallLeg, EndCause, HangUpReason

log = structlog.get_logger(__name__)

#: How long an agent may be told that the caller is gone.
PARTING_LIMIT_S = 6.0
#: An agent whose line ends sooner after the join never talked with the caller.
SHORTEST_TALK_S = 1.5
#: Ends of an agent's line that nobody meant.
_LOST = frozenset({EndCause.CONNECTION_LOST, EndCause.MEDIA_TIMEOUT, EndCause.PROTOCOL_ERROR})


class AgentSide:
    """One agent after the other, for one caller; each does one thing at a time. `tell` gets what happens."""

    def __init__(
        self,
        place: Place,
        *,
        floor: Floor,
        lines: Lines,
        make_party: Callable[[CallLeg], Party],
        introduction: Callable[[ContextPacket], str],
        wording: Wording,
        errands: Errands,
        timings: Timings,
        clock: Callable[[], float],
        tell: Callable[[Event], None],
    ) -> None:
        self._floor = floor
        self._lines = lines
        self._make_party = make_party
        self._introduction = introduction
        self._wording = wording
        self._errands = errands
        self._timings = timings
        self._clock = clock
        self._tell = tell
        self._party: Party | None = None
        self._confirm: Callable[[], None] = lambda: None
        self._work: asyncio.Task[None] | None = None
        #: Tells an agent that the caller is gone; a transfer does not end before it has.
        self._parting: asyncio.Task[None] | None = None
        self.name = ""
        #: The caller has talked with the present agent, or with an earlier one.
        self.talked = False
        self._log = log.bind(call_id=place.call_id)

    @property
    def reached(self) -> bool:
        """Whether there is a line to an agent."""
        return self._party is not None

    def ring(self, claim: Claim, queue: Queue, packet: ContextPacket) -> None:
        self._work = self._errands.start(self._ring(claim, queue, packet))

    async def _ring(self, claim: Claim, queue: Queue, packet: ContextPacket) -> None:
        try:
            agent, reach = await self._floor.reach_of(claim)
            reached = await self._lines.ring(agent, reach, claim, packet, timeout_s=queue.ring_s)
        except RingFailed as failed:
            self._tell(AgentFailed(claim, failed.failure))
            return
        self.name = agent.name
        self._party = self._make_party(reached.leg)
        self._confirm = reached.confirm
        self._tell(AgentAnswered(claim, accepted=reached.accepted))
        if reached.accepted:
            self._timings.accepted_s = self._clock()
            await self._party.gone()
            self._tell(AgentFailed(claim, Failure.HUNG_UP))

    def brief(self, claim: Claim, queue: Queue, packet: ContextPacket | None) -> None:
        self._work = self._errands.start(self._brief(claim, queue, packet))

    async def _brief(self, claim: Claim, queue: Queue, packet: ContextPacket | None) -> None:
        party = self._party
        if party is None or packet is None:
            self._tell(AgentFailed(claim, Failure.UNREACHABLE))
            return
        question = self._wording.text("agent_question")
        failure = await party.ask(self._introduction(packet), question, accept_s=queue.accept_s)
        if failure is None:
            self._confirm()
            self._timings.accepted_s = self._clock()
            self._tell(AgentAccepted(claim))
            await party.gone()
            failure = Failure.HUNG_UP
        self._tell(AgentFailed(claim, failure))

    def join(self, claim: Claim, caller: CallLeg) -> None:
        """Let the agent and the caller, whose line the bot has left, hear each other."""
        if self._party is not None:
            self.talked = True
            self._work = self._errands.start(self._bridge(claim, caller, self._party.leg))

    async def _bridge(self, claim: Claim, caller: CallLeg, agent: CallLeg) -> None:
        bridge = Bridge(caller, agent, clock=self._clock, observe=lambda _side, _event: None)
        ended = await bridge.run()
        talked_s = self._clock() - (self._timings.joined_s or self._clock())
        if ended.side is Side.CALLER:
            self._tell(CallerLeft())
        elif ended.cause in _LOST or talked_s < SHORTEST_TALK_S:
            self._tell(AgentFailed(claim, Failure.HUNG_UP))
        else:
            self._tell(AgentLeft(claim))

    def wait(self, claim: Claim) -> None:
        """Leave the agent alone; only that they go is told."""
        if self._party is not None:
            self._work = self._errands.start(self._watch(claim, self._party))

    async def _watch(self, claim: Claim, party: Party) -> None:
        await party.gone()
        self._tell(AgentLeft(claim))

    async def stop_work(self) -> None:
        work, self._work = self._work, None
        if work is not None:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def free(self, action: FreeAgent, *, wrap_up_s: float) -> None:
        """Let an agent go: nothing rings on, and who was told of a caller is told that they are gone."""
        await self.stop_work()
        party, self._party = self._party, None
        if party is not None:
            if action.caller_left and not self.talked:
                self._parting = asyncio.create_task(self._dismiss(party))
            else:
                await self._let_go(party)
        await self._floor.free(action.claim, action.failure, talked=self.talked, wrap_up_s=wrap_up_s)

    async def _dismiss(self, party: Party) -> None:
        await party.tell(self._wording.text("caller_gone"), limit_s=PARTING_LIMIT_S)
        await self._let_go(party)

    async def _let_go(self, party: Party) -> None:
        await party.leg.hang_up(HangUpReason.COMPLETED)
        self._lines.release(party.leg)

    async def settle(self) -> None:
        """Wait until an agent who is being told that the caller is gone has been told."""
        if self._parting is not None:
            await asyncio.gather(self._parting, return_exceptions=True)
