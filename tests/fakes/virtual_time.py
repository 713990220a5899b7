"""An event loop whose time passes at once: whatever would be waited for has come, in the order in which it was due."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Waiting(selectors.DefaultSelector):
    """Waits by telling how long it would have waited."""

    def __init__(self, passed: Callable[[float], None]) -> None:
        super().__init__()
        self._passed = passed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not found and timeout is None:
            raise RuntimeError("nothing is due, and nobody is left who could do anything")
        if not found and timeout:
            self._passed(timeout)
        return found


#: Timers run so much before their time, as uvloop's do, which counts in milliseconds; what is due as soon waits for it.
_EARLY_S = 0.0008


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time` is seconds since the loop was made. Nothing in it may wait for a thread, a process or a network."""

    def __init__(self) -> None:
        self._now_s = 0.0
        super().__init__(_Waiting(self._pass))
        self._clock_resolution = 0.001

    def time(self) -> float:
        return self._now_s

    def stall(self, seconds: float) -> None:
        """Let time pass in which nothing runs, as on a machine with too much to do."""
        self._now_s += seconds

    def _pass(self, seconds: float) -> None:
        self._now_s += seconds - _EARLY_S if seconds > 2 * _EARLY_S else seconds


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end in a loop of its own and return what it returns."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
