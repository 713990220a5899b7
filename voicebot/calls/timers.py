"""The timers of one call: each tells the call's inbox that it ran, and a stale one is recognised."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Timer(StrEnum):
    #: The caller says nothing.
    NO_INPUT = "no_input"
    #: The caller hears nothing.
    SILENCE = "silence"
    #: The call reaches its longest duration.
    TOO_LONG = "too_long"
    #: Nothing that was begun has come to its end for longer than it may take: no prompt, no turn, no answer.
    STANDS_STILL = "stands_still"
    #: The last words are never confirmed as heard.
    GOODBYE = "goodbye"


@dataclass(frozen=True, slots=True)
class TimerRan:
    timer: Timer
    token: int


class Timers:
    """One timer of each kind at most; setting one again restarts it."""

    def __init__(self, tell: Callable[[TimerRan], None]) -> None:
        self._tell = tell
        self._running: dict[Timer, tuple[int, asyncio.TimerHandle]] = {}
        self._tokens = itertools.count(1)

    def start(self, timer: Timer, after_s: float) -> None:
        self.stop(timer)
        token = next(self._tokens)
        handle = asyncio.get_running_loop().call_later(after_s, self._tell, TimerRan(timer, token))
        self._running[timer] = (token, handle)

    def stop(self, timer: Timer) -> None:
        if running := self._running.pop(timer, None):
            running[1].cancel()

    def stop_all(self) -> None:
        for timer in list(self._running):
            self.stop(timer)

    def is_current(self, ran: TimerRan) -> bool:
        """Tell whether this run still counts; one that was stopped or restarted meanwhile does not."""
        current = self._running.get(ran.timer)
        if current is None or current[0] != ran.token:
            return False
        del self._running[ran.timer]
        return True
