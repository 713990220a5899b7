"""A call's session against a scripted dialog and a line without audio."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry

from tests.fakes.dialog import Answer, Parrot, ScriptedDialog
from tests.fakes.journal import MemoryJournal
from tests.fakes.leg import FakeLeg
from tests.fakes.line import FakeLine
from voicebot.calls import conversation
from voicebot.calls.plan import CallPlan
from voicebot.calls.seams import StandingPrompts
from voicebot.calls.session import CallSession
from voicebot.dialog.actions import (
    Action,
    CallBackend,
    EndCall,
    Listen,
    NoteConsent,
    PromptPart,
    RecordDecision,
    RecordEscalation,
    RecordingAction,
    Say,
    SetGoal,
    StopRecording,
)
from voicebot.dialog.escalation.decision import Decision, NotYet
from voicebot.dialog.escalation.signals import Signals
from voicebot.dialog.events import (
    BackendAnswered,
    BackendFailed,
    CallerHungUp,
    CallerPressed,
    CallerSilent,
    CallerSpoke,
    CallMustEnd,
    CallStarted,
    Event,
    HearingFailed,
    SlotValue,
)
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.dialog.recording import Consent, RecordingHold
from voicebot.errors import BackendUnavailable
from voicebot.media.events import (
    CallerTurn,
    HearingTimings,
    LineEnded,
    LineEvent,
    PauseBegan,
    PauseEnded,
    RecognitionFailed,
    SpeakingBegan,
    SpeakingEnded,
    SpeakingPaused,
    SpeechBegan,
    SpeechDismissed,
    TurnOver,
)
from voicebot.records.metrics import Metrics
from voicebot.records.record import Outcome, Speaker
from voicebot.speech.asr import Final, Hypothesis, Word
from voicebot.speech.synthesis.marks import Run, parse_marks, plain_text
from voicebot.telephony.leg import EndCause, HangUpReason, LegEnded

OPEN = Expectation("open", (AnswerKind.OPEN,), no_input_s=60)
PIN = Expectation("pin", (AnswerKind.DIGITS,), secret=True, no_input_s=60)
PROMPTS = StandingPrompts("one moment", "voice is gone", "something broke")


@dataclass(frozen=True)
class Answered:
    outcome: str = "ok"
    result: Mapping[str, SlotValue | None] = field(default_factory=dict)


class SlowSystems:
    """Answers after `delay_s`, or fails."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        self.down = False
        self.keys: list[str | None] = []
        self.finished = 0

    async def call(
        self, operation: str, arguments: Mapping[str, SlotValue], *, idempotency_key: str | None = None
    ) -> Answered:
        self.keys.append(idempotency_key)
        await asyncio.sleep(self.delay_s)
        if self.down:
            raise BackendUnavailable("the test took it down")
        self.finished += 1
        return Answered(result={"balance": 12})


class SilentTape:
    def __init__(self) -> None:
        self.secrets: list[bool] = []
        self.bot_secrets: list[bool] = []
        self.closed = False

    def heard(self, frame: bytes, at_s: float) -> None: ...
    def sent(self, frame: bytes, at_s: float) -> None: ...
    def played(self, position_samples: int, at_s: float) -> None: ...
    def cut(self, position_samples: int, at_s: float) -> None: ...
    def secret(self, on: bool, at_s: float, *, bot: bool = False) -> None:
        self.secrets.append(on)
        self.bot_secrets.append(bot)

    def close(self) -> None:
        self.closed = True


def say(text: str, *, prompt: str = "p") -> Say:
    return Say(prompt, (PromptPart(text),))


