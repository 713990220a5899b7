"""The Vosk engine of a recognition worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from voicebot.errors import EngineUnavailable
from voicebot.speech.asr import Hypothesis
from voicebot.speech.recognition.engine import OnPartial
from voicebot.speech.recognition.vosk.model import Model, Recogniser
from voicebot.speech.recognition.wire import SAMPLE_BYTES, SAMPLE_RATE_HZ, Request
from voicebot.speech.workers.capabilities import Capabilities, Feature

_PARTIAL_EVERY_BYTES = SAMPLE_RATE_HZ * SAMPLE_BYTES * 200 // 1000
ENGINE = "vosk"
#: Small models take up to half a core while somebody speaks; whoever comes on top is heard by the next engine in time.
MOST_SPEAKERS = 2
_T = TypeVar("_T")


class VoskEngine:
    """One model, one decoding thread, an admission limit."""

    def __init__(self, model: Model, *, max_sessions: int) -> None:
        self._model = model
        self._max_sessions = max_sessions
        self._open = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decode")

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            engine=ENGINE,
            model=self._model.name,
            features=frozenset(Feature) - {Feature.ALTERNATIVES},
            max_sessions=self._max_sessions,
        )

    async def warm_up(self) -> None:
        def decode() -> None:
            recogniser = self._model.recogniser()
            recogniser.hear(bytes(SAMPLE_RATE_HZ * SAMPLE_BYTES))
            recogniser.conclude()

        await self.run(decode)

    async def prepare(self, domain: Path) -> None:
        """Do nothing: the model knows every word that it ever will, and a grammar would make it deaf to the rest."""

    async def open(self, request: Request, on_partial: OnPartial) -> VoskStream:
        del request
        if self._open >= self._max_sessions:
            raise EngineUnavailable("This worker decodes as many utterances as it can.")
        self._open += 1
        try:
            recogniser = await self.run(self._model.recogniser)
        except BaseException:
            self._open -= 1
            raise
        return VoskStream(self, recogniser, on_partial)

    async def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def run(self, work: Callable[[], _T]) -> _T:
        """Do `work` on the decoding thread, after whatever was handed to it before."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def release(self) -> None:
        self._open -= 1


class VoskStream:
    """One utterance: its words while they are spoken, and all of them at a pause and at its end."""

    def __init__(self, engine: VoskEngine, recogniser: Recogniser, on_partial: OnPartial) -> None:
        self._engine = engine
        self._recogniser = recogniser
        self._on_partial = on_partial
        self._since_partial = 0
        self._shown = ""
        self._closed = False

    @property
    def engine(self) -> str:
        return ENGINE

    async def feed(self, pcm: bytes) -> None:
        self._since_partial += len(pcm)
        wanted = self._since_partial >= _PARTIAL_EVERY_BYTES
        text = await self._engine.run(lambda: self._hear(pcm, partial=wanted))
        if wanted:
            self._since_partial = 0
            if text and text != self._shown:
                self._shown = text
                await self._on_partial(text)

    async def look_ahead(self) -> tuple[Hypothesis, ...]:
        return await self._engine.run(self._recogniser.conclude)

    async def go_on(self) -> None:
        """Do nothing: what was concluded at the pause stays, and what follows is put behind it."""

    async def finish(self) -> tuple[Hypothesis, ...]:
        return await self._engine.run(self._recogniser.conclude)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._engine.release()

    def _hear(self, pcm: bytes, *, partial: bool) -> str:
        self._recogniser.hear(pcm)
        return self._recogniser.so_far() if partial else ""
