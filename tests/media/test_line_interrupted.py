"""Speech over our own: what pauses a prompt, what drops it, and where it goes on."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.fakes.buzz import buzz
from tests.fakes.voice import WORD_MS, HummingVoice, hum
from tests.media.room import OPEN, BuzzingVoice, one, room
from voicebot import g711
from voicebot.media.events import (
    CallerTurn,
    SpeakingBegan,
    SpeakingEnded,
    SpeakingPaused,
    SpeechDismissed,
)
from voicebot.media.frames import Utterance
from voicebot.telephony.leg import FRAME_BYTES, SAMPLE_RATE_HZ, SILENT_FRAME

pytestmark = pytest.mark.virtual_time


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


async def test_who_mumbles_again_and_again_over_music_is_heard_before_it_ends() -> None:
    async with room("call me back") as here:
        await here.line.listen(OPEN)
        await here.line.say(Utterance("m1", (), audio=b"".join(buzz(18.0))))
        await here.until(SpeakingBegan)
        await here.leg.stay_silent(0.5)
        for _ in range(4):
            await here.leg.speak(buzz(0.24))
            await here.leg.stay_silent(1.0)
        await here.leg.stay_silent(3.0)
        assert here.all(SpeakingEnded) == []
        await here.leg.speak(buzz(1.2))
        await here.leg.stay_silent(1.5)
        turn = await here.until(CallerTurn)
        assert turn.over_prompt
        assert here.all(SpeakingEnded) == [], "the music had not come to its end"


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
