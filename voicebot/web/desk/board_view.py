"""The board as pages show it: queues with their waits, agents with their states, and callbacks to come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from voicebot.records.board import AgentRow, EntryRow, Snapshot
from voicebot.records.callbacks import BOOKED, CALLING, MESSAGE, CallbackRow
from voicebot.routing.agents import Agent, AgentState, Presence, ReachKind
from voicebot.routing.queues import Queue, Routing
from voicebot.routing.selection import Waiting
from voicebot.routing.waiting import outlook

#: What callbacks still want something.
_OPEN = frozenset({BOOKED, CALLING, MESSAGE})


@dataclass(frozen=True, slots=True)
class Board:
    """Everything that pages show of the contact centre, at one moment. `is_open` tells a queue's hours."""

    at: datetime
    routing: Routing
    snapshot: Snapshot
    callbacks: Sequence[CallbackRow]
    is_open: Callable[[Queue, datetime], bool]

    def agent(self, agent_id: str) -> AgentRow | None:
        return next((row for row in self.snapshot.agents if row.id == agent_id), None)

    def call_of(self, agent_id: str) -> EntryRow | None:
        """Return the caller whom an agent is rung for or talks with."""
        row = self.agent(agent_id)
        if row is None or row.entry_id is None:
            return None
        return next((entry for entry in self.snapshot.entries if entry.id == row.entry_id), None)


def queues_of(board: Board, agent_id: str) -> list[Queue]:
    """Return the queues that an agent serves."""
    return [queue for queue in board.routing.queues.values() if board.routing.serves(agent_id, queue)]


def queue_view(board: Board, queue: Queue) -> dict[str, Any]:
    """Return one queue: how many wait, since when the first does, and what the next caller has to expect."""
    waiting = [entry for entry in board.snapshot.entries if entry.state == "waiting"]
    here = [entry for entry in waiting if entry.queue == queue.name]
    presences = [
        Presence(row.id, _state(row, board.at), row.since, ReachKind(row.reach), row.idle_since, row.until)
        for row in board.snapshot.agents
    ]
    seen = outlook(
        board.routing,
        queue,
        priority=queue.priority,
        waiting=[Waiting(e.id, e.queue, e.priority, e.entered_at, frozenset(e.tried)) for e in waiting],
        presences=presences,
        recent_s=board.snapshot.handled_s.get(queue.name, ()),
        is_open=board.is_open(queue, board.at),
        now=board.at,
    )
    staff = Counter(one.state for one in presences if board.routing.serves(one.agent_id, queue))
    return {
        "name": queue.name,
        "title": queue.title,
        "standing": seen.standing.value,
        "waiting": len(here),
        "waiting_since": min((entry.entered_at for entry in here), default=None),
        "expected_wait_s": None if seen.wait_s is None else round(seen.wait_s),
        "talking": sum(entry.queue == queue.name and entry.state == "joined" for entry in board.snapshot.entries),
        "agents": {state.value: staff[state] for state in AgentState if staff[state]},
    }


def agent_view(board: Board, agent: Agent) -> dict[str, Any]:
    """Return one agent: state, since when, until when at most, the line they are rung on, and for which queue."""
    row, call = board.agent(agent.id), board.call_of(agent.id)
    state = _state(row, board.at) if row else AgentState.OFFLINE
    return {
        "id": agent.id,
        "name": agent.name,
        "state": state.value,
        "since": _since(row, state) if row else None,
        "until": row.until if row and state is AgentState.WRAP_UP else None,
        "reach": row.reach if row else agent.reaches[0].kind.value,
        "reaches": [reach.kind.value for reach in agent.reaches],
        "queue": call.queue if call else None,
    }


def callback_view(callback: CallbackRow, routing: Routing) -> dict[str, Any]:
    queue = routing.queues.get(callback.queue)
    return {
        "id": callback.id,
        "call_id": callback.call_id,
        "queue": queue.title if queue else callback.queue,
        "number": callback.number,
        "state": callback.state,
        "reason": callback.reason,
        "due_at": callback.due_at,
        "zone": callback.zone,
        "attempts": callback.attempts,
    }


def desk_board(board: Board, agent: Agent) -> dict[str, Any]:
    """Return what an agent's desk shows: themself, the queues they serve, and these queues' callbacks."""
    served = queues_of(board, agent.id)
    names = {queue.name for queue in served}
    states = {row.id: _state(row, board.at).value for row in board.snapshot.agents}
    others = [other for other in board.routing.agents.values() if other.id != agent.id]
    return {
        "type": "board",
        "at": board.at,
        "me": agent_view(board, agent),
        "queues": [queue_view(board, queue) for queue in served],
        # To whom a caller can be sent on, and who can be asked into a call.
        "elsewhere": [
            {
                "queue": queue.name,
                "title": queue.title,
                "agents": [
                    {"id": other.id, "name": other.name, "state": states.get(other.id, AgentState.OFFLINE.value)}
                    for other in others
                    if board.routing.serves(other.id, queue)
                ],
            }
            for queue in board.routing.queues.values()
        ],
        "callbacks": [
            callback_view(one, board.routing) for one in board.callbacks if one.state in _OPEN and one.queue in names
        ],
    }


def floor_board(board: Board) -> dict[str, Any]:
    """Return what a supervisor sees: every queue, every agent, every callback still to be made."""
    agents = [agent_view(board, agent) for agent in board.routing.agents.values()]
    states: Mapping[str, int] = Counter(agent["state"] for agent in agents)
    return {
        "type": "board",
        "at": board.at,
        "queues": [queue_view(board, queue) for queue in board.routing.queues.values()],
        "agents": agents,
        "states": {state.value: states.get(state.value, 0) for state in AgentState},
        "callbacks": [callback_view(one, board.routing) for one in board.callbacks if one.state in _OPEN],
    }


def _state(row: AgentRow, now: datetime) -> AgentState:
    """A wrap-up that has run out is as good as available: whoever is in one is rung."""
    state = AgentState(row.state)
    if state is AgentState.WRAP_UP and row.until is not None and row.until <= now:
        return AgentState.AVAILABLE
    return state


def _since(row: AgentRow, state: AgentState) -> datetime:
    return row.until if state.value != row.state and row.until is not None else row.since
