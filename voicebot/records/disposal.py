"""Deletes what was kept for long enough or what a customer wants gone, unless a legal hold keeps it; all of it audited.

Files go first, then rows and the entry that says so, in one transaction: whatever is broken off is finished by the next
run. Every deletion is an audit entry that names digests of what went, never what it said, so it is the certificate too.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Row, Table, case, delete, exists, func, insert, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from voicebot.errors import VoicebotError
from voicebot.records.audit import DELETED, AuditEntry, Head, append
from voicebot.records.database import Database
from voicebot.records.retention import DataKind, Retention
from voicebot.records.tables import (
    AFTER_CALLS,
    APPROVALS,
    AUDIT,
    AUDIT_CONTENTS,
    CALL_NOTES,
    CALLS,
    CONTEXTS,
    DEEDS,
    FOLLOW_UPS,
    LEGAL_HOLDS,
    MESSAGES,
    METADATA,
    RECORDINGS,
    TURNS,
)

_BATCH = 100
_AUDIT_BATCH = 5000
#: Whatever names a call goes with it: turns, contexts, callbacks, and what comes after them; children first.
_OF_CALLS = [
    table for table in reversed(METADATA.sorted_tables) if "call_id" in table.c and table.name != LEGAL_HOLDS.name
]
#: What is left of a turn without its words: who spoke when, for how long, with what intent.
_NO_WORDS: Mapping[str, Any] = {
    "text": "",
    "heard_text": None,
    "decision": None,
    "slots": {},
    "alternatives": [],
    "words": [],
    "signals": {},
}
#: What was read from the words and written elsewhere. A summary stays not null: a call without one is summed up anew.
_SAID_ELSEWHERE: Sequence[tuple[Table, Mapping[str, Any]]] = (
    (AFTER_CALLS, {"summary": case((AFTER_CALLS.c.summary.is_not(None), ""), else_=None), "facts": None}),
    (DEEDS, {"arguments": "{}", "result": "{}"}),
    (APPROVALS, {"arguments": "{}"}),
    (FOLLOW_UPS, {"text": ""}),
    (MESSAGES, {"text": ""}),
)


class DisposalRefused(VoicebotError):
    """What was asked for must not or cannot be done; the message says why."""


class RecordingEraser(Protocol):
    async def erase(self, call_id: str) -> str | None:
        """Delete a call's recording and return its SHA-256, None when there is none here. Once more does no harm."""
        ...


@dataclass(frozen=True, slots=True)
class Hold:
    """Keeps one call, or all of a caller, past and coming, until it is released."""

    id: str
    call_id: str | None
    caller: str | None
    placed_at: datetime
    placed_by: str
    reason: str


