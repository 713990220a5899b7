"""A few threads of decoding, shared by all utterances of a worker: finals first, guesses next, partials when idle."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum

from voicebot.speech.recognition.whisper.model import Decoded

#: In times of what the last job took: what can be left out gets a tenth of the time at most.
_REST = 9
#: Where finals and guesses took more than this share of the threads' time lately, nothing else gets any: a partial text
#: needs two decodings that agree, for the second of which there is hardly ever time in a crowd of callers.
_CROWDED = 0.2
_SHARE_OVER_S = 10.0

Work = Callable[[Callable[[], bool]], Decoded | None]


class Urgency(IntEnum):
    FINAL = 0
    SPECULATIVE = 1
    PARTIAL = 2


class Job:
    """A decoding asked for. Cancelling it takes effect before it starts, or between its encoding and generating."""

    def __init__(self, work: Work, loop: asyncio.AbstractEventLoop) -> None:
        self._work = work
        self.result: asyncio.Future[Decoded | None] = loop.create_future()
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True
        if not self.result.done():
            self.result.set_result(None)

    def run(self) -> Decoded | None:
        return None if self.cancelled else self._work(lambda: self.cancelled)


class Desk:
    """Runs as many jobs at once as it has threads, by urgency, then by age."""

    def __init__(self, threads: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._count = threads
        self._clock = clock
        self._rested_at_s = -math.inf
        #: How long jobs that cannot be left out took, the earlier the less it counts, and up to when this was summed.
        self._needed_s = 0.0
        self._summed_at_s = clock()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._waiting: asyncio.PriorityQueue[tuple[int, int, Job]] = asyncio.PriorityQueue()
        self._number = itertools.count()
        self._pending: set[Job] = set()
        self._busy = 0
        self._runners: list[asyncio.Task[None]] = []

    @property
    def idle(self) -> bool:
        """Whether no job runs or waits."""
        return not self._busy and self._waiting.empty()

    @property
    def rested(self) -> bool:
        """Whether there is time to spare: idle, for nine times as long as the last job took, and not crowded."""
        if not self.idle or self._clock() < self._rested_at_s:
            return False
        return self._needed_until(self._clock()) <= _CROWDED * _SHARE_OVER_S * self._count

    def _needed_until(self, now_s: float) -> float:
        return self._needed_s * math.exp((self._summed_at_s - now_s) / _SHARE_OVER_S)

    def submit(self, work: Work, urgency: Urgency) -> Job:
        """Queue `work`; its `result` is None if it is cancelled first, and raises what `work` raised."""
        job = Job(work, asyncio.get_running_loop())
        self._waiting.put_nowait((urgency, next(self._number), job))
        self._pending.add(job)
        if not self._runners:
            self._runners = [asyncio.create_task(self._run(), name="decoding desk") for _ in range(self._count)]
        return job

    @property
    def waiting(self) -> int:
        """How many jobs nobody has begun nor cancelled."""
        return sum(not job.cancelled for job in self._pending)

    def hurry(self, job: Job, urgency: Urgency) -> None:
        """Let a job that waits go before less urgent ones after all."""
        if job in self._pending:
            self._waiting.put_nowait((urgency, next(self._number), job))

    async def close(self) -> None:
        for runner in self._runners:
            runner.cancel()
        await asyncio.gather(*self._runners, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            urgency, _, job = await self._waiting.get()
            if job not in self._pending:
                continue  # it was hurried, and is done
            self._pending.remove(job)
            self._busy += 1
            began_s = self._clock()
            try:
                decoded = await loop.run_in_executor(self._threads, job.run)
            except Exception as error:  # noqa: BLE001 - whatever a decoding raises belongs to whoever waits for it
                if not job.result.done():
                    job.result.set_exception(error)
            else:
                if not job.result.done():
                    job.result.set_result(decoded)
            finally:
                self._busy -= 1
                now_s = self._clock()
                self._rested_at_s = max(self._rested_at_s, now_s + _REST * (now_s - began_s))
                if urgency < Urgency.PARTIAL:
                    self._needed_s = self._needed_until(now_s) + now_s - began_s
                    self._summed_at_s = now_s
