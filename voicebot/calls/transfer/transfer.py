"""Carries one caller's hand-over out: what `routing.handover` decides is done here, and what happens is told to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

import structlog

from voicebot.calls.transfer.agent_keys import AgentKey
from voicebot.calls.transfer.agent_side import AgentSide
from voicebot.calls.transfer.bots_place import BotsPlace
from voicebot.calls.transfer.dial_on import DialOn, NoOnward, Onward
from voicebot.calls.transfer.elsewhere import Elsewhere, Ways
from voicebot.calls.transfer.errands import Errands
from voicebot.calls.transfer.far_side import FarSide
from voicebot.calls.transfer.in_queue import InQueue
from voicebot.calls.transfer.joined import Joined, commanded
from voicebot.calls.transfer.offering import Offering
from voicebot.calls.transfer.seams import CallerSide, Floor, Lines, Party, Place, Said, TalkLine, TalkNews
from voicebot.calls.transfer.sounds import HoldMusic, Sounds
from voicebot.calls.transfer.timings import Timings
from voicebot.records.context import ContextPacket
from voicebot.routing.actions import (
    Action,
    AnnounceElsewhere,
    Arrange,
    BriefAgent,
    DropThird,
    Ending,
    EnterQueue,
    FindQueue,
    Finish,
    FreeAgent,
    Hold,
    InviteThird,
    Join,
    JoinThird,
    LeaveQueue,
    Offer,
    Promote,
    RingAgent,
    RunBot,
    SendElsewhere,
    SendPacket,
    TellCaller,
)
from voicebot.routing.destinations import Destination
from voicebot.routing.events import (
    AgentClaimed,
    AgentFailed,
    CallerLeft,
    CallerTold,
    Claim,
    ElsewhereFailed,
    Event,
    PacketSettled,
    ThirdFailed,
)
from voicebot.routing.handover import begin, step
from voicebot.routing.handover_state import Handover, Phase
from voicebot.routing.queues import Choice, Failure, Queue
from voicebot.routing.wording import Wording
from voicebot.telephony.leg import CallLeg

log = structlog.get_logger(__name__)

#: Saying who is joining may take so long; then they are joined all the same.
TELL_LIMIT_S = 6.0
#: How long the last words may take to be heard.
GOODBYE_LIMIT_S = 20.0
#: How long a survey may take.
SURVEY_LIMIT_S = 120.0
#: Phases in which the server's end changes nothing for the caller: they have somebody, or nothing more is to be done.
_LEFT_ALONE = frozenset({Phase.JOINED, Phase.HELD, Phase.WITH_BOT, Phase.ELSEWHERE, Phase.DONE})


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a transfer ended. `events` are what happened on the way, for the record."""

    ending: Ending
    agent: str = ""
    talked: bool = False
    events: tuple[str, ...] = ()


