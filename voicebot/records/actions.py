"""Everything that was done, is waiting or is planned for a call, as one kind of thing that can be cancelled or undone.

What it is follows from the tables that each part of the work keeps: writes, approvals, tasks after the call with the
messages and follow-ups they leave, and promised callbacks. Each action has one id from when it is asked for or planned
until it has been taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Row, Table, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from voicebot.records import callbacks
from voicebot.records.audit import AuditEntry, append
from voicebot.records.database import Database
from voicebot.records.deeds import ApprovalState, DeedState, FollowUpState
from voicebot.records.tables import APPROVALS, CALLBACKS, CALLS, DEEDS, FOLLOW_UPS, MESSAGES, TASKS
from voicebot.records.tasks import TaskKind, TaskState


class ActionKind(StrEnum):
    """What is taken back when an action is."""

    WRITE = "write"
    MESSAGE = "message"
    FOLLOW_UP = "follow_up"
    CALLBACK = "callback"


class Holder(StrEnum):
    """Which part of the work an action stands with at present."""

    DEED = "deed"
    APPROVAL = "approval"
    TASK = "task"
    MESSAGE = "message"
    FOLLOW_UP = "follow_up"
    CALLBACK = "callback"


class ActionState(StrEnum):
    AWAITING_APPROVAL = "awaiting_approval"
    SCHEDULED = "scheduled"
    #: Being carried out at this moment.
    UNDER_WAY = "under_way"
    #: It did not work and is tried again.
    RETRYING = "retrying"
    #: It was given up; people may have it tried again.
    FAILED = "failed"
    DONE = "done"
    UNDOING = "undoing"
    #: A person was asked to undo it by hand.
    WITH_PERSON = "with_person"
    UNDO_FAILED = "undo_failed"
    UNDONE = "undone"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    #: Nobody allowed it in time.
    EXPIRED = "expired"
    #: It was allowed or promised, and did not come about.
    NOT_DONE = "not_done"


@dataclass(frozen=True, slots=True)
class Action:
    """One action. `arguments` and `result` are text as `Deed` has them; `at` is when the state was reached.

    `subject` is how the part of the work that it belongs to calls it. `problem` says why it is not done or undone.
    """

    id: str
    call_id: str
    kind: ActionKind
    name: str
    state: ActionState
    at: datetime
    holder: Holder
    subject: str
    arguments: str = "{}"
    result: str = "{}"
    text: str = ""
    due_at: datetime | None = None
    by: str | None = None
    problem: str | None = None


_OF_DEED = {
    DeedState.DONE: ActionState.DONE,
    DeedState.UNDOING: ActionState.UNDOING,
    DeedState.WITH_PERSON: ActionState.WITH_PERSON,
    DeedState.UNDO_FAILED: ActionState.UNDO_FAILED,
    DeedState.UNDONE: ActionState.UNDONE,
}
_OF_APPROVAL = {
    ApprovalState.REFUSED: ActionState.REFUSED,
    ApprovalState.EXPIRED: ActionState.EXPIRED,
    ApprovalState.WITHDRAWN: ActionState.CANCELLED,
}
_OF_FOLLOW_UP = {
    FollowUpState.OPEN: ActionState.SCHEDULED,
    FollowUpState.DONE: ActionState.DONE,
    FollowUpState.CANCELLED: ActionState.CANCELLED,
}
_OF_CALLBACK = {
    callbacks.BOOKED: ActionState.SCHEDULED,
    callbacks.MESSAGE: ActionState.SCHEDULED,
    callbacks.CALLING: ActionState.UNDER_WAY,
    callbacks.DONE: ActionState.DONE,
    callbacks.FAILED: ActionState.NOT_DONE,
    callbacks.CANCELLED: ActionState.CANCELLED,
}
_OF_TASK = {
    TaskState.SCHEDULED: ActionState.SCHEDULED,
    TaskState.UNDER_WAY: ActionState.UNDER_WAY,
    TaskState.RETRYING: ActionState.RETRYING,
    TaskState.FAILED: ActionState.FAILED,
    TaskState.NOT_DONE: ActionState.NOT_DONE,
    TaskState.DONE: ActionState.DONE,
    TaskState.CANCELLED: ActionState.CANCELLED,
}
_KIND_OF_TASK = {
    TaskKind.OPERATION: ActionKind.WRITE,
    TaskKind.MESSAGE: ActionKind.MESSAGE,
    TaskKind.FOLLOW_UP: ActionKind.FOLLOW_UP,
}


class ActionBook:
    """Reads actions, and stops those that have not happened. `now` dates entries and judges what has expired."""

    def __init__(self, database: Database, *, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    async def of_call(self, call_id: str) -> Sequence[Action]:
        """Return the actions of a call, the latest first."""
        async with self._database.connect() as connection:
            return await self._read(connection, lambda table: table.c.call_id == call_id)

    async def latest(self, limit: int = 100) -> Sequence[Action]:
        """Return the latest actions of all calls."""
        async with self._database.connect() as connection:
            return (await self._read(connection, limit=limit))[:limit]

    async def find(self, action_id: str) -> Action | None:
        async with self._database.connect() as connection:
            found = await self._read(connection, lambda table: table.c.id == action_id)
        return found[0] if found else None

    async def undoing(self) -> Sequence[str]:
        """Return the ids of writes that are to be undone by an operation."""
        query = select(DEEDS.c.id).where(DEEDS.c.state == DeedState.UNDOING.value)
        async with self._database.connect() as connection:
            return list(await connection.scalars(query))

    async def cancelled_tasks(self, subjects: Sequence[str]) -> frozenset[str]:
        """Return which of `subjects` are tasks that somebody cancelled."""
        cancelled = TASKS.c.state == TaskState.CANCELLED.value
        query = select(TASKS.c.subject).where(TASKS.c.subject.in_(subjects), cancelled)
        async with self._database.connect() as connection:
            return frozenset(await connection.scalars(query))

    async def stop(self, action: Action, by: str) -> bool:
        """Stop what has not happened, audited; False when it has gone on from the state it was seen in.

        What waits for approval is not stopped here but decided.
        """
        held = _HELD.get(action.holder)
        if held is None:
            return False
        values: dict[str, Any] = {"state": held.stopped}
        if held.stopped_at is not None:
            values |= {held.stopped_at: self._now(), held.stopped_by: by}
        mine = (held.table.c[held.key] == action.subject) & held.table.c.state.in_(held.waiting)
        async with self._database.begin() as connection:
            changed = await connection.execute(update(held.table).where(mine).values(values))
            if changed.rowcount:
                about = {"action": action.id, "kind": action.kind.value, "name": action.name}
                entry = AuditEntry(self._now(), by, "action_cancelled", f"call:{action.call_id}", about)
                await append(connection, [entry])
            return bool(changed.rowcount)

    async def _read(
        self,
        connection: AsyncConnection,
        where: Callable[[Table], ColumnElement[bool]] | None = None,
        *,
        limit: int = 1000,
    ) -> Sequence[Action]:
        async def rows(table: Table, newest: str) -> Sequence[Row[Any]]:
            query = select(table).order_by(table.c[newest].desc()).limit(limit)
            return (await connection.execute(query if where is None else query.where(where(table)))).all()

        deeds = {row.id: _of_deed(row) for row in await rows(DEEDS, "done_at")}
        approvals = await rows(APPROVALS, "asked_at")
        tasks = await rows(TASKS, "planned_at")
        booked = [_of_callback(row) for row in await rows(CALLBACKS, "created_at")]
        left = await _left_behind(connection, [row.subject for row in tasks])
        over = await _ended(connection, [row.call_id for row in approvals])
        asked = [_of_approval(row, self._now(), is_over=row.call_id in over) for row in approvals]
        planned = [_of_task(row, left) for row in tasks]
        # What was asked for or planned and then done is the write that was done.
        rest = [each for each in (*asked, *planned) if each.id not in deeds]
        return sorted((*deeds.values(), *rest, *booked), key=lambda action: (action.at, action.id), reverse=True)


@dataclass(frozen=True, slots=True)
class _Held:
    """How an action that has not happened is stopped: from which states, to which one, and where by whom is noted."""

    table: Table
    key: str
    waiting: tuple[str, ...]
    stopped: str
    stopped_at: str | None = None
    stopped_by: str = ""


_HELD: Mapping[Holder, _Held] = {
    Holder.TASK: _Held(
        TASKS,
        "subject",
        (TaskState.SCHEDULED.value, TaskState.RETRYING.value, TaskState.FAILED.value),
        TaskState.CANCELLED.value,
        "changed_at",
        "changed_by",
    ),
    Holder.FOLLOW_UP: _Held(
        FOLLOW_UPS, "id", (FollowUpState.OPEN.value,), FollowUpState.CANCELLED.value, "done_at", "done_by"
    ),
    Holder.CALLBACK: _Held(CALLBACKS, "id", (callbacks.BOOKED, callbacks.MESSAGE), callbacks.CANCELLED),
}


async def _left_behind(connection: AsyncConnection, subjects: Sequence[str]) -> Mapping[str, Row[Any]]:
    """Return the messages and follow-ups that tasks left, by the tasks' subjects."""
    found: dict[str, Row[Any]] = {}
    for table in (MESSAGES, FOLLOW_UPS):
        for row in await connection.execute(select(table).where(table.c.id.in_(subjects))):
            found[row.id] = row
    return found


