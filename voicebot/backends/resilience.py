"""What keeps one slow or broken system from holding up every call: a breaker, a rate limit, pauses between tries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from voicebot.errors import BackendUnavailable

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one try may take, how often it is repeated, and the pause before the first repeat, which doubles."""

    timeout_s: float = 4.0
    retries: int = 2
    pause_s: float = 0.2

    def pause_before(self, attempt: int, jitter: float) -> float:
        """Seconds before the `attempt`-th repeat, from 1. `jitter` from 0 to 1 spreads callers who failed together."""
        return float(self.pause_s * 2 ** (attempt - 1) * (0.5 + jitter / 2))


class NotSent(BackendUnavailable):
    """A request that never left: whatever it should have done was surely not done."""


class Breaker:
    """Opens after failures in a row and lets one try through again after a rest (Nygard, Release It!)."""

    def __init__(self, name: str, clock: Clock, *, failures_most: int = 5, rest_s: float = 10.0) -> None:
        self._name = name
        self._clock = clock
        self._failures_most = failures_most
        self._rest_s = rest_s
        self._failures = 0
        self._opened_at_s = 0.0
        self._trying = False

    @property
    def is_open(self) -> bool:
        return self._failures >= self._failures_most

    @contextmanager
    def attempt(self, *failures: type[BaseException]) -> Iterator[None]:
        """Guard one try: it fails by one of `failures`, and any other exception says nothing about the system.

        Raises:
            NotSent: At once while the system rests, so that nobody waits for it.
        """
        self._admit()
        try:
            yield
        except failures:
            self._failed()
            raise
        except BaseException:
            # Above all a caller who hung up: the next one may find out how the system is.
            self._trying = False
            raise
        self._failures = 0
        self._trying = False

    def _admit(self) -> None:
        if not self.is_open:
            return
        if self._trying or self._clock() - self._opened_at_s < self._rest_s:
            raise NotSent(f"'{self._name}' has failed {self._failures} times in a row and is left alone.")
        self._trying = True

    def _failed(self) -> None:
        self._failures += 1
        self._trying = False
        if self.is_open:
            self._opened_at_s = self._clock()


class RateLimit:
    """At most so many requests a second, in bursts of up to one second's worth; who comes too soon waits a moment."""

    def __init__(self, per_second: float, clock: Clock, *, wait_most_s: float = 1.0) -> None:
        self._per_second = per_second
        self._clock = clock
        self._wait_most_s = wait_most_s
        self._free_at_s = clock()

    async def admit(self) -> None:
        """Wait for a turn; `NotSent` when the queue is longer than a caller should wait."""
        now_s = self._clock()
        # The next free moment never lies more than a second in the past: that is the burst.
        self._free_at_s = max(self._free_at_s, now_s - 1.0)
        wait_s = self._free_at_s - now_s
        if wait_s > self._wait_most_s:
            raise NotSent("Too many requests are waiting for this system.")
        self._free_at_s += 1.0 / self._per_second
        if wait_s > 0:
            await asyncio.sleep(wait_s)
