"""The synthesizer against Wyoming servers on a Unix socket, and against a real worker process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fakes.piper_voice import make_piper_voice
from tests.fakes.voice_server import SPEAKS, Step, VoiceServer
from voicebot import g711
from voicebot.errors import EngineUnavailable
from voicebot.speech.synthesis.lexicon import Lexicon
from voicebot.speech.synthesis.script import write_script
from voicebot.speech.synthesis.sound import active_level_dbfs
from voicebot.speech.synthesis.synthesizer import VoiceDeadlines, WorkerSynthesizer, voice_pool
from voicebot.speech.synthesis.wire import worker_options
from voicebot.speech.tts import Voice
from voicebot.speech.workers.pool import WorkerPool
from voicebot.speech.workers.process import WorkerSpec

HASTY = VoiceDeadlines(worker_s=0.3, first_audio_s=0.2, next_audio_s=0.2)
SPOKEN_BYTES = 1600  # two "audio" steps of 100 ms

Connect = Callable[..., Coroutine[Any, Any, WorkerSynthesizer]]


@pytest.fixture
async def connect(tmp_path: Path) -> AsyncIterator[Connect]:
    """Return a synthesizer whose workers are the given servers."""
    async with AsyncExitStack() as stack:

        async def _connect(*servers: VoiceServer, lexicon: Lexicon | None = None) -> WorkerSynthesizer:
            for server in servers:
                await server.start()
                stack.push_async_callback(server.stop)
            pool = WorkerPool(WorkerSpec(kind="tts"), remote=[server.address for server in servers])
            return WorkerSynthesizer(await stack.enter_async_context(pool), lexicon=lexicon, deadlines=HASTY)

        yield _connect


@pytest.fixture
def server(tmp_path: Path) -> VoiceServer:
    return VoiceServer(tmp_path / "first.sock")


@pytest.fixture
def other(tmp_path: Path) -> VoiceServer:
    return VoiceServer(tmp_path / "other.sock")


async def say(voice: WorkerSynthesizer, text: str = "Hello.") -> bytes:
    return b"".join([audio async for audio in voice.render(text, cache=False)])


async def test_a_text_comes_back_as_speech(connect: Connect, server: VoiceServer) -> None:
    audio = await say(await connect(server))
    assert len(audio) == SPOKEN_BYTES
    assert np.abs(g711.decode(audio)).max() > 7000


async def test_the_worker_gets_words_and_the_speed(connect: Connect, server: VoiceServer) -> None:
    voice = await connect(server, lexicon=Lexicon({"Qantara": "can tara"}))
    await say(voice, "Qantara costs $5. [slow]Really.[/slow]")
    assert [(request.text, (request.context or {})["speed"]) for request in server.requests] == [
        ("Can tara costs five dollars.", 1.0),
        ("Really.", 0.8),
    ]


async def test_a_pause_is_silence_between_the_words(connect: Connect, server: VoiceServer) -> None:
    audio = await say(await connect(server), "One.[pause 300ms]Two.")
    assert len(audio) == 2 * SPOKEN_BYTES + 2400
    assert not np.any(g711.decode(audio[SPOKEN_BYTES : SPOKEN_BYTES + 2400]))


async def test_nothing_to_say_asks_nobody(connect: Connect, server: VoiceServer) -> None:
    assert await say(await connect(server), " ... ") == b""
    assert not server.requests


@pytest.mark.parametrize("failure", ["stall", "error", "hang up", "nonsense"])
async def test_another_worker_goes_on_where_one_failed(
    connect: Connect, server: VoiceServer, other: VoiceServer, failure: Step
) -> None:
    plans: deque[tuple[Step, ...]] = deque([("audio", failure)])
    # Whoever gets the request first fails, the other one speaks.
    server.plans = other.plans = plans
    audio = await say(await connect(server, other))
    assert len(audio) == SPOKEN_BYTES
    assert len(server.requests) == len(other.requests) == 1


async def test_a_dead_connection_is_tried_again_on_the_only_worker(connect: Connect, server: VoiceServer) -> None:
    server.plans.append(("hang up",))
    assert len(await say(await connect(server))) == SPOKEN_BYTES


async def test_a_silent_worker_without_siblings_is_given_up_at_its_deadline(
    connect: Connect, server: VoiceServer
) -> None:
    server.plans.extend([("stall",), ("stall",)])
    voice = await connect(server)
    async with asyncio.timeout(10):
        with pytest.raises(EngineUnavailable, match=r"said nothing for 0\.2 s"):
            await say(voice)
    assert len(server.requests) == 1


async def test_without_any_worker_the_voice_is_unavailable(connect: Connect, server: VoiceServer) -> None:
    voice = await connect(server)
    await server.stop()
    with pytest.raises(EngineUnavailable):
        await say(voice)


async def test_a_caller_who_stops_listening_cancels_the_work(connect: Connect, server: VoiceServer) -> None:
    server.plans.append(("audio",) * 400)
    voice = await connect(server)
    async with aclosing(voice.perform(write_script("A long story."))) as speaking:
        await anext(speaking)
    async with asyncio.timeout(20):
        while not server.cut_off:
            await asyncio.sleep(0.01)
    # The voice is free for the next.
    assert len(await say(voice)) == SPOKEN_BYTES


async def test_a_plain_wyoming_server_is_asked_by_clause_and_made_fit_for_the_telephone(
    connect: Connect, tmp_path: Path
) -> None:
    plain = VoiceServer(tmp_path / "plain.sock", plain=True, rate_hz=22_050, level=500)
    audio = await say(await connect(plain), "Your order has left the warehouse on Monday morning. It comes tomorrow.")
    assert plain.texts == ["Your order has left the warehouse on Monday morning.", "It comes tomorrow."]
    assert len(audio) / 8000 == pytest.approx(0.2 + 0.22 + 0.2 + 0.22, abs=0.02)
    assert active_level_dbfs(g711.decode(audio)) == pytest.approx(-20, abs=1)


async def test_a_plain_server_that_says_nothing_is_no_error(connect: Connect, tmp_path: Path) -> None:
    plain = VoiceServer(tmp_path / "plain.sock", plain=True)
    plain.plans.append(("stop",))
    assert not np.any(g711.decode(await say(await connect(plain), "Hm.")))


async def test_a_real_worker_speaks_clause_by_clause_and_stops_when_cancelled() -> None:
    options = worker_options(Voice("espeak", "en-us+f3"), None)
    async with WorkerPool(WorkerSpec(kind="tts", options=options)) as pool:
        assert (pool.status().engine, pool.status().model) == ("espeak", "en-us+f3")
        voice = WorkerSynthesizer(pool)
        chunks = [chunk async for chunk in voice.render("You owe $42.60. Anything else?", cache=False)]
        assert len(chunks) == 2
        assert all(active_level_dbfs(g711.decode(chunk)) == pytest.approx(-20, abs=1) for chunk in chunks)
        async with aclosing(voice.perform(write_script("One sentence. " * 200))) as speaking:
            await anext(speaking)
        # The rest of the two hundred is not made first.
        async with asyncio.timeout(20):
            assert await say(voice)


async def test_a_real_worker_speaks_with_a_piper_voice_clause_by_clause(tmp_path: Path) -> None:
    voice = make_piper_voice(tmp_path)
    text = "Your order has left the warehouse on Monday, and it will arrive tomorrow before noon."
    async with voice_pool(Voice("piper", str(voice)), None, threads=2) as pool:
        assert (pool.status().engine, pool.status().model) == ("piper", str(voice))
        chunks = [chunk async for chunk in WorkerSynthesizer(pool).render(text, cache=False)]
    assert len(chunks) == 2
    assert all(active_level_dbfs(g711.decode(chunk)) == pytest.approx(-20, abs=1) for chunk in chunks)


async def test_a_killed_worker_is_replaced_in_mid_sentence_by_its_sibling() -> None:
    text = "This is a sentence. " * 60
    async with voice_pool(Voice("espeak", "en-us+f2"), None, workers=2) as pool:
        voice = WorkerSynthesizer(pool)
        whole = await say(voice, text)
        assert await _said_though_killed(voice, pool, text) == pytest.approx(len(whole), rel=0.02)


async def _said_though_killed(voice: WorkerSynthesizer, pool: WorkerPool, text: str) -> int:
    heard = 0
    async with aclosing(voice.perform(write_script(text))) as speaking:
        heard += len(await anext(speaking))
        (busy,) = [peer for peer in pool.status().peers if peer.sessions]
        assert busy.pid is not None
        os.kill(busy.pid, signal.SIGKILL)
        async for audio in speaking:
            heard += len(audio)
    return heard


async def test_a_pool_of_wyoming_servers_is_made_from_the_voice_s_name(server: VoiceServer) -> None:
    await server.start()
    async with voice_pool(Voice("wyoming", server.address), None) as pool:
        assert len(await say(WorkerSynthesizer(pool, deadlines=HASTY))) == SPOKEN_BYTES
    await server.stop()


async def test_a_real_worker_with_a_missing_voice_does_not_start() -> None:
    pool = WorkerPool(WorkerSpec(kind="tts", options=worker_options(Voice("piper", "nobody"), None)))
    with pytest.raises(EngineUnavailable):
        await pool.start()
    with contextlib.suppress(EngineUnavailable):
        await pool.stop()


def test_the_fake_speaks_as_long_as_the_tests_say() -> None:
    assert SPEAKS.count("audio") * 800 == SPOKEN_BYTES
