"""Pocketsphinx in a process of its own, for an engine that drives it beside another.

In one process it would keep Python's lock during its searches, up to a tenth of a second on a busy machine, in which
nothing that the other engine has finished can be used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from voicebot.errors import EngineUnavailable
from voicebot.speech.asr import Hypothesis
from voicebot.speech.recognition.engine import OnPartial
from voicebot.speech.recognition.sphinx.domain import Shape, expected_words, read_material
from voicebot.speech.recognition.transcriber import WorkerTranscriber
from voicebot.speech.recognition.utterance import Deadlines, WorkerUtterance
from voicebot.speech.recognition.wire import Request
from voicebot.speech.workers.capabilities import Capabilities, Feature
from voicebot.speech.workers.pool import WorkerPool
from voicebot.speech.workers.process import WorkerSpec

ENGINE = "pocketsphinx"
#: A process that died has two seconds to be back and hear the utterance from its beginning; then the other engine does
#: without it. Who drives both sees to it that no caller waits so long.
_DEADLINES = Deadlines(worker_s=2.0, finish_s=10.0, late_s=60.0)


class SphinxApart:
    """Keeps the process running; one that dies is started again."""

    def __init__(self, options: Mapping[str, object], *, max_sessions: int) -> None:
        self._max_sessions = max_sessions
        self._open = 0
        # The process learns a moment later than we do that an utterance is over: it is given room for that.
        ours = {**options, "engine": "sphinx", "max_sessions": 2 * max_sessions}
        self._pool = WorkerPool(WorkerSpec("asr", ours, niceness=0))

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(ENGINE, self._pool.status().model, frozenset(Feature), self._max_sessions)

    @property
    def pid(self) -> int | None:
        """The process, None while there is none."""
        return next((peer.pid for peer in self._pool.status().peers), None)

    async def warm_up(self) -> None:
        await self._pool.start()

    async def prepare(self, domain: Path) -> None:
        await WorkerTranscriber([self._pool], domain=domain).prepare()
        for shape in (await asyncio.to_thread(read_material, domain)).open_shapes:
            await asyncio.to_thread(expected_words, domain, shape)

    async def open(self, request: Request, on_partial: OnPartial) -> SphinxApartStream:
        if self._open >= self._max_sessions:
            raise EngineUnavailable("This worker hears as many utterances as it can.")
        assert request.domain is not None
        self._open += 1
        try:
            shape = Shape(request.kinds, request.phrases, request.lengths)
            words = await asyncio.to_thread(expected_words, request.domain, shape)
        except BaseException:
            self._open -= 1
            raise
        utterance = WorkerUtterance(
            [self._pool],
            request=request,
            names=(),
            deadlines=_DEADLINES,
            assumed_confidence=0.0,
            ended=lambda _: None,
        )
        return SphinxApartStream(self, utterance, words, on_partial)

    def release(self) -> None:
        """An utterance is over."""
        self._open -= 1

    async def close(self) -> None:
        await self._pool.stop()


class SphinxApartStream:
    """One utterance in the other process. `finish` raises `EngineUnavailable` where that has died and is not back."""

    def __init__(
        self, engine: SphinxApart, utterance: WorkerUtterance, words: frozenset[str], on_partial: OnPartial
    ) -> None:
        self._engine = engine
        self._utterance = utterance
        self._partials = asyncio.create_task(self._show(on_partial), name="partials")
        self._final: asyncio.Task[tuple[Hypothesis, ...]] | None = None
        self._closed = False
        #: The words that the question expects, as the lexicon spells them.
        self.words = words
        #: What was said, once that was heard to its end; nothing before. Any thread may ask.
        self.concluded: tuple[Hypothesis, ...] = ()

    @property
    def engine(self) -> str:
        return ENGINE

    async def feed(self, pcm: bytes) -> None:
        self._utterance.feed(pcm)

    async def look_ahead(self) -> tuple[Hypothesis, ...]:
        """Return what `finish` would return now; for ever waited for where the process does not look ahead."""
        self._utterance.look_ahead()
        self.concluded = (await self._utterance.heard_ahead()).hypotheses
        return self.concluded

    async def go_on(self) -> None:
        self.concluded = ()
        self._utterance.go_on()

    async def finish(self) -> tuple[Hypothesis, ...]:
        if self._final is None:
            self._final = asyncio.create_task(self._finish(), name="first pass")
        return await asyncio.shield(self._final)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._utterance.cancel()
        ending = [self._partials, self._utterance.task, *([self._final] if self._final else [])]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        self._engine.release()

    async def _finish(self) -> tuple[Hypothesis, ...]:
        self.concluded = (await self._utterance.finish()).hypotheses
        return self.concluded

    async def _show(self, on_partial: OnPartial) -> None:
        async for partial in self._utterance.partials():
            await on_partial(partial.text)
