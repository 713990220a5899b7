"""How long a caller will wait, said honestly, and what they can have instead."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from statistics import fmean

from voicebot.routing.agents import Presence, is_free, is_on_duty
from voicebot.routing.queues import Choice, Queue, Routing
from voicebot.routing.selection import Waiting, in_order

#: Recent calls whose handle times count; a queue with fewer leans on what it is told to expect.
RECENT_CALLS = 20


class Standing(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    FULL = "full"
    #: Nobody who could take the caller is on duty.
    UNSTAFFED = "unstaffed"


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a caller who enters a queue now has to expect. `wait_s` is None where nobody can tell."""

    queue: str
    standing: Standing
    ahead: int
    wait_s: float | None
    choices: tuple[Choice, ...]


def handle_time_s(queue: Queue, recent_s: Sequence[float]) -> float:
    """Return how long a call of this queue takes an agent, wrap-up included.

    The mean of the last calls, with as many of the expected length as are missing to `RECENT_CALLS`.
    """
    last = list(recent_s)[-RECENT_CALLS:]
    known = fmean(last) if last else 0.0
    weight = len(last) / RECENT_CALLS
    return weight * known + (1 - weight) * queue.handle_s + queue.wrap_up_s


def expected_wait_s(ahead: int, agents: int, *, free: int, handle_s: float) -> float | None:
    """Return the expected wait behind `ahead` callers; None with nobody on duty.

    With exponential handle times, which telephone calls nearly have, `agents` busy agents finish one call every
    `handle_s / agents` on average, so the caller waits for `ahead + 1` of them less those that are free already.
    """
    if agents == 0:
        return None
    return max(0, ahead + 1 - free) * handle_s / agents


def outlook(
    routing: Routing,
    queue: Queue,
    *,
    priority: int,
    waiting: Iterable[Waiting],
    presences: Sequence[Presence],
    recent_s: Sequence[float],
    is_open: bool,
    now: datetime,
) -> Outlook:
    """Return what a caller of this priority has to expect from entering `queue` now."""
    others = [one for one in waiting if one.queue == queue.name]
    ahead = sum(one.priority >= priority for one in others)
    staff = [one for one in presences if is_on_duty(one) and routing.serves(one.agent_id, queue)]
    free = sum(is_free(one, now) for one in staff)
    wait_s = expected_wait_s(ahead, len(staff), free=free, handle_s=handle_time_s(queue, recent_s))
    if not is_open:
        standing = Standing.CLOSED
    elif len(others) >= queue.max_waiting:
        standing = Standing.FULL
    elif not staff:
        standing = Standing.UNSTAFFED
    else:
        standing = Standing.OPEN
    return Outlook(queue.name, standing, ahead, wait_s, choices(queue, standing, wait_s))


@dataclass(frozen=True, slots=True)
class InLine:
    """How it stands with a caller who waits: how many are served before them, and how long it will take.

    Either is None where nobody can tell. `is_served` is whether anybody on duty could still take them.
    """

    ahead: int | None = None
    wait_s: float | None = None
    is_served: bool = True


def in_line(
    routing: Routing,
    queue: Queue,
    me: Waiting,
    *,
    waiting: Iterable[Waiting],
    presences: Sequence[Presence],
    recent_s: Sequence[float],
    now: datetime,
) -> InLine:
    """Return how it stands with a caller of `queue`, by those who may still be asked for them."""
    ahead = place_in_line([*(one for one in waiting if one.entry_id != me.entry_id), me], me.entry_id)
    staff = [
        one
        for one in presences
        if one.agent_id not in me.tried and is_on_duty(one) and routing.serves(one.agent_id, queue)
    ]
    free = sum(is_free(one, now) for one in staff)
    wait_s = expected_wait_s(ahead or 0, len(staff), free=free, handle_s=handle_time_s(queue, recent_s))
    return InLine(ahead, wait_s, is_served=bool(staff))


def choices(queue: Queue, standing: Standing, wait_s: float | None) -> tuple[Choice, ...]:
    """Return what a caller is offered instead of, or beside, waiting; nothing while the wait is short."""
    match standing:
        case Standing.CLOSED:
            return queue.after_hours
        case Standing.FULL | Standing.UNSTAFFED:
            return queue.offers
        case Standing.OPEN:
            return (Choice.WAIT, *queue.offers) if wait_s is not None and wait_s > queue.offer_above_s else ()


def place_in_line(waiting: Iterable[Waiting], entry_id: str) -> int | None:
    """Return how many callers of the same queue are served before this one; None if it does not wait."""
    everybody = list(waiting)
    mine = next((one for one in everybody if one.entry_id == entry_id), None)
    if mine is None:
        return None
    same = in_order(one for one in everybody if one.queue == mine.queue)
    return same.index(mine)


def minutes_to_say(wait_s: float) -> int:
    """Return a wait in whole minutes, rounded up: a caller forgives a wait that is shorter than said, not a longer."""
    return max(1, math.ceil(wait_s / 60))