class Stage:
    """A running call and everything around it."""

    def __init__(
        self, answer: Answer, *, max_call_s: float = 600, speaks: bool = True, mute: frozenset[str] = frozenset()
    ) -> None:
        self._speaks = speaks
        self._mute = mute
        self.leg = FakeLeg()
        self.dialog = ScriptedDialog(answer)
        self.journal = MemoryJournal()
        self.systems = SlowSystems()
        self.tape = SilentTape()
        self.steered: list[tuple[str, RecordingAction]] = []
        self.lines: list[FakeLine] = []
        self.session = CallSession(
            CallPlan("call-1", "recordings/call-1.wav", "UTC", 1, max_call_s, PROMPTS),
            self.leg,
            dialog=self.dialog,
            understanding=Parrot(),
            operations=self.systems,
            make_line=self._make_line,
            journal=self.journal,
            meter=Metrics(CollectorRegistry()),
            recording=self.tape,
            clock=time.monotonic,
            now=lambda: datetime.now(UTC),
            steer_recording=lambda call_id, action: self.steered.append((call_id, action)),
        )
        self.running = asyncio.create_task(self.session.run())
        self._listener = asyncio.create_task(self._carry_leg_events())

    def _make_line(self, on_event: Callable[[LineEvent], None]) -> FakeLine:
        self.lines.append(FakeLine(on_event, speaks=self._speaks, mute=self._mute))
        return self.lines[0]

    @property
    def line(self) -> FakeLine:
        return self.lines[0]

    async def _carry_leg_events(self) -> None:
        async for event in self.leg.events():
            if isinstance(event, LegEnded):
                self.line.on_event(LineEnded(event.cause, event.at_s))

    def heard(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.dialog.events if isinstance(event, kind)]

    async def finish(self) -> None:
        async with asyncio.timeout(5):
            await self.running


@contextlib.asynccontextmanager
async def stage(answer: Answer, *, max_call_s: float = 600) -> AsyncIterator[Stage]:
    made = Stage(answer, max_call_s=max_call_s)
    try:
        yield made
    finally:
        if not made.running.done():
            made.leg.end()
        await made.finish()


def greet(event: Event) -> Sequence[Action]:
    """Greet, listen, and end politely on "bye"."""
    match event:
        case CallStarted():
            return [say("hello"), Listen(OPEN)]
        case CallerSpoke(interpretations=(best, *_)) if best.text == "bye":
            return [say("goodbye"), EndCall("completed")]
        case CallerSpoke():
            return [RecordDecision("echo", "main", "open", "other", 0.8), say("and now"), Listen(OPEN)]
        case CallMustEnd():
            return [say("time is up"), EndCall("too_long")]
        case CallerHungUp():
            return [EndCall("hung_up")]
        case _:
            return []


async def test_a_call_is_greeted_heard_answered_and_ended_after_its_last_word() -> None:
    async with stage(greet) as call:
        await call.line.until(lambda: call.line.expectations != [])
        call.line.speak("something")
        await call.line.until(lambda: "and now" in call.line.texts)
        call.line.speak("bye")
        await call.finish()
        assert call.line.texts == ["hello", "and now", "goodbye"]
        assert call.leg.hung_up is HangUpReason.COMPLETED
        assert (call.journal.outcome, call.journal.cause) == (Outcome.COMPLETED, "we_hung_up")
        spoken = [(turn.speaker, turn.text) for turn in call.journal.turns]
        assert spoken == [
            (Speaker.BOT, "hello"),
            (Speaker.CALLER, "something"),
            (Speaker.BOT, "and now"),
            (Speaker.CALLER, "bye"),
            (Speaker.BOT, "goodbye"),
        ]
        turn = call.journal.turns[1]
        assert turn.decision == "main.open: echo"
        assert {"end_of_turn", "final", "decision", "first_audio_queued", "first_audio_sent"} <= turn.timings_ms.keys()


async def test_what_spoke_for_a_person_is_kept_with_the_turn_and_a_repeated_request_is_noticed() -> None:
    weighed = RecordEscalation(
        Signals(frustration=0.9, angry_turns=1),
        Decision("p1", "order_status", "usual", 0.67, (), 0.75, held=NotYet.ONE_BAD_TURN),
    )

    def answer(event: Event) -> Sequence[Action]:
        return [weighed, *greet(event)] if isinstance(event, CallerSpoke | CallerSilent) else greet(event)

    async with stage(answer) as call:
        await call.line.until(lambda: call.line.expectations != [])
        for _ in range(2):
            call.line.speak("where is it")
            await call.line.until(lambda: call.line.texts.count("and now") == len(call.heard(CallerSpoke)) > 0)
        call.line.speak("bye")
        await call.finish()
    turns = [turn.signals for turn in call.journal.turns if turn.speaker is Speaker.CALLER]
    assert turns[0] == {"frustration": 0.9, "angry_turns": 1, "decision": weighed.decision.document()}
    rephrased = [event.rephrased for event in call.heard(CallerSpoke) if isinstance(event, CallerSpoke)]
    assert rephrased == [0.0, 1.0, 0.0]


