"""Whether one more call can be served well. A call that cannot is refused with a word, never half served."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class RefusalReason(StrEnum):
    SHUTTING_DOWN = "shutting_down"
    TOO_MANY_CALLS = "too_many_calls"
    TOO_MANY_FROM_CALLER = "too_many_from_caller"
    OVERLOADED = "overloaded"
    ENGINES_BUSY = "engines_busy"


@dataclass(frozen=True, slots=True)
class Load:
    """What is measured: `cpu_percent` of all cores, `engine_load` the busy share of the fullest engine, 0 to 1."""

    live_calls: int
    calls_of_caller: int
    cpu_percent: float
    engine_load: float
    draining: bool


@dataclass(frozen=True, slots=True)
class Limits:
    max_calls: int
    max_calls_per_caller: int
    max_cpu_percent: float
    max_engine_load: float


def refuse(load: Load, limits: Limits) -> RefusalReason | None:
    """Return why a new call must be refused, or None to take it."""
    if load.draining:
        return RefusalReason.SHUTTING_DOWN
    if load.live_calls >= limits.max_calls:
        return RefusalReason.TOO_MANY_CALLS
    if load.calls_of_caller >= limits.max_calls_per_caller:
        return RefusalReason.TOO_MANY_FROM_CALLER
    # An idle server is never too busy: the load then is not ours, and refusing would not help.
    if load.live_calls and load.cpu_percent > limits.max_cpu_percent:
        return RefusalReason.OVERLOADED
    if load.engine_load > limits.max_engine_load:
        return RefusalReason.ENGINES_BUSY
    return None


class CpuMeter:
    """A smoothed reading of the machine's load, so that one busy second refuses nobody."""

    def __init__(self, read_percent: Callable[[], float], smoothing: float = 0.3) -> None:
        self._read = read_percent
        self._smoothing = smoothing
        self.percent = 0.0

    def sample(self) -> None:
        """Take a reading; call about once a second."""
        self.percent += self._smoothing * (self._read() - self.percent)


class EngineMeter:
    """How full the engines are, 0 to 1, of which only what lasts counts.

    Callers who ask at the same moment fill a voice's room for a fraction of a second; that refuses nobody.
    """

    def __init__(self, read_share: Callable[[], float]) -> None:
        self._read = read_share
        self._before = 0.0

    def sample(self) -> None:
        """Take a reading; call about once a second."""
        self._before = self._read()

    @property
    def share(self) -> float:
        """Return what is full now and was at the last reading."""
        return min(self._before, self._read())
