"""How a call's record is shown to people: times, percentages and the stages of each reply. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from voicebot.records.timings import Stage as TimedStage

#: The stage bar's width, in the units of its drawing.
BAR_WIDTH = 320
#: A reply slower than this fills the bar and then some; the bar shows what fits.
BAR_MS = 1000


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a reply; `x` and `width` are where it lies on the bar, `took_ms` how long it took."""

    name: str
    took_ms: int
    until_ms: int
    x: float
    width: float


def clock_time(ms: int) -> str:
    """Return a position in a call as minutes and seconds, ``"1:07"``."""
    seconds = ms // 1000
    return f"{seconds // 60}:{seconds % 60:02}"


def duration(started_at: str, ended_at: str | None) -> str:
    """Return how long a call took between two ISO 8601 times, or a word while it goes on."""
    if ended_at is None:
        return "in progress"
    taken = datetime.fromisoformat(ended_at) - datetime.fromisoformat(started_at)
    return clock_time(int(taken.total_seconds() * 1000))


def moment(iso_time: str) -> str:
    """Return an ISO 8601 time in UTC as people read it, ``"21 Nov 2025, 14:05 UTC"``."""
    at = datetime.fromisoformat(iso_time)
    return f"{at.day} {at:%b %Y, %H:%M} UTC"


def words(name: str) -> str:
    """Return a constant's name as words: ``"order_status"`` becomes ``"order status"``."""
    return name.replace("_", " ").replace(".", " · ")


def percent(share: float | None) -> str:
    """Return a share as a whole percentage; 100 % only for what is certain."""
    if share is None:
        return ""
    return "100 %" if share == 1 else f"{min(99, round(share * 100))} %"


def steps(decision: str) -> list[str]:
    """Return the rules that fired in a turn, one by one."""
    return [step for step in decision.split("; ") if step]


def stages(timings_ms: Mapping[str, float]) -> list[Stage]:
    """Return a reply's stages in the order they were reached; `timings_ms` count from the caller's last speech."""
    found: list[Stage] = []
    before_ms = 0.0
    reached = [(stage, timings_ms[stage]) for stage in TimedStage if stage in timings_ms]
    for name, until_ms in sorted(reached, key=lambda item: item[1]):
        start, end = (min(BAR_WIDTH, ms * BAR_WIDTH / BAR_MS) for ms in (before_ms, until_ms))
        found.append(
            Stage(
                name=words(name),
                took_ms=round(until_ms - before_ms),
                until_ms=round(until_ms),
                x=round(start, 1),
                width=round(max(0.0, end - start), 1),
            )
        )
        before_ms = until_ms
    return found


def durations(timings_ms: Mapping[str, float]) -> list[tuple[str, int]]:
    """Return what else was timed: parts of the stages, by how long they took."""
    known = set(TimedStage)
    return [(words(name), round(took_ms)) for name, took_ms in timings_ms.items() if name not in known]
