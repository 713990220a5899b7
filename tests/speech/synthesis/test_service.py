"""The worker's service in this process: what it answers to each event, and how it fails."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest
from wyoming.audio import AudioChunk
from wyoming.event import Event
from wyoming.tts import Synthesize

from voicebot.errors import EngineUnavailable, LocalProtocolError, RemoteProtocolError
from voicebot.g711 import Pcm
from voicebot.speech.synthesis import service as module
from voicebot.speech.synthesis.service import SpeechConversation, SpeechService, create
from voicebot.speech.synthesis.speaker import Speaker
from voicebot.speech.synthesis.wire import speak_request, worker_options
from voicebot.speech.tts import Voice
from voicebot.speech.workers.capabilities import Feature

VOICE = Voice("flite", "rms", 1.1)


class Hummer:
    """50 ms a clause; "Break" breaks it, and `gate` holds it back."""

    rate_hz = 8000

    def __init__(self, *, mute: bool = False) -> None:
        self.said: list[tuple[str, float]] = []
        self.gate = threading.Event()
        self.gate.set()
        self._level = 0 if mute else 8000

    def synthesize(self, text: str, speed: float) -> Iterator[Pcm]:
        self.gate.wait(10)
        if "Break" in text:
            raise EngineUnavailable("the hummer is broken")
        self.said.append((text, speed))
        yield (self._level * np.sin(np.arange(400))).astype(np.int16)


@pytest.fixture
def hummer(monkeypatch: pytest.MonkeyPatch) -> Hummer:
    hummer = Hummer()
    monkeypatch.setattr(module, "load_speaker", lambda *_, **__: Speaker(hummer, longest_chars=200))
    return hummer


@pytest.fixture
async def service(hummer: Hummer) -> AsyncIterator[SpeechService]:
    service = create(worker_options(VOICE, None))
    await service.warm_up()
    hummer.said.clear()
    yield service
    await service.close()


class Peer:
    """The other end of a conversation."""

    def __init__(self, service: SpeechService) -> None:
        self.heard: list[Event] = []
        self.gone = False
        self.conversation: SpeechConversation = service.converse(self._hear)

    async def _hear(self, event: Event) -> None:
        if self.gone:
            raise ConnectionResetError
        self.heard.append(event)

    async def say(self, text: str, speed: float = 1.0) -> list[str]:
        await self.conversation.handle(speak_request(text, speed).event())
        await self.until("audio-stop", "error")
        return [event.type for event in self.heard]

    async def until(self, *types: str) -> None:
        async with asyncio.timeout(20):
            while not any(event.type in types for event in self.heard):
                await asyncio.sleep(0.001)


async def test_a_text_is_answered_with_a_chunk_for_each_clause(service: SpeechService) -> None:
    peer = Peer(service)
    assert await peer.say("One. Two.") == ["audio-start", "audio-chunk", "audio-chunk", "audio-stop"]
    chunk = AudioChunk.from_event(peer.heard[1])
    assert (chunk.rate, chunk.width, chunk.channels) == (8000, 2, 1)
    assert np.abs(np.frombuffer(chunk.audio, "<i2")).max() > 1000


async def test_the_voice_s_own_speed_and_the_request_s_multiply(service: SpeechService, hummer: Hummer) -> None:
    await Peer(service).say("One.", 0.5)
    assert [(text, round(speed, 6)) for text, speed in hummer.said] == [("One.", 0.55)]


async def test_a_client_that_knows_no_speed_gets_the_usual_one(service: SpeechService, hummer: Hummer) -> None:
    peer = Peer(service)
    await peer.conversation.handle(Synthesize(text="One.").event())
    await peer.until("audio-stop")
    assert hummer.said == [("One.", 1.1)]


async def test_a_failure_in_mid_text_is_told(service: SpeechService) -> None:
    peer = Peer(service)
    assert await peer.say("One. Break. Two.") == ["audio-start", "audio-chunk", "error"]
    assert peer.heard[-1].data["text"] == "the hummer is broken"


async def test_requests_on_one_connection_are_answered_in_turn(service: SpeechService) -> None:
    peer = Peer(service)
    for text in ("One.", "Two."):
        await peer.conversation.handle(speak_request(text, 1.0).event())
    async with asyncio.timeout(20):
        while len(peer.heard) < 6:
            await asyncio.sleep(0.001)
    assert [event.type for event in peer.heard] == ["audio-start", "audio-chunk", "audio-stop"] * 2


async def test_a_peer_that_leaves_stops_the_work(service: SpeechService, hummer: Hummer) -> None:
    peer = Peer(service)
    hummer.gate.clear()
    await peer.conversation.handle(speak_request("One. Two. Three. Four.", 1.0).event())
    await peer.until("audio-start")
    closing = asyncio.create_task(peer.conversation.close())
    await asyncio.sleep(0)
    hummer.gate.set()
    await closing
    await Peer(service).say("Next.")
    assert [text for text, _ in hummer.said][-1] == "Next."
    assert len(hummer.said) <= 2


async def test_a_broken_connection_ends_the_work_quietly(service: SpeechService, hummer: Hummer) -> None:
    peer = Peer(service)
    peer.gone = True
    await peer.conversation.handle(speak_request("One.", 1.0).event())
    await peer.conversation.close()
    assert not hummer.said


async def test_events_of_newer_clients_are_ignored(service: SpeechService) -> None:
    peer = Peer(service)
    await peer.conversation.handle(Event("synthesize-someday", {}))
    assert not peer.heard


@pytest.mark.parametrize(
    "data", [{"text": 5}, {"text": "One.", "context": {"speed": "fast"}}, {"text": "One.", "context": {"speed": None}}]
)
async def test_a_request_without_sense_is_refused(service: SpeechService, data: dict[str, object]) -> None:
    with pytest.raises(RemoteProtocolError):
        await Peer(service).conversation.handle(Event("synthesize", data))


async def test_the_service_tells_what_it_is(service: SpeechService) -> None:
    assert service.info().tts[0].voices[0].name == "rms"
    capabilities = service.capabilities()
    assert (capabilities.engine, capabilities.model) == ("flite", "rms")
    assert Feature.SPEED in capabilities.features


async def test_a_slow_engine_takes_fewer_requests_at_once(service: SpeechService) -> None:
    slow = create(worker_options(Voice("piper", "some"), None)).capabilities().max_sessions
    fast = service.capabilities().max_sessions
    assert slow is not None
    assert fast is not None
    assert slow < fast


async def test_a_voice_that_makes_no_sound_is_not_taken_into_service(monkeypatch: pytest.MonkeyPatch) -> None:
    mute = Speaker(Hummer(mute=True), longest_chars=200)
    monkeypatch.setattr(module, "load_speaker", lambda *_, **__: mute)
    service = create(worker_options(VOICE, None))
    with pytest.raises(EngineUnavailable, match="makes no sound"):
        await service.warm_up()
    await service.close()


def test_options_that_nobody_made_are_refused() -> None:
    with pytest.raises(LocalProtocolError):
        create({"engine": "flite"})