class Disposal:
    """Holds, deletions and their certificates on one database. `now` dates them."""

    def __init__(self, database: Database, recordings: RecordingEraser, now: Callable[[], datetime]) -> None:
        self._database = database
        self._recordings = recordings
        self._now = now

    async def hold(self, *, call_id: str | None = None, caller: str | None = None, by: str, reason: str) -> Hold:
        """Keep a call, or all calls of a number; DisposalRefused for a call that there is not."""
        placed = Hold(uuid.uuid4().hex, call_id, caller, self._now(), by, reason)
        async with self._database.begin() as connection:
            if call_id is not None and not await connection.scalar(select(exists().where(CALLS.c.id == call_id))):
                raise DisposalRefused(f"There is no call {call_id}.")
            values = {name: getattr(placed, name) for name in Hold.__slots__}
            await connection.execute(insert(LEGAL_HOLDS).values(values))
            content = {"call_id": call_id, "caller": caller, "reason": reason}
            await append(connection, [AuditEntry(placed.placed_at, by, "hold_placed", f"hold:{placed.id}", content)])
        return placed

    async def release(self, hold_id: str, *, by: str, reason: str) -> None:
        """End a hold; DisposalRefused when there is none of this id."""
        async with self._database.begin() as connection:
            ended = await connection.execute(delete(LEGAL_HOLDS).where(LEGAL_HOLDS.c.id == hold_id))
            if not ended.rowcount:
                raise DisposalRefused(f"There is no legal hold {hold_id}; 'voicebot records holds' lists them.")
            entry = AuditEntry(self._now(), by, "hold_released", f"hold:{hold_id}", {"reason": reason})
            await append(connection, [entry])

    async def holds(self) -> Sequence[Hold]:
        """Return all holds, the oldest first."""
        async with self._database.connect() as connection:
            rows = await connection.execute(select(LEGAL_HOLDS).order_by(LEGAL_HOLDS.c.placed_at, LEGAL_HOLDS.c.id))
            return [Hold(**row._mapping) for row in rows]  # noqa: SLF001  # SQLAlchemy's name for a row as a mapping

    async def delete(
        self, *, call_ids: Sequence[str] = (), caller: str | None = None, by: str, reason: str
    ) -> dict[str, Any]:
        """Delete whole calls, with recordings and what audit entries say of them, and return the certificate.

        DisposalRefused, with nothing deleted, when there are none, one is held or one still goes on.
        """
        named = CALLS.c.id.in_(call_ids) if caller is None else CALLS.c.caller == caller
        async with self._database.connect() as connection:
            calls = (await connection.execute(select(CALLS, _held().label("held")).where(named))).all()
        _check_deletable(calls, call_ids)
        erased = [(call, await self._recordings.erase(call.id)) for call in calls]
        certificate = {"id": uuid.uuid4().hex, "at": self._now().isoformat(), "by": by, "reason": reason}
        async with self._database.begin() as connection:
            told = [await _described(connection, call, digest) for call, digest in erased]
            contents = await _forget_contents(connection, [f"call:{call.id}" for call in calls])
            await _delete_calls(connection, [call.id for call in calls])
            content = {**certificate, "kind": DataKind.RECORD.value, "calls": told, "audit_contents": contents}
            subject = f"deletion:{certificate['id']}"
            head = await append(connection, [AuditEntry(self._now(), by, DELETED, subject, content)])
        await self._database.purge()
        return _certified(content, head)

    async def certificate(self, deletion_id: str) -> dict[str, Any]:
        """Return a deletion's certificate once more; DisposalRefused when there was no such deletion."""
        query = (
            select(AUDIT.c.number, AUDIT.c.hash, AUDIT_CONTENTS.c.content)
            .join(AUDIT_CONTENTS, AUDIT_CONTENTS.c.number == AUDIT.c.number)
            .where(AUDIT.c.subject == f"deletion:{deletion_id}")
        )
        async with self._database.connect() as connection:
            found = (await connection.execute(query)).first()
        if found is None:
            raise DisposalRefused(f"There is no deletion {deletion_id}.")
        return _certified(json.loads(found.content), Head(found.number, found.hash))

    async def retain(self, retention: Retention, *, instance: str | None = None) -> Counter[DataKind]:
        """Delete what was kept for long enough, and return how many calls, or audit entries, lost each kind.

        `instance` leaves alone what other servers recorded, since their recordings may lie on other disks.
        """
        gone = Counter(dict.fromkeys(DataKind, 0))
        for kind in (DataKind.RECORD, DataKind.AUDIO, DataKind.TRANSCRIPT):
            async for batch in self._due(kind, retention, instance):
                await self._dispose(kind, batch)
                gone[kind] += len(batch)
        gone[DataKind.AUDIT] = await self._dispose_audit(retention)
        if gone.total():
            await self._database.purge()
        return gone

    async def count_due(self, retention: Retention, *, instance: str | None = None) -> Counter[DataKind]:
        """Return what `retain` would delete of calls, by kind."""
        due: Counter[DataKind] = Counter()
        for kind in (DataKind.RECORD, DataKind.AUDIO, DataKind.TRANSCRIPT):
            async with self._database.connect() as connection:
                query = _due_query(kind, retention, self._now(), instance).order_by(None).subquery()
                due[kind] = await connection.scalar(select(func.count()).select_from(query)) or 0
        return due

    async def _due(
        self, kind: DataKind, retention: Retention, instance: str | None
    ) -> AsyncIterator[Sequence[Row[Any]]]:
        query = _due_query(kind, retention, self._now(), instance).limit(_BATCH)
        while True:
            async with self._database.connect() as connection:
                batch = (await connection.execute(query)).all()
            if not batch:
                return
            yield batch

    async def _dispose(self, kind: DataKind, calls: Sequence[Row[Any]]) -> None:
        ids, digests = [call.id for call in calls], {}
        if kind is not DataKind.TRANSCRIPT:
            digests = {call_id: await self._recordings.erase(call_id) for call_id in ids}
        async with self._database.begin() as connection:
            told = [await _described(connection, call, digests.get(call.id)) for call in calls]
            match kind:
                case DataKind.RECORD:
                    await _delete_calls(connection, ids)
                case DataKind.AUDIO:
                    values = {"audio_deleted_at": self._now()}
                    await connection.execute(update(CALLS).where(CALLS.c.id.in_(ids)).values(values))
                    await connection.execute(delete(RECORDINGS).where(RECORDINGS.c.call_id.in_(ids)))
                case _:
                    values = {"transcript_deleted_at": self._now()}
                    await connection.execute(update(CALLS).where(CALLS.c.id.in_(ids)).values(values))
                    await connection.execute(update(TURNS).where(TURNS.c.call_id.in_(ids)).values(_NO_WORDS))
                    await connection.execute(delete(CONTEXTS).where(CONTEXTS.c.call_id.in_(ids)))
                    for table, emptied in _SAID_ELSEWHERE:
                        await connection.execute(update(table).where(table.c.call_id.in_(ids)).values(emptied))
                    await connection.execute(update(CALL_NOTES).where(CALL_NOTES.c.call_id.in_(ids)).values(text=""))
            await append(connection, [self._retention_entry({"kind": kind.value, "calls": told})])

    async def _dispose_audit(self, retention: Retention) -> int:
        days = retention.days.get(DataKind.AUDIT)
        if days is None:
            return 0
        old = AUDIT.c.at < self._now() - timedelta(days=days)
        held = select(literal("call:") + CALLS.c.id).where(_held())
        query = (
            select(AUDIT.c.number)
            .join(AUDIT_CONTENTS, AUDIT_CONTENTS.c.number == AUDIT.c.number)
            .where(old, AUDIT.c.action != DELETED, AUDIT.c.subject.not_in(held))
            .limit(_AUDIT_BATCH)
        )
        gone = 0
        while True:
            async with self._database.begin() as connection:
                numbers = sorted(await connection.scalars(query))
                if not numbers:
                    return gone
                await connection.execute(delete(AUDIT_CONTENTS).where(AUDIT_CONTENTS.c.number.in_(numbers)))
                content = {"kind": DataKind.AUDIT.value, "audit_contents": _ranges(numbers)}
                await append(connection, [self._retention_entry(content)])
            gone += len(numbers)

    def _retention_entry(self, content: Mapping[str, Any]) -> AuditEntry:
        return AuditEntry(self._now(), "retention", DELETED, f"deletion:{uuid.uuid4().hex}", content)