async def test_a_caller_who_hangs_up_ends_the_call_once() -> None:
    async with stage(greet) as call:
        await call.line.until(lambda: call.line.expectations != [])
        call.leg.end(EndCause.PEER_HUNG_UP)
        await call.finish()
        assert len(call.heard(CallerHungUp)) == 1
        assert (call.journal.outcome, call.journal.ends) == (Outcome.CALLER_HUNG_UP, 1)
        assert call.tape.closed


async def test_silence_is_told_only_after_the_prompt_was_heard() -> None:
    short = Expectation("open", (AnswerKind.OPEN,), no_input_s=0.1)

    def answer(event: Event) -> Sequence[Action]:
        match event:
            case CallStarted():
                return [say("a long question"), Listen(short)]
            case CallerSilent():
                return [say("are you there"), EndCall("silent")]
            case _:
                return []

    made = Stage(answer, speaks=False)
    await made.line.until(lambda: made.line.expectations != [])
    await asyncio.sleep(0.3)
    assert made.heard(CallerSilent) == []
    made.line.speaks = True
    made.line.on_event(SpeakingEnded(made.line.said[0].utterance_id, 900, "a long question", cut=False, at_s=5))
    await made.finish()
    assert len(made.heard(CallerSilent)) == 1


async def test_speech_stops_the_silence_timer_and_a_cough_starts_it_again() -> None:
    short = Expectation("open", (AnswerKind.OPEN,), no_input_s=0.2)

    def answer(event: Event) -> Sequence[Action]:
        match event:
            case CallStarted():
                return [Listen(short)]
            case CallerSilent():
                return [EndCall("silent")]
            case _:
                return []

    async with stage(answer) as call:
        await call.line.until(lambda: call.line.expectations != [])
        call.line.on_event(SpeechBegan(1))
        await asyncio.sleep(0.4)
        assert call.heard(CallerSilent) == []
        call.line.on_event(SpeechDismissed(2))
        await call.finish()
        assert len(call.heard(CallerSilent)) == 1


async def test_a_backend_answers_as_an_event_and_a_failing_one_too() -> None:
    def answer(event: Event) -> Sequence[Action]:
        match event:
            case CallStarted():
                return [CallBackend("r1", "accounts.balance", {}, idempotency_key="k1")]
            case BackendAnswered(result=result):
                return [say(f"you have {result['balance']}"), CallBackend("r2", "down", {})]
            case BackendFailed():
                return [EndCall("completed")]
            case _:
                return []

    async with stage(answer) as call:
        call.systems.delay_s = 0.05
        await call.line.until(lambda: call.heard(BackendAnswered) != [])
        call.systems.down = True
        await call.finish()
        assert call.line.texts == ["you have 12"]
        assert call.systems.keys == ["k1", None]
        assert len(call.heard(BackendFailed)) == 1


async def test_a_write_goes_on_to_its_end_when_the_caller_hangs_up() -> None:
    def answer(event: Event) -> Sequence[Action]:
        return [CallBackend("r1", "calendar.book", {}, idempotency_key="k")] if isinstance(event, CallStarted) else []

    call = Stage(answer)
    call.systems.delay_s = 0.4
    await asyncio.sleep(0.1)
    call.leg.end()
    await call.finish()
    assert call.systems.finished == 1


async def test_a_slow_backend_is_covered_by_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "SILENCE_LIMIT_S", 0.1)

    def answer(event: Event) -> Sequence[Action]:
        match event:
            case CallStarted():
                return [CallBackend("r1", "slow", {}, filler=say("let me look", prompt="filler"))]
            case BackendAnswered():
                return [say("found it"), EndCall("completed")]
            case _:
                return []

    call = Stage(answer)
    call.systems.delay_s = 0.5
    await call.finish()
    assert call.line.texts == ["let me look", "found it"]


async def test_a_slow_recogniser_is_covered_by_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "SILENCE_LIMIT_S", 0.1)
    async with stage(greet) as call:
        await call.line.until(lambda: call.line.expectations != [])
        call.line.on_event(TurnOver(1))
        await call.line.until(lambda: "one moment" in call.line.texts)


async def test_a_dead_recogniser_is_told_to_the_dialog() -> None:
    async with stage(greet) as call:
        await call.line.until(lambda: call.line.expectations != [])
        call.line.on_event(RecognitionFailed(1))
        await call.line.until(lambda: call.heard(HearingFailed) != [])


