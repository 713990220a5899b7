"""One speech server as the media process sees it: its state, its health, and the lines open to it.

A peer is a worker process that we start (`process.WorkerProcess`) or a Wyoming server that somebody else runs
(`RemoteServer`). Both are watched in the same way.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import structlog
from wyoming.info import Describe
from wyoming.ping import Ping, Pong

from voicebot.errors import LocalProtocolError, RemoteProtocolError
from voicebot.speech.workers.capabilities import Capabilities, Feature, parse_capabilities
from voicebot.speech.workers.line import Line, PeerLost, connect
from voicebot.speech.workers.punctuality import LatePolicy, Punctuality

_log = structlog.get_logger()
_UNKNOWN = Capabilities(engine="unknown")


class PeerState(StrEnum):
    STARTING = "starting"
    READY = "ready"
    BACKING_OFF = "backing_off"
    STOPPED = "stopped"


_TRANSITIONS: dict[PeerState, frozenset[PeerState]] = {
    PeerState.STARTING: frozenset({PeerState.READY, PeerState.BACKING_OFF, PeerState.STOPPED}),
    PeerState.READY: frozenset({PeerState.BACKING_OFF, PeerState.STOPPED}),
    PeerState.BACKING_OFF: frozenset({PeerState.STARTING, PeerState.STOPPED}),
    PeerState.STOPPED: frozenset(),
}


_LATE_POLICY = LatePolicy()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a peer may take. A dead process shows at once, a stuck one that is asked something in two seconds.

    Whatever answers requests is alive. A sign of life is asked for where a request has had no word for half of
    `look_every_s` or ended without one, and else once in `idle_ping_every_s`: asking costs processor time.
    """

    warm_up_s: float = 90.0
    look_every_s: float = 0.3
    idle_ping_every_s: float = 5.0
    ping_deadline_s: float = 1.4
    connect_s: float = 0.5
    stop_grace_s: float = 3.0
    first_back_off_s: float = 0.1
    longest_back_off_s: float = 10.0
    steady_after_s: float = 30.0
    late: LatePolicy = _LATE_POLICY

    def back_off_s(self, failures: int) -> float:
        """Return the wait before the next start after `failures` in a row (1 for the first)."""
        return min(self.longest_back_off_s, self.first_back_off_s * 2.0 ** (min(failures, 16) - 1))


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """A snapshot for health pages and logs."""

    name: str
    state: PeerState
    engine: str
    model: str
    pid: int | None
    failures: int
    restarts: int
    sessions: int
    max_sessions: int | None
    #: Whether it was left as too slow, and how often.
    left: bool
    times_left: int


