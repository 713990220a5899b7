"""The pipeline on a real event loop: our voice out, the caller's out of the same leg, interruptions in between."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from typing import TypeVar

import numpy as np
import pytest

from tests.fakes.buzz import buzz
from tests.fakes.leg import FakeLeg
from tests.fakes.transcriber import ScriptedTranscriber
from tests.fakes.voice import WORD_MS, HummingVoice, hum
from voicebot import g711
from voicebot.dialog.expectation import AnswerKind, Expectation, KeyEntry
from voicebot.media.events import (
    CallerTurn,
    KeysEntered,
    LineEnded,
    LineEvent,
    PauseBegan,
    PauseEnded,
    RecognitionFailed,
    SpeakingBegan,
    SpeakingEnded,
    SpeakingPaused,
    SpeechDismissed,
    VoiceFailed,
)
from voicebot.media.frames import Utterance
from voicebot.media.hearing import Completeness
from voicebot.media.line import Line
from voicebot.speech.listening.dtmf import tone
from voicebot.telephony.leg import FRAME_BYTES, SAMPLE_RATE_HZ, SILENT_FRAME

E = TypeVar("E", bound=LineEvent)

OPEN = Expectation("open", (AnswerKind.OPEN,))


class Tape:
    """A tap that keeps what it hears."""

    def __init__(self) -> None:
        self.caller = 0
        self.bot = 0
        self.cuts: list[int] = []

    def heard(self, frame: bytes, at_s: float) -> None:
        self.caller += len(frame)

    def sent(self, frame: bytes, at_s: float) -> None:
        self.bot += len(frame)

    def played(self, position_samples: int, at_s: float) -> None:
        pass

    def cut(self, position_samples: int, at_s: float) -> None:
        self.cuts.append(position_samples)


class Room:
    """A line with its fakes, and a way to wait for what happens on it."""

    def __init__(
        self, voice: HummingVoice, transcriber: ScriptedTranscriber, *, keys_apart: bool, completeness: Completeness
    ) -> None:
        self.leg = FakeLeg(keys_apart=keys_apart)
        self.tape = Tape()
        self.transcriber = transcriber
        self.events: list[LineEvent] = []
        self._changed = asyncio.Event()
        self.line = Line(
            self.leg,
            transcriber=transcriber,
            turn_model=Undecided(),
            completeness=completeness,
            voice=voice,
            voice_judge=None,
            tap=self.tape,
            on_event=self._note,
            clock=time.monotonic,
            on_late=lambda: None,
        )
        self.running = asyncio.create_task(self.line.run())

    def _note(self, event: LineEvent) -> None:
        self.events.append(event)
        self._changed.set()

    async def until(self, kind: type[E], *, count: int = 1, within_s: float = 8.0) -> E:
        """Return the `count`-th event of a kind, waiting for it."""
        async with asyncio.timeout(within_s):
            while len(found := self.all(kind)) < count:
                self._changed.clear()
                await self._changed.wait()
        return found[count - 1]

    def all(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    async def close(self) -> None:
        self.leg.end()
        await self.until(LineEnded)
        await self.line.close()
        async with asyncio.timeout(5):
            await self.running


class BuzzingVoice(HummingVoice):
    """Speaks three seconds of a voice-like buzz, whatever it is asked to say."""

    def ready(self, text: str) -> bytes | None:
        return b"".join(buzz(3.0))


class Undecided:
    async def probability(self, pcm: bytes) -> float | None:
        return None


@contextlib.asynccontextmanager
async def room(
    *words: str | None,
    voice: HummingVoice | None = None,
    recognition_delay_s: float = 0.0,
    keys_apart: bool = True,
    ahead: bool = False,
    completeness: Completeness = lambda text, expectation: 0.0,
) -> AsyncIterator[Room]:
    transcriber = ScriptedTranscriber(list(words), delay_s=recognition_delay_s, ahead=ahead)
    made = Room(voice or HummingVoice(), transcriber, keys_apart=keys_apart, completeness=completeness)
    try:
        yield made
    finally:
        await made.close()


def one(utterance_id: str, text: str, *, interruptible: bool = True) -> Utterance:
    return Utterance(utterance_id, ((text, True),), interruptible)


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
        asked_s = time.monotonic()
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


async def test_nothing_is_transcribed_while_nobody_listens() -> None:
    async with room("unheard") as here:
        await here.line.listen(None)
        await here.leg.speak(buzz(0.6))
        await here.leg.stay_silent(1.0)
        assert here.transcriber.fed_samples == []
        assert here.all(CallerTurn) == []


async def test_speech_over_a_prompt_stops_it_and_tells_what_was_heard() -> None:
    async with room("stop please") as here:
        await here.line.listen(OPEN)
        await here.line.say(one("a", " ".join(f"word{number}" for number in range(40))))
        await here.until(SpeakingBegan)
        await here.leg.stay_silent(0.6)
        await here.leg.speak(buzz(1.2))
        await here.leg.stay_silent(1.0)
        turn = await here.until(CallerTurn)
        paused = here.all(SpeakingPaused)[0]
        await here.line.stop_speaking()
        ended = here.all(SpeakingEnded)[0]  # known as soon as it was asked for
        assert ended.cut
        assert abs(paused.left_ms - (40 * WORD_MS - ended.heard_ms)) <= WORD_MS
        assert turn.over_prompt
        heard_words = len(ended.heard_text.split())
        assert abs(heard_words * WORD_MS - ended.heard_ms) <= WORD_MS
        assert 500 < ended.heard_ms < 2500
        assert len(here.leg.heard) <= (ended.heard_ms + 60) * SAMPLE_RATE_HZ // 1000


async def test_what_never_began_when_a_prompt_was_interrupted_is_reported_too() -> None:
    async with room() as here:
        await here.line.say(one("a", " ".join(f"word{number}" for number in range(20))))
        await here.line.say(one("b", "and one thing more"))
        await here.until(SpeakingBegan)
        await here.leg.stay_silent(0.3)
        await here.line.stop_speaking()
        await here.until(SpeakingEnded, count=2)
        first, second = here.all(SpeakingEnded)
        assert (first.utterance_id, first.cut) == ("a", True)
        assert (second.utterance_id, second.cut, second.heard_ms, second.heard_text) == ("b", True, 0, "")
        # Said again, it is another utterance and ends as such.
        await here.line.say(one("b", "and one thing more"))
        assert not (await here.until(SpeakingEnded, count=3)).cut


async def test_a_cough_only_pauses_the_prompt() -> None:
    async with room("", "unused") as here:
        await here.line.listen(OPEN)
        text = " ".join(f"word{number}" for number in range(12))
        await here.line.say(one("a", text))
        await here.until(SpeakingBegan)
        await here.leg.stay_silent(0.5)
        await here.leg.speak(buzz(0.16))
        await here.leg.stay_silent(1.5)
        await here.until(SpeechDismissed)
        await here.leg.stay_silent(2.0)
        ended = await here.until(SpeakingEnded)
        assert not ended.cut
        assert ended.heard_text == text
        assert abs(ended.heard_ms - 12 * WORD_MS) <= 80
        # Every sample of the prompt was heard once and in order, the pause apart.
        assert bytes(here.leg.heard).replace(b"\xff", b"")[:3600] == hum(text).replace(b"\xff", b"")[:3600]


class WordyVoice(HummingVoice):
    """Says words of 340 ms with 60 ms of silence after each."""

    def ready(self, text: str) -> bytes | None:
        return (hum("a word")[: FRAME_BYTES * 17] + SILENT_FRAME * 3) * len(text.split())


async def test_a_prompt_that_stopped_in_mid_word_goes_on_from_the_beginning_of_the_word() -> None:
    async with room("", "unused", voice=WordyVoice()) as here:
        await here.line.listen(OPEN)
        text = " ".join(f"word{number}" for number in range(8))
        await here.line.say(one("a", text))
        await here.until(SpeakingBegan)
        await here.leg.stay_silent(0.45)
        await here.leg.speak(buzz(0.16))
        await here.leg.stay_silent(4.0)
        ended = await here.until(SpeakingEnded)
        (paused,) = here.all(SpeakingPaused)
        assert (ended.cut, ended.heard_text) == (False, text)
        # What was said twice counts once.
        assert abs(ended.heard_ms - 8 * 400) <= 80
        heard = bytes(here.leg.heard)
        stopped_ms = (8 * 400 - paused.left_ms) % 400
        assert 40 <= stopped_ms <= 320  # the test is about a word that was broken off
        sounds_ms = [20 * len(sound) / FRAME_BYTES for sound in re.split(b"\xff{300,}", heard) if sound]
        # The pause itself is not in what was heard: the half word stands before the whole one.
        assert sorted(sounds_ms) == pytest.approx([340] * 7 + [stopped_ms + 340], abs=40)


async def test_a_turn_that_asked_for_nothing_lets_the_prompt_go_on_where_it_stopped() -> None:
    async with room("okay") as here:
        await here.line.listen(OPEN)
        text = " ".join(f"word{number}" for number in range(10))
        await here.line.say(one("a", text))
        await here.until(SpeakingBegan)
        await here.leg.stay_silent(0.5)
        await here.leg.speak(buzz(1.0))
        await here.leg.stay_silent(1.0)
        turn = await here.until(CallerTurn)
        assert turn.over_prompt
        assert here.all(SpeakingEnded) == []
        await here.line.resume_speaking()
        await here.leg.stay_silent(2.5)
        ended = await here.until(SpeakingEnded)
        assert not ended.cut
        assert ended.heard_text == text
        assert abs(ended.heard_ms - 10 * WORD_MS) <= 80


async def test_what_may_become_a_voice_lowers_the_prompt_and_nothing_of_it_is_lost() -> None:
    async with room("", "unused") as here:
        await here.line.listen(OPEN)
        text = " ".join(f"word{number}" for number in range(8))
        await here.line.say(one("a", text))
        await here.until(SpeakingBegan)
        await here.leg.stay_silent(0.5)
        await here.leg.speak(buzz(0.1))
        await here.leg.stay_silent(2.5)
        ended = await here.until(SpeakingEnded)
        assert (ended.cut, ended.heard_text) == (False, text)
        assert here.all(SpeakingPaused) == []
        heard = bytes(here.leg.heard)[: len(here.leg.heard) // FRAME_BYTES * FRAME_BYTES]
        levels = np.abs(g711.decode(heard).astype(float)).reshape(-1, FRAME_BYTES).mean(axis=1)
        assert len(levels) * 20 == pytest.approx(8 * WORD_MS, abs=40)
        lowered = levels < levels.max() / 2
        assert 5 <= lowered.sum() <= 40
        assert not lowered[:20].any()
        assert not lowered[-10:].any()


async def test_a_goodbye_is_not_disturbed_by_speech_that_nothing_is_expected_of() -> None:
    async with room("thanks") as here:
        await here.line.listen(OPEN)
        await here.line.say(one("a", "thank you for calling and goodbye"))
        await here.line.listen(None)
        await here.until(SpeakingBegan)
        await here.leg.speak(buzz(1.0))
        await here.leg.stay_silent(1.0)
        ended = await here.until(SpeakingEnded)
        assert not ended.cut
        assert here.all(SpeakingPaused) == []


async def test_our_own_prompt_coming_back_softly_does_not_interrupt_it() -> None:
    voice = BuzzingVoice()
    async with room("never", voice=voice) as here:
        await here.line.listen(OPEN)
        await here.line.say(one("a", "long prompt"))
        await here.until(SpeakingBegan)
        echo = (g711.decode(b"".join(buzz(3.0))) * 0.1).astype("int16")
        mulaw = g711.encode(echo)
        await here.leg.stay_silent(0.12)
        await here.leg.speak([mulaw[start : start + FRAME_BYTES] for start in range(0, len(mulaw), FRAME_BYTES)])
        ended = await here.until(SpeakingEnded)
        assert not ended.cut
        assert here.all(CallerTurn) == []


async def test_an_uninterruptible_prompt_is_heard_to_its_end() -> None:
    async with room("hello") as here:
        await here.line.listen(OPEN)
        await here.line.say(one("a", "this must be heard by law", interruptible=False))
        await here.until(SpeakingBegan)
        await here.leg.speak(buzz(0.8))
        ended = await here.until(SpeakingEnded)
        assert not ended.cut


async def test_keys_stop_the_prompt_at_once_and_arrive_as_one_entry() -> None:
    async with room() as here:
        await here.line.listen(Expectation("pin", (AnswerKind.DIGITS,), keys=KeyEntry(4, 4)))
        await here.line.say(one("a", " ".join(["word"] * 20)))
        await here.until(SpeakingBegan)
        for key in "1224":
            here.leg.press(key)
            await asyncio.sleep(0.12)
        assert (await here.until(KeysEntered)).keys == "1224"
        assert (await here.until(SpeakingEnded)).cut


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


async def test_a_dead_recogniser_is_told_and_hears_the_next_turn() -> None:
    async with room(None, "better now") as here:
        await here.line.listen(OPEN)
        await here.leg.speak(buzz(0.8))
        await here.leg.stay_silent(1.0)
        await here.until(RecognitionFailed)
        await here.leg.speak(buzz(0.8))
        await here.leg.stay_silent(1.0)
        assert (await here.until(CallerTurn)).final.hypotheses[0].text == "better now"


async def test_a_failing_voice_is_told_and_the_next_utterance_is_spoken() -> None:
    voice = HummingVoice()
    voice.broken.add("cannot say")
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
