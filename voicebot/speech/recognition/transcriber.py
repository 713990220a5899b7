"""The transcriber that calls use: recognition in worker processes, with fail-over in the middle of an utterance."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from wyoming.event import Event

from voicebot.dialog.expectation import Expectation
from voicebot.errors import EngineUnavailable
from voicebot.speech.asr import Final, Utterance
from voicebot.speech.recognition.trial import UtteranceOnTrial
from voicebot.speech.recognition.utterance import Deadlines, WorkerUtterance
from voicebot.speech.recognition.wire import PREPARE, PREPARED, Request
from voicebot.speech.workers.capabilities import Feature
from voicebot.speech.workers.line import PeerLost
from voicebot.speech.workers.pool import WorkerPool

_DEADLINES = Deadlines()


class WorkerTranscriber:
    """Recognises utterances in `pools`, the first that can; the others are what it fails over to.

    `domain` is the directory that `compile_domain` made for the flow version of these calls, and `names` are words
    from the customer's data as hints for engines without a domain. Cheap: make one for each flow version.
    `assumed_confidence` is given to what a plain Wyoming server heard, since it says none itself.
    """

    def __init__(
        self,
        pools: Sequence[WorkerPool],
        *,
        domain: Path | None = None,
        names: tuple[str, ...] = (),
        deadlines: Deadlines = _DEADLINES,
        assumed_confidence: float = 0.6,
    ) -> None:
        self._pools = tuple(pools)
        self._domain = domain
        self._names = names
        self._deadlines = deadlines
        self._assumed_confidence = assumed_confidence
        self._running: set[asyncio.Task[Final]] = set()
        self._trials: set[asyncio.Task[None]] = set()

    async def start(self, expectation: Expectation) -> Utterance:
        """Begin an utterance; `EngineUnavailable` when no worker runs, nor is back before the worker deadline.

        A worker that was left as too slow and has rested is tried beside whoever answers, so that nobody waits for it.
        """
        await self._until_any_is_ready()
        utterance = self._hear(expectation, self._pools)
        if all(pool.status().slow for pool in self._pools):
            return utterance  # heard by one of them, which tells as much
        for pool in self._pools:
            if (others := pool.begin_trial()) is not None:
                tried = self._hear(expectation, [pool], avoid=others)
                conclude = partial(self._conclude_trial, tried, pool)
                return UtteranceOnTrial(utterance, tried, conclude=conclude, over=pool.end_trial)
        return utterance

    def _conclude_trial(self, tried: WorkerUtterance, pool: WorkerPool) -> None:
        async def conclude() -> None:
            try:
                with suppress(EngineUnavailable):
                    await tried.finish()
            finally:
                pool.end_trial()

        trial = asyncio.create_task(conclude(), name="trial")
        self._trials.add(trial)
        trial.add_done_callback(self._trials.discard)

    def _hear(
        self, expectation: Expectation, pools: Sequence[WorkerPool], *, avoid: Collection[str] = ()
    ) -> WorkerUtterance:
        utterance = WorkerUtterance(
            pools,
            request=Request.of(expectation, self._domain),
            names=self._names,
            deadlines=self._deadlines,
            assumed_confidence=self._assumed_confidence,
            ended=self._running.discard,
            avoid=avoid,
        )
        self._running.add(utterance.task)
        return utterance

    async def prepare(self) -> None:
        """Have every running worker load the domain now rather than at its first utterance.

        `EngineUnavailable` when one of them cannot; a worker that starts later loads it when first asked.
        """
        if self._domain is None:
            return
        for pool in self._pools:
            async for line in pool.each_ready():
                if Feature.EXPECTATION not in line.capabilities.features:
                    continue
                try:
                    line.send(Event(PREPARE, {"domain": str(self._domain)}))
                    async with asyncio.timeout(self._deadlines.prepare_s):
                        answer = await line.receive()
                except (PeerLost, TimeoutError) as error:
                    raise EngineUnavailable(f"The speech worker {line.peer} did not load the domain.") from error
                if answer.type != PREPARED:
                    raise EngineUnavailable(f"The speech worker {line.peer} cannot load the domain: {answer.data}")

    async def close(self) -> None:
        """Cancel the utterances still running and wait for their end."""
        ending = (*self._running, *self._trials)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _until_any_is_ready(self) -> None:
        if any(pool.offers() for pool in self._pools):
            return
        waits = [asyncio.ensure_future(pool.until_ready(self._deadlines.worker_s)) for pool in self._pools]
        try:
            for first_done in asyncio.as_completed(waits):
                if await first_done:
                    return
        finally:
            for wait in waits:
                wait.cancel()
        raise EngineUnavailable("No speech worker is running.")
