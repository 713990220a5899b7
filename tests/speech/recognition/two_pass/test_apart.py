"""The first pass in a process of its own: what it gives the second, and what its death costs."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from tests.fakes.whisper_model import write_whisper_model
from tests.speech.recognition.two_pass.test_engine import FIRST, NUMBER, SAID, HintsUnread, texts
from tests.speech.spoken import frames, spoken
from voicebot.dialog.expectation import Domain
from voicebot.errors import EngineUnavailable
from voicebot.speech.recognition.sphinx.apart import SphinxApart
from voicebot.speech.recognition.sphinx.domain import Shape, compile_domain, read_compiled
from voicebot.speech.recognition.two_pass.engine import ENGINE, TwoPassEngine
from voicebot.speech.recognition.whisper.desk import Urgency
from voicebot.speech.recognition.whisper.engine import WhisperEngine
from voicebot.speech.recognition.wire import Request
from voicebot.speech.workers.pool import WorkerPool
from voicebot.speech.workers.process import WorkerSpec

ORDER = frames(spoken("Where is my order?"))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_whisper_model(tmp_path_factory.mktemp("models") / "tiny", says=SAID)


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    requests = ("where is my order", "where is my parcel", "talk to a person")
    return compile_domain(Domain("1", requests, (FIRST, NUMBER)), tmp_path_factory.mktemp("domain"))


@pytest.fixture
def second(directory: Path) -> WhisperEngine:
    model = HintsUnread(str(directory), threads=1, compute_type="int8", context_s=5.0, local_only=True)
    return WhisperEngine(model, max_sessions=2)


@pytest.fixture
async def first(domain: Path) -> SphinxApart:
    return SphinxApart({}, max_sessions=2)


@pytest.fixture
async def engine(first: SphinxApart, second: WhisperEngine, domain: Path) -> AsyncIterator[TwoPassEngine]:
    engine = TwoPassEngine(first, second, late_s=60)
    await engine.warm_up()
    await engine.prepare(domain)
    yield engine
    await engine.close()


async def ignore(_text: str) -> None:
    return


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


async def test_both_passes_hear_ahead_and_what_the_first_one_heard_comes_as_words(
    engine: TwoPassEngine, domain: Path
) -> None:
    shown: list[str] = []

    async def show(text: str) -> None:
        shown.append(text)

    stream = await engine.open(Request.of(FIRST, domain), show)
    for frame in ORDER:
        await stream.feed(frame)
    heard = texts(await stream.look_ahead())
    assert heard[0] == SAID
    assert "where is my order" in heard
    assert "where is my order" in shown
    await stream.go_on()
    await stream.feed(bytes(3200))
    assert texts(await stream.finish())[:1] == [SAID]
    assert stream.engine == ENGINE
    await stream.close()


async def test_it_knows_the_words_of_a_question_as_they_were_compiled(first: SphinxApart, domain: Path) -> None:
    for expectation in (FIRST, NUMBER):
        request = Request.of(expectation, domain)
        stream = await first.open(request, ignore)
        compiled = read_compiled(domain, Shape(request.kinds, request.phrases, request.lengths).key)
        assert compiled is not None
        assert stream.words == compiled.words
        await stream.close()


async def test_an_utterance_outlives_the_first_pass_that_is_killed_and_the_next_one_has_both_again(
    engine: TwoPassEngine, first: SphinxApart, domain: Path
) -> None:
    stream = await engine.open(Request.of(FIRST, domain), ignore)
    for frame in ORDER[: len(ORDER) // 2]:
        await stream.feed(frame)
    killed = first.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    for frame in ORDER[len(ORDER) // 2 :]:
        await stream.feed(frame)
    assert texts(await stream.finish())[0] == SAID
    await stream.close()

    await until(lambda: first.pid not in {None, killed} and bool(first.capabilities.model))
    async with asyncio.timeout(60):
        while True:
            stream = await engine.open(Request.of(FIRST, domain), ignore)
            for frame in ORDER:
                await stream.feed(frame)
            heard = texts(await stream.finish())
            await stream.close()
            if "where is my order" in heard:
                break


async def test_where_the_first_pass_is_killed_and_the_second_is_late_another_worker_has_to_hear(
    first: SphinxApart, second: WhisperEngine, domain: Path
) -> None:
    engine = TwoPassEngine(first, second, late_s=0.05)
    await engine.warm_up()
    gate = threading.Event()

    def wait(_cancelled: Callable[[], bool]) -> None:
        gate.wait(60)

    others = second.submit(wait, Urgency.FINAL)
    stream = await engine.open(Request.of(FIRST, domain), ignore)
    await first.close()
    for frame in ORDER:
        await stream.feed(frame)
    with pytest.raises(EngineUnavailable):
        await stream.finish()
    await stream.close()
    gate.set()
    await others.result
    await second.close()


async def test_an_utterance_too_many_is_refused_and_there_is_room_again_behind_it(
    first: SphinxApart, domain: Path
) -> None:
    request = Request.of(FIRST, domain)
    streams = [await first.open(request, ignore) for _ in range(2)]
    with pytest.raises(EngineUnavailable):
        await first.open(request, ignore)
    await asyncio.gather(*(stream.close() for stream in streams))
    await (await first.open(request, ignore)).close()


async def test_a_killed_worker_takes_its_first_pass_with_it(directory: Path) -> None:
    spec = WorkerSpec("asr", {"engine": "two-pass", "model": str(directory)})
    async with WorkerPool(spec) as pool:
        assert pool.status().engine == ENGINE
        worker = pool.status().peers[0].pid
        assert worker is not None
        (own,) = psutil.Process(worker).children()
        os.kill(worker, signal.SIGKILL)
        await until(lambda: not own.is_running() or own.status() == psutil.STATUS_ZOMBIE)
