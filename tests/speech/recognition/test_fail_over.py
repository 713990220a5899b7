"""From one engine to the next in the middle of an utterance: real workers and servers, killed while they hear."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import ClassVar

import pytest
from wyoming.asr import Transcript, TranscriptChunk
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import AsrProgram, Attribution, Describe, Info
from wyoming.server import AsyncEventHandler, AsyncTcpServer

from tests.fakes.vosk_model import write_vosk_model
from tests.fakes.wyoming_servers import wyoming_server
from tests.speech.spoken import frames, spoken
from voicebot.dialog.expectation import AnswerKind, Domain, Expectation
from voicebot.errors import EngineUnavailable
from voicebot.speech.asr import Final, Utterance
from voicebot.speech.models import Recogniser, RecogniserWish, choose_recognisers
from voicebot.speech.recognition.sphinx.domain import compile_domain
from voicebot.speech.recognition.transcriber import WorkerTranscriber
from voicebot.speech.recognition.utterance import Deadlines
from voicebot.speech.workers.pool import WorkerPool
from voicebot.speech.workers.process import WorkerSpec

OPEN = Expectation("open", (AnswerKind.OPEN,))
REQUESTS = ("where is my order", "cancel my appointment", "i want to talk to a person", "when are you open")
SAID = "Where is my order?"
#: What is asked here is who hears in the end, not how soon: other tests keep the machine busy.
PATIENT = Deadlines(worker_s=20.0, finish_s=20.0)
#: What is meant to answer may do so however busy the machine is.
PATIENT = Deadlines(worker_s=60, finish_s=60, late_s=60)


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_domain(Domain("1", REQUESTS, (OPEN,)), tmp_path_factory.mktemp("domains"))


@pytest.fixture
async def sphinx() -> AsyncIterator[WorkerPool]:
    async with WorkerPool(WorkerSpec("asr")) as pool:
        yield pool


async def half_said(transcriber: WorkerTranscriber) -> tuple[Utterance, list[bytes]]:
    """Return an utterance that has heard the first half, and the frames of the other."""
    utterance = await transcriber.start(OPEN)
    audio = frames(spoken(SAID))
    for frame in audio[: len(audio) // 2]:
        utterance.feed(frame)
    await asyncio.sleep(0.2)
    return utterance, audio[len(audio) // 2 :]


async def hear(transcriber: WorkerTranscriber) -> Final:
    utterance, rest = await half_said(transcriber)
    for frame in rest:
        utterance.feed(frame)
    return await utterance.finish()


async def busy_worker(pool: WorkerPool) -> int:
    async with asyncio.timeout(20):
        while True:
            for peer in pool.status().peers:
                if peer.sessions and peer.pid is not None:
                    return peer.pid
            await asyncio.sleep(0.01)


async def test_pocketsphinx_hears_the_whole_request_of_which_a_killed_vosk_worker_had_half(
    sphinx: WorkerPool, domain: Path, tmp_path: Path
) -> None:
    pytest.importorskip("vosk")
    write_vosk_model(tmp_path / "models" / "tones")
    first, second = choose_recognisers(RecogniserWish(models_dir=tmp_path / "models"))
    assert (first.engine, second.engine) == ("vosk", "pocketsphinx")
    async with first.pool(1) as vosk:
        transcriber = WorkerTranscriber([vosk, sphinx], domain=domain, deadlines=PATIENT)
        utterance, rest = await half_said(transcriber)
        os.kill(await busy_worker(vosk), signal.SIGKILL)
        for frame in rest:
            utterance.feed(frame)
        final = await utterance.finish()
        await transcriber.close()
    assert (final.hypotheses[0].text, final.engine) == ("where is my order", "pocketsphinx")


async def test_a_speaker_too_many_for_vosk_is_heard_by_pocketsphinx(
    sphinx: WorkerPool, domain: Path, tmp_path: Path
) -> None:
    pytest.importorskip("vosk")
    model = str(write_vosk_model(tmp_path / "tones"))
    async with WorkerPool(WorkerSpec("asr", {"engine": "vosk", "model": model, "max_sessions": 1})) as vosk:
        transcriber = WorkerTranscriber([vosk, sphinx], domain=domain, deadlines=PATIENT)
        first, _ = await half_said(transcriber)
        second, rest = await half_said(transcriber)
        for frame in rest:
            second.feed(frame)
        final = await second.finish()
        assert sum(peer.sessions for peer in vosk.status().peers) == 1, "the first is still heard by Vosk"
        first.cancel()
        await transcriber.close()
    assert (final.hypotheses[0].text, final.engine) == ("where is my order", "pocketsphinx")


async def test_a_wyoming_server_hears_a_call_and_the_next_engine_all_of_it_when_it_is_killed(
    sphinx: WorkerPool, domain: Path, unused_tcp_port: int
) -> None:
    async with (
        wyoming_server("hears", unused_tcp_port, "as the server has it") as server,
        WorkerPool(WorkerSpec("asr"), remote=[server.address]) as remote,
    ):
        transcriber = WorkerTranscriber([remote, sphinx], domain=domain, deadlines=PATIENT)
        heard = await hear(transcriber)
        assert (heard.hypotheses[0].text, heard.engine) == ("as the server has it", "hears")
        utterance, rest = await half_said(transcriber)
        await server.kill()
        for frame in rest:
            utterance.feed(frame)
        final = await utterance.finish()
        await transcriber.close()
    assert (final.hypotheses[0].text, final.engine) == ("where is my order", "pocketsphinx")


async def test_a_server_that_hangs_is_noticed_and_left_in_the_same_utterance(
    sphinx: WorkerPool, domain: Path, unused_tcp_port: int
) -> None:
    async with (
        wyoming_server("hears", unused_tcp_port, "never said") as server,
        WorkerPool(WorkerSpec("asr"), remote=[server.address]) as remote,
    ):
        transcriber = WorkerTranscriber([remote, sphinx], domain=domain, deadlines=PATIENT)
        utterance, rest = await half_said(transcriber)
        server.freeze()
        async with asyncio.timeout(10):
            while remote.offers():
                await asyncio.sleep(0.05)
        for frame in rest:
            utterance.feed(frame)
        final = await utterance.finish()
        await transcriber.close()
    assert (final.hypotheses[0].text, final.engine) == ("where is my order", "pocketsphinx")


async def test_a_server_that_is_back_is_used_again(sphinx: WorkerPool, domain: Path, unused_tcp_port: int) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(wyoming_server("hears", unused_tcp_port, "hello"))
        remote = await stack.enter_async_context(WorkerPool(WorkerSpec("asr"), remote=[server.address]))
        transcriber = WorkerTranscriber([remote, sphinx], domain=domain, deadlines=PATIENT)
        await server.kill()
        async with asyncio.timeout(30):
            while remote.offers():
                await asyncio.sleep(0.05)
        assert (await hear(transcriber)).engine == "pocketsphinx"
        await stack.enter_async_context(wyoming_server("hears", unused_tcp_port, "hello"))
        async with asyncio.timeout(30):
            while not remote.offers():
                await asyncio.sleep(0.05)
        assert (await hear(transcriber)).engine == "hears"
        await transcriber.close()


async def test_an_engine_configured_by_name_hears_or_nobody_does(domain: Path, tmp_path: Path) -> None:
    pytest.importorskip("vosk")
    write_vosk_model(tmp_path / "tones")
    (only,) = choose_recognisers(RecogniserWish(engine=Recogniser.VOSK, models_dir=tmp_path))
    pool = only.pool(1)
    await pool.start()
    transcriber = WorkerTranscriber([pool], domain=domain)
    utterance, rest = await half_said(transcriber)
    await pool.stop()
    for frame in rest:
        utterance.feed(frame)
    with pytest.raises(EngineUnavailable):
        await utterance.finish()
    await transcriber.close()


class Streams(AsyncEventHandler):
    """Sends the first words while it hears, and more at the end; in pieces, as the protocol has it."""

    async def handle_event(self, event: Event) -> bool:
        if Describe.is_type(event.type):
            await self.write_event(describing(streams=True))
        elif AudioStart.is_type(event.type):
            await self.write_event(TranscriptChunk(" where is").event())
        elif AudioStop.is_type(event.type):
            await self.write_event(TranscriptChunk(" my parcel").event())
            await self.write_event(Transcript(" where is my parcel ").event())
        return True


class EndsEarly(AsyncEventHandler):
    """Has a voice activity detection of its own, and takes the first sound for all."""

    answer: ClassVar[Event] = Transcript("where").event()

    async def handle_event(self, event: Event) -> bool:
        if Describe.is_type(event.type):
            await self.write_event(describing())
        elif AudioChunk.is_type(event.type):
            await self.write_event(self.answer)
        return True


class Refuses(EndsEarly):
    answer = Error("out of memory", "overloaded").event()


class TalksNonsense(AsyncEventHandler):
    async def handle_event(self, event: Event) -> bool:
        if Describe.is_type(event.type):
            await self.write_event(describing())
        elif AudioStop.is_type(event.type):
            await self.write_event(Event("transcript", {"words": 3}))
        return True


def describing(*, streams: bool = False) -> Event:
    by = Attribution("somebody", "")
    program = AsrProgram("plain", by, True, None, None, [], supports_transcript_streaming=streams)
    return Info(asr=[program]).event()


@asynccontextmanager
async def serving(handler: type[AsyncEventHandler], port: int) -> AsyncIterator[WorkerPool]:
    server = AsyncTcpServer("127.0.0.1", port)
    await server.start(handler)
    try:
        async with WorkerPool(WorkerSpec("asr"), remote=[f"tcp://127.0.0.1:{port}"]) as pool:
            yield pool
    finally:
        await server.stop()


async def test_the_words_that_a_plain_server_streams_are_shown_while_the_caller_speaks(unused_tcp_port: int) -> None:
    async with serving(Streams, unused_tcp_port) as remote:
        transcriber = WorkerTranscriber([remote], deadlines=PATIENT)
        utterance, rest = await half_said(transcriber)
        async with asyncio.timeout(20):
            first = await anext(utterance.partials())
        for frame in rest:
            utterance.feed(frame)
        final = await utterance.finish()
        await transcriber.close()
    assert first.text == "where is"
    assert final.hypotheses[0].text == "where is my parcel"


@pytest.mark.parametrize("handler", [EndsEarly, Refuses, TalksNonsense])
async def test_a_server_that_ends_early_refuses_or_talks_nonsense_is_left_for_the_next_engine(
    sphinx: WorkerPool, domain: Path, unused_tcp_port: int, handler: type[AsyncEventHandler]
) -> None:
    async with serving(handler, unused_tcp_port) as remote:
        transcriber = WorkerTranscriber([remote, sphinx], domain=domain, deadlines=PATIENT)
        final = await hear(transcriber)
        await transcriber.close()
    assert (final.hypotheses[0].text, final.engine) == ("where is my order", "pocketsphinx")
