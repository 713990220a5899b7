"""The transcriber against real workers: pocketsphinx, killed ones, plain servers."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

import pytest
from wyoming.asr import Transcript
from wyoming.audio import AudioStop
from wyoming.event import Event
from wyoming.info import AsrProgram, Attribution, Describe, Info
from wyoming.server import AsyncEventHandler, AsyncTcpServer

from tests.speech.spoken import frames, spoken
from voicebot.dialog.expectation import AnswerKind, Domain, Expectation
from voicebot.errors import EngineUnavailable
from voicebot.speech.asr import Final, Partial, Utterance
from voicebot.speech.recognition.sphinx.domain import compile_domain
from voicebot.speech.recognition.transcriber import WorkerTranscriber
from voicebot.speech.recognition.utterance import Deadlines
from voicebot.speech.recognition.wire import GO_ON, LOOK_AHEAD
from voicebot.speech.workers.capabilities import Feature
from voicebot.speech.workers.pool import WorkerPool
from voicebot.speech.workers.process import WorkerSpec

#: What is asked here is what is heard, not how soon: other tests keep the machine busy.
PATIENT = Deadlines(worker_s=20.0, finish_s=20.0)
OPEN = Expectation("open", (AnswerKind.OPEN,))
ACCOUNT = Expectation("account", (AnswerKind.DIGITS, AnswerKind.OPEN), lengths=(6,))
DOMAIN = Domain(
    version="1",
    requests=(
        "what is my account balance",
        "how much money do i have",
        "where is my order",
        "my order has not arrived yet",
        "i want to book an appointment",
        "i want to talk to a person",
        "when are you open",
        "cancel my appointment",
    ),
    expectations=(OPEN, ACCOUNT),
    names=("maria lopez",),
)


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_domain(DOMAIN, tmp_path_factory.mktemp("domains"))


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    async with WorkerPool(WorkerSpec(kind="asr", count=2)) as pool:
        yield pool


@pytest.fixture
async def transcriber(pool: WorkerPool, domain: Path) -> AsyncIterator[WorkerTranscriber]:
    transcriber = WorkerTranscriber([pool], domain=domain, deadlines=PATIENT)
    await transcriber.prepare()
    yield transcriber
    await transcriber.close()


async def hear(transcriber: WorkerTranscriber, expectation: Expectation, text: str) -> Final:
    utterance = await transcriber.start(expectation)
    for frame in frames(spoken(text)):
        utterance.feed(frame)
    return await utterance.finish()


async def collect(utterance: Utterance) -> list[Partial]:
    return [partial async for partial in utterance.partials()]


async def test_a_request_in_the_callers_words_is_heard(transcriber: WorkerTranscriber) -> None:
    final = await hear(transcriber, OPEN, "I want to talk to a person.")
    assert final.hypotheses[0].text.endswith("to talk to a person")
    assert final.engine == "pocketsphinx"
    assert 0.0 < final.hypotheses[0].confidence <= 1.0
    assert [word.text for word in final.hypotheses[0].words][-2:] == ["a", "person"]
    assert final.hypotheses[0].words[-1].start_s > 0.5
    assert len({word.confidence for word in final.hypotheses[0].words}) > 1, "each word has a confidence of its own"


async def test_digits_are_heard_where_digits_are_expected(transcriber: WorkerTranscriber) -> None:
    final = await hear(transcriber, ACCOUNT, "four two seven one nine three")
    assert final.hypotheses[0].text == "four two seven one nine three"
    others = [hypothesis.text.split() for hypothesis in final.hypotheses[1:]]
    assert len(others) > 20, "numbers to check against those that there are"
    assert sum(len(words) == 6 for words in others) > 20


async def test_an_open_request_is_heard_in_place_of_digits(transcriber: WorkerTranscriber) -> None:
    final = await hear(transcriber, ACCOUNT, "I want to talk to a person.")
    assert final.hypotheses[0].text.endswith("to talk to a person")


async def test_silence_is_nothing(transcriber: WorkerTranscriber) -> None:
    utterance = await transcriber.start(OPEN)
    utterance.feed(bytes(32000))
    assert (await utterance.finish()).hypotheses == ()


async def test_partials_come_while_the_caller_speaks(transcriber: WorkerTranscriber) -> None:
    utterance = await transcriber.start(OPEN)
    collecting = asyncio.create_task(collect(utterance))
    for frame in frames(spoken("I want to book an appointment.")):
        utterance.feed(frame)
        await asyncio.sleep(0.005)
    await utterance.finish()
    partials = await collecting
    assert partials
    assert "book" in partials[-1].text


async def until_heard_ahead(utterance: Utterance) -> Partial:
    """Ask what was said so far and return the partial that tells it."""
    partials = utterance.partials()
    utterance.look_ahead()
    async with asyncio.timeout(20):
        while not (partial := await anext(partials)).text.endswith("order"):
            pass
    # The words may have been told before; what was asked for is there a little later.
    await asyncio.sleep(1.0)
    return partial


async def test_what_was_heard_ahead_at_a_pause_is_the_final_if_nothing_follows(
    transcriber: WorkerTranscriber, pool: WorkerPool
) -> None:
    final = await hear(transcriber, OPEN, "Where is my order?")
    utterance = await transcriber.start(OPEN)
    for frame in frames(spoken("Where is my order?")):
        utterance.feed(frame)
    assert (await until_heard_ahead(utterance)).text == "where is my order"
    utterance.feed(bytes(6400))
    # No worker could answer any more, so this is what it said at the pause.
    await pool.stop()
    assert (await utterance.finish()).hypotheses == final.hypotheses


async def test_what_was_heard_ahead_is_told_with_what_else_it_may_have_been(transcriber: WorkerTranscriber) -> None:
    utterance = await transcriber.start(OPEN)
    # What no example says leaves the recogniser with several readings.
    for frame in frames(spoken("How much is my appointment?")):
        utterance.feed(frame)
    utterance.look_ahead()
    async with asyncio.timeout(20):
        told = await anext(partial async for partial in utterance.partials() if partial.others)
    final = await utterance.finish()
    assert (told.text, *told.others) == tuple(each.text for each in final.hypotheses)


async def test_speech_after_a_pause_is_heard_together_with_what_came_before(transcriber: WorkerTranscriber) -> None:
    utterance = await transcriber.start(OPEN)
    for frame in frames(spoken("Where is my order?")):
        utterance.feed(frame)
    await until_heard_ahead(utterance)
    utterance.feed(bytes(1600))
    utterance.go_on()
    for frame in frames(spoken("Cancel my appointment.")):
        utterance.feed(frame)
    heard = (await utterance.finish()).hypotheses[0].text
    assert heard.startswith("where is my order")
    assert heard.endswith("cancel my appointment")


async def test_what_was_heard_ahead_comes_too_late_once_the_caller_went_on(transcriber: WorkerTranscriber) -> None:
    utterance = await transcriber.start(OPEN)
    for frame in frames(spoken("Where is my order?")):
        utterance.feed(frame)
    utterance.look_ahead()
    utterance.go_on()
    await asyncio.sleep(0.5)
    for frame in frames(spoken("Cancel my appointment.")):
        utterance.feed(frame)
    assert (await utterance.finish()).hypotheses[0].text.endswith("cancel my appointment")


async def test_a_worker_killed_in_mid_word_is_replaced_without_the_caller_noticing(
    transcriber: WorkerTranscriber, pool: WorkerPool
) -> None:
    utterance = await transcriber.start(OPEN)
    audio = frames(spoken("Where is my order?"))
    for frame in audio[: len(audio) // 2]:
        utterance.feed(frame)
    await asyncio.sleep(0.3)
    busy = next(peer for peer in pool.status().peers if peer.sessions)
    assert busy.pid is not None
    os.kill(busy.pid, signal.SIGKILL)
    await asyncio.sleep(0.3)
    for frame in audio[len(audio) // 2 :]:
        utterance.feed(frame)
    assert (await utterance.finish()).hypotheses[0].text == "where is my order"


async def test_a_dead_engine_is_an_error_within_two_seconds(domain: Path) -> None:
    pool = WorkerPool(WorkerSpec(kind="asr"))
    await pool.start()
    assert (Deadlines().worker_s, Deadlines().finish_s) == (2.0, 2.0)
    transcriber = WorkerTranscriber([pool], domain=domain)
    utterance = await transcriber.start(OPEN)
    utterance.feed(bytes(3200))
    await pool.stop()
    started = time.monotonic()
    with pytest.raises(EngineUnavailable):
        await utterance.finish()
    with pytest.raises(EngineUnavailable):
        await transcriber.start(OPEN)
    assert time.monotonic() - started < 12.0, "two seconds each, and eight for a busy test machine"
    await transcriber.close()


async def test_a_cancelled_utterance_gives_its_worker_back(transcriber: WorkerTranscriber, pool: WorkerPool) -> None:
    utterance = await transcriber.start(OPEN)
    collecting = asyncio.create_task(collect(utterance))
    utterance.feed(spoken("Where is my order?"))
    await asyncio.sleep(0.1)
    assert sum(peer.sessions for peer in pool.status().peers) == 1
    utterance.cancel()
    async with asyncio.timeout(20):
        await collecting
    await transcriber.close()
    assert sum(peer.sessions for peer in pool.status().peers) == 0


async def test_a_new_domain_is_heard_without_a_restart(
    transcriber: WorkerTranscriber, pool: WorkerPool, tmp_path: Path
) -> None:
    changed = Domain("2", ("my parcel is broken", "i want a refund"), (OPEN,))
    newer = WorkerTranscriber([pool], domain=compile_domain(changed, tmp_path))
    await newer.prepare()
    heard = await asyncio.gather(
        hear(newer, OPEN, "My parcel is broken."), hear(transcriber, OPEN, "Cancel my appointment.")
    )
    assert [final.hypotheses[0].text for final in heard] == ["my parcel is broken", "cancel my appointment"]
    await newer.close()


async def test_a_damaged_domain_is_refused_when_prepared(pool: WorkerPool, tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="cannot load"):
        await WorkerTranscriber([pool], domain=tmp_path / "nothing").prepare()


class PlainServer(AsyncEventHandler):
    """A recogniser as others write them: no ping, no extension; it answers with what it was told to hear."""

    seen: ClassVar[list[Event]] = []
    text = " where is my order"
    streams = False

    async def handle_event(self, event: Event) -> bool:
        self.seen.append(event)
        if Describe.is_type(event.type):
            program = AsrProgram(
                "plain", Attribution("somebody", ""), True, None, None, [], supports_transcript_streaming=self.streams
            )
            await self.write_event(Info(asr=[program]).event())
        elif AudioStop.is_type(event.type):
            await self.write_event(Transcript(self.text).event())
        return True


@pytest.fixture
async def plain(unused_tcp_port: int) -> AsyncIterator[str]:
    PlainServer.seen.clear()
    server = AsyncTcpServer("127.0.0.1", unused_tcp_port)
    await server.start(PlainServer)
    yield f"tcp://127.0.0.1:{unused_tcp_port}"
    await server.stop()


async def test_a_plain_server_works_with_less_and_the_status_says_so(plain: str) -> None:
    async with WorkerPool(WorkerSpec(kind="asr"), remote=[plain]) as pool:
        assert pool.status().engine == "plain"
        assert set(pool.status().missing) == {str(feature) for feature in Feature}
        transcriber = WorkerTranscriber([pool], names=("maria lopez",), assumed_confidence=0.55)
        await transcriber.prepare()
        utterance = await transcriber.start(Expectation("pick", (AnswerKind.CHOICE,), phrases=("blue",)))
        utterance.feed(bytes(1600))
        await asyncio.sleep(0.1)
        utterance.look_ahead()
        utterance.go_on()
        utterance.look_ahead()
        utterance.feed(bytes(1600))
        final = await utterance.finish()
        await transcriber.close()
    assert [(heard.text, heard.confidence) for heard in final.hypotheses] == [("where is my order", 0.55)]
    assert final.engine == "plain"
    request = next(event for event in PlainServer.seen if event.type == "transcribe")
    assert request.data["transcript_names"] == ["maria lopez"]
    assert request.data["transcript_terms"] == ["blue"]
    audio = [event for event in PlainServer.seen if event.type == "audio-chunk"]
    assert {event.data["rate"] for event in audio} == {16000}
    assert sum(len(event.payload or b"") for event in audio) == 2 * 3200
    assert not [event for event in PlainServer.seen if event.type in {LOOK_AHEAD, GO_ON}]


async def test_the_next_engine_takes_over_when_the_first_one_dies(plain: str, domain: Path) -> None:
    first = WorkerPool(WorkerSpec(kind="asr"))
    async with first, WorkerPool(WorkerSpec(kind="asr"), remote=[plain]) as second:
        transcriber = WorkerTranscriber([first, second], domain=domain)
        utterance = await transcriber.start(OPEN)
        utterance.feed(spoken("When are you open?"))
        await asyncio.sleep(0.2)
        await first.stop()
        final = await utterance.finish()
        await transcriber.close()
    assert final.engine == "plain"