def _held() -> ColumnElement[bool]:
    return exists().where(or_(LEGAL_HOLDS.c.call_id == CALLS.c.id, LEGAL_HOLDS.c.caller == CALLS.c.caller))


def _due_query(kind: DataKind, retention: Retention, now: datetime, instance: str | None) -> Any:
    query = select(CALLS).where(retention.due(kind, now), ~_held()).order_by(CALLS.c.ended_at)
    if instance is not None:
        query = query.where(CALLS.c.instance == instance)
    if kind is DataKind.AUDIO:
        recorded = exists().where(RECORDINGS.c.call_id == CALLS.c.id)
        return query.where(CALLS.c.audio_deleted_at.is_(None), recorded)
    return query.where(CALLS.c.transcript_deleted_at.is_(None)) if kind is DataKind.TRANSCRIPT else query


def _check_deletable(calls: Sequence[Row[Any]], call_ids: Sequence[str]) -> None:
    missing = set(call_ids) - {call.id for call in calls}
    if missing or not calls:
        raise DisposalRefused(f"There is no call {', '.join(sorted(missing))}." if missing else "There are no calls.")
    if held := [call.id for call in calls if call.held]:
        raise DisposalRefused(f"Under a legal hold: {', '.join(held)}. Nothing was deleted.")
    if live := [call.id for call in calls if call.ended_at is None]:
        raise DisposalRefused(f"Still going on: {', '.join(live)}. Nothing was deleted.")


async def _described(connection: AsyncConnection, call: Row[Any], recording: str | None) -> dict[str, Any]:
    """Say what a call held without saying it: digests, counts and times."""
    turns = (await connection.execute(select(TURNS).where(TURNS.c.call_id == call.id).order_by(TURNS.c.number))).all()
    columns = [call[number] for number, _ in enumerate(CALLS.c)]
    record = json.dumps([columns, [list(turn) for turn in turns]], default=str, sort_keys=True)
    return {
        "call_id": call.id,
        "started_at": call.started_at.isoformat(),
        "turns": len(turns),
        "record_sha256": hashlib.sha256(record.encode()).hexdigest(),
        "recording_sha256": recording,
    }


async def _delete_calls(connection: AsyncConnection, ids: Sequence[str]) -> None:
    for table in _OF_CALLS:
        await connection.execute(delete(table).where(table.c.call_id.in_(ids)))
    await connection.execute(delete(CALLS).where(CALLS.c.id.in_(ids)))


async def _forget_contents(connection: AsyncConnection, subjects: Sequence[str]) -> list[list[int]]:
    numbers = sorted(await connection.scalars(select(AUDIT.c.number).where(AUDIT.c.subject.in_(subjects))))
    await connection.execute(delete(AUDIT_CONTENTS).where(AUDIT_CONTENTS.c.number.in_(numbers)))
    return _ranges(numbers)


def _ranges(numbers: Sequence[int]) -> list[list[int]]:
    """Write sorted numbers as stretches, first and last of each."""
    stretches = []
    for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        found = [number for _, number in run]
        stretches.append([found[0], found[-1]])
    return stretches


def _certified(content: Mapping[str, Any], head: Head) -> dict[str, Any]:
    return {**content, "audit_entry": {"number": head.number, "hash": head.hash}}
