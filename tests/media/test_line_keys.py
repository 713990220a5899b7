"""Keys on the line, told apart or found in the audio."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.buzz import buzz
from tests.media.room import one, room
from voicebot import g711
from voicebot.dialog.expectation import AnswerKind, Expectation, KeyEntry
from voicebot.media.events import (
    CallerTurn,
    KeyingBegan,
    KeysEntered,
    SpeakingBegan,
    SpeakingEnded,
)
from voicebot.speech.listening.dtmf import tone
from voicebot.telephony.leg import FRAME_BYTES, SILENT_FRAME

pytestmark = pytest.mark.virtual_time


async def test_keys_stop_the_prompt_at_once_and_arrive_as_one_entry() -> None:
    async with room() as here:
        await here.line.listen(Expectation("pin", (AnswerKind.DIGITS,), keys=KeyEntry(4, 4)))
        await here.line.say(one("a", " ".join(["word"] * 20)))
        await here.until(SpeakingBegan)
        for key in "1224":
            here.leg.press(key)
            await asyncio.sleep(0.12)
        entered = await here.until(KeysEntered)
        assert entered.keys == "1224"
        assert [event.at_s for event in here.all(KeyingBegan)][::3] == [entered.began_s, entered.at_s]
        assert (await here.until(SpeakingEnded)).cut


async def test_keys_before_they_were_asked_for_belong_to_the_entry_but_those_long_before_do_not() -> None:
    pin = Expectation("pin", (AnswerKind.DIGITS,), keys=KeyEntry(2, 2))
    async with room() as here:
        for key, at_s in (("9", 10.0), ("8", 50.0)):
            here.leg.press(key, at_s)
        here.leg.press("7", 51.0)
        await here.line.listen(pin)
        here.leg.press("1", 52.0)
        here.leg.press("2", 53.0)
        entered = await here.until(KeysEntered)
        assert (entered.keys, entered.began_s, entered.at_s) == ("12", 50.0, 53.0)


def in_audio(keys: str) -> list[bytes]:
    """Return frames with the tones of `keys`, 100 ms each and as much between them."""
    frames: list[bytes] = []
    for key in keys:
        mulaw = g711.encode(tone(key, 100))
        frames += [mulaw[start : start + FRAME_BYTES] for start in range(0, len(mulaw), FRAME_BYTES)]
        frames += [SILENT_FRAME] * 5
    return frames


async def test_keys_are_found_in_the_audio_of_a_line_that_sends_none_apart() -> None:
    async with room(keys_apart=False) as here:
        await here.line.listen(Expectation("pin", (AnswerKind.DIGITS,), keys=KeyEntry(4, 4)))
        await here.line.say(one("a", " ".join(["word"] * 20)))
        await here.until(SpeakingBegan)
        await here.leg.speak(in_audio("1224"))
        assert (await here.until(KeysEntered)).keys == "1224"
        assert (await here.until(SpeakingEnded)).cut


async def test_tones_are_left_alone_on_a_line_that_sends_keys_apart() -> None:
    async with room("", "") as here:
        await here.line.listen(Expectation("pin", (AnswerKind.DIGITS,), keys=KeyEntry(4, 4)))
        await here.leg.speak(in_audio("1224"))
        await here.leg.stay_silent(0.3)
        assert here.all(KeysEntered) == []


@pytest.mark.parametrize("keys_apart", [True, False])
async def test_a_key_in_the_middle_of_speech_drops_what_was_being_said(*, keys_apart: bool) -> None:
    async with room("four", "unused", keys_apart=keys_apart) as here:
        await here.line.listen(Expectation("pin", (AnswerKind.DIGITS,), keys=KeyEntry(2, 2)))
        await here.leg.speak(buzz(0.5))
        if keys_apart:
            here.leg.press("42")
        else:
            await here.leg.speak(in_audio("42"))
        assert (await here.until(KeysEntered)).keys == "42"
        await here.leg.stay_silent(1.5)
        assert here.all(CallerTurn) == []
        assert here.transcriber.cancelled == 1


async def test_a_habitual_hash_after_a_complete_entry_is_no_answer_to_the_next_question() -> None:
    async with room() as here:
        await here.line.listen(Expectation("account", (AnswerKind.DIGITS,), keys=KeyEntry(3, 3)))
        for key in "123":
            here.leg.press(key)
            await asyncio.sleep(0.12)
        await here.until(KeysEntered)
        await here.line.listen(Expectation("pin", (AnswerKind.DIGITS,), keys=KeyEntry(4, 4, gap_s=0.2)))
        here.leg.press("#")
        await asyncio.sleep(0.4)
        assert [event.keys for event in here.all(KeysEntered)] == ["123"]


async def test_an_unfinished_entry_arrives_after_its_gap() -> None:
    async with room() as here:
        await here.line.listen(Expectation("pin", (AnswerKind.DIGITS,), keys=KeyEntry(4, 4, gap_s=0.3)))
        here.leg.press("12")
        entered = await here.until(KeysEntered)
        assert entered.keys == "12"
