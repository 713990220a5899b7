"""One worker process of our own: started, waited for, watched, and ended by its process id."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from voicebot.speech.workers.line import PeerLost
from voicebot.speech.workers.peer import Patience, Peer

#: numpy's matrix library has a thread on every core, and those that wait for more spin: what a worker computes at a
#: time is too small to share out, and the spinning took half of its processor time. Models allocate and free tens of
#: megabytes for every question; with glibc's usual thresholds each of them goes back to the kernel and is faulted in
#: again, up to a third of the time that they take.
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "1073741824",
}


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What to run: `count` processes of one `kind`, each given `options` as JSON and `environment` on top of ours.

    `niceness` lets the media process win when a core is short.
    """

    kind: str
    options: Mapping[str, object] = field(default_factory=dict)
    count: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    niceness: int = 5


class WorkerProcess(Peer):
    """Runs ``python -m voicebot.speech.worker`` and starts it anew when it dies or stops answering."""

    def __init__(
        self,
        name: str,
        spec: WorkerSpec,
        directory: Path,
        patience: Patience,
        changed: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._socket = directory / f"{name}.sock"
        super().__init__(name, f"unix://{self._socket}", patience, changed, clock=clock)
        self._spec = spec
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def _bring_up(self) -> None:
        try:
            self._socket.unlink(missing_ok=True)
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "voicebot.speech.worker", "--kind", self._spec.kind, "--listen", self.address,
                "--options", json.dumps(dict(self._spec.options)), "--niceness", str(self._spec.niceness),
                "--supervised", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                env={**_ENVIRONMENT, **os.environ, **self._spec.environment},
            )  # fmt: skip
        except OSError as error:
            # No memory or no file handle left, say: that passes, and nobody else would try again.
            raise PeerLost(f"The speech worker {self.name} could not be started: {error.strerror}.") from error
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(self._patience.warm_up_s):
                announced = await self._process.stdout.readline()
        except TimeoutError as error:
            raise PeerLost(f"The speech worker {self.name} did not get warm in time.") from error
        word, _, reason = announced.decode(errors="replace").strip().partition(" ")
        if word != "ready":
            raise PeerLost(f"The speech worker {self.name} does not start: {reason or 'its log says why'}")

    async def _until_lost(self) -> None:
        """Wait for the process's end and for a missing sign of life, whichever comes first."""
        assert self._process is not None
        ended = asyncio.ensure_future(self._process.wait())
        stuck = asyncio.ensure_future(self._until_stuck())
        try:
            await asyncio.wait({ended, stuck}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                raise PeerLost(f"The speech worker {self.name} ended with code {ended.result()}.")
            stuck.result()
        finally:
            for task in (ended, stuck):
                task.cancel()
            await asyncio.gather(ended, stuck, return_exceptions=True)

    async def _take_down(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(self._patience.stop_grace_s):
                    await process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        # Both pipes must reach their end, or the transport outlives the loop.
        with contextlib.suppress(OSError):
            await process.stdin.wait_closed()
        await process.stdout.read()
        self._socket.unlink(missing_ok=True)
