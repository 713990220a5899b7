"""The caller's turns given to the dialog, and what it decides done on the line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

import structlog

from voicebot.calls.ahead import ReplyAhead
from voicebot.calls.backends import BackendRequests
from voicebot.calls.earlier import EarlierTurns
from voicebot.calls.inbox import Inbox
from voicebot.calls.notes import CallNotes, NotingJournal
from voicebot.calls.over_prompt import TurnOverPrompt
from voicebot.calls.party_line import PartyLine
from voicebot.calls.plan import CallPlan
from voicebot.calls.said import Unheard
from voicebot.calls.seams import Dialog, Meter, Recording, SteerRecording, Understanding
from voicebot.calls.timers import Timer, Timers
from voicebot.calls.transfer.handing_over import HandingOver
from voicebot.calls.transfer.held_caller import Interpret
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
from voicebot.dialog.events import CallerHungUp, CallerSpoke, CallMustEnd, Event, HearingFailed
from voicebot.dialog.expectation import Expectation
from voicebot.media.events import CallerTurn, SpeakingBegan, SpeakingEnded
from voicebot.records.record import Outcome
from voicebot.telephony.leg import CallLeg, EndCause, HangUpReason

#: A caller who has finished hears a word of ours within this time, whatever is slow.
SILENCE_LIMIT_S = 1.6
#: A caller who has been told to wait hears another word after this time.
FURTHER_SILENCE_LIMIT_S = 6.0
#: How long the last words may take to be heard before we hang up regardless.
GOODBYE_LIMIT_S = 30.0
#: When all that is said, the caller's silence and their turn have taken as long as they may, and so much more,
#: something has failed to end: then we go on as if they had not been heard. After so many times the call ends.
STANDS_STILL_S = 30.0
_MOST_STILL = 3


@dataclass(frozen=True, slots=True)
class CallParts:
    """What one call works with. `now` gives wall-clock time in the bot's zone, `clock` monotonic seconds."""

    plan: CallPlan
    leg: CallLeg
    dialog: Dialog
    understanding: Understanding
    interpret: Interpret
    line: PartyLine
    inbox: Inbox
    turns: TurnLog
    unheard: Unheard
    timers: Timers
    backends: BackendRequests
    handing_over: HandingOver
    notes: CallNotes
    journal: NotingJournal
    meter: Meter
    recording: Recording
    steer_recording: SteerRecording
    clock: Callable[[], float]
    now: Callable[[], datetime]
    log: structlog.typing.FilteringBoundLogger