async def test_a_failing_voice_is_covered_and_tried_again() -> None:
    def answer(event: Event) -> Sequence[Action]:
        return [say("it costs ten dollars"), Listen(OPEN)] if isinstance(event, CallStarted) else []

    call = Stage(answer, mute=frozenset({"it costs ten dollars"}))
    await call.finish()
    assert call.line.texts == ["it costs ten dollars", "one moment", "it costs ten dollars", "voice is gone"]
    assert call.journal.outcome is Outcome.FAILED


async def test_what_the_dialog_wants_of_the_recording_reaches_it_with_the_call_s_id() -> None:
    def answer(event: Event) -> Sequence[Action]:
        match event:
            case CallStarted():
                return [NoteConsent(Consent.ANNOUNCED), Listen(OPEN)]
            case CallerPressed():
                return [StopRecording(RecordingHold.FLOW), EndCall("completed")]
            case _:
                return []

    async with stage(answer) as call:
        await call.line.until(lambda: call.line.expectations == [OPEN])
        call.line.press("1")
        await call.finish()
        assert call.steered == [
            ("call-1", NoteConsent(Consent.ANNOUNCED)),
            ("call-1", StopRecording(RecordingHold.FLOW)),
        ]


async def test_a_secret_is_neither_recorded_nor_written() -> None:
    def answer(event: Event) -> Sequence[Action]:
        match event:
            case CallStarted():
                return [Listen(PIN)]
            case CallerPressed():
                return [RecordDecision("took_pin", "auth", "pin", slots={"pin": "4271"}, detail="4271"), Listen(OPEN)]
            case _:
                return []

    async with stage(answer) as call:
        await call.line.until(lambda: call.line.expectations == [PIN])
        call.line.press("4271")
        await call.line.until(lambda: call.line.expectations == [PIN, OPEN])
        call.leg.end()
        await call.finish()
        assert call.tape.secrets == [True, False]
        assert call.journal.turns[0].secret
        assert "4271" not in repr(call.journal.turns)


async def test_a_failure_inside_one_call_is_apologised_for_and_recorded() -> None:
    def answer(event: Event) -> Sequence[Action]:
        if isinstance(event, CallerSpoke):
            raise ZeroDivisionError
        return greet(event)

    async with stage(answer) as call:
        await call.line.until(lambda: call.line.expectations != [])
        call.line.speak("trigger it")
        await call.finish()
        assert call.line.texts[-1] == "something broke"
        assert call.journal.outcome is Outcome.FAILED
        assert call.leg.hung_up is not None


@pytest.mark.parametrize("why", ["shutting_down", "too_long"])
async def test_a_call_that_must_end_says_goodbye_first(why: str) -> None:
    async with stage(greet) as call:
        await call.line.until(lambda: call.line.expectations != [])
        call.session.must_end(why)
        await call.finish()
        assert call.line.texts[-1] == "time is up"


async def test_the_longest_duration_ends_a_call() -> None:
    async with stage(greet, max_call_s=0.2) as call:
        await call.finish()
        assert [event.why for event in call.heard(CallMustEnd) if isinstance(event, CallMustEnd)] == ["too_long"]
        assert call.line.texts[-1] == "time is up"


async def test_the_goal_goes_to_the_record() -> None:
    def answer(event: Event) -> Sequence[Action]:
        if isinstance(event, CallStarted):
            return [SetGoal("balance"), SetGoal("balance", reached=True), EndCall("completed")]
        return []

    call = Stage(answer)
    await call.finish()
    assert call.journal.goals == [("balance", False), ("balance", True)]


YES_NO = Expectation("sure", (AnswerKind.YES_NO,), no_input_s=60)


def ask(expectation: Expectation) -> Answer:
    def answer(event: Event) -> Sequence[Action]:
        match event:
            case CallStarted():
                return [say("your order is on its way and should arrive on monday"), Listen(expectation)]
            case CallerSpoke():
                return [say("well then"), Listen(expectation)]
            case CallerHungUp():
                return [EndCall("hung_up")]
            case _:
                return []

    return answer


@contextlib.asynccontextmanager
async def in_mid_prompt(expectation: Expectation, *, left_ms: int = 4000, began_s: float = 0.0) -> AsyncIterator[Stage]:
    """A call whose first prompt the caller has paused by speaking."""
    made = Stage(ask(expectation), speaks=False)
    try:
        await made.line.until(lambda: bool(made.line.expectations))
        made.line.on_event(SpeakingBegan("u1", began_s, began_s))
        made.line.on_event(SpeakingPaused("u1", left_ms, began_s + 1.0))
        yield made
    finally:
        made.leg.end()
        await made.finish()


