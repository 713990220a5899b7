"""Timers that run when the test says so."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable


class FakeTimers:
    """Stands in for an event loop's `call_later`; `advance` runs what is due."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._waiting: list[tuple[float, int, _Handle]] = []
        self._count = itertools.count()

    def call_later(self, delay: float, callback: Callable[[], object], /) -> _Handle:
        handle = _Handle(callback)
        heapq.heappush(self._waiting, (self.now_s + delay, next(self._count), handle))
        return handle

    def advance(self, seconds: float) -> None:
        until = self.now_s + seconds
        while self._waiting and self._waiting[0][0] <= until:
            due, _, handle = heapq.heappop(self._waiting)
            self.now_s = due
            if not handle.cancelled:
                handle.callback()
        self.now_s = until

    @property
    def pending(self) -> int:
        return sum(not handle.cancelled for _, _, handle in self._waiting)


class _Handle:
    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True
