"""Speech without engines, for measuring the media path alone: a recogniser that knows the answer and a voice of noise.

Both sides of a comparison use the same texts and the same audio.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import numpy as np

from voicebot import g711
from voicebot.app.speech import Progress, Speech
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.dialog.flow import Bot
from voicebot.settings import Settings
from voicebot.speech.asr import Final, Hypothesis, Partial
from voicebot.speech.dictation import Dictation
from voicebot.speech.listening.end_of_turn import EndOfTurnClient
from voicebot.speech.workers.pool import WorkerPool
from voicebot.speech.workers.process import WorkerSpec
from voicebot.telephony.leg import FRAME_BYTES, SAMPLE_RATE_HZ, SILENT_FRAME

GREETING = "Hello, and thank you for calling Harbour and Finch. I'm the automated assistant. How can I help you today?"
REQUEST = "what are your opening hours"
REPLY = "We're open today from 9 AM to 5 PM. Is there anything else I can do for you?"
#: What each kind of question is answered with; whatever else is asked gets the request.
_ANSWERS = {AnswerKind.DIGITS: "four four eight two zero five", AnswerKind.YES_NO: "yes"}
#: How sure the end-of-turn model is: as with real voices that have finished.
FINISHED = 0.99
#: A brisk voice: more turns in a minute.
_CHARACTER_S = 1 / 20
_SYLLABLE_HZ = 4.0
#: Every voice ends quietly, by which callers tell the end of an utterance from a gap in it.
_QUIET_END_FRAMES = 5


@functools.lru_cache(maxsize=512)
def spoken(text: str) -> bytes:
    """Return mu-law as long as `text` takes to say: noise that swells with the syllables, at about -20 dBFS."""
    samples = int(len(text) * _CHARACTER_S * SAMPLE_RATE_HZ) // FRAME_BYTES * FRAME_BYTES
    noise = np.random.default_rng(len(text)).standard_normal(samples)
    swell = 0.55 + 0.45 * np.sin(2 * np.pi * _SYLLABLE_HZ * np.arange(samples) / SAMPLE_RATE_HZ)
    return g711.encode(np.clip(noise * swell * 3300, -32000, 32000).astype(np.int16)) + SILENT_FRAME * _QUIET_END_FRAMES


class KnowingTranscriber:
    """Answers every utterance at once with what the dialog hopes for."""

    async def start(self, expectation: Expectation) -> KnownUtterance:
        kinds = expectation.kinds or (AnswerKind.OPEN,)
        return KnownUtterance(REQUEST if AnswerKind.OPEN in kinds else _ANSWERS.get(kinds[0], REQUEST))


class KnownUtterance:
    def __init__(self, text: str) -> None:
        self._text = text
        self._over = asyncio.Event()

    def feed(self, pcm: bytes) -> None:
        """Take the audio; nothing is done with it."""

    async def partials(self) -> AsyncIterator[Partial]:
        """Tell nothing before the end: the text must not end the turn sooner than the voice does."""
        await self._over.wait()
        for nothing in ():
            yield nothing

    def look_ahead(self) -> None:
        """Nothing is heard before the end."""

    def go_on(self) -> None:
        """Nothing was heard ahead."""

    async def finish(self) -> Final:
        self._over.set()
        return Final((Hypothesis(self._text, 0.95),), "stub", 0.0)

    def cancel(self) -> None:
        self._over.set()


class NoiseVoice:
    """Has everything rendered already."""

    def ready(self, text: str) -> bytes | None:
        return spoken(text)

    async def render(self, text: str, *, cache: bool) -> AsyncIterator[bytes]:
        del cache
        yield spoken(text)


class FinishedModel:
    """Finds that every voice has finished."""

    async def probability(self, pcm: bytes) -> float | None:
        del pcm
        return FINISHED


async def stub_speech(settings: Settings, bot: Bot, stack: AsyncExitStack, progress: Progress) -> Speech:
    """Stand in for `voicebot.app.speech.start_speech`: no worker process at all."""
    del settings, bot, stack
    progress("speech is stubbed")
    return Speech(KnowingTranscriber(), NoiseVoice(), FinishedModel(), (), Dictation(None))


async def stub_words(settings: Settings, bot: Bot, stack: AsyncExitStack, progress: Progress) -> Speech:
    """Stand in for `voicebot.app.speech.start_speech` with the end-of-turn model in its worker process."""
    del settings, bot
    progress("words are stubbed")
    pool = WorkerPool(WorkerSpec("turn", niceness=0))
    stack.push_async_callback(pool.stop)
    await pool.start()
    return Speech(KnowingTranscriber(), NoiseVoice(), EndOfTurnClient(pool), (pool,), Dictation(None))
