"""Tasks after calls with their states, so that each can be stopped until the moment it is carried out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select, update

from voicebot.records.database import Database, insert_new
from voicebot.records.tables import TASKS

_MOST_PROBLEM_CHARS = 256


class TaskKind(StrEnum):
    OPERATION = "operation"
    MESSAGE = "message"
    FOLLOW_UP = "follow_up"


class TaskState(StrEnum):
    SCHEDULED = "scheduled"
    #: A try goes on, or the server died in one and will go on with it.
    UNDER_WAY = "under_way"
    RETRYING = "retrying"
    #: Tried often enough; people may have it tried again.
    FAILED = "failed"
    #: There was nothing to do, or a system would not have it; another try would change nothing.
    NOT_DONE = "not_done"
    DONE = "done"
    CANCELLED = "cancelled"


#: From these a try may begin; `UNDER_WAY` is one whose server died.
_OPEN = (TaskState.SCHEDULED, TaskState.UNDER_WAY, TaskState.RETRYING, TaskState.FAILED)


@dataclass(frozen=True, slots=True)
class PlannedTask:
    """`subject` is the call's id, a slash and the task's name; `name` the operation or the kind of message."""

    subject: str
    call_id: str
    kind: TaskKind
    name: str


def id_of(key: str) -> str:
    """Return the id that people and programs name an action by; the key itself may hold the caller's number."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def key_of_task(subject: str) -> str:
    """Return the idempotency key of a task's write."""
    return f"after:{subject}"


class Tasks:
    """Notes what becomes of tasks. `now` dates every change."""

    def __init__(self, database: Database, *, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    async def plan(self, tasks: Sequence[PlannedTask]) -> None:
        """Note what is to be done; noted again, it stays as it is."""
        async with self._database.begin() as connection:
            for task in tasks:
                values = {
                    "id": id_of(key_of_task(task.subject)),
                    "subject": task.subject,
                    "call_id": task.call_id,
                    "kind": task.kind.value,
                    "name": task.name,
                    "state": TaskState.SCHEDULED.value,
                    "planned_at": self._now(),
                    "changed_at": self._now(),
                }
                await connection.execute(insert_new(connection, TASKS, values))

    async def begin(self, task: PlannedTask) -> bool:
        """Take a task up for a try; False when it is done, or was cancelled."""
        # A server of an earlier version may have begun it without noting it.
        await self.plan([task])
        return await self._change(task.subject, TaskState.UNDER_WAY, _OPEN)

    async def end(self, subject: str, state: TaskState, problem: str | None = None) -> None:
        """Note how a try has ended."""
        await self._change(subject, state, (TaskState.UNDER_WAY,), problem)

    async def give_up(self, subject: str) -> None:
        """Note that a task will not be tried again by itself."""
        await self._change(subject, TaskState.FAILED, (TaskState.RETRYING, TaskState.UNDER_WAY), keep_problem=True)

    async def state(self, subject: str) -> TaskState | None:
        async with self._database.connect() as connection:
            found = await connection.scalar(select(TASKS.c.state).where(TASKS.c.subject == subject))
        return TaskState(found) if found is not None else None

    async def _change(
        self,
        subject: str,
        state: TaskState,
        before: Sequence[TaskState],
        problem: str | None = None,
        *,
        keep_problem: bool = False,
    ) -> bool:
        mine = (TASKS.c.subject == subject) & TASKS.c.state.in_([each.value for each in before])
        values: dict[str, Any] = {"state": state.value, "changed_at": self._now()}
        if not keep_problem:
            values["problem"] = problem[:_MOST_PROBLEM_CHARS] if problem else None
        async with self._database.begin() as connection:
            changed = await connection.execute(update(TASKS).where(mine).values(values))
            return bool(changed.rowcount)