class Peer:
    """Keeps one server running and watched until stopped; subclasses say how it is brought up and taken down."""

    def __init__(
        self,
        name: str,
        address: str,
        patience: Patience,
        changed: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.address = address
        self.state = PeerState.STARTING
        self.capabilities = _UNKNOWN
        self.failures = 0
        #: What it failed of last.
        self.trouble = ""
        #: How often it was brought up anew.
        self.restarts = 0
        self.punctuality = Punctuality(name, patience.late, clock)
        self._patience = patience
        self._changed = changed
        self._lines: set[Line] = set()
        #: Lines that are being opened: of several requests at once each must see those before it.
        self._opening = 0
        #: A request has begun or ended since the watch last looked, and whether one ended without a word.
        self._used = asyncio.Event()
        self._ignored = False

    @property
    def pid(self) -> int | None:
        return None

    @property
    def sessions(self) -> int:
        """Return the number of lines leased to requests."""
        return len(self._lines) + self._opening

    @property
    def has_room(self) -> bool:
        limit = self.capabilities.max_sessions
        return self.state is PeerState.READY and (limit is None or self.sessions < limit)

    def status(self) -> PeerStatus:
        return PeerStatus(
            name=self.name,
            state=self.state,
            engine=self.capabilities.engine,
            model=self.capabilities.model,
            pid=self.pid,
            failures=self.failures,
            restarts=self.restarts,
            sessions=self.sessions,
            max_sessions=self.capabilities.max_sessions,
            left=self.punctuality.left,
            times_left=self.punctuality.times_left,
        )

    async def open_line(self) -> Line:
        """Connect for one request; `PeerLost` when the server does not answer. Hand it back to `close_line`."""
        self._opening += 1
        try:
            line = await self._connect(self.capabilities)
            self._lines.add(line)
            self._used.set()
        finally:
            self._opening -= 1
        return line

    async def close_line(self, line: Line) -> None:
        self._lines.discard(line)
        if not line.answered:
            self._ignored = True
            self._used.set()
        self._changed()
        await line.close()

    async def keep_running(self) -> None:
        """Bring the server up, watch it, and bring it up again after each failure, until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                ready_at: float | None = None
                try:
                    await self._bring_up()
                    self.capabilities = await self._describe()
                    ready_at = loop.time()
                    self.punctuality.forget()
                    self._set_state(PeerState.READY)
                    await self._until_lost()
                except (PeerLost, RemoteProtocolError) as error:
                    steady = ready_at is not None and loop.time() - ready_at > self._patience.steady_after_s
                    self.failures = 1 if steady else self.failures + 1
                    self.trouble = str(error)
                self._set_state(PeerState.BACKING_OFF, reason=self.trouble, failures=self.failures)
                self._abort_lines()
                await self._take_down()
                await asyncio.sleep(self._patience.back_off_s(self.failures))
                self.restarts += 1
                self._set_state(PeerState.STARTING)
        finally:
            self._set_state(PeerState.STOPPED)
            self._abort_lines()
            await asyncio.shield(self._take_down())

    async def _bring_up(self) -> None:
        """Make the server answer; `PeerLost` when it does not."""

    async def _take_down(self) -> None:
        """Leave nothing of the server running."""

    async def _until_lost(self) -> None:
        """Watch the server and raise `PeerLost` when it is dead or stuck."""
        await self._until_stuck()

    async def _until_stuck(self) -> None:
        """Ask for a sign of life whenever one is owed; `PeerLost` when it stays out."""
        line = await self._connect(self.capabilities)
        try:
            for number in itertools.count():
                async with asyncio.timeout(self._patience.ping_deadline_s):
                    await self._ask(line, str(number))
                await self._until_owed()
        except TimeoutError as error:
            raise PeerLost(f"The speech server {self.name} did not answer in time.") from error
        finally:
            line.abort()

    async def _until_owed(self) -> None:
        """Wait until a sign of life is owed."""
        loop = asyncio.get_running_loop()
        latest_s = loop.time() + self._patience.idle_ping_every_s
        while loop.time() < latest_s:
            if not self._lines and not self._ignored:
                self._used.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(latest_s):
                        await self._used.wait()
            await asyncio.sleep(self._patience.look_every_s)
            silent_since_s = loop.time() - self._patience.look_every_s / 2
            if self._ignored or any(line.heard_s < silent_since_s for line in self._lines):
                break
        self._ignored = False

    async def _ask(self, line: Line, number: str) -> None:
        # Plain Wyoming servers need not know ping; describe is what all of them answer.
        if Feature.PING in self.capabilities.features:
            line.send(Ping(text=number).event())
            answer = await line.receive()
            if not Pong.is_type(answer.type) or Pong.from_event(answer).text != number:
                raise PeerLost(f"The speech server {self.name} answered a ping with something else.")
        else:
            line.send(Describe().event())
            parse_capabilities(await line.receive())

    async def _describe(self) -> Capabilities:
        line = await self._connect(_UNKNOWN)
        try:
            async with asyncio.timeout(self._patience.ping_deadline_s):
                line.send(Describe().event())
                return parse_capabilities(await line.receive())
        except TimeoutError as error:
            raise PeerLost(f"The speech server {self.name} did not describe itself.") from error
        finally:
            line.abort()

    async def _connect(self, capabilities: Capabilities) -> Line:
        limit_s = self._patience.connect_s
        return await connect(self.address, self.name, capabilities, self.punctuality, timeout_s=limit_s)

    def _abort_lines(self) -> None:
        for line in tuple(self._lines):
            line.abort()

    def _set_state(self, state: PeerState, **why: object) -> None:
        if state not in _TRANSITIONS[self.state]:
            raise LocalProtocolError(f"A speech peer cannot go from {self.state} to {state}.")
        _log.info(
            "speech peer state", peer=self.name, was=str(self.state), now=str(state), pid=self.pid,
            engine=self.capabilities.engine, model=self.capabilities.model, **why,
        )  # fmt: skip
        self.state = state
        self._changed()


class RemoteServer(Peer):
    """A Wyoming server run by somebody else: only reached and watched, never started or stopped."""
