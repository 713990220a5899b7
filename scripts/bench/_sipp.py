"""Calls placed by sipp, which sends no audio: how many are set up a second, and how many hold at once."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Signalled:
    """One load of calls. `cpu_s` is the server's, over `seconds` from sipp's start to its end."""

    placed: int
    completed: int
    again: int
    seconds: float
    cpu_s: float
    most_at_once: int


class SipServerProcess:
    """The server of `_serve_sip.py`."""

    def __init__(self, to: IO[str], answers: IO[str], core: int) -> None:
        self._to = to
        self._answers = answers
        self._core = core
        self._port = int(answers.readline())

    def call(self, *, rate: int, seconds: float, hold_s: float) -> Signalled:
        """Place `rate` calls a second for `seconds`, each held for `hold_s`; RuntimeError when sipp is missing."""
        sipp = shutil.which("sipp")
        if sipp is None:
            raise RuntimeError("sipp is not installed; on Debian it is the package sip-tester")
        self._used()
        placed = round(rate * seconds)
        with tempfile.TemporaryDirectory() as folder:
            statistics = Path(folder) / "statistics.csv"
            command = [sipp, "-sn", "uac", "-s", "bot", "-i", "127.0.0.1", "-r", str(rate), "-m", str(placed)]
            command += ["-l", str(placed), "-d", str(round(hold_s * 1000)), "-nostdin", "-trace_stat", "-fd", "1"]
            command += ["-stf", str(statistics), f"127.0.0.1:{self._port}"]
            began_s = time.monotonic()
            subprocess.run(  # our own arguments
                command,
                check=False,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_TIMEOUT_S,
                preexec_fn=lambda: os.sched_setaffinity(0, {self._core}),  # no threads here
            )
            elapsed_s = time.monotonic() - began_s
            with statistics.open() as rows:
                last = list(csv.DictReader(rows, delimiter=";"))[-1]
        used = self._used()
        return Signalled(
            placed,
            int(last["SuccessfulCall(C)"]),
            int(last["Retransmissions(C)"]),
            elapsed_s,
            used["cpu_s"],
            int(used["most_at_once"]),
        )

    def _used(self) -> dict[str, float]:
        self._to.write("\n")
        self._to.flush()
        answer: dict[str, float] = json.loads(self._answers.readline())
        return answer


@contextmanager
def serving(loop: str, *, server_core: int, generator_core: int) -> Iterator[SipServerProcess]:
    """Run the server while the block lasts."""
    command = [sys.executable, str(Path(__file__).with_name("_serve_sip.py")), loop, str(server_core)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:  # ours
        if server.stdin is None or server.stdout is None:
            raise RuntimeError("the server has no pipes")
        try:
            yield SipServerProcess(server.stdin, server.stdout, generator_core)
        finally:
            server.stdin.close()
            server.wait(30)
