"""One live call: events in from the line, the keypad, timers and backends; each given to whom it concerns, in order.

Everything that has effects runs in tasks that the session owns, so an interruption of speech cancels none of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime

import structlog

from voicebot.calls.backends import BackendRequests
from voicebot.calls.bot_step import BotStep
from voicebot.calls.conversation import GOODBYE_LIMIT_S, CallParts, Conversation
from voicebot.calls.inbox import Inbox, Item
from voicebot.calls.notes import CallNotes, NotingJournal
from voicebot.calls.party_line import PartyLine
from voicebot.calls.plan import CallPlan
from voicebot.calls.said import Unheard
from voicebot.calls.seams import (
    Dialog,
    History,
    Journal,
    Meter,
    Operations,
    Recording,
    SpokenLine,
    SteerRecording,
    Understanding,
    no_history,
    unsteered,
)
from voicebot.calls.timers import Timer, TimerRan, Timers
from voicebot.calls.transfer.handing_over import HandingOver, TransferEnded, Transfers
from voicebot.calls.transfer.held_caller import HeldCaller
from voicebot.calls.transfer.seams import FlowRun, MakeTalk, not_written
from voicebot.calls.transfer.steps import StepCalledOff, StepWanted, asked_by
from voicebot.calls.turns import TurnLog
from voicebot.dialog.events import (
    BackendAnswered,
    BackendFailed,
    CallerPressed,
    CallerSilent,
    CallerTalkedTooLong,
    CallMustEnd,
    CallStarted,
    HearingFailed,
    Interpretation,
)
from voicebot.dialog.expectation import Expectation
from voicebot.media.events import (
    CallerTurn,
    KeyingBegan,
    KeysEntered,
    LineEnded,
    LineEvent,
    PartialHeard,
    PauseBegan,
    PauseEnded,
    RecognitionFailed,
    SpeakingBegan,
    SpeakingEnded,
    SpeakingPaused,
    SpeechBegan,
    SpeechDismissed,
    TalkedTooLong,
    TurnOver,
    VoiceFailed,
)
from voicebot.media.tapped import TappedLeg
from voicebot.records.record import Outcome
from voicebot.routing.actions import Ending
from voicebot.telephony.leg import CallLeg, EndCause, HangUpReason

log = structlog.get_logger(__name__)

#: How long work begun for the caller may go on after the line is gone.
AFTERWORK_LIMIT_S = 20.0


class CallSession:
    """Runs one call to its end. `now` gives wall-clock time in the bot's zone, `clock` monotonic seconds."""

    def __init__(
        self,
        plan: CallPlan,
        leg: CallLeg,
        *,
        dialog: Dialog,
        understanding: Understanding,
        operations: Operations,
        make_line: Callable[[Callable[[LineEvent], None]], SpokenLine],
        journal: Journal,
        meter: Meter,
        recording: Recording,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        transfers: Transfers | None = None,
        history: History = no_history,
        steer_recording: SteerRecording = unsteered,
        make_talk: MakeTalk = not_written,
    ) -> None:
        """`transfers` hand callers over to people; without them a flow says that nobody is there.

        `make_talk` makes what takes down what a caller says to people.
        """
        inbox = Inbox()
        call_log = log.bind(call_id=plan.call_id)
        notes = CallNotes(leg.info, plan.call_id, now(), plan.title_of)
        noting = NotingJournal(journal, notes)
        line = PartyLine(make_line, tell=inbox.put, clock=clock)
        self._started_s = clock()
        turns = TurnLog(plan.call_id, noting, meter, self._started_s)
        self._with_people = make_talk(noting, self._started_s)
        unheard = Unheard(line, leg, turns)

        def interpret(turn: CallerTurn, expectation: Expectation) -> tuple[Interpretation, ...]:
            heard = [(hypothesis.text, hypothesis.confidence) for hypothesis in turn.final.hypotheses]
            return understanding.interpret(heard, expectation, now()) if heard else ()

        handing_over = HandingOver(
            transfers,
            call_id=plan.call_id,
            info=leg.info,
            caller=HeldCaller(
                TappedLeg(leg, recording, clock),
                line,
                unheard,
                interpret,
                talk=self._with_people,
                run_flow=asked_by(inbox.put),
            ),
            notes=notes,
            dialog=dialog,
            now=now,
            tell=inbox.put,
        )
        self._parts = CallParts(
            plan=plan,
            leg=leg,
            dialog=dialog,
            understanding=understanding,
            interpret=interpret,
            line=line,
            inbox=inbox,
            turns=turns,
            unheard=unheard,
            timers=Timers(inbox.put),
            backends=BackendRequests(
                operations, inbox.put, now, call_log, notes, clock=clock, answered=turns.backend_answered
            ),
            handing_over=handing_over,
            notes=notes,
            journal=noting,
            meter=meter,
            recording=recording,
            steer_recording=steer_recording,
            clock=clock,
            now=now,
            log=call_log,
        )
        self._talk = Conversation(self._parts)
        #: What the bot does with a caller whom a transfer has lent it.
        self._step: BotStep | None = None
        self._history = history

    async def run(self) -> None:
        """Carry the call until its leg has ended and all work begun for it is done."""
        parts, talk = self._parts, self._talk
        parts.journal.begin_call(parts.plan.call_id, parts.leg.info, parts.now(), parts.dialog.flow_version)
        parts.meter.call_began()
        if parts.plan.recording_path is not None:
            parts.journal.note_recording(parts.plan.call_id, parts.plan.recording_path)
        parts.line.start()
        try:
            await parts.leg.answer()
            await self._converse()
        except Exception:  # the one place a call may catch everything: it apologises, and no other call notices
            parts.log.exception("call failed")
            talk.outcome = Outcome.FAILED
            await self._apologise()
        finally:
            await self._wind_up()

    def must_end(self, why: str) -> None:
        """Ask for a polite end: "shutting_down" or "too_long"."""
        self._parts.inbox.put(CallMustEnd(self._parts.now(), why))

    async def _converse(self) -> None:
        parts, talk = self._parts, self._talk
        parts.timers.start(Timer.TOO_LONG, parts.plan.max_call_s)
        await talk.step(self._started(await self._history(parts.leg.info.caller)))
        while talk.cause is None:
            await self._take(await parts.inbox.take())

    def _started(self, earlier_calls: Mapping[str, int]) -> CallStarted:
        info, plan = self._parts.leg.info, self._parts.plan
        return CallStarted(
            at=self._parts.now(),
            channel=info.channel.value,
            caller=info.caller,
            called=info.called,
            zone=plan.zone,
            seed=plan.seed,
            parameters=dict(info.parameters),
            call_id=plan.call_id,
            earlier_calls=earlier_calls,
            paused=plan.paused,
        )

    async def _begin_step(self, wanted: StepWanted) -> None:
        """Have the bot run a flow with the caller, for the person who has them."""
        if wanted.over.done():
            return
        try:
            aside = self._parts.dialog.aside(wanted.flow)
        except KeyError:
            self._parts.log.error("there is no such flow to run", flow=wanted.flow)
            wanted.over.set_result(FlowRun(done=False))
            return
        self._step = BotStep(self._parts, self._parts.dialog, aside, wanted.over, self._step_left)
        await self._step.step(self._started({}))

    def _step_left(self) -> None:
        self._step = None

    async def _take(self, item: Item) -> None:
        parts, talk = self._parts, self._step or self._talk
        if await self._taken_by_transfer(item):
            return
        match item:
            case CallerTurn():
                await talk.caller_turn(item)
            case KeysEntered(keys, at_s, began_s):
                parts.turns.caller_pressed(keys, at_s, began_s=began_s, secret=talk.secret)
                await talk.step(CallerPressed(parts.now(), keys))
            case SpeechBegan() | KeyingBegan():
                parts.timers.stop(Timer.NO_INPUT)
            case SpeechDismissed():
                talk.await_input()
            case TurnOver(over_prompt=over_prompt):
                talk.turn_over(over_prompt=over_prompt)
            case PartialHeard(text):
                talk.caption(text)
            case PauseBegan(text):
                await talk.caller_paused(text)
            case PauseEnded():
                await talk.caller_went_on()
            case RecognitionFailed():
                if talk.over_prompt.held:
                    await talk.drop_speech()
                await talk.step(HearingFailed(parts.now()))
            case TalkedTooLong(over_prompt=over_prompt):
                if over_prompt:
                    await talk.drop_speech()
                await talk.step(CallerTalkedTooLong(parts.now()))
            case SpeakingBegan():
                talk.speaking_began(item)
            case SpeakingPaused(left_ms=left_ms):
                talk.over_prompt.left_ms = left_ms
            case SpeakingEnded():
                await talk.spoken(item)
            case VoiceFailed(utterance_id):
                await talk.voice_failed(utterance_id)
            case LineEnded(cause):
                self._line_ended(cause)
            case TimerRan():
                await self._timer_ran(item)
            case TransferEnded() | StepWanted() | StepCalledOff():
                await self._told_by_transfer(item)
            case BackendAnswered(request_id=request_id) | BackendFailed(request_id=request_id):
                parts.backends.answered(request_id)
                await talk.step(item)
            case _:
                await talk.step(item)

    def _line_ended(self, cause: EndCause) -> None:
        if self._talk.cause is not None:
            return
        self._parts.handing_over.caller_left()
        if self._step is not None:
            self._step.caller_left(cause)
        self._talk.line_ended(cause)

    async def _told_by_transfer(self, told: TransferEnded | StepWanted | StepCalledOff) -> None:
        match told:
            case TransferEnded():
                await self._transfer_ended(told)
            case StepWanted():
                await self._begin_step(told)
            case StepCalledOff():
                if self._step is not None:
                    self._step.leave()

    async def _taken_by_transfer(self, item: Item) -> bool:
        """Tell whether this was for the transfer that has the caller: all that happens on the line but its end."""
        parts = self._parts
        if isinstance(item, CallMustEnd) and parts.handing_over.active:
            parts.handing_over.must_end()
            return True
        lent = self._step is not None
        if not parts.handing_over.active or lent or isinstance(item, LineEnded) or not isinstance(item, LineEvent):
            return False
        await parts.handing_over.take(item)
        return True

    async def _transfer_ended(self, ended: TransferEnded) -> None:
        if ended.failure is not None:
            raise ended.failure
        if ended.outcome and ended.outcome.ending is Ending.CALLER_LEFT:
            self._talk.outcome = Outcome.PERSON if ended.outcome.talked else Outcome.CALLER_HUNG_UP
            self._talk.cause = self._talk.cause or EndCause.PEER_HUNG_UP
            return
        self._talk.outcome = Outcome.PERSON
        if ended.outcome and ended.outcome.ending is Ending.ELSEWHERE:
            self._talk.cause = self._talk.cause or EndCause.REDIRECTED
        await self._parts.leg.hang_up(HangUpReason.COMPLETED)

    async def _timer_ran(self, ran: TimerRan) -> None:
        parts, talk = self._parts, self._step or self._talk
        if not parts.timers.is_current(ran):
            return
        match ran.timer:
            case Timer.NO_INPUT:
                await talk.step(CallerSilent(parts.now()))
            case Timer.TOO_LONG:
                await talk.step(CallMustEnd(parts.now(), "too_long"))
            case Timer.SILENCE:
                await talk.break_silence()
            case Timer.STANDS_STILL:
                await talk.stood_still()
            case Timer.GOODBYE:
                parts.unheard.forget()
                await talk.hang_up_when_heard()

    async def _apologise(self) -> None:
        """Tell the caller that something broke, and hang up once heard; nothing here may raise."""
        parts, talk = self._parts, self._talk
        with contextlib.suppress(Exception):  # the call is over; there is nobody left to tell
            if parts.line.running is None:
                parts.line.come_back()  # a transfer had the caller
            await parts.line.stop_speaking()
            parts.unheard.forget()
            await talk.say_text("internal_trouble", parts.plan.prompts.internal_trouble)
            deadline_s = parts.clock() + GOODBYE_LIMIT_S
            while parts.unheard and talk.cause is None and parts.clock() < deadline_s:
                async with asyncio.timeout(GOODBYE_LIMIT_S):
                    match await parts.inbox.take():
                        case SpeakingEnded(utterance_id) | VoiceFailed(utterance_id):
                            parts.unheard.drop(utterance_id)
                        case LineEnded(cause):
                            talk.cause = cause
                        case _:
                            pass

    async def _wind_up(self) -> None:
        parts, talk = self._parts, self._talk
        parts.timers.stop_all()
        await parts.handing_over.settle()
        with contextlib.suppress(Exception):  # a dead leg may fail to hang up; the record must still be written
            await parts.leg.hang_up(HangUpReason.COMPLETED)
        # What is still queued would be paced into a dead line before the pipeline ends.
        await parts.line.stop_speaking()
        for ended in parts.inbox.take_spoken():
            parts.turns.speaking_ended(ended)
        await parts.line.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(AFTERWORK_LIMIT_S):
                line = (parts.line.running,) if parts.line.running else ()
                await asyncio.gather(*line, *parts.backends.tasks, return_exceptions=True)
        if parts.line.running:
            parts.line.running.cancel()
        ended_at = parts.now()
        await self._with_people.close()
        parts.turns.close()
        outcome = Outcome(talk.outcome or Outcome.FAILED)
        cause = talk.cause or EndCause.WE_HUNG_UP
        parts.journal.end_call(parts.plan.call_id, ended_at, outcome, cause.value)
        # After the last turn is taken down: from then on the recording may be redacted.
        parts.recording.close()
        parts.meter.call_ended(outcome, parts.clock() - self._started_s)
        parts.log.info("call ended", outcome=outcome.value, cause=cause.value)
