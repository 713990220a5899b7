"""How many callers one core hears at once, all speaking all the time, before transcripts are late."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from voicebot.speech.recognition.engine import Engine
from voicebot.speech.recognition.wire import Request

_PACKET_BYTES = 960
_PACKET_S = 0.06
#: What a worker is asked to hear ahead after so much silence, and how much the waves have at their end.
_AHEAD_PACKETS = 4
#: An engine of both passes has heard alone where it names this one.
_ALONE = "pocketsphinx"


@dataclass(slots=True)
class Heard:
    """Each utterance's wait from its end to its words, in ms, and how many the second pass was too late for."""

    waits_ms: list[float] = field(default_factory=list)
    alone: int = 0


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Let all threads of this process, and of those that it has started, share one core."""
    processes = (psutil.Process(), *psutil.Process().children(recursive=True))
    threads = [int(path.name) for each in processes for path in Path(f"/proc/{each.pid}/task").iterdir()]
    before = os.sched_getaffinity(0)
    for thread in threads:
        os.sched_setaffinity(thread, {max(before)})
    try:
        yield
    finally:
        for thread in threads:
            os.sched_setaffinity(thread, before)


async def speak_at_once(engine: Engine, request: Request, said: Sequence[bytes], callers: int, seconds: float) -> Heard:
    """Let `callers` say one of `said` after another, as fast as people speak, for so long; 16-bit PCM of 8 kHz."""
    heard = Heard()
    end = time.perf_counter() + seconds

    async def speak(number: int) -> None:
        await asyncio.sleep(number * 3.0 / callers)
        turn = number
        while time.perf_counter() < end:
            await _say(engine, said[turn % len(said)], request, heard)
            turn += callers

    await asyncio.gather(*map(speak, range(callers)))
    return heard


async def _say(engine: Engine, pcm: bytes, request: Request, heard: Heard) -> None:
    async def ignore(_text: str) -> None:
        return

    stream = await engine.open(request, ignore)
    packets = [pcm[at : at + _PACKET_BYTES] for at in range(0, len(pcm), _PACKET_BYTES)]
    ahead: asyncio.Task[object] | None = None
    begun = time.perf_counter()
    try:
        for number, packet in enumerate(packets, start=1):
            await asyncio.sleep(begun + number * _PACKET_S - time.perf_counter())
            await stream.feed(packet)
            if number == len(packets) - _AHEAD_PACKETS:
                ahead = asyncio.create_task(stream.look_ahead())
        await stream.finish()
        heard.waits_ms.append((time.perf_counter() - begun - len(packets) * _PACKET_S) * 1000)
        heard.alone += stream.engine == _ALONE
    finally:
        if ahead is not None:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)
        await stream.close()
