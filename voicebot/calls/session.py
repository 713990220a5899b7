"""One live call: events in from the line, the keypad, timers and backends; the dialog's actions carried out in order.

Everything that has effects runs in tasks that the session owns, so an interruption of speech cancels none of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

import structlog

from voicebot.calls.ahead import ReplyAhead
from voicebot.calls.backends import BackendRequests
from voicebot.calls.earlier import EarlierTurns
from voicebot.calls.notes import CallNotes, NotingJournal
from voicebot.calls.over_prompt import TurnOverPrompt
from voicebot.calls.party_line import PartyLine
from voicebot.calls.said import Unheard
from voicebot.calls.seams import (
    Dialog,
    History,
    Journal,
    Meter,
    Operations,
    Recording,
    SpokenLine,
    StandingPrompts,
    SteerRecording,
    Understanding,
    no_history,
    unsteered,
)
from voicebot.calls.timers import Timer, TimerRan, Timers
from voicebot.calls.transfer.handing_over import HandingOver, TransferEnded, Transfers
from voicebot.calls.transfer.held_caller import HeldCaller
from voicebot.calls.turns import TurnLog
from voicebot.dialog.actions import (
    Action,
    CallBackend,
    EndCall,
    Listen,
    NoteConsent,
    PromptPart,
    RecordDecision,
    RecordEscalation,
    ResumeRecording,
    Say,
    SetGoal,
    StopRecording,
    TransferTo,
)
from voicebot.dialog.events import (
    BackendAnswered,
    BackendFailed,
    CallerHungUp,
    CallerPressed,
    CallerSilent,
    CallerSpoke,
    CallerTalkedTooLong,
    CallMustEnd,
    CallStarted,
    Event,
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

#: A caller who has finished hears a word of ours within this time, whatever is slow.
SILENCE_LIMIT_S = 1.6
#: A caller who has been told to wait hears another word after this time.
FURTHER_SILENCE_LIMIT_S = 6.0
#: How long the last words may take to be heard before we hang up regardless.
GOODBYE_LIMIT_S = 30.0
#: How long work begun for the caller may go on after the line is gone.
AFTERWORK_LIMIT_S = 20.0


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What is fixed when a call begins. `recording_path` is None for a call that is not recorded."""

    call_id: str
    recording_path: str | None
    zone: str
    seed: int
    max_call_s: float
    prompts: StandingPrompts
    #: How callers hear an intent named; empty for one that is no request.
    title_of: Callable[[str], str] = lambda _intent: ""
    #: Intents that a supervisor has stopped.
    paused: frozenset[str] = frozenset()


