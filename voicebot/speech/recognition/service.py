"""The recognition service of a worker process: Wyoming events to an engine and back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Event
from wyoming.info import AsrModel, AsrProgram, Attribution, Info

from voicebot import __version__
from voicebot.errors import RemoteProtocolError
from voicebot.speech.asr import Hypothesis
from voicebot.speech.recognition.engine import Engine, Stream
from voicebot.speech.recognition.engines import build
from voicebot.speech.recognition.wire import (
    GO_ON,
    LOOK_AHEAD,
    PARTIAL,
    PREPARE,
    PREPARED,
    SAMPLE_BYTES,
    SAMPLE_RATE_HZ,
    parse_request,
    provisional_event,
    transcript_event,
)
from voicebot.speech.workers.capabilities import Capabilities
from voicebot.speech.workers.service import Send


class RecognitionConversation:
    """Transcribe, audio, audio-stop, transcript; then the next one on the same connection.

    At a pause the client may ask for a provisional transcript; audio is taken in while that is made.
    """

    def __init__(self, engine: Engine, send: Send) -> None:
        self._engine = engine
        self._send = send
        self._stream: Stream | None = None
        self._looking: asyncio.Task[None] | None = None

    async def handle(self, event: Event) -> None:
        if Transcribe.is_type(event.type):
            await self._drop()
            self._stream = await self._engine.open(parse_request(event), self._partial)
        elif AudioChunk.is_type(event.type):
            if self._stream is not None:
                chunk = AudioChunk.from_event(event)
                _check_format(chunk.rate, chunk.width, chunk.channels)
                await self._stream.feed(chunk.audio)
        elif AudioStart.is_type(event.type):
            start = AudioStart.from_event(event)
            _check_format(start.rate, start.width, start.channels)
        elif AudioStop.is_type(event.type):
            await self._finish()
        elif event.type == LOOK_AHEAD:
            await self._stop_looking()
            if self._stream is not None:
                self._looking = asyncio.create_task(self._look_ahead(self._stream, _pause_of(event)), name="look ahead")
        elif event.type == GO_ON:
            await self._stop_looking()
            if self._stream is not None:
                await self._stream.go_on()
        elif event.type == PREPARE:
            await self._engine.prepare(Path(str(event.data.get("domain"))))
            await self._send(Event(PREPARED))
        # Anything else is a newer client's, and the protocol says to ignore it.

    async def close(self) -> None:
        await self._drop()

    async def _finish(self) -> None:
        if self._stream is None:
            raise RemoteProtocolError("no_transcribe", "Audio ended without a transcribe event before it.")
        await self._stop_looking()
        started = time.perf_counter()
        stream = self._stream
        hypotheses = await stream.finish()
        await self._drop()
        await self._send(_transcript(stream, hypotheses, started))

    async def _look_ahead(self, stream: Stream, pause: int) -> None:
        started = time.perf_counter()
        hypotheses = await stream.look_ahead()
        if hypotheses is not None:
            await self._send(provisional_event(_transcript(stream, hypotheses, started), pause))

    async def _stop_looking(self) -> None:
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            # What it failed with, `finish` will meet as well.
            await asyncio.gather(looking, return_exceptions=True)

    async def _partial(self, text: str) -> None:
        await self._send(Event(PARTIAL, {"text": text}))

    async def _drop(self) -> None:
        await self._stop_looking()
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()


def _pause_of(event: Event) -> int:
    pause = event.data.get("pause")
    if not isinstance(pause, int):
        raise RemoteProtocolError("bad_look_ahead", "A look-ahead event lacks the number of its pause.")
    return pause


def _transcript(stream: Stream, hypotheses: tuple[Hypothesis, ...], started: float) -> Event:
    decode_ms = (time.perf_counter() - started) * 1000
    return transcript_event(hypotheses, stream.engine, decode_ms)


def _check_format(rate_hz: int, width_bytes: int, channels: int) -> None:
    if (rate_hz, width_bytes, channels) != (SAMPLE_RATE_HZ, SAMPLE_BYTES, 1):
        raise RemoteProtocolError("audio_format", "Speech workers take mono 16-bit audio at 8 kHz only.")


@dataclass(frozen=True, slots=True)
class RecognitionService:
    """Serves one engine."""

    engine: Engine

    async def warm_up(self) -> None:
        await self.engine.warm_up()

    def info(self) -> Info:
        running = self.engine.capabilities
        ours = Attribution(name="voicebot", url="")
        model = AsrModel(
            name=running.model, attribution=ours, installed=True, description=None, version=None, languages=["en"]
        )
        return Info(
            asr=[
                AsrProgram(
                    name=running.engine,
                    attribution=ours,
                    installed=True,
                    description=f"{running.engine} behind a voicebot speech worker",
                    version=__version__,
                    models=[model],
                )
            ]
        )

    def capabilities(self) -> Capabilities:
        return self.engine.capabilities

    def converse(self, send: Send) -> RecognitionConversation:
        return RecognitionConversation(self.engine, send)

    async def close(self) -> None:
        await self.engine.close()


def create(options: Mapping[str, object]) -> RecognitionService:
    """Build the service from a worker's options: ``{"engine": "sphinx" | "whisper", ...}``, the rest for the engine."""
    return RecognitionService(build(options))
