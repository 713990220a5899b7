"""The queues' board: who waits, who is free, and who has claimed whom, in the database that servers share.

Every claim is one conditional change, so of two processes only one gets it, and bears a token that grows with each:
what a process does with a claim it has lost meanwhile changes nothing, and it is told so.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from voicebot.records.database import Database
from voicebot.records.tables import AGENT_STATES, AGENTS, QUEUE_ENTRIES

#: A process that has not been heard of for so long is dead; it says so itself every third of it.
LEASE = timedelta(seconds=12)
#: Handle times of calls that ended longer ago say nothing about now.
_RECENT = timedelta(hours=2)
_MOST_RECENT = 200

WAITING, CLAIMED, JOINED, LEFT, LOST = "waiting", "claimed", "joined", "left", "lost"
AVAILABLE, RINGING, BUSY, WRAP_UP, OFFLINE = "available", "ringing", "busy", "wrap_up", "offline"


@dataclass(frozen=True, slots=True)
class EntryRow:
    """A caller in a queue; `number` is personal."""

    id: str
    call_id: str
    queue: str
    priority: int
    number: str
    entered_at: datetime
    tried: tuple[str, ...] = ()
    instance: str = ""
    state: str = WAITING
    agent_id: str | None = None


@dataclass(frozen=True, slots=True)
class AgentRow:
    id: str
    state: str
    since: datetime
    idle_since: datetime
    until: datetime | None
    reach: str
    token: int
    entry_id: str | None
    instance: str | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The board at one moment. `handled_s` are recent calls' lengths by queue, the latest last."""

    entries: Sequence[EntryRow]
    agents: Sequence[AgentRow]
    handled_s: Mapping[str, Sequence[float]]


