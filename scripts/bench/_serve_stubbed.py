"""`voicebot serve` with speech stubbed, wholly or in part.

It also tells what it holds: a line of JSON for every SIGUSR1.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import structlog
import uvloop
from _stubs import stub_speech, stub_words

from voicebot.app import work
from voicebot.app.serving import serving
from voicebot.app.speech import MakeSpeech
from voicebot.logs import configure_logs
from voicebot.settings import load_settings

log = structlog.get_logger(__name__)

#: None makes the product's own.
MAKE_SPEECH: dict[str, MakeSpeech | None] = {"stubbed": stub_speech, "words-stubbed": stub_words, "real": None}


class Collections:
    """How long the garbage collector has held everything up."""

    def __init__(self) -> None:
        self._began_s = 0.0
        self.longest_ms = 0.0
        gc.callbacks.append(self._note)

    def _note(self, phase: str, info: dict[str, int]) -> None:
        del info
        if phase == "start":
            self._began_s = time.perf_counter()
        else:
            self.longest_ms = max(self.longest_ms, (time.perf_counter() - self._began_s) * 1000)


def _database_handles() -> int:
    """Count the files of connections that pools keep, up to their size, for whoever comes next."""
    held = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            held += ".sqlite" in entry.readlink().name
        except FileNotFoundError:  # the one that listed this folder
            continue
    return held


def vitals(collections: Collections) -> dict[str, Any]:
    """Return what must not grow with the number of calls taken, and the longest garbage collection since last asked.

    ``doing`` names what the tasks are in, with how many of them.
    """
    process = psutil.Process()
    memory = process.memory_full_info()
    workers = process.children(recursive=True)
    longest_ms, collections.longest_ms = collections.longest_ms, 0.0
    return {
        "tasks": len(asyncio.all_tasks()),
        "handles": process.num_fds() - _database_handles(),
        "database_handles": _database_handles(),
        "threads": process.num_threads(),
        "workers": len(workers),
        "rss_mb": memory.rss / 1e6,
        "uss_mb": memory.uss / 1e6,
        "workers_uss_mb": sum(worker.memory_full_info().uss for worker in workers) / 1e6,
        "collection_ms": longest_ms,
        "doing": Counter(_name_of(task) for task in asyncio.all_tasks()),
    }


def _name_of(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", "?")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--flows", type=Path)
    parser.add_argument("--port", type=int)
    parser.add_argument("--sip-port", type=int)
    parser.add_argument("--speech", choices=sorted(MAKE_SPEECH), default="stubbed")
    parser.add_argument("--sweep-every", type=float, help="look for calls whose work was not begun so often, in s")
    given = parser.parse_args()
    if given.sweep_every:
        work._SWEEP_EVERY_S = given.sweep_every  # noqa: SLF001  # a minute is longer than the measurement
    settings = load_settings(data=given.data, flows=given.flows, port=given.port, sip_port=given.sip_port)
    configure_logs(settings.log_format, settings.log_level)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with serving(
        settings, lambda text: log.info("starting", step=text), make_speech=MAKE_SPEECH[given.speech]
    ) as server:
        collections = Collections()  # from here on: what the start collects disturbs nobody
        loop.add_signal_handler(signal.SIGUSR1, lambda: print(json.dumps(vitals(collections)), flush=True))
        print(f"ready {server.url} - - sip={server.sip.uri} engines={'; '.join(server.engines) or 'none'}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
