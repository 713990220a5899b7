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
from voicebot.calls.transfer.arranging import Arranger
from voicebot.calls.transfer.bots_place import BotsPlace
from voicebot.calls.transfer.elsewhere import Elsewhere, Ways
from voicebot.calls.transfer.errands import Errands
from voicebot.calls.transfer.far_side import FarSide
from voicebot.calls.transfer.joined import Joined, commanded
from voicebot.calls.transfer.seams import CallerSide, Floor, Lines, Party, Place, Said, TalkLine, TalkNews
from voicebot.calls.transfer.sounds import HoldMusic, Sounds, choice_expectation
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
    Arranged,
    CallerChose,
    CallerLeft,
    CallerTold,
    Claim,
    ElsewhereFailed,
    Event,
    NotArranged,
    NothingChosen,
    PacketSettled,
    QueueClosed,
    QueueFound,
    Rules,
    ThirdFailed,
    WaitedTooLong,
)
from voicebot.routing.handover import Handover, Phase, begin, step
from voicebot.routing.queues import Choice, Failure, Queue
from voicebot.routing.telling import (
    announcement,
    comfort,
    going_on,
    keyed_choice,
    moment_to_say,
    offers,
    refusal,
    spoken_choice,
)
from voicebot.routing.waiting import Standing
from voicebot.routing.wording import Wording
from voicebot.telephony.leg import CallLeg

log = structlog.get_logger(__name__)