class QueueBoard:
    """The board as one process sees it. `instance` names the process; `now` gives wall-clock time."""

    def __init__(self, database: Database, *, instance: str, now: Callable[[], datetime]) -> None:
        self._database = database
        self._instance = instance
        self._now = now
        #: One change at a time: SQLite has one writer, and many who wait for it at once would wait in vain.
        self._writing = asyncio.Lock()

    @property
    def instance(self) -> str:
        return self._instance

    # --- callers

    async def enter(self, entry: EntryRow) -> None:
        """Put a caller into a queue, or back into it with whom they tried since; their place is kept."""
        now = self._now()
        values = {"queue": entry.queue, "priority": entry.priority, "tried": list(entry.tried)}
        back = {
            **values,
            "state": WAITING,
            "agent_id": None,
            "lease_until": now + LEASE,
            "ended_at": None,
            "ending": None,
        }
        ours = and_(QUEUE_ENTRIES.c.id == entry.id, QUEUE_ENTRIES.c.instance == self._instance)
        async with self._writing, self._database.begin() as connection:
            changed = await connection.execute(update(QUEUE_ENTRIES).where(ours).values(back))
            if not changed.rowcount:
                new = {"id": entry.id, "call_id": entry.call_id, "number": entry.number, "instance": self._instance}
                await connection.execute(insert(QUEUE_ENTRIES).values(new | back | {"entered_at": entry.entered_at}))

    async def leave(self, entry_id: str, ending: str) -> None:
        """Take a caller off the board, for the reason `ending`; the first one stands."""
        still = and_(_mine(self._instance, entry_id), QUEUE_ENTRIES.c.ended_at.is_(None))
        async with self._writing, self._database.begin() as connection:
            values = {"state": LEFT, "ended_at": self._now(), "ending": ending}
            await connection.execute(update(QUEUE_ENTRIES).where(still).values(values))

    async def joined(self, entry_id: str, agent_id: str) -> None:
        """Note that a caller talks with an agent."""
        async with self._writing, self._database.begin() as connection:
            values = {"state": JOINED, "agent_id": agent_id, "joined_at": self._now()}
            await connection.execute(update(QUEUE_ENTRIES).where(_mine(self._instance, entry_id)).values(values))

    # --- agents

    async def set_state(self, agent_id: str, state: str, *, reach: str, allowed: frozenset[str]) -> bool:
        """Set what an agent does, from the desk. False when they are in none of the `allowed` states any more."""
        now = self._now()
        async with self._writing, self._database.begin() as connection:
            known = await connection.execute(select(AGENTS.c.state).where(AGENTS.c.id == agent_id))
            if known.first() is None:
                row = {"id": agent_id, "state": OFFLINE, "since": now, "idle_since": now, "reach": reach, "token": 0}
                await connection.execute(insert(AGENTS).values(row))
            values: dict[str, Any] = {"state": state, "since": now, "until": None, "reach": reach}
            if state == AVAILABLE:
                values["idle_since"] = now
            where = and_(AGENTS.c.id == agent_id, AGENTS.c.state.in_(allowed | {state}))
            changed = await connection.execute(update(AGENTS).where(where).values(values))
            if changed.rowcount:
                await _note(connection, agent_id, state, now)
        return bool(changed.rowcount)

    async def claim(self, entry_id: str, agent_id: str) -> int | None:
        """Reserve an agent for a caller of ours and return the token; None when either is taken."""
        now = self._now()
        async with self._writing, self._database.begin() as connection:
            free = or_(AGENTS.c.state == AVAILABLE, and_(AGENTS.c.state == WRAP_UP, AGENTS.c.until <= now))
            taken = await connection.execute(
                update(AGENTS)
                .where(AGENTS.c.id == agent_id, free)
                .values(
                    state=RINGING,
                    since=now,
                    until=None,
                    token=AGENTS.c.token + 1,
                    entry_id=entry_id,
                    instance=self._instance,
                    lease_until=now + LEASE,
                )
            )
            if not taken.rowcount:
                return None
            waits = and_(_mine(self._instance, entry_id), QUEUE_ENTRIES.c.state == WAITING)
            values = {"state": CLAIMED, "agent_id": agent_id}
            if not (await connection.execute(update(QUEUE_ENTRIES).where(waits).values(values))).rowcount:
                await connection.rollback()
                return None
            await _note(connection, agent_id, RINGING, now)
            token: int | None = await connection.scalar(select(AGENTS.c.token).where(AGENTS.c.id == agent_id))
        return token

    async def hold(self, agent_id: str, token: int, state: str) -> bool:
        """Set a claimed agent's state; False when the claim is lost."""
        now = self._now()
        async with self._writing, self._database.begin() as connection:
            values = {"state": state, "since": now, "lease_until": now + LEASE}
            changed = await connection.execute(update(AGENTS).where(_claim(agent_id, token)).values(values))
            if changed.rowcount:
                await _note(connection, agent_id, state, now)
        return bool(changed.rowcount)

    async def free(self, agent_id: str, token: int, state: str, *, until: datetime | None = None) -> bool:
        """Give a claimed agent back in this state, as a wrap-up until then; False when the claim was lost."""
        now = self._now()
        async with self._writing, self._database.begin() as connection:
            values = {"state": state, "since": now, "until": until, **_NOBODYS}
            if state == WRAP_UP:
                values["idle_since"] = now
            changed = await connection.execute(update(AGENTS).where(_claim(agent_id, token)).values(values))
            if changed.rowcount:
                await _note(connection, agent_id, state, now)
        return bool(changed.rowcount)

    # --- all of it

    async def snapshot(self) -> Snapshot:
        """Read the board."""
        async with self._database.connect() as connection:
            entries = await connection.execute(select(QUEUE_ENTRIES).where(QUEUE_ENTRIES.c.ended_at.is_(None)))
            agents = await connection.execute(select(AGENTS))
            ended = await connection.execute(
                select(QUEUE_ENTRIES.c.queue, QUEUE_ENTRIES.c.joined_at, QUEUE_ENTRIES.c.ended_at)
                .where(QUEUE_ENTRIES.c.ended_at > self._now() - _RECENT, QUEUE_ENTRIES.c.joined_at.is_not(None))
                .order_by(QUEUE_ENTRIES.c.ended_at.desc())
                .limit(_MOST_RECENT)
            )
            handled: defaultdict[str, list[float]] = defaultdict(list)
            for queue, joined_at, ended_at in ended:
                handled[queue].insert(0, (ended_at - joined_at).total_seconds())
            return Snapshot([_entry(row) for row in entries], [_agent(row) for row in agents], handled)

    async def heartbeat(self) -> None:
        """Say that this process lives: renew what it holds."""
        until = self._now() + LEASE
        async with self._writing, self._database.begin() as connection:
            ours = and_(QUEUE_ENTRIES.c.instance == self._instance, QUEUE_ENTRIES.c.ended_at.is_(None))
            await connection.execute(update(QUEUE_ENTRIES).where(ours).values(lease_until=until))
            await connection.execute(
                update(AGENTS).where(AGENTS.c.instance == self._instance).values(lease_until=until)
            )

    async def take_lost(self, *, starting: bool = False) -> Sequence[EntryRow]:
        """Take off the board whoever a dead process held and free its agents; return its callers, each once.

        When a process is `starting`, what it held before is as lost as what others' leases have run out on.
        """
        now = self._now()

        def lost(instance: ColumnElement[Any], lease: ColumnElement[Any]) -> ColumnElement[bool]:
            return or_(lease < now, instance == self._instance) if starting else lease < now

        async with self._writing, self._database.begin() as connection:
            gone = and_(lost(QUEUE_ENTRIES.c.instance, QUEUE_ENTRIES.c.lease_until), QUEUE_ENTRIES.c.ended_at.is_(None))
            found = [_entry(row) for row in await connection.execute(select(QUEUE_ENTRIES).where(gone))]
            taken = []
            for entry in found:
                where = and_(QUEUE_ENTRIES.c.id == entry.id, gone)
                values = {"state": LOST, "ended_at": now, "ending": "server_died"}
                if (await connection.execute(update(QUEUE_ENTRIES).where(where).values(values))).rowcount:
                    taken.append(entry)
            held = and_(AGENTS.c.instance.is_not(None), lost(AGENTS.c.instance, AGENTS.c.lease_until))
            for (agent_id,) in (await connection.execute(select(AGENTS.c.id).where(held))).all():
                values = {"state": AVAILABLE, "since": now, "until": None, "token": AGENTS.c.token + 1, **_NOBODYS}
                changed = await connection.execute(update(AGENTS).where(AGENTS.c.id == agent_id, held).values(values))
                if changed.rowcount:
                    await _note(connection, agent_id, AVAILABLE, now)
        return taken

    async def states_of(self, agent_id: str, since: datetime) -> Sequence[tuple[datetime, str]]:
        """Return an agent's changes of state since then, in order, the one before it first."""
        ours = AGENT_STATES.c.agent_id == agent_id
        async with self._database.connect() as connection:
            first = await connection.scalar(select(func.max(AGENT_STATES.c.at)).where(ours, AGENT_STATES.c.at <= since))
            query = select(AGENT_STATES.c.at, AGENT_STATES.c.state).where(ours, AGENT_STATES.c.at >= (first or since))
            rows = await connection.execute(query.order_by(AGENT_STATES.c.at))
            return [(max(row.at, since), row.state) for row in rows]


