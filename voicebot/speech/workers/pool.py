"""The workers of one kind, seen as one: the least busy healthy one gets the next request."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import structlog

from voicebot.errors import EngineUnavailable
from voicebot.speech.workers.line import Line, PeerLost
from voicebot.speech.workers.peer import Patience, Peer, PeerState, PeerStatus, RemoteServer
from voicebot.speech.workers.process import WorkerProcess, WorkerSpec

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """Which engine runs and how it fares; `missing` names the extensions that it does without."""

    kind: str
    engine: str
    model: str
    missing: tuple[str, ...]
    peers: tuple[PeerStatus, ...]

    @property
    def ready(self) -> int:
        return sum(peer.state is PeerState.READY for peer in self.peers)

    @property
    def slow(self) -> bool:
        """Whether some server is ready, and each that is was left as too slow."""
        return self.ready > 0 and all(peer.left for peer in self.peers if peer.state is PeerState.READY)

    @property
    def load(self) -> float:
        """Return the busy share of the room that ready workers have, 0 to 1; 1 when none is ready."""
        ready = [peer for peer in self.peers if peer.state is PeerState.READY]
        if not ready:
            return 1.0
        return sum(peer.sessions / peer.max_sessions if peer.max_sessions else 0.0 for peer in ready) / len(ready)


class WorkerPool:
    """Starts `spec.count` workers and keeps them running, or watches the Wyoming servers at `remote` addresses."""

    def __init__(
        self,
        spec: WorkerSpec,
        *,
        remote: Sequence[str] = (),
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._spec = spec
        self._remote = tuple(remote)
        self._patience = patience or Patience()
        self._peers: list[Peer] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._directory: Path | None = None
        self._change = asyncio.Event()

    @property
    def kind(self) -> str:
        return self._spec.kind

    async def start(self) -> None:
        """Start every worker and wait until all are warm; `EngineUnavailable` when none is after `warm_up_s`.

        Workers that fail go on being restarted, so a pool that started with some of them gets whole by itself.
        """
        # A socket's path may have no more than 107 bytes, so it does not go under the data directory.
        self._directory = Path(tempfile.mkdtemp(prefix="voicebot-speech-"))
        self._peers = list(self._make_peers(self._directory))
        self._keepers = [asyncio.create_task(peer.keep_running(), name=peer.name) for peer in self._peers]
        if not await self._wait_until_warm():
            await self.stop()
            troubles = " ".join(dict.fromkeys(peer.trouble for peer in self._peers if peer.trouble))
            raise EngineUnavailable(f"No {self.kind} worker could be started. {troubles or 'None got warm in time.'}")
        status = self.status()
        _log.info(
            "speech engine running", kind=self.kind, engine=status.engine, model=status.model,
            workers=status.ready, does_without=list(status.missing),
        )  # fmt: skip

    async def stop(self) -> None:
        """End every worker and wait until it has ended."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._keepers = []
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    def status(self) -> PoolStatus:
        """Return a snapshot; the engine is that of the first ready worker."""
        ready = [peer for peer in self._peers if peer.state is PeerState.READY]
        first = (ready or self._peers)[0].capabilities if self._peers else None
        return PoolStatus(
            kind=self.kind,
            engine=first.engine if first else "none",
            model=first.model if first else "",
            missing=tuple(sorted(first.missing)) if first else (),
            peers=tuple(peer.status() for peer in self._peers),
        )

    @asynccontextmanager
    async def lease(self, *, avoid: Collection[str] = (), timeout_s: float = 2.0) -> AsyncIterator[Line]:
        """Give a line to the least busy worker, one not in `avoid` nor left as too slow if there is a choice.

        Waits up to `timeout_s` for a worker that has room. `EngineUnavailable` when there is none.
        """
        peer, line = await self._open_line(avoid, timeout_s)
        try:
            yield line
        finally:
            await peer.close_line(line)

    async def each_ready(self) -> AsyncIterator[Line]:
        """Give a line to every ready worker in turn, for what all of them must be told."""
        for peer in self._peers:
            if peer.state is PeerState.READY:
                line = await peer.open_line()
                try:
                    yield line
                finally:
                    await peer.close_line(line)

    def offers(self, avoid: Collection[str] = (), *, punctual: bool = False) -> bool:
        """Say whether some worker, none of those in `avoid`, would take a request now.

        If it has to be `punctual`, one that was left as too slow does not count.
        """
        return any(
            peer.has_room and peer.name not in avoid and not (punctual and peer.punctuality.left)
            for peer in self._peers
        )

    def begin_trial(self) -> frozenset[str] | None:
        """Begin to try a worker that was left as too slow and has rested; None where there is none.

        Return what a lease has to `avoid` to get that worker. Whoever tries it says `end_trial`.
        """
        for peer in self._peers:
            if peer.has_room and peer.punctuality.begin_trial():
                return frozenset(other.name for other in self._peers if other is not peer)
        return None

    def end_trial(self) -> None:
        """The trial is over, whatever it showed."""
        for peer in self._peers:
            peer.punctuality.end_trial()

    async def until_ready(self, timeout_s: float) -> bool:
        """Wait until any worker is ready; False when none is after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                while not any(peer.state is PeerState.READY for peer in self._peers):
                    self._change.clear()
                    await self._change.wait()
        except TimeoutError:
            return False
        return True

    def _make_peers(self, directory: Path) -> Iterator[Peer]:
        patience, changed, clock = self._patience, self._changed, self._clock
        for address in self._remote:
            yield RemoteServer(f"{self.kind}@{address}", address, patience, changed, clock=clock)
        if self._remote:
            return
        for number in range(1, self._spec.count + 1):
            yield WorkerProcess(f"{self.kind}-{number}", self._spec, directory, patience, changed, clock=clock)

    async def _open_line(self, avoid: Collection[str], timeout_s: float) -> tuple[Peer, Line]:
        refused: set[str] = set()
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    self._change.clear()
                    with_room = [peer for peer in self._peers if peer.has_room and peer.name not in refused]
                    if with_room:
                        peer = min(
                            with_room, key=lambda peer: (peer.name in avoid, peer.punctuality.left, peer.sessions)
                        )
                        try:
                            return peer, await peer.open_line()
                        except PeerLost:
                            # Its keeper will notice too; until then another one serves.
                            refused.add(peer.name)
                    else:
                        refused.clear()
                        await self._change.wait()
        except TimeoutError as error:
            ready = sum(peer.state is PeerState.READY for peer in self._peers)
            why = f"all {ready} are busy" if ready else "none is running"
            raise EngineUnavailable(f"No {self.kind} worker is free: {why}.") from error

    async def _wait_until_warm(self) -> bool:
        try:
            async with asyncio.timeout(self._patience.warm_up_s):
                while not all(peer.state is PeerState.READY for peer in self._peers):
                    if all(peer.failures >= 3 for peer in self._peers):
                        return False
                    self._change.clear()
                    await self._change.wait()
        except TimeoutError:
            return any(peer.state is PeerState.READY for peer in self._peers)
        return True

    def _changed(self) -> None:
        self._change.set()
