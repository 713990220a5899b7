"""How much audio goes to a recogniser at once: as much as it says that it wants, and the rest when it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import pytest
from wyoming.asr import Transcript
from wyoming.audio import AudioChunk, AudioStop
from wyoming.event import Event
from wyoming.info import AsrProgram, Attribution, Describe, Info
from wyoming.server import AsyncEventHandler, AsyncTcpServer

from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.errors import RemoteProtocolError
from voicebot.speech.recognition.transcriber import WorkerTranscriber
from voicebot.speech.recognition.utterance import Deadlines
from voicebot.speech.recognition.wire import GO_ON, LOOK_AHEAD
from voicebot.speech.workers.capabilities import EXTENSION_KEY, Capabilities, Feature, info_event, parse_capabilities
from voicebot.speech.workers.pool import WorkerPool
from voicebot.speech.workers.process import WorkerSpec

PATIENT = Deadlines(worker_s=20.0, finish_s=20.0, late_s=20.0)
OPEN = Expectation("open", (AnswerKind.OPEN,))
FRAME = bytes(320)
FRAME_MS = 20
ASKED = {LOOK_AHEAD, GO_ON, AudioStop(None).event().type}


class Recogniser(AsyncEventHandler):
    """Notes what it gets: the milliseconds of a packet, or what it is asked."""

    seen: ClassVar[list[int | str]] = []
    wants: ClassVar[dict[str, object]] = {}

    async def handle_event(self, event: Event) -> bool:
        if Describe.is_type(event.type):
            await self.write_event(describing(self.wants))
        elif AudioChunk.is_type(event.type):
            self.seen.append(len(event.payload or b"") // len(FRAME) * FRAME_MS)
        elif event.type in ASKED:
            self.seen.append(event.type)
            if AudioStop.is_type(event.type):
                await self.write_event(Transcript("yes").event())
        return True


def describing(wants: dict[str, object]) -> Event:
    info = Info(asr=[AsrProgram("ours", Attribution("us", ""), True, None, None, [])])
    event = info_event(info, Capabilities("ours", features=frozenset(Feature)))
    extension: dict[str, Any] = event.data[EXTENSION_KEY]
    del extension["packet_ms"]
    extension.update(wants)
    return event


@pytest.fixture
async def pool(unused_tcp_port: int, wants: dict[str, object]) -> AsyncIterator[WorkerPool]:
    Recogniser.seen.clear()
    Recogniser.wants = wants
    server = AsyncTcpServer("127.0.0.1", unused_tcp_port)
    await server.start(Recogniser)
    async with WorkerPool(WorkerSpec("asr"), remote=[f"tcp://127.0.0.1:{unused_tcp_port}"]) as pool:
        yield pool
    await server.stop()


async def until_seen(count: int) -> None:
    async with asyncio.timeout(20):
        while len(Recogniser.seen) < count:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("wants", "packet_ms"), [({"packet_ms": 200}, 200), ({"packet_ms": 60}, 60), ({}, 60)])
async def test_audio_goes_in_packets_and_the_rest_when_the_recogniser_is_asked(
    pool: WorkerPool, packet_ms: int
) -> None:
    transcriber = WorkerTranscriber([pool], deadlines=PATIENT)
    utterance = await transcriber.start(OPEN)
    utterance.feed(FRAME * 10)
    await until_seen(1)  # it is heard from here on
    for _ in range(packet_ms // FRAME_MS + 1):
        utterance.feed(FRAME)
    utterance.look_ahead()
    utterance.feed(FRAME)
    utterance.go_on()
    utterance.feed(FRAME)
    await utterance.finish()
    await transcriber.close()
    assert Recogniser.seen == [200, packet_ms, 20, LOOK_AHEAD, GO_ON, 40, "audio-stop"]


@pytest.mark.parametrize("packet_ms", [0, -20, 1001, 60.0, "60", None])
def test_packets_of_no_possible_length_are_refused(packet_ms: object) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_capabilities(describing({"packet_ms": packet_ms}))
