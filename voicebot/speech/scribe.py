"""Has passages of talk written down one after the other, behind everything that a live caller waits for.

It hears whole passages, in workers that are no caller's and yield the processor to all others. What cannot be heard in
time is not kept for later: the passage is told as unwritten, and who reads the record sees that something is missing.
Writing from the recording after the call would miss less, but too late for the desk, and after what must not be heard
was searched for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum

import structlog

from voicebot.errors import EngineUnavailable
from voicebot.speech.dictation import Dictation, Written

log = structlog.get_logger(__name__)

#: More talk than this waiting, in seconds, is not written any more: the engine is slower than people talk.
MOST_WAITING_S = 120.0
_BYTES_A_SECOND = 16_000


class Unwritten(StrEnum):
    """Why a passage was not written down."""

    #: Too much was waiting before it.
    BUSY = "busy"
    #: The engine was not there, or broke.
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class _Job:
    dictation: Dictation
    pcm: bytes
    result: asyncio.Future[Written | Unwritten]


class Scribe:
    """One for all calls of a server. `on_unwritten` is told of every passage that was not written, and why."""

    def __init__(self, on_unwritten: Callable[[Unwritten], None], *, most_waiting_s: float = MOST_WAITING_S) -> None:
        self._on_unwritten = on_unwritten
        self._most_waiting = most_waiting_s * _BYTES_A_SECOND
        self._waiting = 0
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write while the block lasts."""
        writing = asyncio.create_task(self._write())
        try:
            yield
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    def write(self, dictation: Dictation, pcm: bytes) -> asyncio.Future[Written | Unwritten]:
        """Have a passage of 16-bit PCM at 8 kHz written; whoever waits for it no longer cancels it."""
        result: asyncio.Future[Written | Unwritten] = asyncio.get_running_loop().create_future()
        if self._waiting + len(pcm) > self._most_waiting:
            self._on_unwritten(Unwritten.BUSY)
            result.set_result(Unwritten.BUSY)
        else:
            self._waiting += len(pcm)
            self._jobs.put_nowait(_Job(dictation, pcm, result))
        return result

    async def _write(self) -> None:
        while True:
            job = await self._jobs.get()
            try:
                written = Unwritten.FAILED if job.result.cancelled() else await _written(job)
            finally:
                self._waiting -= len(job.pcm)
            if job.result.cancelled():
                continue
            if isinstance(written, Unwritten):
                self._on_unwritten(written)
            job.result.set_result(written)


async def _written(job: _Job) -> Written | Unwritten:
    try:
        utterance = await job.dictation.start()
        if utterance is None:
            return Unwritten.FAILED
        utterance.feed(job.pcm)
        return job.dictation.write(await utterance.finish())
    except EngineUnavailable as error:
        log.warning("talk was not written down", problem=str(error))
        return Unwritten.FAILED
    except Exception:  # whatever an engine breaks down with, the passages of all other calls wait behind this one
        log.exception("talk was not written down")
        return Unwritten.FAILED
