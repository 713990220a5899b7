"""From one voice to the next in the middle of a sentence: a Wyoming server of its own process, killed as it speaks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.wyoming_servers import wyoming_server
from voicebot import g711
from voicebot.errors import EngineUnavailable
from voicebot.speech.synthesis.phrases import PhraseCache
from voicebot.speech.synthesis.script import write_script
from voicebot.speech.synthesis.sound import active_level_dbfs
from voicebot.speech.synthesis.synthesizer import WorkerSynthesizer, voice_pool
from voicebot.speech.tts import Voice
from voicebot.speech.workers.pool import WorkerPool

TEXT = "Your order has left the warehouse on Monday. It comes tomorrow before noon. Is there anything else?"
ESPEAK = Voice("espeak", "en-us+f3")


@pytest.fixture
async def espeak() -> AsyncIterator[WorkerPool]:
    async with voice_pool(ESPEAK, None) as pool:
        yield pool


async def heard(audio: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in audio])


async def test_a_wyoming_server_over_tcp_speaks_at_the_telephones_level(unused_tcp_port: int) -> None:
    async with (
        wyoming_server("speaks", unused_tcp_port) as server,
        voice_pool(Voice("wyoming", server.address), None) as pool,
    ):
        assert pool.status().engine == "speaks"
        audio = await heard(WorkerSynthesizer(pool).render(TEXT, cache=False))
    # Half a second a sentence, and 0.22 s of pause behind each.
    assert len(audio) / 8000 == pytest.approx(3 * 0.72, abs=0.05)
    assert active_level_dbfs(g711.decode(audio)) == pytest.approx(-20, abs=1)


async def test_another_engine_goes_on_where_a_killed_server_stopped_and_neither_half_is_kept(
    espeak: WorkerPool, tmp_path: Path, unused_tcp_port: int
) -> None:
    fallback = WorkerSynthesizer(espeak)
    whole = len(await heard(fallback.perform(write_script(TEXT))))
    async with wyoming_server("speaks", unused_tcp_port) as server:
        voice = Voice("wyoming", server.address)
        async with voice_pool(voice, None) as pool:
            cache = PhraseCache(WorkerSynthesizer(pool), voice=voice, directory=tmp_path, fallback=fallback)
            said = 0
            async for chunk in cache.render(TEXT, cache=True):
                if not said:
                    await server.kill()
                said += len(chunk)
            assert said == pytest.approx(whole, abs=800)
            assert cache.ready(TEXT) is None
    assert not list(tmp_path.rglob("*.wav"))


async def test_a_voice_configured_alone_says_that_it_is_gone(unused_tcp_port: int) -> None:
    async with (
        wyoming_server("speaks", unused_tcp_port) as server,
        voice_pool(Voice("wyoming", server.address), None) as pool,
    ):
        await server.kill()
        with pytest.raises(EngineUnavailable):
            await heard(WorkerSynthesizer(pool).render(TEXT, cache=False))