async def test_a_backchannel_lets_the_prompt_go_on_and_the_dialog_never_sees_it() -> None:
    async with in_mid_prompt(OPEN) as here:
        here.line.speak("uh huh okay", over_prompt=True)
        await here.line.until(lambda: here.line.resumed == 1)
        assert here.heard(CallerSpoke) == []
        assert here.line.stopped == 0
    noted = [turn for turn in here.journal.turns if turn.speaker is Speaker.CALLER]
    assert [(turn.text, turn.decision) for turn in noted] == [("uh huh okay", "backchannel: the prompt went on")]


async def test_words_over_a_prompt_drop_it_and_the_dialog_knows_what_was_heard() -> None:
    async with in_mid_prompt(OPEN) as here:
        here.line.speak("okay but where is it", over_prompt=True)
        await here.line.until(lambda: len(here.line.said) == 2)
        assert (here.line.stopped, here.line.resumed) == (1, 0)
        (spoke,) = here.heard(CallerSpoke)
        assert isinstance(spoke, CallerSpoke)
        assert (spoke.over_prompt, spoke.heard_prompt) == (True, "so far")


@pytest.mark.parametrize(
    ("said", "left_ms", "answers"),
    [("okay", 4000, False), ("okay", 800, True), ("uh huh", 800, True), ("yes", 4000, True), ("no", 4000, True)],
)
async def test_over_a_yes_or_no_question_a_plain_answer_counts_and_okay_only_at_its_end(
    said: str, left_ms: int, *, answers: bool
) -> None:
    async with in_mid_prompt(YES_NO, left_ms=left_ms) as here:
        here.line.speak(said, over_prompt=True)
        await here.line.until(lambda: bool(here.line.resumed or here.heard(CallerSpoke)))
        assert bool(here.heard(CallerSpoke)) is answers


async def test_a_mumble_without_words_lets_the_prompt_go_on() -> None:
    async with in_mid_prompt(OPEN) as here:
        here.line.speak(over_prompt=True)
        await here.line.until(lambda: here.line.resumed == 1)
        assert here.heard(CallerSpoke) == []


@pytest.mark.parametrize(
    ("said", "began_s", "spoken_s", "goes_on"),
    [
        ("to a human", 9.6, 0.8, True),  # what "please" was heard as, after a "yes" that had ended the turn
        ("to a human", 11.0, 0.8, False),
        ("and what about my balance", 9.6, 1.9, False),
        ("no wait", 9.6, 0.8, False),
    ],
)
async def test_what_was_begun_before_the_reply_could_be_heard_is_the_rest_of_the_turn_before(
    said: str, began_s: float, spoken_s: float, *, goes_on: bool
) -> None:
    async with in_mid_prompt(OPEN, began_s=10.0) as here:
        final = Final((Hypothesis(said, 0.9),), "scripted", 5.0)
        last_s = began_s + spoken_s
        timings = HearingTimings(began_s, last_s, last_s + 0.3, last_s + 0.4)
        here.line.on_event(CallerTurn(final, timings, "open", over_prompt=True))
        await here.line.until(lambda: bool(here.line.resumed or here.heard(CallerSpoke)))
        assert bool(here.line.resumed) is goes_on


async def test_a_dead_recogniser_drops_the_prompt_that_was_waiting_for_it() -> None:
    async with in_mid_prompt(OPEN) as here:
        here.line.on_event(TurnOver(2.0, over_prompt=True))
        here.line.on_event(RecognitionFailed(3.0))
        await here.line.until(lambda: here.line.stopped == 1)
        await asyncio.sleep(0.05)
        assert len(here.heard(HearingFailed)) == 1


async def test_a_slower_pace_is_asked_of_the_voice_and_not_written_down() -> None:
    def answer(event: Event) -> Sequence[Action]:
        match event:
            case CallStarted():
                parts = (PromptPart("your code is [slow]"), PromptPart("4 2[/slow]", static=False))
                return [Say("code", parts, pace=0.85), Listen(OPEN)]
            case CallerHungUp():
                return [EndCall("hung_up")]
            case _:
                return []

    async with stage(answer) as call:
        await call.line.until(lambda: call.line.expectations == [OPEN])
        pieces = [text for text, _ in call.line.said[0].pieces]
        assert [plain_text(text) for text in pieces] == ["your code is", "4 2"]
        speeds = [part.speed for text in pieces for part in parse_marks(text) if isinstance(part, Run)]
        assert speeds == [0.85, pytest.approx(0.85 * 0.8)]
        call.leg.end()
        await call.finish()
        assert call.journal.turns[0].text == "your code is 4 2"


