"""What a process uses: processor time and memory, its threads pinned to one core."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil


def pin(pid: int, core: int) -> None:
    """Keep every thread of a process on one core, but not the processes it has started."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), {core})


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one process, and of those it has started: seconds of processor time and megabytes of memory."""

    cpu_s: float
    rss_mb: float
    uss_mb: float
    workers_cpu_s: float
    workers_uss_mb: float
    #: The seconds of `workers_cpu_s` by the kind of worker.
    kinds_cpu_s: Mapping[str, float]


def usage(pid: int) -> Usage:
    """Return what a process has used so far."""
    process = psutil.Process(pid)
    own = process.memory_full_info()
    workers = process.children(recursive=True)
    kinds: Counter[str] = Counter()
    for worker in workers:
        kinds[_kind(worker)] += _cpu_s(worker)
    return Usage(
        cpu_s=_cpu_s(process),
        rss_mb=own.rss / 1e6,
        uss_mb=own.uss / 1e6,
        workers_cpu_s=sum(kinds.values()),
        workers_uss_mb=sum(worker.memory_full_info().uss for worker in workers) / 1e6,
        kinds_cpu_s=kinds,
    )


def _kind(worker: psutil.Process) -> str:
    """Return what a speech worker was started for, by its command line."""
    words = worker.cmdline()
    return words[words.index("--kind") + 1] if "--kind" in words else worker.name()


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
