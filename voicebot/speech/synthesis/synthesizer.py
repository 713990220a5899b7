"""The voice that calls use: synthesis in worker processes, with fail-over from one worker to another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event

from voicebot import g711
from voicebot.errors import EngineUnavailable
from voicebot.speech.synthesis.clauses import split_clauses
from voicebot.speech.synthesis.lexicon import Lexicon
from voicebot.speech.synthesis.marks import Pause
from voicebot.speech.synthesis.script import Script, Speech, write_script
from voicebot.speech.synthesis.sound import silence, to_telephone
from voicebot.speech.synthesis.voices import EngineName
from voicebot.speech.synthesis.wire import speak_request, worker_options
from voicebot.speech.tts import Voice
from voicebot.speech.workers.capabilities import Feature
from voicebot.speech.workers.line import Line, PeerLost
from voicebot.speech.workers.pool import WorkerPool
from voicebot.speech.workers.process import WorkerSpec

_log = structlog.get_logger()
# A plain Wyoming server gets short clauses, since nothing is known of its pace.
_PLAIN_SERVER_CHARS = 60


@dataclass(frozen=True, slots=True)
class VoiceDeadlines:
    """How long a caller may be kept waiting: for a free worker, for the first sound, and for each further clause.

    A worker whose first sound takes longer than `late_s` again and again is left for others.
    """

    worker_s: float = 1.0
    late_s: float = 1.2
    first_audio_s: float = 1.8
    next_audio_s: float = 1.8


def voice_pool(voice: Voice, models_dir: Path | None, *, workers: int = 1, threads: int = 1) -> WorkerPool:
    """Return the pool, not yet started, that speaks with `voice`.

    That is `workers` processes of ours with `threads` threads each, or for the engine "wyoming" the servers whose
    addresses (``tcp://host:port``, comma between) are the voice's name.
    """
    if voice.engine == EngineName.WYOMING:
        return WorkerPool(WorkerSpec(kind="tts"), remote=[address.strip() for address in voice.name.split(",")])
    options = worker_options(voice, models_dir, threads=threads)
    return WorkerPool(WorkerSpec(kind="tts", options=options, count=workers))


class WorkerSynthesizer:
    """Speaks through the workers of `pool`, which all have the same voice."""

    def __init__(
        self, pool: WorkerPool, *, lexicon: Lexicon | None = None, deadlines: VoiceDeadlines | None = None
    ) -> None:
        self._pool = pool
        self._lexicon = lexicon or Lexicon()
        self._deadlines = deadlines or VoiceDeadlines()
        self._trials: set[asyncio.Task[None]] = set()

    @property
    def slow(self) -> bool:
        """Whether every worker that is ready was left as too slow: another voice had better speak."""
        return self._pool.status().slow

    def try_again(self, script: Script) -> None:
        """Have a worker that was left as too slow, and has rested, speak `script` to nobody, to see if it still is."""
        speech = next((part for part in script if not isinstance(part, Pause)), None)
        if speech is None or (others := self._pool.begin_trial()) is None:
            return
        trial = asyncio.create_task(self._try(speech, set(others)), name="trial")
        self._trials.add(trial)
        trial.add_done_callback(self._trials.discard)

    async def close(self) -> None:
        """Break off what only tries a voice."""
        for trial in tuple(self._trials):
            trial.cancel()
        await asyncio.gather(*self._trials, return_exceptions=True)

    def render(self, text: str, *, cache: bool) -> AsyncIterator[bytes]:
        """Yield mu-law as it is made; nothing is kept, whatever `cache` says (see `PhraseCache`)."""
        del cache
        return self.perform(write_script(text, self._lexicon))

    async def perform(self, script: Script) -> AsyncGenerator[bytes, None]:
        """Yield mu-law clause by clause; `EngineUnavailable` when no worker speaks within its deadline.

        A worker that fails in the middle is replaced by another, which goes on where it stopped. Closing the
        iterator cancels the work.
        """
        if not self.slow:
            # One of several; where there is no other, what it says now tells as much.
            self.try_again(script)
        for part in script:
            if isinstance(part, Pause):
                yield silence(part.duration_s)
            else:
                async with aclosing(self._speak(part)) as speaking:
                    async for audio in speaking:
                        yield audio

    async def _speak(self, speech: Speech) -> AsyncGenerator[bytes, None]:
        said = 0
        tried: set[str] = set()
        for last_try in (False, False, True):
            try:
                async with aclosing(resumed(self._speak_once(speech, tried), said)) as speaking:
                    async for audio in speaking:
                        said += len(audio)
                        yield audio
            except EngineUnavailable as error:
                _log.warning("voice worker failed", kind=self._pool.kind, error=str(error))
                # A dead worker is soon back; a silent one has used up the caller's patience, unless it has siblings.
                if last_try or not (isinstance(error, PeerLost) or self._pool.offers(tried)):
                    raise
            else:
                return

    async def _speak_once(self, speech: Speech, tried: set[str]) -> AsyncGenerator[bytes, None]:
        """Yield what one worker says, none of those `tried` if there is a choice; it is then among them."""
        clock = asyncio.get_running_loop().time
        async with self._pool.lease(avoid=tried, timeout_s=self._deadlines.worker_s) as line:
            tried.add(line.peer)
            asked_at, silent = clock(), True
            async with aclosing(self._converse(line, speech)) as speaking:
                async for audio in speaking:
                    if silent:
                        line.punctuality.answered(in_time=clock() - asked_at <= self._deadlines.late_s)
                        silent = False
                    yield audio

    async def _try(self, speech: Speech, others: set[str]) -> None:
        try:
            with suppress(EngineUnavailable):
                async with aclosing(self._speak_once(speech, others)) as speaking:
                    async for _ in speaking:
                        pass
        finally:
            self._pool.end_trial()

    async def _converse(self, line: Line, speech: Speech) -> AsyncGenerator[bytes, None]:
        if Feature.SPEED in line.capabilities.features:
            line.send(speak_request(speech.text, speech.speed).event())
            async with aclosing(self._answer(line)) as answer:
                async for pcm in answer:
                    yield g711.encode(np.frombuffer(pcm.audio, dtype="<i2").astype(np.int16))
            return
        for clause in split_clauses(speech.text, _PLAIN_SERVER_CHARS):
            line.send(speak_request(clause.text, speech.speed).event())
            chunks = [chunk async for chunk in self._answer(line)]
            # A whole clause takes a millisecond or two to resample: too long for the loop that carries calls.
            yield await asyncio.to_thread(_plain_clause, chunks) + silence(clause.pause_s / speech.speed)

    async def _answer(self, line: Line) -> AsyncGenerator[AudioChunk, None]:
        """Yield the chunks up to audio-stop, each within its deadline; `EngineUnavailable` for anything else."""
        wait_s = self._deadlines.first_audio_s
        while True:
            try:
                async with asyncio.timeout(wait_s):
                    event = await line.receive()
            except TimeoutError as error:
                line.punctuality.answered(in_time=False)
                raise EngineUnavailable(f"The voice worker {line.peer} said nothing for {wait_s:g} s.") from error
            if AudioStop.is_type(event.type):
                return
            if AudioChunk.is_type(event.type):
                yield _chunk(event, line.peer)
                wait_s = self._deadlines.next_audio_s
            elif Error.is_type(event.type):
                raise EngineUnavailable(f"The voice worker {line.peer} reports: {event.data.get('text')}")
            elif not AudioStart.is_type(event.type):
                _log.debug("voice worker sent something unknown", event_type=event.type)


async def resumed(audio: AsyncGenerator[bytes, None], skip: int) -> AsyncGenerator[bytes, None]:
    """Yield what comes after the first `skip` bytes, which the caller has heard already from somebody who failed."""
    async with aclosing(audio):
        async for chunk in audio:
            fresh = chunk[skip:]
            skip = max(0, skip - len(chunk))
            if fresh:
                yield fresh


def _chunk(event: Event, peer: str) -> AudioChunk:
    try:
        chunk = AudioChunk.from_event(event)
        right = chunk.width == 2 and chunk.channels == 1 and chunk.rate > 0 and len(chunk.audio) % 2 == 0
    except (KeyError, TypeError) as error:
        raise PeerLost(f"The voice worker {peer} sent a chunk without its format.") from error
    if not right:
        raise PeerLost(f"The voice worker {peer} sent audio that is not mono 16-bit.")
    return chunk


def _plain_clause(chunks: Sequence[AudioChunk]) -> bytes:
    if not chunks:
        return b""
    samples = np.frombuffer(b"".join(chunk.audio for chunk in chunks), dtype="<i2").astype(np.int16)
    return g711.encode(to_telephone(samples, chunks[0].rate))
