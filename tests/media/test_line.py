"""The pipeline on a real event loop: our voice out, the caller's out of the same leg."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from tests.fakes.buzz import buzz
from tests.fakes.voice import WORD_MS, HummingVoice, hum
from tests.media.room import OPEN, one, room
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.errors import EngineUnavailable
from voicebot.media.events import (
    CallerTurn,
    LineEnded,
    PauseBegan,
    PauseEnded,
    RecognitionFailed,
    SpeakingBegan,
    SpeakingEnded,
    VoiceFailed,
)
from voicebot.media.frames import Utterance
from voicebot.speech.listening.echo import EchoGuard
from voicebot.speech.listening.vad import Activity
from voicebot.telephony.leg import SAMPLE_RATE_HZ

pytestmark = pytest.mark.virtual_time


async def test_what_we_say_reaches_the_caller_whole_and_is_reported_heard() -> None:
    async with room() as here:
        await here.line.say(one("a", "good morning to you"))
        ended = await here.until(SpeakingEnded)
        assert (ended.utterance_id, ended.cut, ended.heard_text) == ("a", False, "good morning to you")
        assert abs(ended.heard_ms - 4 * WORD_MS) <= 40
        assert bytes(here.leg.heard)[: len(hum("good morning to you"))] == hum("good morning to you")
        assert here.tape.bot == here.leg.sent_samples


async def test_utterances_follow_each_other_in_order() -> None:
    async with room(voice=HummingVoice(cached=frozenset({"second thing"}))) as here:
        await here.line.say(one("a", "first thing"))
        await here.line.say(one("b", "second thing"))
        await here.until(SpeakingEnded, count=2)
        assert [event.utterance_id for event in here.all(SpeakingEnded)] == ["a", "b"]


async def test_a_dynamic_piece_is_rendered_while_the_static_one_plays() -> None:
    voice = HummingVoice(cached=frozenset({"your balance is now"}), slow_s=0.5)
    async with room(voice=voice) as here:
        await here.line.say(Utterance("a", (("your balance is now", True), ("ten dollars", False))))
        began = await here.until(SpeakingBegan)
        ended = await here.until(SpeakingEnded)
        assert ended.heard_text == "your balance is now ten dollars"
        # 800 ms of static speech hide the 500 ms of rendering: nothing was waited for.
        assert ended.at_s - began.at_s < 6 * WORD_MS / 1000 + 0.35


async def test_what_was_prepared_is_heard_at_once_when_it_is_said() -> None:
    async with room(voice=HummingVoice(slow_s=0.6)) as here:
        await here.line.prepare((("your balance is ten", False),))
        await asyncio.sleep(0.8)
        asked_s = asyncio.get_running_loop().time()
        await here.line.say(Utterance("a", (("your balance is ten", False),)))
        began = await here.until(SpeakingBegan)
        assert began.at_s - asked_s < 0.3
        ended = await here.until(SpeakingEnded)
        assert ended.heard_text == "your balance is ten"


async def test_what_is_no_longer_wanted_is_not_rendered_to_its_end() -> None:
    voice = HummingVoice(slow_s=0.3)
    async with room(voice=voice) as here:
        await here.line.prepare((("your balance is ten", False),))
        await here.line.prepare(())
        await asyncio.sleep(0.5)
        assert voice.rendered == []
        await here.line.say(one("a", "something else"))
        assert (await here.until(SpeakingEnded)).heard_text == "something else"
        assert voice.rendered == ["something else"]


async def test_a_pause_is_told_with_its_words_and_so_is_its_end() -> None:
    async with room("next tuesday", "unused") as here:
        await here.line.listen(OPEN)
        await here.leg.speak(buzz(0.6))
        await here.leg.stay_silent(0.4)
        assert (await here.until(PauseBegan)).text == "next tuesday"
        await here.leg.speak(buzz(0.4))
        await here.until(PauseEnded)
        assert here.all(CallerTurn) == []


async def test_a_whole_sentence_heard_ahead_ends_the_turn_though_the_voice_sounds_unfinished() -> None:
    async with room("my balance please", ahead=True, completeness=lambda text, expectation: 0.6) as here:
        await here.line.listen(OPEN)
        await here.leg.speak(buzz(1.0))
        await here.leg.stay_silent(0.9)
        turn = await here.until(CallerTurn)
        assert here.transcriber.looks == ["look"]
        waited_s = turn.timings.turn_ended_s - turn.timings.last_speech_s
        assert waited_s < 0.7, "without its words it would have been 1.1 s"


async def test_another_reading_that_seems_whole_ends_the_turn_sooner_where_the_likeliest_tells_nothing() -> None:
    def whole(text: str, expectation: Expectation) -> float:
        return 0.6 if text == "check my account balance" else 0.0

    heard = ("check my account balance",)
    async with room("take my account", ahead=True, others=heard, completeness=whole) as here:
        await here.line.listen(Expectation("number", (AnswerKind.DIGITS,)))
        await here.leg.speak(buzz(1.0))
        # Without the other reading 1.2 s of silence would be needed, and there are no more than these.
        await here.leg.stay_silent(1.0)
        assert (await here.until(CallerTurn)).final.hypotheses[0].text == "take my account"


async def test_words_that_break_off_keep_the_turn_open_however_finished_the_voice_sounds() -> None:
    async with room("my balance and my", ahead=True, completeness=lambda text, expectation: -1.0) as here:
        await here.line.listen(Expectation("sure", (AnswerKind.YES_NO,)))
        await here.leg.speak(buzz(1.0))
        await here.leg.stay_silent(1.3)
        turn = await here.until(CallerTurn)
        waited_s = turn.timings.turn_ended_s - turn.timings.last_speech_s
        assert waited_s > 0.9, "after yes or no half a second is enough"


async def test_speech_that_goes_on_voids_what_was_heard_ahead() -> None:
    async with room("my balance", "unused", ahead=True, completeness=lambda text, expectation: 0.6) as here:
        await here.line.listen(OPEN)
        await here.leg.speak(buzz(0.6))
        await here.leg.stay_silent(0.34)
        await here.leg.speak(buzz(0.4))
        await here.until(PauseEnded)
        assert here.transcriber.looks == ["look", "on"]
        assert here.all(CallerTurn) == []


async def test_a_short_stop_within_a_sentence_is_not_heard_ahead() -> None:
    async with room("my balance", "unused", ahead=True) as here:
        await here.line.listen(OPEN)
        await here.leg.speak(buzz(0.6))
        await here.leg.stay_silent(0.1)
        await here.leg.speak(buzz(0.4))
        assert "look" not in here.transcriber.looks


async def test_the_carrier_never_holds_more_than_300_ms_of_ours() -> None:
    async with room() as here:
        await here.line.say(one("a", " ".join(["word"] * 10)))
        await here.until(SpeakingBegan)
        most = 0
        while not here.all(SpeakingEnded):
            most = max(most, here.leg.queued_ms)
            await asyncio.sleep(0.01)
        assert 40 < most <= 300


async def test_speech_becomes_a_turn_with_its_transcript_and_its_beginning() -> None:
    async with room("my balance please") as here:
        await here.line.listen(OPEN)
        await here.leg.stay_silent(0.5)
        await here.leg.speak(buzz(1.0))
        await here.leg.stay_silent(1.2)
        turn = await here.until(CallerTurn)
        assert turn.final.hypotheses[0].text == "my balance please"
        assert turn.expectation_name == "open"
        assert not turn.over_prompt
        assert abs(turn.spoken_ms - 1000) < 400
        # The recogniser got the second of speech and what came just before it.
        assert here.transcriber.fed_samples[0] >= 1.1 * SAMPLE_RATE_HZ
        timings = turn.timings
        assert timings.speech_started_s < timings.last_speech_s < timings.turn_ended_s <= timings.final_s


async def test_a_frame_that_nobody_can_judge_does_not_make_the_call_deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    judge, frames = EchoGuard.judge, itertools.count()

    def judge_most(guard: EchoGuard, pcm: bytes, activity: Activity) -> Activity:
        if next(frames) % 10 == 0:
            raise ValueError("no such sound")
        return judge(guard, pcm, activity)

    monkeypatch.setattr(EchoGuard, "judge", judge_most)
    async with room("next tuesday") as here:
        await here.line.listen(OPEN)
        await here.leg.speak(buzz(0.8))
        await here.leg.stay_silent(1.6)
        assert (await here.until(CallerTurn)).final.hypotheses[0].text == "next tuesday"


async def test_nothing_is_transcribed_while_nobody_listens() -> None:
    async with room("unheard") as here:
        await here.line.listen(None)
        await here.leg.speak(buzz(0.6))
        await here.leg.stay_silent(1.0)
        assert here.transcriber.fed_samples == []
        assert here.all(CallerTurn) == []


@pytest.mark.parametrize("trouble", [None, ZeroDivisionError("nobody foresaw it")], ids=["dead", "broken down"])
async def test_a_dead_recogniser_is_told_and_hears_the_next_turn(trouble: Exception | None) -> None:
    async with room(trouble, "better now") as here:
        await here.line.listen(OPEN)
        await here.leg.speak(buzz(0.8))
        await here.leg.stay_silent(1.0)
        await here.until(RecognitionFailed)
        await here.leg.speak(buzz(0.8))
        await here.leg.stay_silent(1.0)
        assert (await here.until(CallerTurn)).final.hypotheses[0].text == "better now"


@pytest.mark.parametrize("trouble", [EngineUnavailable("no voice"), ZeroDivisionError("nobody foresaw it")])
async def test_a_failing_voice_is_told_and_the_next_utterance_is_spoken(trouble: Exception) -> None:
    voice = HummingVoice()
    voice.broken.add("cannot say")
    voice.trouble = trouble
    async with room(voice=voice) as here:
        await here.line.say(one("a", "cannot say"))
        await here.line.say(one("b", "can say"))
        assert (await here.until(VoiceFailed)).utterance_id == "a"
        assert (await here.until(SpeakingEnded)).utterance_id == "b"


@pytest.mark.parametrize("stage", ["silent", "speaking", "listening"])
async def test_a_leg_that_ends_at_any_stage_ends_the_line_once(stage: str) -> None:
    async with room("never finished", recognition_delay_s=5.0) as here:
        await here.line.listen(OPEN)
        if stage == "speaking":
            await here.line.say(one("a", " ".join(["word"] * 20)))
            await here.until(SpeakingBegan)
        if stage == "listening":
            await here.leg.speak(buzz(0.8))
    assert len(here.all(LineEnded)) == 1
    assert here.running.done()