async def test_a_personal_prompt_is_left_out_of_the_recording_while_a_secret_is_asked_for() -> None:
    def answer(event: Event) -> Sequence[Action]:
        match event:
            case CallStarted():
                return [Say("p", (PromptPart("for the account 4 4 1"),), personal=True), Listen(PIN)]
            case CallerHungUp():
                return [EndCall("hung_up")]
            case _:
                return []

    made = Stage(answer, speaks=False)
    await made.line.until(lambda: made.line.expectations == [PIN])
    assert (made.tape.secrets, made.tape.bot_secrets) == ([True], [True])
    made.leg.end()
    await made.finish()


async def test_words_go_to_the_record_with_their_place_in_the_recording() -> None:
    async with stage(greet) as call:
        await call.line.until(lambda: call.line.expectations != [])
        started_s = time.monotonic()
        words = (Word("hello", 0.1, 0.4, 0.8), Word("there", 0.4, 0.9, 1.2))
        final = Final((Hypothesis("hello there", 0.9, words),), "scripted", 5.0)
        timings = HearingTimings(started_s + 2.0, started_s + 3.0, started_s + 3.1, started_s + 3.2)
        call.line.on_event(CallerTurn(final, timings, "open", over_prompt=False))
        await call.line.until(lambda: len(call.line.said) == 2)
        call.leg.end()
        await call.finish()
    (turn,) = [turn for turn in call.journal.turns if turn.speaker is Speaker.CALLER]
    assert [word.text for word in turn.words] == ["hello", "there"]
    first, second = turn.words
    assert (first.start_ms - turn.at_ms, first.end_ms - turn.at_ms) == (100, 400)
    assert (second.end_ms - turn.at_ms, second.confidence) == (900, 1.0)


def book(event: Event) -> Sequence[Action]:
    """Book on every word: a sentence, then a write, then an outcome that is known only after it."""
    match event:
        case CallStarted():
            return [say("which day"), Listen(OPEN)]
        case CallerSpoke(interpretations=(best, *_)):
            return [
                Say("read_back", (PromptPart("so that is "), PromptPart(best.text, static=False))),
                CallBackend("r1", "book", {"day": best.text}, idempotency_key="call-1/1"),
                say("booked"),
            ]
        case CallerHungUp():
            return [EndCall("hung_up")]
        case _:
            return []


async def test_a_reply_is_rendered_in_the_first_pause_and_nothing_is_committed_when_speech_resumes() -> None:
    async with stage(book) as call:
        await call.line.until(lambda: call.line.expectations != [])
        call.line.on_event(PauseBegan("next tuesday", 1.0))
        await call.line.until(lambda: len(call.line.prepared) == 1)
        assert call.line.prepared == [(("so that is ", True), ("next tuesday", False))]
        call.line.on_event(PauseEnded(2.0))
        await call.line.until(lambda: len(call.line.prepared) == 2)
        assert call.line.prepared[1] == ()
        assert call.line.texts == ["which day"]
        assert call.systems.keys == []
        assert call.heard(CallerSpoke) == []
        assert [turn.speaker for turn in call.journal.turns] == [Speaker.BOT]


async def test_what_was_prepared_is_said_and_written_once_the_turn_is_over() -> None:
    async with stage(book) as call:
        await call.line.until(lambda: call.line.expectations != [])
        call.line.on_event(PauseBegan("next tuesday", 1.0))
        call.line.on_event(PauseBegan("next tuesday", 1.1))
        call.line.speak("next tuesday")
        await call.line.until(lambda: len(call.line.said) == 3)
        assert call.line.prepared == [call.line.said[1].pieces, ()]
        assert call.systems.keys == ["call-1/1"]
        assert len(call.heard(CallerSpoke)) == 1


async def test_nothing_is_tried_ahead_with_a_secret() -> None:
    def answer(event: Event) -> Sequence[Action]:
        return [Listen(PIN)] if isinstance(event, CallStarted) else [EndCall("hung_up")]

    async with stage(answer) as call:
        await call.line.until(lambda: call.line.expectations == [PIN])
        call.line.on_event(PauseBegan("four two seven one", 1.0))
        await asyncio.sleep(0.05)
        assert call.line.prepared == []
        assert call.dialog.forks == []
