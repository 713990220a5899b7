"""The agent's side of a transfer: rung, briefed, joined, put aside and let go; what the agent does is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import structlog

from voicebot.calls.transfer.agent_keys import AgentKey, AgentKeys
from voicebot.calls.transfer.errands import Errands
from voicebot.calls.transfer.seams import Floor, Lines, Party, Place, RingFailed, Talk, TalkLine
from voicebot.calls.transfer.sounds import HoldMusic
from voicebot.calls.transfer.third import Invitations, Third
from voicebot.calls.transfer.timings import Timings
from voicebot.media.bridge import Bridge, BridgeEnded, Conference, Observe, Side
from voicebot.records.context import ContextPacket
from voicebot.routing.actions import FreeAgent
from voicebot.routing.events import (
    AgentAccepted,
    AgentAnswered,
    AgentFailed,
    AgentLeft,
    CallerLeft,
    Claim,
    Event,
    ThirdLeft,
)
from voicebot.routing.queues import Failure, Queue
from voicebot.routing.wording import Wording
from voicebot.telephony.leg import CallLeg, EndCause, HangUpReason, LegEvent

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
        commanded: Callable[[AgentKey], None],
        music: HoldMusic,
        talk: Talk,
        said: Callable[[Claim, TalkLine], None],
    ) -> None:
        """`commanded` is told what the agent asks for by the keys of a telephone; `music` is what they wait with.

        `talk` takes down what is said in a joined call, and `said` gets it for the desk of the agent.
        """
        self._music = music
        self._talk_heard = talk
        self._said = said
        self._floor = floor
        self._lines = lines
        self._make_party = make_party
        self._introduction = introduction
        self._wording = wording
        self._errands = errands
        self._timings = timings
        self._clock = clock
        self._tell = tell
        self._commanded = commanded
        self._keys = AgentKeys()
        self._place = place
        self._invitations = Invitations(
            place,
            floor=floor,
            lines=lines,
            make_party=make_party,
            wording=wording,
            errands=errands,
            tell=tell,
        )
        self._third: Third | None = None
        self._party: Party | None = None
        self._confirm: Callable[[], None] = lambda: None
        self._work: asyncio.Task[None] | None = None
        #: Tells an agent that the caller is gone; a transfer does not end before it has.
        self._parting: asyncio.Task[None] | None = None
        #: What held third parties on the board who are the agent now.
        self._promoted: list[Place] = []
        self.name = ""
        #: The caller has talked with the present agent, or with an earlier one.
        self.talked = False
        self._log = log.bind(call_id=place.call_id)

    @property
    def has_third(self) -> bool:
        return self._third is not None

    @property
    def third_name(self) -> str:
        """How callers hear the third party named; empty while there is none."""
        return self._third.name if self._third else ""

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

    def brief(self, claim: Claim, queue: Queue, packet: ContextPacket | None, *, late: bool) -> None:
        """Say who calls and why, and ask; `late` tells that not every system has the packet."""
        self._work = self._errands.start(self._brief(claim, queue, packet, late))

    async def _brief(self, claim: Claim, queue: Queue, packet: ContextPacket | None, late: bool) -> None:  # noqa: FBT001  # as `brief` has it
        party = self._party
        if party is None or packet is None:
            self._tell(AgentFailed(claim, Failure.UNREACHABLE))
            return
        question = self._wording.text("agent_question")
        if late:
            question = f"{self._wording.text('not_delivered')} {question}"
        failure = await party.ask(self._introduction(packet), question, accept_s=queue.accept_s)
        if failure is None:
            self._confirm()
            self._timings.accepted_s = self._clock()
            self._tell(AgentAccepted(claim))
            await party.gone()
            failure = Failure.HUNG_UP
        self._tell(AgentFailed(claim, failure))

    def join(self, claim: Claim, caller: CallLeg) -> None:
        """Let the agent and the caller, whose line the bot has left, hear each other, and the third party if any."""
        if self._party is not None:
            self.talked = True
            legs = {Side.CALLER: caller, Side.AGENT: self._party.leg}
            self._work = self._errands.start(self._talk(claim, legs))

    async def _talk(self, claim: Claim, legs: dict[Side, CallLeg]) -> None:
        """Let whoever is there talk until one of them goes. Without the caller the agent and the third are alone."""
        third = self._third
        if third is not None:
            legs = {**legs, Side.THIRD: third.party.leg}
        ended = await self._joined(claim, legs)
        talked_s = self._clock() - (self._timings.joined_s or self._clock())
        if ended.side is Side.CALLER:
            self._tell(CallerLeft())
        elif ended.side is Side.THIRD and third is not None:
            self._tell(ThirdLeft(third.claim))
        elif ended.cause in _LOST or talked_s < SHORTEST_TALK_S:
            self._tell(AgentFailed(claim, Failure.HUNG_UP) if Side.CALLER in legs else AgentLeft(claim))
        else:
            self._tell(AgentLeft(claim))

    async def _joined(self, claim: Claim, legs: dict[Side, CallLeg]) -> BridgeEnded:
        if Side.CALLER not in legs:
            return await self._together(legs, _nobody).run()
        with self._talk_heard.listening(partial(self._said, claim)) as observe:
            return await self._together(legs, observe).run()

    def _together(self, legs: dict[Side, CallLeg], observe: Observe) -> Bridge | Conference:
        """Return what lets these hear each other; the caller's keys go to the agent, the agent's are read first."""

        def pressed(side: Side, key: str) -> None:
            if side is Side.AGENT:
                self._agent_pressed(key, lambda one: between.send_key(Side.CALLER, one))
            elif side is Side.CALLER:
                between.send_key(Side.AGENT, key)

        between: Bridge | Conference
        if Side.CALLER in legs and len(legs) == 2:  # two are a bridge
            caller, agent = legs[Side.CALLER], legs[Side.AGENT]
            between = Bridge(caller, agent, clock=self._clock, observe=observe, pressed=pressed)
        else:
            between = Conference(legs, clock=self._clock, observe=observe, pressed=pressed)
        return between

    def _agent_pressed(self, key: str, to_caller: Callable[[str], None]) -> None:
        """Take a command, or send the key on to the caller."""
        pressed = self._keys.press(key, self._clock())
        if pressed.command is not None:
            self._commanded(pressed.command)
        for one in pressed.keys:
            to_caller(one)

    def wait(self, claim: Claim, told: str = "") -> None:
        """Leave the agent without the caller: alone, of whom only keys and that they go are told, or with the third.

        Whoever waits alone for something that takes a while is `told` so, and hears music.
        """
        if self._party is None:
            return
        if self._third is not None:
            self._work = self._errands.start(self._talk(claim, {Side.AGENT: self._party.leg}))
        else:
            self._work = self._errands.start(self._watch(claim, self._party, told))

    async def _watch(self, claim: Claim, party: Party, told: str) -> None:
        playing = self._errands.start(party.entertain(told, self._music.stretch)) if told else None
        try:
            await party.gone(lambda key: self._agent_pressed(key, lambda _key: None))
        finally:
            if playing is not None:
                playing.cancel()
                await asyncio.gather(playing, return_exceptions=True)
        self._tell(AgentLeft(claim))

    # --- somebody else in the call

    def invite(self, queue_name: str, packet: ContextPacket, *, only: str) -> None:
        """Ask somebody of a queue into the call."""
        queue = self._floor.routing.queue_named(queue_name)
        introduction = f"{self._wording.text('third_asks', agent=self.name)} {self._introduction(packet)}"
        self._invitations.invite(queue, introduction, packet, only=only)

    async def take_third(self, claim: Claim) -> bool:
        """Have the third party who accepted under this claim; False when they were called off meanwhile."""
        third = self._invitations.accepted(claim)
        if third is None:
            return False
        await self.stop_work()
        self._third = third
        return True

    async def drop_third(self, *, wrap_up_s: float) -> None:
        """Let the third party go, or stop asking for one; whoever talks must be joined anew."""
        await self._invitations.call_off()
        third, self._third = self._third, None
        if third is not None:
            await self.stop_work()
            await self._invitations.let_go(third, wrap_up_s=wrap_up_s)

    async def promote(self, claim: Claim) -> bool:
        """Make the third party the caller's agent; False when there is none under this claim."""
        third, self._third = self._third, None
        if third is None or third.claim != claim:
            return False
        await self.stop_work()
        self._party, self.name = third.party, third.name
        self._promoted.append(third.place)
        return await self._floor.joined(self._place, claim)

    async def leave_board(self) -> None:
        """Take off the board what held a third party who became the agent."""
        while self._promoted:
            await self._floor.leave(self._promoted.pop(), "promoted")

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


def _nobody(side: Side, event: LegEvent) -> None:
    """Take nothing down: the caller is not there."""
    del side, event
