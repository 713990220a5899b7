"""A voice that lives and is slow: another one speaks in its place, and it is tried when nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.fakes.voice_server import VoiceServer
from voicebot.speech.synthesis.phrases import PhraseCache
from voicebot.speech.synthesis.synthesizer import VoiceDeadlines, WorkerSynthesizer
from voicebot.speech.tts import Voice
from voicebot.speech.workers.peer import Patience
from voicebot.speech.workers.pool import WorkerPool
from voicebot.speech.workers.process import WorkerSpec
from voicebot.speech.workers.punctuality import LatePolicy

#: Only what never answers is that late.
SHORT = VoiceDeadlines(worker_s=60, late_s=0.3, first_audio_s=0.3, next_audio_s=60)
LONG = VoiceDeadlines(worker_s=60, late_s=60, first_audio_s=60, next_audio_s=60)
AFTER_TWO = Patience(late=LatePolicy(answers=2, first_rest_s=1000, longest_rest_s=1000))


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@asynccontextmanager
async def speaking(clock: Clock, *servers: VoiceServer) -> AsyncIterator[WorkerPool]:
    async with AsyncExitStack() as stack:
        for server in servers:
            await server.start()
            stack.push_async_callback(server.stop)
        addresses = [server.address for server in servers]
        pool = WorkerPool(WorkerSpec("tts"), remote=addresses, patience=AFTER_TWO, clock=clock)
        yield await stack.enter_async_context(pool)


def cache_of(first: WorkerSynthesizer, other: WorkerSynthesizer, folder: Path) -> PhraseCache:
    return PhraseCache(first, voice=Voice("wyoming", "first"), directory=folder, fallback=other)


async def say(cache: PhraseCache, text: str) -> int:
    return len(b"".join([chunk async for chunk in cache.render(text, cache=False)]))


async def test_a_voice_that_is_late_again_and_again_is_left_and_taken_back_when_it_is_in_time(tmp_path: Path) -> None:
    clock = Clock()
    slow, quick = VoiceServer(tmp_path / "slow.sock"), VoiceServer(tmp_path / "quick.sock")
    slow.plans.extend([("stall",)] * 2)
    async with speaking(clock, slow) as first_pool, speaking(Clock(), quick) as other_pool:
        other = WorkerSynthesizer(other_pool, deadlines=LONG)
        cache = cache_of(WorkerSynthesizer(first_pool, deadlines=SHORT), other, tmp_path / "phrases")
        for text in ("One.", "Two."):
            assert await say(cache, text)
        assert first_pool.status().slow
        assert [peer.times_left for peer in first_pool.status().peers] == [1]
        assert len(quick.requests) == 2, "each of them was spoken by the other voice after all"

        assert await say(cache, "Three.")
        assert (len(slow.requests), len(quick.requests)) == (2, 3), "nobody waits for it, and nobody asks it"

        patient = WorkerSynthesizer(first_pool, deadlines=LONG)
        tried = cache_of(patient, other, tmp_path / "phrases")
        clock.now_s += 1000
        assert await say(tried, "Four.")
        assert len(quick.requests) == 4
        async with asyncio.timeout(60):
            while first_pool.status().slow:
                await asyncio.sleep(0.01)
        assert len(slow.requests) == 3, "it spoke to nobody"
        assert await say(tried, "Five.")
        assert (len(slow.requests), len(quick.requests)) == (4, 4)
        await patient.close()


async def test_of_several_voice_servers_the_slow_one_is_left_for_the_other(tmp_path: Path) -> None:
    slow, quick = VoiceServer(tmp_path / "slow.sock"), VoiceServer(tmp_path / "quick.sock")
    async with speaking(Clock(), slow, quick) as pool:
        voice = WorkerSynthesizer(pool, deadlines=LONG)
        cache = PhraseCache(voice, voice=Voice("wyoming", "both"), directory=tmp_path / "phrases")
        async with pool.lease(avoid={pool.status().peers[1].name}) as line:
            for _ in range(2):
                line.punctuality.answered(in_time=False)
        assert [peer.left for peer in pool.status().peers] == [True, False]
        for text in ("One.", "Two.", "Three."):
            assert await say(cache, text)
    assert (len(slow.requests), len(quick.requests)) == (0, 3)