class Conversation:
    """One call's talk. Once `outcome` is set the goodbye is being said, and the caller's words change nothing."""

    def __init__(self, parts: CallParts) -> None:
        self._parts = parts
        self._plan = parts.plan
        self._leg = parts.leg
        self._dialog = parts.dialog
        self._interpret = parts.interpret
        self._line = parts.line
        self._turns = parts.turns
        self._unheard = parts.unheard
        self._timers = parts.timers
        self._backends = parts.backends
        self._notes = parts.notes
        self._clock = parts.clock
        self._now = parts.now
        self._earlier = EarlierTurns(parts.understanding)
        self._ahead = ReplyAhead(parts.dialog, parts.understanding, parts.line)
        self._expectation: Expectation | None = None
        self._stood_still = 0
        self.over_prompt = TurnOverPrompt(parts.dialog.drops_all)
        self.outcome: str | None = None
        #: How the caller's line ended; None while it goes on.
        self.cause: EndCause | None = None

    @property
    def handed_over(self) -> bool:
        """Whether a person has, or had, the caller: the dialog has no more to say then."""
        return self._parts.handing_over.active

    async def finish(self) -> None:
        """Leave the caller, who has heard the last words."""
        await self._leg.hang_up(HangUpReason.COMPLETED)

    @property
    def secret(self) -> bool:
        """Whether what the caller says or keys now may be written nowhere."""
        return self._expectation is not None and self._expectation.secret

    # --- what the caller says

    async def caller_turn(self, turn: CallerTurn) -> None:
        if turn.over_prompt:
            # Where the prompt was given up before the words came there is nothing to go on with: they are answered.
            if self._unheard and self.over_prompt.held and self._asks_for_nothing(turn):
                await self._go_on(turn)
                return
            await self.drop_speech()
            self._parts.meter.barge_in()
        await self._caller_spoke(turn)

    def caption(self, text: str) -> None:
        """Show what the caller seems to be saying."""
        if not self.secret:
            self._leg.show_caption("caller", text, final=False)

    async def caller_paused(self, text: str) -> None:
        """Render what would be said if the caller, who has paused after `text`, had finished; nothing is committed."""
        if self._expectation and not self._expectation.secret and self.outcome is None:
            await self._ahead.prepare(text, self._expectation, self._now())

    async def caller_went_on(self) -> None:
        """Give up what was prepared for the caller's pause."""
        await self._ahead.forget()

    def turn_over(self, *, over_prompt: bool) -> None:
        """A turn is over, and its words are not yet known."""
        self.over_prompt.held = over_prompt
        self._timers.start(Timer.SILENCE, SILENCE_LIMIT_S)

    def _asks_for_nothing(self, turn: CallerTurn) -> bool:
        """Tell whether what was being said should go on: the caller only showed that they listen."""
        expectation = self._expectation
        if expectation is None or self.outcome is not None:
            return True
        reading = next(iter(self._interpret(turn, expectation)), None)
        return self.over_prompt.asks_for_nothing(
            reading,
            expectation,
            began_s=turn.timings.speech_started_s,
            spoken_ms=turn.spoken_ms,
            question_unheard=len(self._unheard) > 1,
        )

    async def _go_on(self, turn: CallerTurn) -> None:
        self.over_prompt.held = False
        self._timers.stop(Timer.SILENCE)
        self._turns.caller_agreed(turn, secret=self.secret or turn.secret)
        await self._line.resume_speaking()
        self.await_input()

    async def drop_speech(self) -> None:
        """Drop what waits paused, and note what of it was heard before the caller's words are acted upon."""
        self.over_prompt.held = False
        await self._line.stop_speaking()
        for ended in self._parts.inbox.take_spoken():
            await self.spoken(ended)

    async def _caller_spoke(self, turn: CallerTurn) -> None:
        expectation = self._expectation
        if expectation is None or self.outcome is not None:
            return
        if turn.secret and not expectation.secret:
            # Its question was answered meanwhile, by keys perhaps; taken for an answer to this one it would be kept.
            self._turns.caller_spoke(turn, (), secret=True)
            self.await_input()
            return
        interpretations = self._interpret(turn, expectation)
        self._turns.caller_spoke(turn, interpretations, secret=expectation.secret)
        if interpretations:
            self._notes.sounded(interpretations[0].mood)
        if turn.final.hypotheses and not expectation.secret:
            self._leg.show_caption("caller", turn.final.hypotheses[0].text, final=True)
        heard = bool(interpretations) and not expectation.secret
        await self.step(
            CallerSpoke(
                self._now(),
                interpretations,
                over_prompt=turn.over_prompt,
                heard_prompt=self._turns.last_heard_prompt,
                rephrased=self._earlier.add(interpretations[0]) if heard else 0.0,
            )
        )
        await self._ahead.forget()

    # --- what the dialog decides

    async def step(self, event: Event) -> None:
        """Have the dialog take `event`, and do what it decides."""
        if self.outcome is not None and not isinstance(event, CallMustEnd | CallerHungUp):
            return  # the goodbye is being said
        actions = self._dialog.step(event)
        self.over_prompt.reply_began_s = None
        self._turns.decided(self._clock())
        for action in actions:
            await self.carry_out(action)
        self.await_input()
        self._came_on()

    async def carry_out(self, action: Action) -> None:
        if self.handed_over and isinstance(action, Say | Listen | CallBackend | EndCall):
            return  # that is for bots without anybody to hand over to
        match action:
            case Say():
                await self.say(action)
            case Listen(expectation):
                await self._listen(expectation)
            case CallBackend():
                self._backends.ask(action)
                self._timers.start(Timer.SILENCE, SILENCE_LIMIT_S)
            case RecordDecision():
                self._turns.decision(action, secret=self.secret)
                self._notes.decided(action, secret=self.secret)
            case RecordEscalation():
                self._turns.escalation(action)
                self._notes.weighed(action)
            case SetGoal(goal, reached):
                self._parts.journal.set_goal(self._plan.call_id, goal, reached=reached)
            case StopRecording() | ResumeRecording() | NoteConsent():
                self._parts.steer_recording(self._plan.call_id, action)
            case TransferTo(reason, by, topic):
                self._parts.log.info("person requested", reason=reason, by=by.value, topic=topic)
                await self.hand_over(action)
            case EndCall(outcome):
                await self._end(outcome)
            case _:
                assert_never(action)

    def line_ended(self, cause: EndCause) -> None:
        """Note what the dialog makes of a caller who is gone; nobody is there to hear it."""
        self.cause = cause
        if self.outcome is not None:
            return
        for action in self._dialog.step(CallerHungUp(self._now())):
            match action:
                case RecordDecision():
                    self._turns.decision(action, secret=self.secret)
                case SetGoal(goal, reached):
                    self._parts.journal.set_goal(self._plan.call_id, goal, reached=reached)
                case EndCall(outcome):
                    self.outcome = outcome
                case _:
                    pass
        self.outcome = self.outcome or Outcome.CALLER_HUNG_UP

    async def say(self, say: Say) -> None:
        if say.text:
            self._timers.stop(Timer.NO_INPUT)
            await self._unheard.say(say)

    async def say_text(self, prompt: str, text: str) -> None:
        await self.say(Say(prompt, (PromptPart(text),)))

    async def _listen(self, expectation: Expectation) -> None:
        was_secret, self._expectation = self.secret, expectation
        if was_secret != expectation.secret:
            # What we say of the caller's own meanwhile may be the secret, or lead to it.
            repeats = self._unheard.personal
            self._parts.recording.secret(expectation.secret, self._clock(), bot=repeats)
        await self._line.listen(expectation)

    async def hand_over(self, wanted: TransferTo) -> None:
        """Have a person take the caller, if there is anybody who could."""
        if self._parts.handing_over.begin(wanted):
            self._timers.stop_all()
            self._expectation = None
            await self._line.listen(None)

    async def _end(self, outcome: str) -> None:
        if self.outcome is None:
            self.outcome = outcome
        self._timers.start(Timer.GOODBYE, GOODBYE_LIMIT_S)
        await self._line.listen(None)
        await self.hang_up_when_heard()

    # --- what is heard of it

    def speaking_began(self, began: SpeakingBegan) -> None:
        if self.over_prompt.reply_began_s is None:
            self.over_prompt.reply_began_s = began.at_s
        self._backends.filler = None
        self._timers.stop(Timer.SILENCE)
        self._came_on()
        self._turns.speaking_began(began)

    async def spoken(self, ended: SpeakingEnded) -> None:
        self._unheard.ended(ended)
        if self._backends.waiting and not self._unheard:
            self._timers.start(Timer.SILENCE, FURTHER_SILENCE_LIMIT_S)
        self.await_input()
        self._came_on()
        await self.hang_up_when_heard()

    async def hang_up_when_heard(self) -> None:
        if self.outcome is not None and not self._unheard and self.cause is None:
            await self.finish()

    async def voice_failed(self, utterance_id: str) -> None:
        """Say it once more, after a word from the cache that needs no engine."""
        say = self._unheard.failed(utterance_id)
        if say is None:
            return
        if not self._unheard.may_retry(say) or self.outcome is not None:
            self._parts.log.error("voice stays silent", prompt=say.prompt)
            if self.outcome is None:
                await self.say_text("voice_trouble", self._plan.prompts.voice_trouble)
                await self._end(Outcome.FAILED)
            await self.hang_up_when_heard()
            return
        await self.say_text("one_moment", self._plan.prompts.one_moment)
        await self.say(say)

    def await_input(self) -> None:
        """Start the no-input timer once all that was said has been heard and we are listening."""
        expectation = self._expectation
        if expectation and not self._unheard and self.outcome is None and not self._backends.waiting:
            self._timers.start(Timer.NO_INPUT, expectation.no_input_s)

    def _came_on(self) -> None:
        """Something was said, heard to its end or decided: the call does not stand still."""
        if self.outcome is not None or self.handed_over:
            return
        asked = self._expectation
        listening_s = asked.no_input_s + asked.too_long_s if asked else 0.0
        self._timers.start(Timer.STANDS_STILL, self._unheard.longest_s + listening_s + STANDS_STILL_S)

    async def stood_still(self) -> None:
        """Go on as if the caller had not been heard; where that has been of no use, end the call."""
        if self.outcome is not None:
            return
        self._stood_still += 1
        self._parts.log.error("call stood still", times=self._stood_still, unheard=len(self._unheard))
        await self.drop_speech()
        self._unheard.forget()
        if self._stood_still < _MOST_STILL:
            await self.step(HearingFailed(self._now()))
            return
        await self.say_text("internal_trouble", self._plan.prompts.internal_trouble)
        await self._end(Outcome.FAILED)

    async def break_silence(self) -> None:
        """Say a word while the caller waits for something slow."""
        if self.over_prompt.held:
            # Recognition is slow: whatever was said, it is too late to go on where the prompt was stopped.
            await self.drop_speech()
        if self._unheard or self.outcome is not None:
            return
        if filler := self._backends.take_filler():
            await self.say(filler)
        else:
            await self.say_text("one_moment", self._plan.prompts.one_moment)
