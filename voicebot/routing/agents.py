"""Agents: what they can do, how they are reached, and what they are doing now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class ReachKind(StrEnum):
    """`BROWSER` is the desk page's own audio; the others are dialled."""

    BROWSER = "browser"
    SIP = "sip"
    PHONE = "phone"


@dataclass(frozen=True, slots=True)
class Reach:
    """One line on which an agent can be rung. `address` is a SIP address or an E.164 number, empty for a browser."""

    kind: ReachKind
    address: str = ""


@dataclass(frozen=True, slots=True)
class Agent:
    """`id` is the name the agent signs in with; `skills` have levels from 1 (can) to 9 (expert)."""

    id: str
    name: str
    skills: Mapping[str, int]
    reaches: tuple[Reach, ...]


class AgentState(StrEnum):
    OFFLINE = "offline"
    AVAILABLE = "available"
    RINGING = "ringing"
    BUSY = "busy"
    WRAP_UP = "wrap_up"
    BREAK = "break"


#: What an agent may set at the desk, from where. `RINGING` and `BUSY` come and go with a claim, never by hand.
SET_BY_AGENT: Mapping[AgentState, frozenset[AgentState]] = {
    AgentState.OFFLINE: frozenset({AgentState.AVAILABLE, AgentState.BREAK}),
    AgentState.AVAILABLE: frozenset({AgentState.BREAK, AgentState.OFFLINE}),
    AgentState.BREAK: frozenset({AgentState.AVAILABLE, AgentState.OFFLINE}),
    AgentState.WRAP_UP: frozenset({AgentState.AVAILABLE, AgentState.BREAK, AgentState.OFFLINE}),
    AgentState.RINGING: frozenset(),
    AgentState.BUSY: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Presence:
    """What an agent is doing, since when, and on which line they want to be rung; `until` ends a wrap-up.

    `idle_since` is when they last finished with a caller, or came: who has been idle longest is rung first.
    """

    agent_id: str
    state: AgentState
    since: datetime
    reach: ReachKind
    idle_since: datetime
    until: datetime | None = None


def is_free(presence: Presence, now: datetime) -> bool:
    """Tell whether an agent may be rung: available, or with a wrap-up that has run out."""
    if presence.state is AgentState.WRAP_UP:
        return presence.until is not None and presence.until <= now
    return presence.state is AgentState.AVAILABLE


def is_on_duty(presence: Presence) -> bool:
    """Tell whether an agent takes callers now or as soon as they have finished with one."""
    return presence.state not in {AgentState.OFFLINE, AgentState.BREAK}


@dataclass(frozen=True, slots=True)
class StateChange:
    at: datetime
    state: AgentState


def time_in_each(changes: Iterable[StateChange], until: datetime) -> dict[AgentState, timedelta]:
    """Return how long an agent was in each state, from the first of `changes` (in order of time) to `until`."""
    spent = dict.fromkeys(AgentState, timedelta())
    state: AgentState | None = None
    since = until
    for change in changes:
        if state is not None:
            spent[state] += change.at - since
        state, since = change.state, change.at
    if state is not None:
        spent[state] += until - since
    return spent
