"""Has passages of speech heard one after the other, behind everything that a live caller waits for.

Talk after a transfer is written down so while it goes on, and what no turn of a call holds is listened to afterwards.
It hears whole passages, in workers that are no caller's and yield the processor to all others. What cannot be heard in
time is not kept for later: the passage is told as unwritten, and who reads the record sees that something is missing.
Writing all talk from the recording, after the call, would miss less, but be too late for the desk.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

import structlog

from voicebot.errors import EngineUnavailable
from voicebot.speech.asr import Final, Utterance

log = structlog.get_logger(__name__)

#: More talk than this waiting, in seconds, is not written any more: the engine is slower than people talk.
MOST_WAITING_S = 120.0
_BYTES_A_SECOND = 16_000


_T_co = TypeVar("_T_co", covariant=True)
_T = TypeVar("_T")


class Writer(Protocol[_T_co]):
    """What begins to hear a passage, and makes of what was heard what its asker wants: a `Dictation`."""

    async def start(self) -> Utterance | None: ...
    def write(self, final: Final) -> _T_co: ...


class Unwritten(StrEnum):
    """Why a passage was not written down."""

    #: Too much was waiting before it.
    BUSY = "busy"
    #: The engine was not there, or broke.
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class _Job(Generic[_T]):
    writer: Writer[_T]
    pcm: bytes
    result: asyncio.Future[_T | Unwritten]

    async def run(self) -> Unwritten | None:
        """Hear the passage; return why it was not."""
        written = await self._written()
        # Whoever waited may have gone meanwhile.
        if self.result.cancelled():
            return None
        self.result.set_result(written)
        return written if isinstance(written, Unwritten) else None

    async def _written(self) -> _T | Unwritten:
        if self.result.cancelled():
            return Unwritten.FAILED
        try:
            utterance = await self.writer.start()
            if utterance is None:
                return Unwritten.FAILED
            utterance.feed(self.pcm)
            return self.writer.write(await utterance.finish())
        except EngineUnavailable as error:
            log.warning("talk was not written down", problem=str(error))
            return Unwritten.FAILED
        except Exception:  # whatever an engine breaks down with, the passages of all other calls wait behind this one
            log.exception("talk was not written down")
            return Unwritten.FAILED


class Scribe:
    """One for all calls of a server. `on_unwritten` is told of every passage that was not written, and why."""

    def __init__(self, on_unwritten: Callable[[Unwritten], None], *, most_waiting_s: float = MOST_WAITING_S) -> None:
        self._on_unwritten = on_unwritten
        self._most_waiting = most_waiting_s * _BYTES_A_SECOND
        self._waiting = 0
        #: By whether they wait behind all others, then by age.
        self._jobs: asyncio.PriorityQueue[tuple[bool, int, _Job[Any]]] = asyncio.PriorityQueue()
        self._number = itertools.count()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write while the block lasts."""
        writing = asyncio.create_task(self._write())
        try:
            yield
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    def write(self, writer: Writer[_T], pcm: bytes, *, leisurely: bool = False) -> asyncio.Future[_T | Unwritten]:
        """Have a passage of 16-bit PCM at 8 kHz written; whoever waits for it no longer cancels it.

        A `leisurely` one waits behind all others, however long that takes.
        """
        result: asyncio.Future[_T | Unwritten] = asyncio.get_running_loop().create_future()
        job = _Job(writer, pcm, result)
        if leisurely:
            self._jobs.put_nowait((True, next(self._number), job))
        elif self._waiting + len(pcm) > self._most_waiting:
            self._on_unwritten(Unwritten.BUSY)
            result.set_result(Unwritten.BUSY)
        else:
            self._waiting += len(pcm)
            self._jobs.put_nowait((False, next(self._number), job))
        return result

    async def _write(self) -> None:
        while True:
            leisurely, _, job = await self._jobs.get()
            try:
                unwritten = await job.run()
            finally:
                if not leisurely:
                    self._waiting -= len(job.pcm)
            if unwritten is not None:
                self._on_unwritten(unwritten)