_Item = Event | LineEvent | TimerRan


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
    ) -> None:
        """`transfers` hand callers over to people; without them a flow says that nobody is there."""
        self._plan = plan
        self._history = history
        self._log = log.bind(call_id=plan.call_id)
        self._leg = leg
        self._dialog = dialog
        self._understanding = understanding
        self._earlier = EarlierTurns(understanding)
        self._notes = CallNotes(leg.info, plan.call_id, now(), plan.title_of)
        self._journal = NotingJournal(journal, self._notes)
        self._meter = meter
        self._recording = recording
        self._steer_recording = steer_recording
        self._clock = clock
        self._now = now
        self._started_s = clock()
        self._inbox: asyncio.Queue[_Item | TransferEnded] = asyncio.Queue()
        self._line = PartyLine(make_line, tell=self._inbox.put_nowait, clock=clock)
        self._turns = TurnLog(plan.call_id, self._journal, meter, clock())
        self._expectation: Expectation | None = None
        self._unheard = Unheard(self._line, leg, self._turns)
        self._ahead = ReplyAhead(dialog, understanding, self._line)
        self._over_prompt = TurnOverPrompt(dialog.drops_all)
        self._timers = Timers(self._inbox.put_nowait)
        self._backends = BackendRequests(operations, self._inbox.put_nowait, now, self._log, self._notes)
        self._handing_over = HandingOver(
            transfers,
            call_id=plan.call_id,
            info=leg.info,
            caller=HeldCaller(TappedLeg(leg, recording, clock), self._line, self._unheard, self._interpret),
            notes=self._notes,
            dialog=dialog,
            now=now,
            tell=self._inbox.put_nowait,
        )
        self._outcome: str | None = None
        self._hang_up_reason = HangUpReason.COMPLETED
        self._cause: EndCause | None = None

    async def run(self) -> None:
        """Carry the call until its leg has ended and all work begun for it is done."""
        self._journal.begin_call(self._plan.call_id, self._leg.info, self._now(), self._dialog.flow_version)
        self._meter.call_began()
        if self._plan.recording_path is not None:
            self._journal.note_recording(self._plan.call_id, self._plan.recording_path)
        self._line.start()
        try:
            await self._leg.answer()
            await self._converse()
        except Exception:  # noqa: BLE001  # the one place a call may catch everything: it apologises, and no other call notices
            self._log.exception("call failed")
            self._outcome = Outcome.FAILED
            await self._apologise()
        finally:
            await self._wind_up()

    def must_end(self, why: str) -> None:
        """Ask for a polite end: "shutting_down" or "too_long"."""
        self._inbox.put_nowait(CallMustEnd(self._now(), why))

    async def _converse(self) -> None:
        info = self._leg.info
        plan = self._plan
        self._timers.start(Timer.TOO_LONG, plan.max_call_s)
        await self._step(
            CallStarted(
                at=self._now(),
                channel=info.channel.value,
                caller=info.caller,
                called=info.called,
                zone=plan.zone,
                seed=plan.seed,
                parameters=dict(info.parameters),
                call_id=plan.call_id,
                earlier_calls=await self._history(info.caller),
                paused=plan.paused,
            )
        )
        while self._cause is None:
            item = await self._inbox.get()
            if isinstance(item, TransferEnded):
                await self._transfer_ended(item)
            else:
                await self._take(item)

    async def _take(self, item: _Item) -> None:
        if await self._taken_by_transfer(item):
            return
        match item:
            case CallerTurn():
                await self._caller_turn(item)
            case KeysEntered(keys, at_s):
                self._turns.caller_pressed(keys, at_s, secret=self._secret)
                await self._step(CallerPressed(self._now(), keys))
            case SpeechBegan() | KeyingBegan():
                self._timers.stop(Timer.NO_INPUT)
            case SpeechDismissed():
                self._await_input()
            case TurnOver(over_prompt=over_prompt):
                self._over_prompt.held = over_prompt
                self._timers.start(Timer.SILENCE, SILENCE_LIMIT_S)
            case PartialHeard(text):
                if not self._secret:
                    self._leg.show_caption("caller", text, final=False)
            case PauseBegan(text):
                await self._prepare_reply(text)
            case PauseEnded():
                await self._ahead.forget()
            case RecognitionFailed():
                if self._over_prompt.held:
                    await self._drop_speech()
                await self._step(HearingFailed(self._now()))
            case TalkedTooLong(over_prompt=over_prompt):
                if over_prompt:
                    await self._drop_speech()
                await self._step(CallerTalkedTooLong(self._now()))
            case SpeakingBegan(at_s=at_s):
                if self._over_prompt.reply_began_s is None:
                    self._over_prompt.reply_began_s = at_s
                self._backends.filler = None
                self._timers.stop(Timer.SILENCE)
                self._turns.speaking_began(item)
            case SpeakingPaused(left_ms=left_ms):
                self._over_prompt.left_ms = left_ms
            case SpeakingEnded():
                await self._spoken(item)
            case VoiceFailed(utterance_id):
                await self._voice_failed(utterance_id)
            case LineEnded(cause):
                await self._line_ended(cause)
            case TimerRan():
                await self._timer_ran(item)
            case BackendAnswered(request_id=request_id) | BackendFailed(request_id=request_id):
                self._backends.answered(request_id)
                await self._step(item)
            case _:
                await self._step(item)

    async def _taken_by_transfer(self, item: _Item) -> bool:
        """Tell whether this was for the transfer that has the caller: all that happens on the line but its end."""
        if isinstance(item, CallMustEnd) and self._handing_over.active:
            self._handing_over.must_end()
            return True
        if not self._handing_over.active or isinstance(item, LineEnded) or not isinstance(item, LineEvent):
            return False
        await self._handing_over.take(item)
        return True

    @property
    def _secret(self) -> bool:
        return self._expectation is not None and self._expectation.secret

    async def _caller_turn(self, turn: CallerTurn) -> None:
        if turn.over_prompt:
            if self._unheard and self._asks_for_nothing(turn):
                await self._go_on(turn)
                return
            await self._drop_speech()
            self._meter.barge_in()
        await self._caller_spoke(turn)

    def _interpret(self, turn: CallerTurn, expectation: Expectation) -> tuple[Interpretation, ...]:
        heard = [(hypothesis.text, hypothesis.confidence) for hypothesis in turn.final.hypotheses]
        return self._understanding.interpret(heard, expectation, self._now()) if heard else ()

    def _asks_for_nothing(self, turn: CallerTurn) -> bool:
        """Tell whether what was being said should go on: the caller only showed that they listen."""
        expectation = self._expectation
        if expectation is None or self._outcome is not None:
            return True
        reading = next(iter(self._interpret(turn, expectation)), None)
        return self._over_prompt.asks_for_nothing(
            reading,
            expectation,
            began_s=turn.timings.speech_started_s,
            spoken_ms=turn.spoken_ms,
            question_unheard=len(self._unheard) > 1,
        )

    async def _go_on(self, turn: CallerTurn) -> None:
        self._over_prompt.held = False
        self._timers.stop(Timer.SILENCE)
        self._turns.caller_agreed(turn, secret=self._secret)
        await self._line.resume_speaking()
        self._await_input()

    async def _drop_speech(self) -> None:
        """Drop what waits paused, and note what of it was heard before the caller's words are acted upon."""
        self._over_prompt.held = False
        await self._line.stop_speaking()
        others: list[_Item | TransferEnded] = []
        while not self._inbox.empty():
            item = self._inbox.get_nowait()
            if isinstance(item, SpeakingEnded):
                await self._spoken(item)
            else:
                others.append(item)
        for other in others:
            self._inbox.put_nowait(other)

    async def _caller_spoke(self, turn: CallerTurn) -> None:
        expectation = self._expectation
        if expectation is None or self._outcome is not None:
            return
        interpretations = self._interpret(turn, expectation)
        self._turns.caller_spoke(turn, interpretations, secret=expectation.secret)
        if interpretations:
            self._notes.sounded(interpretations[0].mood)
        if turn.final.hypotheses and not expectation.secret:
            self._leg.show_caption("caller", turn.final.hypotheses[0].text, final=True)
        heard = bool(interpretations) and not expectation.secret
        await self._step(
            CallerSpoke(
                self._now(),
                interpretations,
                over_prompt=turn.over_prompt,
                heard_prompt=self._turns.last_heard_prompt,
                rephrased=self._earlier.add(interpretations[0]) if heard else 0.0,
            )
        )
        await self._ahead.forget()

    async def _prepare_reply(self, text: str) -> None:
        """Render what would be said if the caller, who has paused after `text`, had finished; nothing is committed."""
        if self._expectation and not self._expectation.secret and self._outcome is None:
            await self._ahead.prepare(text, self._expectation, self._now())

    async def _step(self, event: Event) -> None:
        if self._outcome is not None and not isinstance(event, CallMustEnd | CallerHungUp):
            return  # the goodbye is being said
        actions = self._dialog.step(event)
        self._over_prompt.reply_began_s = None
        self._turns.decided(self._clock())
        for action in actions:
            await self._carry_out(action)
        self._await_input()

    async def _carry_out(self, action: Action) -> None:
        if self._handing_over.active and isinstance(action, Say | Listen | CallBackend | EndCall):
            return  # that is for bots without anybody to hand over to
        match action:
            case Say():
                await self._say(action)
            case Listen(expectation):
                await self._listen(expectation)
            case CallBackend():
                self._backends.ask(action)
                self._timers.start(Timer.SILENCE, SILENCE_LIMIT_S)
            case RecordDecision():
                self._turns.decision(action, secret=self._secret)
                self._notes.decided(action, secret=self._secret)
            case RecordEscalation():
                self._turns.escalation(action)
                self._notes.weighed(action)
            case SetGoal(goal, reached):
                self._journal.set_goal(self._plan.call_id, goal, reached=reached)
            case StopRecording() | ResumeRecording() | NoteConsent():
                self._steer_recording(self._plan.call_id, action)
            case TransferTo(reason, by, topic):
                self._log.info("person requested", reason=reason, by=by.value, topic=topic)
                await self._hand_over(action)
            case EndCall(outcome):
                await self._end(outcome)
            case _:
                assert_never(action)

    async def _say(self, say: Say) -> None:
        if say.text:
            self._timers.stop(Timer.NO_INPUT)
            await self._unheard.say(say)

    async def _say_text(self, prompt: str, text: str) -> None:
        await self._say(Say(prompt, (PromptPart(text),)))

    async def _listen(self, expectation: Expectation) -> None:
        was_secret, self._expectation = self._secret, expectation
        if was_secret != expectation.secret:
            # What we say of the caller's own meanwhile may be the secret, or lead to it.
            repeats = self._unheard.personal
            self._recording.secret(expectation.secret, self._clock(), bot=repeats)
        await self._line.listen(expectation)

    async def _hand_over(self, wanted: TransferTo) -> None:
        """Have a person take the caller, if there is anybody who could."""
        if self._handing_over.begin(wanted):
            self._timers.stop_all()
            self._expectation = None
            await self._line.listen(None)

    async def _transfer_ended(self, ended: TransferEnded) -> None:
        if ended.failure is not None:
            raise ended.failure
        if ended.outcome and ended.outcome.ending is Ending.CALLER_LEFT:
            self._outcome = Outcome.PERSON if ended.outcome.talked else Outcome.CALLER_HUNG_UP
            self._cause = self._cause or EndCause.PEER_HUNG_UP
            return
        self._outcome = Outcome.PERSON
        await self._leg.hang_up(self._hang_up_reason)

    async def _end(self, outcome: str) -> None:
        if self._outcome is None:
            self._outcome = outcome
        self._timers.start(Timer.GOODBYE, GOODBYE_LIMIT_S)
        await self._line.listen(None)
        await self._hang_up_when_heard()

    async def _hang_up_when_heard(self) -> None:
        if self._outcome is not None and not self._unheard and self._cause is None:
            await self._leg.hang_up(self._hang_up_reason)

    async def _spoken(self, ended: SpeakingEnded) -> None:
        self._unheard.ended(ended)
        if self._backends.waiting and not self._unheard:
            self._timers.start(Timer.SILENCE, FURTHER_SILENCE_LIMIT_S)
        self._await_input()
        await self._hang_up_when_heard()

    async def _voice_failed(self, utterance_id: str) -> None:
        """Say it once more, after a word from the cache that needs no engine."""
        say = self._unheard.failed(utterance_id)
        if say is None:
            return
        if not self._unheard.may_retry(say) or self._outcome is not None:
            self._log.error("voice stays silent", prompt=say.prompt)
            if self._outcome is None:
                await self._say_text("voice_trouble", self._plan.prompts.voice_trouble)
                await self._end(Outcome.FAILED)
            await self._hang_up_when_heard()
            return
        await self._say_text("one_moment", self._plan.prompts.one_moment)
        await self._say(say)

    async def _line_ended(self, cause: EndCause) -> None:
        if self._cause is not None:
            return
        self._cause = cause
        self._handing_over.caller_left()
        if self._outcome is None:
            for action in self._dialog.step(CallerHungUp(self._now())):
                match action:
                    case RecordDecision():
                        self._turns.decision(action, secret=self._secret)
                    case SetGoal(goal, reached):
                        self._journal.set_goal(self._plan.call_id, goal, reached=reached)
                    case EndCall(outcome):
                        self._outcome = outcome
                    case _:
                        pass  # nobody is there to hear it
            self._outcome = self._outcome or Outcome.CALLER_HUNG_UP

    def _await_input(self) -> None:
        """Start the no-input timer once all that was said has been heard and we are listening."""
        expectation = self._expectation
        if expectation and not self._unheard and self._outcome is None and not self._backends.waiting:
            self._timers.start(Timer.NO_INPUT, expectation.no_input_s)

    async def _timer_ran(self, ran: TimerRan) -> None:
        if not self._timers.is_current(ran):
            return
        match ran.timer:
            case Timer.NO_INPUT:
                await self._step(CallerSilent(self._now()))
            case Timer.TOO_LONG:
                await self._step(CallMustEnd(self._now(), "too_long"))
            case Timer.SILENCE:
                await self._break_silence()
            case Timer.GOODBYE:
                self._unheard.forget()
                await self._hang_up_when_heard()

    async def _break_silence(self) -> None:
        """Say a word while the caller waits for something slow."""
        if self._over_prompt.held:
            # Recognition is slow: whatever was said, it is too late to go on where the prompt was stopped.
            await self._drop_speech()
        if self._unheard or self._outcome is not None:
            return
        if filler := self._backends.take_filler():
            await self._say(filler)
        else:
            await self._say_text("one_moment", self._plan.prompts.one_moment)

    async def _apologise(self) -> None:
        """Tell the caller that something broke, and hang up once heard; nothing here may raise."""
        with contextlib.suppress(Exception):  # the call is over; there is nobody left to tell
            if self._line.running is None:
                self._line.come_back()  # a transfer had the caller
            await self._line.stop_speaking()
            self._unheard.forget()
            await self._say_text("internal_trouble", self._plan.prompts.internal_trouble)
            deadline_s = self._clock() + GOODBYE_LIMIT_S
            while self._unheard and self._cause is None and self._clock() < deadline_s:
                async with asyncio.timeout(GOODBYE_LIMIT_S):
                    match await self._inbox.get():
                        case SpeakingEnded(utterance_id) | VoiceFailed(utterance_id):
                            self._unheard.drop(utterance_id)
                        case LineEnded(cause):
                            self._cause = cause
                        case _:
                            pass

    async def _wind_up(self) -> None:
        self._timers.stop_all()
        await self._handing_over.settle()
        with contextlib.suppress(Exception):  # a dead leg may fail to hang up; the record must still be written
            await self._leg.hang_up(self._hang_up_reason)
        # What is still queued would be paced into a dead line before the pipeline ends.
        await self._line.stop_speaking()
        while not self._inbox.empty():
            if isinstance(item := self._inbox.get_nowait(), SpeakingEnded):
                self._turns.speaking_ended(item)
        await self._line.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(AFTERWORK_LIMIT_S):
                line = (self._line.running,) if self._line.running else ()
                await asyncio.gather(*line, *self._backends.tasks, return_exceptions=True)
        if self._line.running:
            self._line.running.cancel()
        self._turns.close()
        outcome = Outcome(self._outcome or Outcome.FAILED)
        self._journal.end_call(self._plan.call_id, self._now(), outcome, (self._cause or EndCause.WE_HUNG_UP).value)
        # After the last turn is taken down: from then on the recording may be redacted.
        self._recording.close()
        self._meter.call_ended(outcome, self._clock() - self._started_s)
        self._log.info("call ended", outcome=outcome.value, cause=(self._cause or EndCause.WE_HUNG_UP).value)
