"""A small contact centre for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from voicebot.routing.agents import Agent, AgentState, Presence, Reach, ReachKind
from voicebot.routing.queues import Queue, Routing
from voicebot.routing.selection import Waiting

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def routing(**queue: object) -> Routing:
    service = Queue("service", "customer service", {"service": 1}, **queue)  # type: ignore[arg-type]  # any field
    technical = Queue("technical", "technical support", {"technical": 3}, frozenset({"troubleshooting"}))
    return Routing(
        queues={"service": service, "technical": technical},
        agents={
            "ana": Agent("ana", "Ana", {"service": 5}, (Reach(ReachKind.BROWSER),)),
            "ben": Agent("ben", "Ben", {"service": 3, "technical": 5}, (Reach(ReachKind.SIP, "sip:ben@pbx"),)),
            "eva": Agent("eva", "Eva", {"service": 5, "technical": 1}, (Reach(ReachKind.PHONE, "+15550123"),)),
        },
        default="service",
        tiers={"gold": 10},
        topics={"complaint": 5},
    )


def present(agent_id: str, state: AgentState = AgentState.AVAILABLE, *, idle_s: float = 0) -> Presence:
    return Presence(agent_id, state, NOW, ReachKind.BROWSER, NOW - timedelta(seconds=idle_s))


def waits(entry_id: str, *, queue: str = "service", priority: int = 0, since_s: float = 0) -> Waiting:
    return Waiting(entry_id, queue, priority, NOW - timedelta(seconds=since_s))
