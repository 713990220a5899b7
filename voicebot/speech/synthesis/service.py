"""The speech service of a worker process: Wyoming's `synthesize` in, telephone-ready audio out, clause by clause.

The audio is 16-bit at 8 kHz and levelled already. Beyond the protocol, a request's `context` may hold `speed`. A
request is cancelled by closing its connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Attribution, Info, TtsProgram, TtsVoice
from wyoming.tts import Synthesize

from voicebot import __version__
from voicebot.errors import EngineUnavailable, LocalProtocolError, RemoteProtocolError
from voicebot.g711 import Pcm
from voicebot.speech.synthesis.speaker import Speaker
from voicebot.speech.synthesis.voices import EngineName, load_speaker
from voicebot.speech.synthesis.wire import FORMAT, speed_of
from voicebot.speech.tts import Voice
from voicebot.speech.workers.capabilities import Capabilities, Feature
from voicebot.speech.workers.service import Send

_log = structlog.get_logger()
# Requests take turns in the engine, a clause each: with more at once than this, turns would be heard as silence.
_SLOW_ENGINE_SESSIONS = 3
_FAST_ENGINE_SESSIONS = 16
_WARM_UP_TEXT = "One moment, please."
_END: Pcm | None = None


@dataclass(frozen=True, slots=True)
class _Options:
    voice: Voice
    models_dir: Path | None
    threads: int


class SpeechService:
    """One voice, shared by every connection; its engine speaks one clause at a time, in a thread of its own."""

    def __init__(self, voice: Voice, models_dir: Path | None, *, threads: int) -> None:
        self._voice = voice
        self._models_dir = models_dir
        self._threads = threads
        self._speaker: Speaker | None = None
        # One thread: the engines are not safe to share, and the loop must go on answering pings while one works.
        self._engine_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="voice")

    async def warm_up(self) -> None:
        loop = asyncio.get_running_loop()
        self._speaker = await loop.run_in_executor(self._engine_thread, self._load)

    def _load(self) -> Speaker:
        speaker = load_speaker(self._voice, self._models_dir, threads=self._threads)
        if not any(clause.any() for clause in speaker.speak(_WARM_UP_TEXT)):
            raise EngineUnavailable(f"the voice {self._voice.engine}/{self._voice.name} makes no sound")
        return speaker

    async def next_clause(self, clauses: Iterator[Pcm]) -> Pcm | None:
        """Make the next clause in the engine's thread; None at the end."""
        return await asyncio.get_running_loop().run_in_executor(self._engine_thread, next, clauses, _END)

    def speak(self, text: str, speed: float) -> Iterator[Pcm]:
        if self._speaker is None:
            raise LocalProtocolError("a speech service is asked to speak before it is warm")
        return self._speaker.speak(text, self._voice.speed * speed)

    def info(self) -> Info:
        ours = Attribution(name="voicebot", url="")
        voice = TtsVoice(
            name=self._voice.name, attribution=ours, installed=True, description=None, version=None, languages=["en"]
        )
        program = TtsProgram(
            name=self._voice.engine,
            attribution=ours,
            installed=True,
            description=f"{self._voice.engine} behind a voicebot speech worker",
            version=__version__,
            voices=[voice],
        )
        return Info(tts=[program])

    def capabilities(self) -> Capabilities:
        features = frozenset({Feature.PING, Feature.CANCEL, Feature.SPEED})
        slow = self._voice.engine == EngineName.PIPER
        sessions = _SLOW_ENGINE_SESSIONS if slow else _FAST_ENGINE_SESSIONS
        return Capabilities(self._voice.engine, self._voice.name, features, sessions)

    def converse(self, send: Send) -> SpeechConversation:
        return SpeechConversation(self, send)

    async def close(self) -> None:
        self._engine_thread.shutdown(wait=False, cancel_futures=True)


@dataclass(slots=True)
class SpeechConversation:
    """One connection: each `synthesize` is answered with audio-start, a chunk a clause, and audio-stop."""

    service: SpeechService
    send: Send
    _speaking: asyncio.Task[None] | None = field(default=None, init=False)

    async def handle(self, event: Event) -> None:
        if not Synthesize.is_type(event.type):
            return  # a newer client's, which the protocol says to ignore
        request = Synthesize.from_event(event)
        if not isinstance(request.text, str):
            raise RemoteProtocolError("bad_synthesize", "A synthesize event has no text.")
        if self._speaking is not None:
            await self._speaking  # one request at a time on a connection
        # In a task, so that the host goes on reading and sees at once when the peer is gone.
        self._speaking = asyncio.create_task(self._speak(request.text, speed_of(request)))

    async def close(self) -> None:
        if self._speaking is not None:
            self._speaking.cancel()
            await asyncio.gather(self._speaking, return_exceptions=True)

    async def _speak(self, text: str, speed: float) -> None:
        try:
            clauses = self.service.speak(text, speed)
            await self.send(AudioStart(**FORMAT).event())
            while (clause := await self.service.next_clause(clauses)) is not None:
                await self.send(AudioChunk(audio=clause.astype("<i2").tobytes(), **FORMAT).event())
            await self.send(AudioStop().event())
        except EngineUnavailable as error:
            _log.warning("voice failed", error=str(error))
            await self.send(Error(text=str(error), code="unavailable").event())
        except OSError:
            _log.debug("speech peer went away")


def create(options: Mapping[str, object]) -> SpeechService:
    """Build the service from `wire.worker_options`: voice, models directory, and number of threads."""
    parsed = _parse(options)
    return SpeechService(parsed.voice, parsed.models_dir, threads=parsed.threads)


def _parse(options: Mapping[str, object]) -> _Options:
    match dict(options):
        case {
            "engine": str(engine),
            "name": str(name),
            "speed": float(speed),
            "models_dir": models_dir,
            "threads": int(n),
        }:
            return _Options(Voice(engine, name, speed), Path(str(models_dir)) if models_dir else None, n)
        case _:
            raise LocalProtocolError("a tts worker's options must come from worker_options()")
