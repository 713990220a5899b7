"""What is prepared in the caller's pauses, and that nothing of it is committed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tests.calls.stage import OPEN, PIN, say, stage
from voicebot.dialog.actions import (
    Action,
    CallBackend,
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
)
from voicebot.media.events import (
    PauseBegan,
    PauseEnded,
)
from voicebot.records.record import Speaker

pytestmark = pytest.mark.virtual_time


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
        await call.line.until(lambda: len(call.line.said) == 3 and call.systems.keys != [])
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