class Transfer:
    """One caller's transfer. `run` ends when it is over; the other methods tell it what the caller does."""

    def __init__(
        self,
        place: Place,
        queue: str,
        *,
        instead: Choice | None = None,
        caller: CallerSide,
        floor: Floor,
        lines: Lines,
        make_party: Callable[[CallLeg], Party],
        packet: Callable[[str], ContextPacket],
        introduction: Callable[[ContextPacket], str],
        wording: Wording,
        music: bytes,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        elsewhere: Elsewhere = Ways(()),  # noqa: B008  # it holds nothing
        onward: Onward = NoOnward(),  # noqa: B008  # it holds nothing
        show: Callable[[Claim, TalkNews | None], None] = lambda _claim, _news: None,
        said: Callable[[Claim, TalkLine], None] = lambda _claim, _line: None,
    ) -> None:
        """`instead` is what to arrange at once, without trying to reach anybody.

        `packet` makes the context packet for a queue; `make_party` gives an agent's leg ears and a voice. `show` tells
        an agent's desk how their call stands, and that it is over; `said` what is said in it. `onward` calls
        numbers that callers are told.
        """
        self._place = place
        self._first_queue = queue
        self._instead = instead
        self._caller = caller
        self._floor = floor
        self._make_packet = packet
        self._wording = wording
        self._sounds = Sounds(caller, HoldMusic(music), broken=self._broke)
        self._clock = clock
        self._now = now
        self._inbox: asyncio.Queue[Event | BaseException] = asyncio.Queue()
        dial_on = DialOn(caller, self._sounds, onward, wording, clock=clock, left=self.caller_left)
        self._offering = Offering(place, caller, floor, wording, dial_on=dial_on, now=now, tell=self._inbox.put_nowait)
        self._state = Handover()
        self._queue: Queue = floor.routing.queue_named(queue)
        self._packet: ContextPacket | None = None
        self._bot = BotsPlace(caller, self._sounds)
        self._errands = Errands(self._broke)
        self._waiting = InQueue(
            place,
            floor=floor,
            sounds=self._sounds,
            offering=self._offering,
            wording=wording,
            errands=self._errands,
            clock=clock,
            now=now,
            tell=self._inbox.put_nowait,
            state=lambda: self._state,
        )
        self._ending: Ending | None = None
        self._happened: list[str] = []
        self.timings = Timings()
        self._agent = AgentSide(
            place,
            floor=floor,
            lines=lines,
            make_party=make_party,
            introduction=introduction,
            wording=wording,
            errands=self._errands,
            timings=self.timings,
            clock=clock,
            tell=self._inbox.put_nowait,
            commanded=self._commanded,
            music=HoldMusic(music),
            talk=caller.talk,
            said=said,
        )
        self._joined = Joined(
            caller,
            self._agent,
            place=self._bot,
            sounds=self._sounds,
            wording=wording,
            errands=self._errands,
            tell=self._inbox.put_nowait,
            show=show,
        )
        self._far = FarSide(
            caller.leg,
            elsewhere,
            introduction=introduction,
            errands=self._errands,
            timings=self.timings,
            clock=clock,
            let_go=self._bot.step_aside,
            tell=self._inbox.put_nowait,
        )
        #: The receivers that did not have the packet within a second.
        self.late: tuple[str, ...] = ()
        self._log = log.bind(call_id=place.call_id)

    @property
    def claim(self) -> Claim | None:
        """The agent who has the caller, or is being rung."""
        return self._state.claim

    # --- what the caller does

    def caller_said(self, said: Said) -> bool:
        """Take what the caller said or keyed; False when it meant nothing, so that what was playing goes on."""
        return self._offering.caller_said(said)

    def caller_left(self) -> None:
        self._inbox.put_nowait(CallerLeft())

    def must_end(self) -> None:
        """End it, since the server does: who has no agent is called back, who has one may go on until they are cut."""
        elsewhere = self._state.phase is Phase.SENDING and self._bot.aside
        if not elsewhere and self._state.phase not in _LEFT_ALONE:
            self._errands.start(self._note_down_and_leave())

    async def _note_down_and_leave(self) -> None:
        await self._sounds.play(self._offering.promise(self._queue))
        await self._sounds.finished()
        self._inbox.put_nowait(CallerLeft())

    def tell(self, event: Event) -> None:
        """Take what the agent does at their desk."""
        self._inbox.put_nowait(event)

    def _commanded(self, key: AgentKey) -> None:
        """Take what the agent does by the keys of a telephone; a key that means nothing here does nothing."""
        state = self._state
        if state.claim is not None and (event := commanded(key, state.claim, state, self._queue)) is not None:
            self._inbox.put_nowait(event)

    # --- the machine

    async def run(self) -> Outcome:
        """Carry the transfer to its end; whoever is left on a line then is the caller, if they did not hang up.

        Raises what any part of it broke down with: nobody else would tell the caller.
        """
        try:
            self._state, actions = begin(self._first_queue, instead=self._instead)
            await self._carry_out(actions)
            while self._ending is None:
                event = await self._inbox.get()
                if isinstance(event, BaseException):
                    raise event
                before = self._state.phase
                self._state, actions = step(self._state, event)
                self._note(before, event)
                await self._carry_out(actions)
                self._joined.show(self._state)
            talked = self._agent.talked or self._far.talked
            return Outcome(self._ending, self._agent.name, talked, tuple(self._happened))
        finally:
            await self._close()

    def _note(self, before: Phase, event: Event) -> None:
        failure = event.failure.value if isinstance(event, AgentFailed | ElsewhereFailed) else ""
        if isinstance(event, ThirdFailed):
            self._joined.third_failed(event.failure)
        name = type(event).__name__
        self._happened.append(f"{name} {failure}".strip())
        self._log.info("transfer", event_name=name, failure=failure, before=before.value, after=self._state.phase.value)

    async def _carry_out(self, actions: Sequence[Action]) -> None:
        for action in actions:
            await self._do(action)

    async def _do(self, action: Action) -> None:
        match action:
            case SendPacket():
                self._errands.start(self._deliver())
            case FindQueue(queue):
                self._queue = self._floor.routing.queue_named(queue)
                self._errands.start(self._waiting.find(self._queue))
            case EnterQueue():
                await self._bot.come_back()
                await self._waiting.enter(action, self._queue)
                self._agent.talked = False
            case LeaveQueue():
                await self._waiting.leave()
            case AnnounceElsewhere():
                self._far.announced.clear()
                await self._sounds.play(self._put_through())
            case SendElsewhere(destination):
                await self._send_elsewhere(destination)
            case RingAgent(claim):
                self._agent.ring(claim, self._queue, self._packet or self._make_packet(self._queue.name))
            case BriefAgent(claim):
                self._agent.brief(claim, self._queue, self._packet, late=bool(self.late))
            case TellCaller(claim):
                await self._sounds.play(self._tell_caller(claim))
            case Join(claim):
                await self._join(claim)
            case Hold() | RunBot() | InviteThird() | JoinThird() | DropThird() | Promote():
                packet = self._packet or self._make_packet(self._queue.name)
                await self._joined.do(action, self._state, packet, wrap_up_s=self._queue.wrap_up_s)
            case FreeAgent():
                await self._agent.free(action, wrap_up_s=self._queue.wrap_up_s)
            case Offer():
                await self._bot.come_back()
                await self._sounds.play(self._offering.offer(action, self._queue))
            case Arrange(choice):
                await self._sounds.play(self._offering.arrange(choice, self._queue))
            case Finish(ending):
                await self._finish(ending)
            case _:
                assert_never(action)

    def _broke(self, error: BaseException) -> None:
        self._inbox.put_nowait(error)

    # --- the packet and the queue

    async def _deliver(self) -> None:
        self._packet = self._make_packet(self._queue.name)
        late = await self._floor.deliver(self._packet)
        self.late = late
        self.timings.packet_s = self._clock()
        self._inbox.put_nowait(PacketSettled(late))

    # --- agents elsewhere

    async def _put_through(self) -> None:
        try:
            await self._caller.say("transfer.elsewhere", self._wording.text("elsewhere", queue=self._queue.title))
        finally:
            self._far.announced.set()
        await self._sounds.wait_with_music(None, self._still_waiting)

    async def _still_waiting(self) -> str:
        return self._wording.text("still_waiting")

    async def _send_elsewhere(self, destination: Destination) -> None:
        if self._bot.aside:
            await self._bot.come_back()
            await self._sounds.play(self._sounds.wait_with_music(None, self._still_waiting))
        self._far.send(destination, self._queue, self._packet or self._make_packet(self._queue.name))

    # --- the agent

    async def _tell_caller(self, claim: Claim) -> None:
        self.timings.telling_s = self._clock()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TELL_LIMIT_S):
                await self._caller.say("transfer.joining", self._wording.text("joining", agent=self._agent.name))
        self.timings.told_s = self._clock()
        self._inbox.put_nowait(CallerTold(claim))

    async def _join(self, claim: Claim) -> None:
        if not self._agent.reached or not await self._floor.joined(self._place, claim):
            # Another process has the agent: they must not be joined to two callers.
            self._inbox.put_nowait(AgentFailed(claim, Failure.CLAIM_LOST))
            return
        await self._agent.stop_work()
        await self._bot.step_aside()
        self.timings.joined_s = self._clock()
        self._agent.join(claim, self._caller.leg)
        self._log.info("joined", agent=claim.agent_id, **self.timings.of_join_ms())

    # --- the end

    async def _finish(self, ending: Ending) -> None:
        await self._floor.leave(self._place, ending.value)
        await self._far.stop()
        if ending not in {Ending.CALLER_LEFT, Ending.ELSEWHERE}:
            await self._bot.come_back()
        await self._sounds.stop()
        with contextlib.suppress(TimeoutError):
            if ending is Ending.SURVEY and self._queue.survey:
                async with asyncio.timeout(SURVEY_LIMIT_S):
                    if (await self._caller.run_flow(self._queue.survey)).wants_person:
                        ending = Ending.NOTED
            async with asyncio.timeout(GOODBYE_LIMIT_S):
                await self._goodbye(ending)
        self._ending = ending

    async def _goodbye(self, ending: Ending) -> None:
        if ending is Ending.NOTED:
            await self._offering.note_down(self._queue)
        elif ending in {Ending.SERVED, Ending.SURVEY}:
            await self._caller.say("transfer.thanks", self._wording.text("thanks"))

    async def _close(self) -> None:
        """Leave nothing behind, however it ended: no ringing telephone, no place in a queue, no task."""
        try:
            await self._sounds.stop()
            if self._state.claim is not None:
                gone = FreeAgent(self._state.claim, None, caller_left=True)
                await self._agent.free(gone, wrap_up_s=self._queue.wrap_up_s)
            await self._agent.drop_third(wrap_up_s=0.0)
            await self._agent.leave_board()
            if self._ending is None:
                await self._floor.leave(self._place, "failed")
            while not self._inbox.empty():
                # An agent who was claimed while the transfer came to its end is claimed for nobody.
                if isinstance(event := self._inbox.get_nowait(), AgentClaimed):
                    await self._floor.free(event.claim, None, talked=False, wrap_up_s=0.0)
        finally:
            self._joined.hide()
            await self._errands.cancel()
            await self._agent.settle()