async def _ended(connection: AsyncConnection, call_ids: Iterable[str]) -> frozenset[str]:
    query = select(CALLS.c.id).where(CALLS.c.id.in_(set(call_ids)), CALLS.c.ended_at.is_not(None))
    return frozenset(await connection.scalars(query))


def _of_deed(row: Row[Any]) -> Action:
    return Action(
        row.id,
        row.call_id,
        ActionKind.WRITE,
        row.operation,
        _OF_DEED[DeedState(row.state)],
        row.undone_at or row.done_at,
        Holder.DEED,
        row.id,
        arguments=row.arguments,
        result=row.result,
        by=row.undone_by,
        problem=row.problem,
    )


def _of_approval(row: Row[Any], now: datetime, *, is_over: bool) -> Action:
    state = ApprovalState(row.state)
    if state is ApprovalState.WAITING:
        # Its server died, or nobody has looked since.
        shown = ActionState.AWAITING_APPROVAL if row.expires_at > now else ActionState.EXPIRED
    elif state is ApprovalState.GRANTED:
        shown = ActionState.NOT_DONE if is_over else ActionState.UNDER_WAY
    else:
        shown = _OF_APPROVAL[state]
    return Action(
        row.id,
        row.call_id,
        ActionKind.WRITE,
        row.operation,
        shown,
        row.decided_at or row.asked_at,
        Holder.APPROVAL,
        row.id,
        arguments=row.arguments,
        due_at=row.expires_at,
        by=row.decided_by,
    )


