"""An engine that lives and is slow: another one hears for it, within the utterance and then in its place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from wyoming.asr import Transcript
from wyoming.audio import AudioStop
from wyoming.event import Event
from wyoming.info import AsrProgram, Attribution, Describe, Info
from wyoming.server import AsyncEventHandler, AsyncTcpServer

from tests.speech.spoken import frames, spoken
from voicebot.dialog.expectation import AnswerKind, Domain, Expectation
from voicebot.errors import EngineUnavailable
from voicebot.speech.asr import Final
from voicebot.speech.recognition.sphinx.domain import compile_domain
from voicebot.speech.recognition.transcriber import WorkerTranscriber
from voicebot.speech.recognition.utterance import Deadlines
from voicebot.speech.workers.peer import Patience, PeerState
from voicebot.speech.workers.pool import WorkerPool
from voicebot.speech.workers.process import WorkerSpec
from voicebot.speech.workers.punctuality import LatePolicy

OPEN = Expectation("open", (AnswerKind.OPEN,))
REQUESTS = ("where is my order", "cancel my appointment", "i want to talk to a person", "when are you open")
SAID = frames(spoken("Where is my order?"))
#: Only the slow server is ever that late: it answers when it is told to.
DEADLINES = Deadlines(worker_s=60, finish_s=60, late_s=0.3, next_engine_s=60)
AFTER_TWO = Patience(late=LatePolicy(answers=2, first_rest_s=1000, longest_rest_s=1000))


class SlowServer:
    """A server that somebody else runs: it describes itself at once, and answers while it is `quick`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked = 0
        self.quick = asyncio.Event()

    def handler(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> AsyncEventHandler:
        return _Answering(self, reader, writer)


class _Answering(AsyncEventHandler):
    def __init__(self, server: SlowServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self._server = server

    async def handle_event(self, event: Event) -> bool:
        if Describe.is_type(event.type):
            program = AsrProgram(self._server.name, Attribution("somebody", ""), True, None, None, [])
            await self.write_event(Info(asr=[program]).event())
        elif AudioStop.is_type(event.type):
            self._server.asked += 1
            await self._server.quick.wait()
            await self.write_event(Transcript("as the server has it").event())
        return True


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_domain(Domain("1", REQUESTS, (OPEN,)), tmp_path_factory.mktemp("domains"))


@pytest.fixture
async def sphinx() -> AsyncIterator[WorkerPool]:
    # However busy the machine is, it is never too slow.
    patience = Patience(late=LatePolicy(answers=1_000_000))
    async with WorkerPool(WorkerSpec("asr"), patience=patience) as pool:
        yield pool


@pytest.fixture
def clock() -> Clock:
    return Clock()


@asynccontextmanager
async def watching(clock: Clock, *servers: tuple[SlowServer, int]) -> AsyncIterator[WorkerPool]:
    """Run the servers on their ports and watch them as one engine."""
    async with AsyncExitStack() as stack:
        for server, port in servers:
            running = AsyncTcpServer("127.0.0.1", port)
            await running.start(server.handler)
            stack.push_async_callback(running.stop)
        addresses = [f"tcp://127.0.0.1:{port}" for _, port in servers]
        pool = WorkerPool(WorkerSpec("asr"), remote=addresses, patience=AFTER_TWO, clock=clock)
        yield await stack.enter_async_context(pool)


async def hear(transcriber: WorkerTranscriber) -> Final:
    utterance = await transcriber.start(OPEN)
    for frame in SAID:
        utterance.feed(frame)
    return await utterance.finish()


async def until_left(transcriber: WorkerTranscriber, pool: WorkerPool) -> None:
    async with asyncio.timeout(60):
        while not pool.status().slow:
            await hear(transcriber)


async def test_an_utterance_for_which_an_engine_is_late_is_heard_by_the_next_one_too_and_whoever_is_first_counts(
    sphinx: WorkerPool, domain: Path, clock: Clock, unused_tcp_port: int
) -> None:
    server = SlowServer("slow")
    async with watching(clock, (server, unused_tcp_port)) as remote:
        transcriber = WorkerTranscriber([remote, sphinx], domain=domain, deadlines=DEADLINES)
        final = await hear(transcriber)
        assert (final.hypotheses[0].text, final.engine) == ("where is my order", "pocketsphinx")
        assert not remote.status().slow, "once may happen"
        await transcriber.close()


async def test_an_engine_that_is_late_again_and_again_is_left_and_taken_back_when_it_is_in_time(
    sphinx: WorkerPool, domain: Path, clock: Clock, unused_tcp_port: int
) -> None:
    server = SlowServer("slow")
    async with watching(clock, (server, unused_tcp_port)) as remote:
        transcriber = WorkerTranscriber([remote, sphinx], domain=domain, deadlines=DEADLINES)
        with capture_logs() as logs:
            for _ in range(2):
                assert (await hear(transcriber)).engine == "pocketsphinx"
        (left,) = [line for line in logs if line["event"] == "speech server left, it answers too late"]
        assert left["peer"].endswith(str(unused_tcp_port))
        assert remote.status().slow
        assert [peer.times_left for peer in remote.status().peers] == [1]

        asked = server.asked
        for _ in range(3):
            assert (await hear(transcriber)).engine == "pocketsphinx"
        assert server.asked == asked, "while it rests nobody waits for it, and nobody asks it"

        server.quick.set()
        async with asyncio.timeout(60):
            while remote.status().slow:
                # A trial that a stalled machine spoils is followed by another.
                clock.now_s += 1000
                final = await hear(transcriber)
                assert final.engine in {"pocketsphinx", "slow"}
                await asyncio.sleep(0.1)
        relaxed = WorkerTranscriber(
            [remote, sphinx], domain=domain, deadlines=Deadlines(worker_s=60, finish_s=60, late_s=60)
        )
        assert (await hear(relaxed)).engine == "slow"
        await relaxed.close()
        await transcriber.close()


async def test_a_slow_engine_is_tried_beside_the_one_that_answers_so_that_no_caller_waits_for_it(
    sphinx: WorkerPool, domain: Path, clock: Clock, unused_tcp_port: int
) -> None:
    server = SlowServer("slow")
    async with watching(clock, (server, unused_tcp_port)) as remote:
        transcriber = WorkerTranscriber([remote, sphinx], domain=domain, deadlines=DEADLINES)
        await until_left(transcriber, remote)
        asked = server.asked
        clock.now_s += 1000
        final = await hear(transcriber)
        assert final.engine == "pocketsphinx"
        async with asyncio.timeout(30):
            while server.asked == asked:
                await asyncio.sleep(0.01)
        assert remote.status().slow
        await transcriber.close()


async def test_of_several_servers_the_slow_one_is_left_for_the_other(
    domain: Path, clock: Clock, unused_tcp_port_factory: object
) -> None:
    assert callable(unused_tcp_port_factory)
    slow, quick = SlowServer("slow"), SlowServer("quick")
    quick.quick.set()
    ports = unused_tcp_port_factory(), unused_tcp_port_factory()
    async with watching(clock, (slow, ports[0]), (quick, ports[1])) as remote:
        deadlines = Deadlines(worker_s=60, finish_s=60, late_s=1.5)
        transcriber = WorkerTranscriber([remote], domain=domain, deadlines=deadlines)
        async with asyncio.timeout(60):
            while not remote.status().peers[0].left:
                assert (await hear(transcriber)).engine == "quick"
        asked = slow.asked
        assert (await hear(transcriber)).engine == "quick"
        assert slow.asked == asked
        await transcriber.close()


async def test_a_slow_engine_without_another_is_waited_for(domain: Path, clock: Clock, unused_tcp_port: int) -> None:
    server = SlowServer("slow")
    async with watching(clock, (server, unused_tcp_port)) as remote:
        impatient = Deadlines(worker_s=60, finish_s=0.5, late_s=0.1)
        transcriber = WorkerTranscriber([remote], domain=domain, deadlines=impatient)
        for _ in range(2):
            with pytest.raises(EngineUnavailable):
                await hear(transcriber)
        assert remote.status().slow
        server.quick.set()
        patient = WorkerTranscriber([remote], domain=domain, deadlines=Deadlines(finish_s=60, late_s=60))
        assert (await hear(patient)).engine == "slow"
        assert not remote.status().slow, "it was in time"
        await patient.close()
        await transcriber.close()


async def test_an_engine_left_as_slow_hears_when_the_other_one_is_gone(
    sphinx: WorkerPool, domain: Path, clock: Clock, unused_tcp_port: int
) -> None:
    server = SlowServer("slow")
    async with watching(clock, (server, unused_tcp_port)) as remote:
        transcriber = WorkerTranscriber([remote, sphinx], domain=domain, deadlines=DEADLINES)
        await until_left(transcriber, remote)
        await sphinx.stop()
        assert {peer.state for peer in sphinx.status().peers} == {PeerState.STOPPED}
        server.quick.set()
        assert (await hear(transcriber)).engine == "slow"
        await transcriber.close()