_NOBODYS: dict[str, Any] = {"entry_id": None, "instance": None, "lease_until": None}


def _mine(instance: str, entry_id: str) -> ColumnElement[bool]:
    return and_(
        QUEUE_ENTRIES.c.id == entry_id, QUEUE_ENTRIES.c.instance == instance, QUEUE_ENTRIES.c.ended_at.is_(None)
    )


def _claim(agent_id: str, token: int) -> ColumnElement[bool]:
    return and_(AGENTS.c.id == agent_id, AGENTS.c.token == token, AGENTS.c.entry_id.is_not(None))


async def _note(connection: AsyncConnection, agent_id: str, state: str, at: datetime) -> None:
    """Add a change of state; of two at the same microsecond the later stands."""
    where = and_(AGENT_STATES.c.agent_id == agent_id, AGENT_STATES.c.at == at)
    if not (await connection.execute(update(AGENT_STATES).where(where).values(state=state))).rowcount:
        await connection.execute(insert(AGENT_STATES).values(agent_id=agent_id, at=at, state=state))


def _entry(row: Row[Any]) -> EntryRow:
    return EntryRow(
        id=row.id,
        call_id=row.call_id,
        queue=row.queue,
        priority=row.priority,
        number=row.number,
        entered_at=row.entered_at,
        tried=tuple(row.tried),
        instance=row.instance,
        state=row.state,
        agent_id=row.agent_id,
    )


def _agent(row: Row[Any]) -> AgentRow:
    return AgentRow(
        id=row.id,
        state=row.state,
        since=row.since,
        idle_since=row.idle_since,
        until=row.until,
        reach=row.reach,
        token=row.token,
        entry_id=row.entry_id,
        instance=row.instance,
    )
