"""No call stands still: whatever happens at whichever moment, the bot speaks, or notices the silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from tests.calls.stage import OPEN, Stage, say
from tests.calls.whole_call import LONGEST_CALL_S, NoWords, WholeCall
from tests.dialog.strategies import shipped_bot
from tests.fakes.virtual_time import run
from voicebot.dialog.actions import Action, EndCall, Listen
from voicebot.dialog.conversation import Conversation
from voicebot.dialog.events import (
    CallerHungUp,
    CallerPressed,
    CallerTalkedTooLong,
    CallStarted,
    Event,
    HearingFailed,
)
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.media.events import SpeechBegan
from voicebot.records.record import Outcome

#: Three silences with what is said between them, and an engine's longest answer.
_LONGEST_S = 60.0


def carried(seed: int) -> tuple[float, Outcome | None]:
    async def carry() -> tuple[float, Outcome | None]:
        call = WholeCall(seed)
        return await call.run(), call.journal.outcome

    return run(carry())


# The first six stood still once: prompts that were lowered or paused in their last 20 ms, that ended while paused, or
# whose voice told its end only after all of it had been heard.
@pytest.mark.parametrize("seed", [2, 12, 61, 102, 3058, 3450])
def test_after_whatever_a_caller_did_a_silent_one_is_noticed_and_the_call_ends(seed: int) -> None:
    silent_s, outcome = carried(seed)
    assert outcome is not None
    assert silent_s < _LONGEST_S, f"{outcome} after {silent_s:.1f} s of silence"


def test_an_entry_of_keys_ends_although_timers_run_a_little_before_their_time() -> None:
    async def press(call: WholeCall) -> None:
        while not call.takes_keys:
            await asyncio.sleep(0.1)
        call.carrier.press("4")
        call.silent_from_s = asyncio.get_running_loop().time()

    async def carry() -> list[str]:
        call = WholeCall(seed=7)
        await call.run(press)
        return [event.keys for event in call.dialog.events if isinstance(event, CallerPressed)]

    assert run(carry()) == ["4"]


def in_noise(answer: Callable[[Event], Sequence[Action]], sounding_ms: int, silent_ms: int) -> tuple[float, WholeCall]:
    """Return how long a call lasts whose caller leaves the telephone beside what sounds like a voice, and the call."""

    async def carry() -> tuple[float, WholeCall]:
        call = WholeCall(seed=4, answer=answer, hearing=NoWords())
        await call.run(lambda call: call.sound(sounding_ms, silent_ms))
        return asyncio.get_running_loop().time(), call

    return run(carry())


def reads_out(event: Event) -> Sequence[Action]:
    """Read out something long and say goodbye after that."""
    asked = Expectation("main", (AnswerKind.OPEN,), no_input_s=2.0, too_long_s=6.0)
    match event:
        case CallStarted():
            return [say(" ".join(["word"] * 20)), Listen(asked)]
        case CallerHungUp():
            return [EndCall("hung_up")]
        case _:
            return [say("goodbye then"), EndCall("silent")]


# A beat that is never quiet for long enough to be dismissed, and sounds that are, each just when the prompt went on.
@pytest.mark.parametrize(("sounding_ms", "silent_ms"), [(200, 200), (300, 640)])
def test_sounds_in_a_steady_beat_stop_no_prompt_for_ever(sounding_ms: int, silent_ms: int) -> None:
    lasted_s, call = in_noise(reads_out, sounding_ms, silent_ms)
    assert call.journal.outcome is not None
    assert lasted_s < LONGEST_CALL_S / 2
    assert any(turn.text.startswith("word") for turn in call.journal.turns)


def impatient(event: Event, dialog: Conversation) -> Sequence[Action]:
    """Let the shipped bot answer, and whoever talks be too long sooner."""
    return [
        replace(action, expectation=replace(action.expectation, too_long_s=4.0))
        if isinstance(action, Listen)
        else action
        for action in dialog.step(event)
    ]


def test_a_television_beside_the_telephone_comes_to_the_end_of_the_ladder() -> None:
    dialog = Conversation(shipped_bot())
    lasted_s, call = in_noise(lambda event: impatient(event, dialog), 2500, 300)
    assert lasted_s < LONGEST_CALL_S
    assert sum(isinstance(event, CallerTalkedTooLong) for event in call.dialog.events) == 3
    offered = [turn for turn in call.journal.turns if turn.prompt == "welcome.first.keys"]
    assert offered
    assert all(turn.heard_text is None for turn in offered), "the noise that keys help against broke off their offer"


def mute_after(event: Event) -> Sequence[Action]:
    return [EndCall("hung_up")] if isinstance(event, CallerHungUp) else [say("a question"), Listen(OPEN)]


def test_a_call_in_which_nothing_comes_to_its_end_is_taken_up_again_and_ends_at_last() -> None:
    async def carry() -> tuple[Stage, float]:
        # A line on which no prompt is heard to its end, and no end of the caller's turn is told.
        stage = Stage(mute_after, max_call_s=100_000, speaks=False)
        await asyncio.sleep(1)
        stage.line.on_event(SpeechBegan(0.0))
        await stage.running
        return stage, asyncio.get_running_loop().time()

    stage, lasted_s = run(carry())
    assert [type(event) for event in stage.dialog.events] == [CallStarted, HearingFailed, HearingFailed]
    assert stage.line.texts[-1] == "something broke"
    assert stage.journal.outcome is Outcome.FAILED
    assert lasted_s < 600


def test_a_caller_who_takes_all_the_time_there_is_was_not_standing_still() -> None:
    async def carry() -> Stage:
        stage = Stage(mute_after, max_call_s=100_000)
        await asyncio.sleep(1)
        await asyncio.sleep(OPEN.no_input_s - 1)
        stage.line.on_event(SpeechBegan(0.0))
        await asyncio.sleep(OPEN.too_long_s)
        stage.line.speak("the long and the short of it")
        stage.leg.end()
        await stage.running
        return stage

    assert not run(carry()).heard(HearingFailed)
