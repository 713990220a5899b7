"""What the caller says while the bot speaks: it goes on, or is dropped and the words are taken."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest

from tests.calls.stage import OPEN, PIN, Stage, say
from tests.fakes.dialog import Answer
from tests.fakes.virtual_time import run
from voicebot.dialog.actions import (
    Action,
    EndCall,
    Listen,
    PromptPart,
    Say,
)
from voicebot.dialog.events import (
    CallerHungUp,
    CallerSpoke,
    CallStarted,
    Event,
    HearingFailed,
)
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.media.events import (
    CallerTurn,
    HearingTimings,
    RecognitionFailed,
    SpeakingBegan,
    SpeakingPaused,
    TurnOver,
)
from voicebot.records.record import Speaker
from voicebot.speech.asr import Final, Hypothesis

pytestmark = pytest.mark.virtual_time

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
        here.line.on_event(TurnOver(last_s + 0.3, over_prompt=True))
        here.line.on_event(CallerTurn(final, timings, "open", over_prompt=True))
        await here.line.until(lambda: bool(here.line.resumed or here.heard(CallerSpoke)))
        assert bool(here.line.resumed) is goes_on


def test_words_that_come_after_the_prompt_was_given_up_are_answered_and_not_taken_for_a_mumble() -> None:
    async def carry() -> list[Event]:
        async with in_mid_prompt(OPEN) as here:
            here.line.on_event(TurnOver(2.0, over_prompt=True))
            await here.line.until(lambda: here.line.texts[-1] == "one moment")
            timings = HearingTimings(1.0, 1.8, 2.0, 4.0)
            late = Final((Hypothesis("vanished somewhere", 0.9),), "scripted", 5.0)
            here.line.on_event(CallerTurn(late, timings, "open", over_prompt=True))
            await here.line.until(lambda: bool(here.line.resumed or here.heard(CallerSpoke)))
            return here.heard(CallerSpoke)

    assert len(run(carry())) == 1


async def test_a_dead_recogniser_drops_the_prompt_that_was_waiting_for_it() -> None:
    async with in_mid_prompt(OPEN) as here:
        here.line.on_event(TurnOver(2.0, over_prompt=True))
        here.line.on_event(RecognitionFailed(3.0))
        await here.line.until(lambda: here.line.stopped == 1)
        await asyncio.sleep(0.05)
        assert len(here.heard(HearingFailed)) == 1


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
