"""The faster-whisper engine of a recognition worker."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import numpy as np

from voicebot.errors import EngineUnavailable
from voicebot.speech.asr import Hypothesis
from voicebot.speech.recognition.engine import OnPartial
from voicebot.speech.recognition.sphinx.domain import read_material
from voicebot.speech.recognition.upsample import Upsampler
from voicebot.speech.recognition.whisper.desk import Desk, Job, Urgency, Work
from voicebot.speech.recognition.whisper.guards import agreed, invented
from voicebot.speech.recognition.whisper.hints import prompt_for
from voicebot.speech.recognition.whisper.model import LONGEST_S, RATE_HZ, Decoded, Model, Samples
from voicebot.speech.recognition.whisper.pauses import PauseFinder, Span
from voicebot.speech.recognition.wire import SAMPLE_BYTES, SAMPLE_RATE_HZ, Request
from voicebot.speech.workers.capabilities import Capabilities, Feature

_PARTIAL_EVERY_MS = 600
_LEAST_SPEECH_MS = 100
_MARGIN_BYTES = SAMPLE_RATE_HZ * SAMPLE_BYTES * 200 // 1000
_FULL_SCALE = 32768.0


class WhisperEngine:
    """One model, one decoding thread, an admission limit."""

    def __init__(self, model: Model, *, max_sessions: int) -> None:
        self._model = model
        self._max_sessions = max_sessions
        self._open = 0
        self._desk = Desk()
        self._names: dict[Path, tuple[str, ...]] = {}

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            engine="faster-whisper",
            model=self._model.name,
            features=frozenset(Feature) - {Feature.ALTERNATIVES},
            max_sessions=self._max_sessions,
        )

    async def warm_up(self) -> None:
        quiet = np.zeros(RATE_HZ, dtype=np.float32)
        await self._desk.submit(lambda stop: self._model.decode(quiet, "", stop), Urgency.FINAL).result

    async def prepare(self, domain: Path) -> None:
        self._names[domain] = read_material(domain).names

    async def open(self, request: Request, on_partial: OnPartial) -> WhisperStream:
        if self._open >= self._max_sessions:
            raise EngineUnavailable("This worker decodes as many utterances as it can.")
        if request.domain is not None and request.domain not in self._names:
            await self.prepare(request.domain)
        names = self._names[request.domain] if request.domain is not None else ()
        self._open += 1
        return WhisperStream(self, prompt_for(request, names), on_partial)

    async def close(self) -> None:
        await self._desk.close()

    @property
    def idle(self) -> bool:
        return self._desk.idle

    def decode(self, pcm: bytes, prompt: str, urgency: Urgency) -> Job:
        """Queue a decoding of 8 kHz PCM."""
        return self.submit(lambda stop: self._model.decode(_wideband(pcm), prompt, stop), urgency)

    def submit(self, work: Work, urgency: Urgency) -> Job:
        return self._desk.submit(work, urgency)

    def release(self) -> None:
        self._open -= 1


def _wideband(pcm: bytes) -> Samples:
    doubled: Samples = Upsampler().double(np.frombuffer(pcm, dtype=np.int16)) / np.float32(_FULL_SCALE)
    return doubled


class WhisperStream:
    """One utterance: decoded ahead of time at each pause, and again only if the caller went on."""

    def __init__(self, engine: WhisperEngine, prompt: str, on_partial: OnPartial) -> None:
        self._engine = engine
        self._prompt = prompt
        self._on_partial = on_partial
        self._audio = bytearray()
        self._pauses = PauseFinder()
        self._ahead: tuple[Span, Job] | None = None
        self._partial: Job | None = None
        self._partial_at_ms = 0
        self._last_pass = ""
        self._shown = ""
        self._watchers: set[asyncio.Task[None]] = set()
        self._closed = False

    async def feed(self, pcm: bytes) -> None:
        self._audio += pcm
        self._pauses.follow(pcm)
        span = self._pauses.span
        if span is None or self._pauses.speech_ms < _LEAST_SPEECH_MS:
            return
        if (
            self._pauses.speech_ms - self._partial_at_ms >= _PARTIAL_EVERY_MS
            and self._pauses.silence_ms == 0
            and self._engine.idle
        ):
            self._partial_at_ms = self._pauses.speech_ms
            self._partial = self._decode(span, Urgency.PARTIAL)
            self._watch(self._partial)

    async def look_ahead(self) -> tuple[Hypothesis, ...] | None:
        return await self._conclude(Urgency.SPECULATIVE)

    async def go_on(self) -> None:
        if self._ahead is not None:
            self._ahead[1].cancel()
            self._ahead = None

    async def finish(self) -> tuple[Hypothesis, ...]:
        if self._partial is not None:
            self._partial.cancel()
        return await self._conclude(Urgency.FINAL)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for job in (self._partial, self._ahead[1] if self._ahead else None):
            if job is not None:
                job.cancel()
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        self._engine.release()

    async def _conclude(self, urgency: Urgency) -> tuple[Hypothesis, ...]:
        span = self._pauses.span
        if span is None or self._pauses.speech_ms < _LEAST_SPEECH_MS:
            return ()
        if self._ahead is None or self._ahead[0] != span:
            await self.go_on()
            self._ahead = (span, self._decode(span, urgency))
        # Whoever stops waiting at a pause leaves the decoding to the final.
        decoded = await asyncio.shield(self._ahead[1].result)
        hypothesis = None if decoded is None else self._believe(decoded)
        return () if hypothesis is None else (hypothesis,)

    def _decode(self, span: Span, urgency: Urgency) -> Job:
        # A little room before and after: voice activity misses soft beginnings and ends.
        start = max(0, span.start - _MARGIN_BYTES)
        # The model hears 30 s at once; of a longer answer the end matters more than the beginning.
        start = max(start, span.end - int((LONGEST_S - 1) * SAMPLE_RATE_HZ) * SAMPLE_BYTES)
        return self._engine.decode(bytes(self._audio[start : span.end + _MARGIN_BYTES]), self._prompt, urgency)

    def _watch(self, job: Job) -> None:
        task = asyncio.create_task(self._show(job), name="partial")
        self._watchers.add(task)
        task.add_done_callback(self._watchers.discard)

    async def _show(self, job: Job) -> None:
        """Send what this pass and the one before it agree on."""
        decoded = await job.result
        if decoded is None or self._believe(decoded) is None:
            return
        text = agreed(self._last_pass, decoded.text)
        self._last_pass = decoded.text
        if text and text != self._shown:
            self._shown = text
            await self._on_partial(text)

    def _believe(self, decoded: Decoded) -> Hypothesis | None:
        if not decoded.text or invented(
            decoded.text,
            no_speech=decoded.no_speech,
            log_probability=decoded.log_probability,
            speech_s=self._pauses.speech_ms / 1000,
        ):
            return None
        return Hypothesis(decoded.text, math.exp(min(0.0, decoded.log_probability)), decoded.words)
