"""A call's session: greeted, heard, answered, recorded and ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tests.calls.stage import OPEN, PIN, Stage, greet, say, stage
from voicebot.calls import conversation
from voicebot.dialog.actions import (
    Action,
    CallBackend,
    EndCall,
    Listen,
    NoteConsent,
    PromptPart,
    RecordDecision,
    RecordEscalation,
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
)
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.dialog.recording import Consent, RecordingHold
from voicebot.errors import BackendUnavailable, LocalProtocolError
from voicebot.media.events import (
    CallerTurn,
    HearingTimings,
    RecognitionFailed,
    SpeakingEnded,
    SpeechBegan,
    SpeechDismissed,
    TurnOver,
)
from voicebot.records.record import Outcome, Speaker
from voicebot.speech.asr import Final, Hypothesis, Word
from voicebot.speech.synthesis.marks import Run, parse_marks, plain_text
from voicebot.telephony.leg import EndCause, HangUpReason

pytestmark = pytest.mark.virtual_time


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
        call.systems.trouble = BackendUnavailable("the test took it down")
        await call.finish()
        assert call.line.texts == ["you have 12"]
        assert call.systems.keys == ["k1", None]
        assert len(call.heard(BackendFailed)) == 1
    (said,) = call.journal.turns
    (asked,) = said.backend_calls
    assert (asked.operation, asked.outcome) == ("accounts.balance", "ok")
    assert asked.ms == pytest.approx(50, abs=2)


@pytest.mark.parametrize("trouble", [LocalProtocolError("not declared"), ZeroDivisionError("nobody foresaw it")])
async def test_whatever_an_operation_breaks_down_with_leaves_nobody_waiting(trouble: Exception) -> None:
    def answer(event: Event) -> Sequence[Action]:
        match event:
            case CallStarted():
                return [CallBackend("r1", "accounts.balance", {})]
            case BackendFailed():
                return [EndCall("completed")]
            case _:
                return []

    async with stage(answer) as call:
        call.systems.trouble = trouble
        await call.finish()
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


async def test_what_was_said_to_a_secret_question_is_no_answer_to_the_next_and_written_nowhere() -> None:
    """The PIN was keyed in while it was being recognised."""

    def answer(event: Event) -> Sequence[Action]:
        match event:
            case CallStarted():
                return [Listen(PIN)]
            case CallerPressed():
                return [Listen(OPEN)]
            case _:
                return greet(event)

    async with stage(answer) as call:
        await call.line.until(lambda: call.line.expectations == [PIN])
        call.line.press("4711")
        await call.line.until(lambda: call.line.expectations == [PIN, OPEN])
        call.line.speak("four seven one one", secret=True)
        call.line.speak("something")
        await call.line.until(lambda: "and now" in call.line.texts)
        call.leg.end()
        await call.finish()
    assert len(call.heard(CallerSpoke)) == 1
    said = [turn for turn in call.journal.turns if turn.speaker is Speaker.CALLER]
    assert [(turn.text, turn.secret) for turn in said] == [("", True), ("", True), ("something", False)]


async def test_words_go_to_the_record_with_their_place_in_the_recording() -> None:
    async with stage(greet) as call:
        await call.line.until(lambda: call.line.expectations != [])
        started_s = asyncio.get_running_loop().time()
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