#: Saying who is joining may take so long; then they are joined all the same.
TELL_LIMIT_S = 6.0
#: How long the last words may take to be heard.
GOODBYE_LIMIT_S = 20.0
#: How long a survey may take.
SURVEY_LIMIT_S = 120.0
#: How long a caller may think about what they want instead.
CHOOSE_S = 8.0
#: Phases in which the server's end changes nothing for the caller: they have somebody, or nothing more is to be done.
_LEFT_ALONE = frozenset({Phase.JOINED, Phase.HELD, Phase.WITH_BOT, Phase.ELSEWHERE, Phase.DONE})
#: How often a waiting caller's queue is looked at: its hours may end, its last agent leave.
LOOK_EVERY_S = 5.0


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
        show: Callable[[Claim, TalkNews | None], None] = lambda _claim, _news: None,
        said: Callable[[Claim, TalkLine], None] = lambda _claim, _line: None,
    ) -> None:
        """`instead` is what to arrange at once, without trying to reach anybody.

        `packet` makes the context packet for a queue; `make_party` gives an agent's leg ears and a voice. `show` tells
        an agent's desk how their call stands, and that it is over; `said` what is said in it.
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
        self._arranger = Arranger(place, caller, floor, wording, now=now)
        self._inbox: asyncio.Queue[Event | BaseException] = asyncio.Queue()
        self._state = Handover()
        self._queue: Queue = floor.routing.queue_named(queue)
        self._packet: ContextPacket | None = None
        self._bot = BotsPlace(caller, self._sounds)
        self._show = show
        #: The agent whose desk shows the call.
        self._shown: Claim | None = None
        self._choices: tuple[Choice, ...] = ()
        self._errands = Errands(self._broke)
        self._waiting: asyncio.Task[None] | None = None
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
        if self._arranger.takes(said):
            return True
        text = said.readings[0].text if said.readings else ""
        choice = keyed_choice(said.keys, self._choices) or spoken_choice(text, self._choices)
        if choice is None:
            return False
        self._inbox.put_nowait(CallerChose(choice))
        return True

    def caller_left(self) -> None:
        self._inbox.put_nowait(CallerLeft())

    def must_end(self) -> None:
        """End it, since the server does: who has no agent is called back, who has one may go on until they are cut."""
        elsewhere = self._state.phase is Phase.SENDING and self._bot.aside
        if not elsewhere and self._state.phase not in _LEFT_ALONE:
            self._errands.start(self._note_down_and_leave())

    async def _note_down_and_leave(self) -> None:
        await self._sounds.play(self._arranger.promise(self._queue))
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
                self._show_desk()
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

    def _show_desk(self) -> None:
        """Tell the desk of the agent who has the caller how it stands, and one who had them that it is over."""
        claim, news = self._state.claim, self._joined.news(self._state)
        if self._shown is not None and self._shown != claim:
            self._show(self._shown, None)
            self._shown = None
        if claim is not None and news is not None:
            self._shown = claim
            self._show(claim, news)

    async def _drop_third(self) -> None:
        going_on = self._state.phase in {Phase.JOINED, Phase.HELD}
        claim = self._state.claim if going_on else None
        held = self._state.phase is Phase.HELD
        await self._joined.drop_third(claim, held=held, wrap_up_s=self._queue.wrap_up_s)

    async def _carry_out(self, actions: Sequence[Action]) -> None:
        for action in actions:
            await self._do(action)

    async def _do(self, action: Action) -> None:
        match action:
            case SendPacket():
                self._errands.start(self._deliver())
            case FindQueue(queue):
                self._queue = self._floor.routing.queue_named(queue)
                self._errands.start(self._find_queue(self._queue))
            case EnterQueue():
                await self._enter(action)
            case LeaveQueue():
                await self._leave_queue()
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
            case Hold(claim, held):
                await self._joined.hold(claim, held=held)
            case RunBot(claim, flow):
                await self._joined.run_bot(claim, flow)
            case InviteThird(queue, agent):
                packet = self._packet or self._make_packet(self._queue.name)
                self._agent.invite(self._floor.routing.queue_named(queue), packet, only=agent)
            case JoinThird(third):
                if self._state.claim is not None:
                    await self._joined.join_third(self._state.claim, third, held=self._state.phase is Phase.HELD)
            case DropThird():
                await self._drop_third()
            case Promote(third):
                await self._joined.promote(third)
            case FreeAgent():
                await self._agent.free(action, wrap_up_s=self._queue.wrap_up_s)
            case Offer():
                await self._bot.come_back()
                await self._sounds.play(self._offer(action))
            case Arrange(choice):
                await self._sounds.play(self._arrange(choice))
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

    async def _find_queue(self, queue: Queue) -> None:
        outlook = await self._floor.look(queue, self._place.priority)
        rules = Rules(queue.then, queue.overflow, queue.offers, queue.max_tries, queue.survey_always, queue.elsewhere)
        self._inbox.put_nowait(QueueFound(outlook, rules))

    async def _enter(self, action: EnterQueue) -> None:
        queue = self._queue
        await self._bot.come_back()
        # Whoever says nothing waits, so that waiting has no key.
        self._choices = tuple(choice for choice in action.choices if choice is not Choice.WAIT)
        first = await self._first_word(action, queue)
        self._agent.talked = False
        await self._caller.listen(choice_expectation(self._choices))
        await self._sounds.play(self._sounds.wait_with_music(first, self._comfort))
        await self._floor.enter(self._place, queue.name, self._passed_over(), self._claimed)
        if self._waiting is None:
            self._waiting = self._errands.start(self._watch_queue(queue))

    async def _first_word(self, action: EnterQueue, queue: Queue) -> tuple[str, str] | None:
        """Return what a caller who waits is told first; None where what follows at once tells them."""
        if not action.again:
            before = self._floor.routing.queue_named(self._state.queues[-2]).title if action.because else ""
            return "transfer.announce", announcement(
                self._wording,
                queue.title,
                action.outlook,
                offered=self._choices,
                soonest=await self._soonest(self._choices),
                because=action.because,
                instead_of=before,
            )
        line = await self._floor.in_line(self._place, queue, self._passed_over())
        if not line.is_served:
            self._inbox.put_nowait(WaitedTooLong())
            return None
        return "transfer.going_on", going_on(self._wording, queue.title, line, action.because)

    async def _soonest(self, choices: tuple[Choice, ...]) -> str:
        """Return when the caller could be called back, as it is said; empty where that cannot be told."""
        if Choice.CALLBACK not in choices or not self._place.number:
            return ""
        at = await self._floor.soonest(self._queue, self._place.number)
        return moment_to_say(at, self._now()) if at else ""

    def _claimed(self, claim: Claim) -> None:
        self._inbox.put_nowait(AgentClaimed(claim))

    async def _comfort(self) -> str:
        line = await self._floor.in_line(self._place, self._queue, self._passed_over())
        return comfort(self._wording, line, rings=self._state.phase in {Phase.DIALLING, Phase.BRIEFING})

    async def _watch_queue(self, queue: Queue) -> None:
        """Tell when the caller has waited too long, and when nobody can come any more."""
        deadline_s = self._clock() + queue.max_wait_s
        while (left_s := deadline_s - self._clock()) > 0:
            await asyncio.sleep(min(left_s, LOOK_EVERY_S))
            if not self._floor.is_open(queue, self._now()):
                self._inbox.put_nowait(QueueClosed())
            elif not await self._floor.can_serve(queue, self._passed_over()):
                self._inbox.put_nowait(WaitedTooLong())
        # Told again and again, since an agent may be ringing now who will not take the caller.
        while True:
            self._inbox.put_nowait(WaitedTooLong())
            await asyncio.sleep(LOOK_EVERY_S)

    def _passed_over(self) -> tuple[str, ...]:
        """Return the agents who are not asked for this caller now."""
        only = self._state.only
        return (*self._state.tried, *(agent for agent in self._floor.routing.agents if only and agent != only))

    async def _leave_queue(self) -> None:
        await self._stop_waiting()
        self._choices = ()

    async def _stop_waiting(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()
        if self._state.phase not in {Phase.ACCEPTED, Phase.DONE}:
            await self._floor.leave(self._place, "left_queue")

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

    # --- what there is instead

    async def _offer(self, offer: Offer) -> None:
        self._choices = offer.choices
        await self._caller.listen(choice_expectation(self._choices))
        opens = self._floor.opens(self._queue, self._now()) if offer.standing is Standing.CLOSED else None
        said_opens = moment_to_say(opens, self._now()) if opens else ""
        why = refusal(self._wording, self._queue.title, offer.standing, said_opens)
        text = " ".join((why, *offers(self._wording, self._choices, await self._soonest(self._choices))))
        await self._caller.say("transfer.offer", text)
        await asyncio.sleep(CHOOSE_S)
        self._inbox.put_nowait(NothingChosen())

    async def _arrange(self, choice: Choice) -> None:
        self._choices = ()
        arranged = await self._arranger.arrange(choice, self._queue)
        self._inbox.put_nowait(Arranged(choice) if arranged else NotArranged(choice))

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
            await self._arranger.note_down(self._queue)
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
            if self._shown is not None:
                self._show(self._shown, None)
            await self._errands.cancel()
            await self._agent.settle()
