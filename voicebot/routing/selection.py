"""Who takes whom: callers in order of priority, each with the best agent that is free.

Every process works this out over everybody who waits, not only over its own callers, so that two of them come to the
same pairs; a claim in the database settles what is left of a race.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from voicebot.routing.agents import Presence, is_free
from voicebot.routing.queues import Queue, Routing


@dataclass(frozen=True, slots=True)
class Waiting:
    """A caller in a queue. `tried` are the agents who were rung for this caller and did not take them."""

    entry_id: str
    queue: str
    priority: int
    entered_at: datetime
    tried: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Pair:
    entry_id: str
    agent_id: str


def in_order(waiting: Iterable[Waiting]) -> list[Waiting]:
    """Return callers as they are served: by priority, then by who came first."""
    return sorted(waiting, key=lambda one: (-one.priority, one.entered_at, one.entry_id))


def choose(routing: Routing, waiting: Waiting, free: Iterable[Presence]) -> Presence | None:
    """Return who among the `free` takes a caller: the best at what the queue needs, then the longest idle."""
    queue = routing.queues.get(waiting.queue)
    if queue is None:
        return None
    able = [one for one in free if one.agent_id not in waiting.tried and routing.serves(one.agent_id, queue)]
    return min(
        able, key=lambda one: (-_level(routing, one.agent_id, queue), one.idle_since, one.agent_id), default=None
    )


def pairs(
    routing: Routing, waiting: Iterable[Waiting], presences: Sequence[Presence], now: datetime
) -> tuple[Pair, ...]:
    """Return who takes whom now; no caller and no agent is in two pairs."""
    free = {one.agent_id: one for one in presences if is_free(one, now)}
    found = []
    for one in in_order(waiting):
        chosen = choose(routing, one, free.values())
        if chosen is not None:
            del free[chosen.agent_id]
            found.append(Pair(one.entry_id, chosen.agent_id))
    return tuple(found)


def _level(routing: Routing, agent_id: str, queue: Queue) -> int:
    skills = routing.agents[agent_id].skills
    return sum(skills.get(skill, 0) for skill in queue.skills)
