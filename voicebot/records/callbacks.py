"""Callbacks that were promised, claimed by the process that makes them: once, whatever happens to processes."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, insert, or_, select, update

from voicebot.records.database import Database
from voicebot.records.tables import CALLBACKS

#: A call being made is renewed every third of it; after that another process makes it again.
LEASE = timedelta(seconds=60)
BOOKED, CALLING, DONE, FAILED, CANCELLED, MESSAGE = "booked", "calling", "done", "failed", "cancelled", "message"


@dataclass(frozen=True, slots=True)
class CallbackRow:
    """One callback. `call_id` is the call it continues, whose context packet goes with it; `number` is personal."""

    id: str
    call_id: str
    queue: str
    number: str
    zone: str
    consent: bool
    reason: str
    state: str
    due_at: datetime
    attempts: int
    token: int
    created_at: datetime
    result: str | None


class CallbackBook:
    """`instance` names this process; `now` gives wall-clock time."""

    def __init__(self, database: Database, *, instance: str, now: Callable[[], datetime]) -> None:
        self._database = database
        self._instance = instance
        self._now = now
        #: One change at a time: SQLite has one writer, and many who wait for it at once would wait in vain.
        self._writing = asyncio.Lock()

    async def book(
        self, *, call_id: str, queue: str, number: str, zone: str, consent: bool, reason: str, at: datetime
    ) -> str:
        """Promise a callback and return its id; a call has one at a time, the last one asked for."""
        return await self._add(
            call_id=call_id, queue=queue, number=number, zone=zone, consent=consent, reason=reason, at=at, state=BOOKED
        )

    async def keep(self, *, call_id: str, queue: str, number: str, zone: str, reason: str) -> str:
        """Note a caller whom a person should see to: who left a message, or took nothing that was offered.

        They have asked for no call, so none is made by itself.
        """
        return await self._add(
            call_id=call_id,
            queue=queue,
            number=number,
            zone=zone,
            consent=False,
            reason=reason,
            at=self._now(),
            state=MESSAGE,
        )

    async def _add(self, *, at: datetime, state: str, call_id: str, **values: Any) -> str:
        callback_id = secrets.token_hex(16)
        row = {"id": callback_id, "call_id": call_id, "due_at": at, "attempts": 0, "token": 0, "state": state}
        async with self._writing, self._database.begin() as connection:
            earlier = and_(CALLBACKS.c.call_id == call_id, CALLBACKS.c.state == BOOKED)
            await connection.execute(update(CALLBACKS).where(earlier).values(state=CANCELLED, result="booked anew"))
            await connection.execute(insert(CALLBACKS).values(row | values | {"created_at": self._now()}))
        return callback_id

    async def booked(self, queue: str) -> Sequence[datetime]:
        """Return when callbacks of a queue are due that are still to be made."""
        where = and_(CALLBACKS.c.queue == queue, CALLBACKS.c.state.in_([BOOKED, CALLING]))
        async with self._database.connect() as connection:
            return [due_at for (due_at,) in await connection.execute(select(CALLBACKS.c.due_at).where(where))]

    async def list(self, *, most: int = 100) -> Sequence[CallbackRow]:
        """Return callbacks and messages, those to be dealt with first."""
        order = (CALLBACKS.c.state.in_([DONE, FAILED, CANCELLED]), CALLBACKS.c.due_at)
        async with self._database.connect() as connection:
            return [_row(row) for row in await connection.execute(select(CALLBACKS).order_by(*order).limit(most))]

    async def claim_due(self) -> CallbackRow | None:
        """Take the callback that is due the longest, or whose process died at it; None when there is none."""
        now = self._now()
        due = or_(
            and_(CALLBACKS.c.state == BOOKED, CALLBACKS.c.due_at <= now),
            and_(CALLBACKS.c.state == CALLING, CALLBACKS.c.lease_until < now),
        )
        async with self._writing, self._database.begin() as connection:
            found = await connection.execute(select(CALLBACKS).where(due).order_by(CALLBACKS.c.due_at).limit(1))
            row = found.first()
            if row is None:
                return None
            taken = await connection.execute(
                update(CALLBACKS)
                .where(CALLBACKS.c.id == row.id, CALLBACKS.c.token == row.token, due)
                .values(
                    state=CALLING,
                    token=row.token + 1,
                    attempts=row.attempts + 1,
                    instance=self._instance,
                    lease_until=now + LEASE,
                )
            )
            if not taken.rowcount:
                return None
            again = await connection.execute(select(CALLBACKS).where(CALLBACKS.c.id == row.id))
            return _row(again.one())

    async def renew(self, callback: CallbackRow) -> bool:
        """Say that the call is still being made; False when another process has taken it."""
        return await self._change(callback, {"lease_until": self._now() + LEASE})

    async def finish(self, callback: CallbackRow, result: str, *, failed: bool = False) -> bool:
        """Close a callback; False when another process has taken it."""
        return await self._change(
            callback, {"state": FAILED if failed else DONE, "result": result, "lease_until": None}
        )

    async def postpone(self, callback: CallbackRow, at: datetime, result: str, *, tried: bool = True) -> bool:
        """Make it again at `at`; False when another process has taken it. What was not `tried` is no attempt."""
        attempts = callback.attempts if tried else callback.attempts - 1
        values = {"state": BOOKED, "due_at": at, "result": result, "lease_until": None, "attempts": attempts}
        return await self._change(callback, values)

    async def cancel(self, callback_id: str) -> bool:
        """Take a promise back; False when it is being kept already, or is no more."""
        where = and_(CALLBACKS.c.id == callback_id, CALLBACKS.c.state.in_([BOOKED, MESSAGE]))
        async with self._writing, self._database.begin() as connection:
            changed = await connection.execute(update(CALLBACKS).where(where).values(state=CANCELLED))
        return bool(changed.rowcount)

    async def _change(self, callback: CallbackRow, values: dict[str, Any]) -> bool:
        where = and_(CALLBACKS.c.id == callback.id, CALLBACKS.c.token == callback.token, CALLBACKS.c.state == CALLING)
        async with self._writing, self._database.begin() as connection:
            changed = await connection.execute(update(CALLBACKS).where(where).values(values))
        return bool(changed.rowcount)


def _row(row: Row[Any]) -> CallbackRow:
    return CallbackRow(
        id=row.id,
        call_id=row.call_id,
        queue=row.queue,
        number=row.number,
        zone=row.zone,
        consent=row.consent,
        reason=row.reason,
        state=row.state,
        due_at=row.due_at,
        attempts=row.attempts,
        token=row.token,
        created_at=row.created_at,
        result=row.result,
    )
