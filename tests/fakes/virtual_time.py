"""An event loop whose time passes at once: whatever would be waited for has come, in the order in which it was due."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar

T = TypeVar("T")


#: What was sent to another socket of this process is there by now, however busy the machine.
_ARRIVES_S = 0.002


class _Waiting(selectors.DefaultSelector):
    """Waits by telling how long it would have waited."""

    def __init__(self, passed: Callable[[float], None]) -> None:
        super().__init__()
        self._passed = passed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not found and timeout != 0 and len(self.get_map()) > 1:  # sockets, beside the loop's own that wakes it
            found = super().select(_ARRIVES_S)
        if not found and timeout is None:
            raise RuntimeError("nothing is due, and nobody is left who could do anything")
        if not found and timeout:
            self._passed(timeout)
        return found


#: Timers run so much before their time, as uvloop's do, which counts in milliseconds; what is due as soon waits for it.
_EARLY_S = 0.0008


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time` is seconds since the loop was made. Nothing in it may wait for a process, a thread or another machine.

    Work for a thread is done at once, in the loop's own.
    """

    def __init__(self) -> None:
        self._now_s = 0.0
        super().__init__(_Waiting(self._pass))
        self._clock_resolution = 0.001

    def time(self) -> float:
        return self._now_s

    def stall(self, seconds: float) -> None:
        """Let time pass in which nothing runs, as on a machine with too much to do."""
        self._now_s += seconds

    def run_in_executor(  # type: ignore[override]  # the base class has one for every kind of argument
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is for whoever awaits the work
            done.set_exception(error)
        return done

    def _pass(self, seconds: float) -> None:
        self._now_s += seconds - _EARLY_S if seconds > 2 * _EARLY_S else seconds


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end in a loop of its own and return what it returns."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