def _of_task(row: Row[Any], left: Mapping[str, Row[Any]]) -> Action:
    kind, state = TaskKind(row.kind), _OF_TASK[TaskState(row.state)]
    shown = Action(
        row.id,
        row.call_id,
        _KIND_OF_TASK[kind],
        row.name,
        state,
        row.changed_at,
        Holder.TASK,
        row.subject,
        by=row.changed_by,
        problem=row.problem,
    )
    trace = left.get(row.subject)
    if trace is None:
        return shown
    if kind is not TaskKind.FOLLOW_UP:
        return replace(shown, state=ActionState.DONE, at=trace.sent_at, holder=Holder.MESSAGE, text=trace.text)
    return replace(
        shown,
        state=_OF_FOLLOW_UP[FollowUpState(trace.state)],
        at=trace.done_at or shown.at,
        holder=Holder.FOLLOW_UP,
        text=trace.text,
        due_at=trace.due_at,
        by=trace.done_by,
    )


def _of_callback(row: Row[Any]) -> Action:
    return Action(
        row.id,
        row.call_id,
        ActionKind.CALLBACK,
        row.queue,
        _OF_CALLBACK[row.state],
        row.created_at,
        Holder.CALLBACK,
        row.id,
        due_at=row.due_at,
        problem=row.result,
    )
