"""Deletes what was kept for long enough or what a customer wants gone, unless a legal hold keeps it; all of it audited.

Files go first, then rows and the entry that says so, in one transaction: whatever is broken off is finished by the next
run. Every deletion is an audit entry that names digests of what went, never what it said, so it is the certificate too.

A hold may be placed at any moment. Both sides lock the calls they are about, one call at a time just before its file
goes, and look at the holds again under that lock: whichever comes first stands, and nothing goes that was held before.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Row, Select, delete, exists, func, insert, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from voicebot.errors import VoicebotError
from voicebot.records.audit import DELETED, AuditEntry, Head, append
from voicebot.records.database import Database
from voicebot.records.emptying import (
    audited,
    audited_elsewhere,
    delete_calls,
    delete_continuations,
    delete_words,
    described,
    forget_contents,
    ranges,
)
from voicebot.records.record import RecordingState
from voicebot.records.retention import DataKind, Retention
from voicebot.records.tables import AFTER_CALLS, AUDIT, AUDIT_CONTENTS, CALLS, LEGAL_HOLDS, RECORDINGS

_BATCH = 100
_AUDIT_BATCH = 5000
#: Why something of a customer's is still there after a deletion; a certificate says so.
_GOES_ON = "the call still goes on; delete again once it is over"
_HELD = "legal hold"
_HELD_TOO_LATE = "legal hold, placed after its recording was deleted"
_CHAIN = "digests without contents, so that the audit trail can still be proved"


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
        about = CALLS.c.id == call_id if call_id is not None else CALLS.c.caller == caller
        async with self._database.begin() as connection:
            locked = (await connection.scalars(_locked(about))).all()
            if call_id is not None and not locked:
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
        self,
        *,
        call_ids: Sequence[str] = (),
        caller: str | None = None,
        customer: Collection[str] = (),
        by: str,
        reason: str,
    ) -> dict[str, Any]:
        """Delete whole calls and chats, with recordings and what audit entries say of them; return the certificate.

        They are named by id, by the `caller`'s number, or as those of a `customer` who proved who they are, given as
        the hashes that may name them. With a number or a customer goes what they could go on with. What a hold keeps
        of theirs, or still goes on, stays, and the certificate says what and why.
        DisposalRefused, with nothing deleted, when there are none, or one that was named is held or still goes on.
        """
        named: ColumnElement[bool] = CALLS.c.id.in_(call_ids)
        if customer:
            proved = select(AFTER_CALLS.c.call_id).where(AFTER_CALLS.c.customer.in_(customer))
            named = CALLS.c.id.in_(proved)
        elif caller is not None:
            named = CALLS.c.caller == caller
        async with self._database.connect() as connection:
            calls = (await connection.execute(select(CALLS, _is_held().label("held")).where(named))).all()
        _check_deletable(calls, call_ids)
        kept = [_kept(call.id, _GOES_ON) for call in calls if call.ended_at is None and not call.held]
        kept += [_kept(call.id, _HELD) for call in calls if call.held]
        erased: dict[str, str | None] = {}
        for call in calls:
            if call.ended_at is None or call.held:
                continue
            if await self._claim(call.id):
                erased[call.id] = await self._recordings.erase(call.id)
            else:
                kept.append(_kept(call.id, _HELD))
        certificate = {"id": uuid.uuid4().hex, "at": self._now().isoformat(), "by": by, "reason": reason}
        async with self._database.begin() as connection:
            late = await _held_among(connection, list(erased))
            kept += [_kept(call_id, _HELD_TOO_LATE) for call_id in sorted(late)]
            await self._without_audio(connection, late)
            gone = [call for call in calls if call.id in erased and call.id not in late]
            told = [await described(connection, call, erased[call.id]) for call in gone]
            ids = [call.id for call in gone]
            callers = {caller or "", *(call.caller for call in gone)} - {""}
            numbers = await audited(connection, ids)
            await delete_calls(connection, ids)
            numbers = sorted({*numbers, *await audited_elsewhere(connection, callers)})
            await forget_contents(connection, numbers)
            continuations = await delete_continuations(connection, callers, ids)
            if numbers:
                kept.append({"what": "audit chain", "entries": ranges(numbers), "why": _CHAIN})
            content = {
                **certificate,
                "kind": DataKind.RECORD.value,
                "calls": told,
                "continuations": continuations,
                "audit_contents": ranges(numbers),
                "kept": kept,
            }
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
                gone[kind] += await self._dispose(kind, batch)
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

    async def _claim(self, call_id: str) -> bool:
        """Decide, under the lock that a hold takes too, that a call's recording goes; False when it is held."""
        async with self._database.begin() as connection:
            if await _held_among(connection, [call_id]):
                return False
            gone = update(RECORDINGS).where(RECORDINGS.c.call_id == call_id)
            await connection.execute(gone.values(state=RecordingState.DELETED.value))
        return True

    async def _without_audio(self, connection: AsyncConnection, ids: Collection[str]) -> None:
        values = {"audio_deleted_at": self._now()}
        await connection.execute(update(CALLS).where(CALLS.c.id.in_(ids)).values(values))
        await connection.execute(delete(RECORDINGS).where(RECORDINGS.c.call_id.in_(ids)))

    async def _dispose(self, kind: DataKind, calls: Sequence[Row[Any]]) -> int:
        """Delete one kind of calls' data but for what was held meanwhile; return how many lost it."""
        digests: dict[str, str | None] = dict.fromkeys(call.id for call in calls)
        if kind is not DataKind.TRANSCRIPT:
            digests = {call.id: await self._recordings.erase(call.id) for call in calls if await self._claim(call.id)}
        async with self._database.begin() as connection:
            late = await _held_among(connection, list(digests))
            gone = [call for call in calls if call.id in digests and call.id not in late]
            ids = [call.id for call in gone]
            told = [await described(connection, call, digests[call.id]) for call in gone]
            match kind:
                case DataKind.RECORD:
                    await delete_calls(connection, ids)
                case DataKind.AUDIO:
                    await self._without_audio(connection, ids)
                case _:
                    values = {"transcript_deleted_at": self._now()}
                    await connection.execute(update(CALLS).where(CALLS.c.id.in_(ids)).values(values))
                    await delete_words(connection, ids)
            kept = []
            if kind is not DataKind.TRANSCRIPT:
                await self._without_audio(connection, late)
                kept = [_kept(call_id, _HELD_TOO_LATE) for call_id in sorted(late)]
            if told or kept:
                content = {"kind": kind.value, "calls": told} | ({"kept": kept} if kept else {})
                await append(connection, [self._retention_entry(content)])
        return len(gone)

    async def _dispose_audit(self, retention: Retention) -> int:
        days = retention.days.get(DataKind.AUDIT)
        if days is None:
            return 0
        old = AUDIT.c.at < self._now() - timedelta(days=days)
        held = select(literal("call:") + CALLS.c.id).where(_is_held())
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
                content = {"kind": DataKind.AUDIT.value, "audit_contents": ranges(numbers)}
                await append(connection, [self._retention_entry(content)])
            gone += len(numbers)

    def _retention_entry(self, content: Mapping[str, Any]) -> AuditEntry:
        return AuditEntry(self._now(), "retention", DELETED, f"deletion:{uuid.uuid4().hex}", content)


def _is_held() -> ColumnElement[bool]:
    return exists().where(or_(LEGAL_HOLDS.c.call_id == CALLS.c.id, LEGAL_HOLDS.c.caller == CALLS.c.caller))


def _due_query(kind: DataKind, retention: Retention, now: datetime, instance: str | None) -> Any:
    query = select(CALLS).where(retention.due(kind, now), ~_is_held()).order_by(CALLS.c.ended_at)
    if instance is not None:
        query = query.where(CALLS.c.instance == instance)
    if kind is DataKind.AUDIO:
        recorded = exists().where(RECORDINGS.c.call_id == CALLS.c.id)
        return query.where(CALLS.c.audio_deleted_at.is_(None), recorded)
    return query.where(CALLS.c.transcript_deleted_at.is_(None)) if kind is DataKind.TRANSCRIPT else query


def _locked(about: ColumnElement[bool]) -> Select[tuple[str]]:
    """Select the ids of calls so that nobody else holds or deletes them until the transaction ends.

    Always in the same order, so that two who do so wait for one another and never both. SQLite has one writer anyway.
    """
    return select(CALLS.c.id).where(about).order_by(CALLS.c.id).with_for_update()


async def _held_among(connection: AsyncConnection, ids: Sequence[str]) -> set[str]:
    """Lock calls and return those that are held. A statement of its own: the lock may have been waited for."""
    await connection.execute(_locked(CALLS.c.id.in_(ids)))
    return set(await connection.scalars(select(CALLS.c.id).where(CALLS.c.id.in_(ids), _is_held())))


def _check_deletable(calls: Sequence[Row[Any]], call_ids: Sequence[str]) -> None:
    missing = set(call_ids) - {call.id for call in calls}
    if missing or not calls:
        raise DisposalRefused(f"There is no call {', '.join(sorted(missing))}." if missing else "There are no calls.")
    deletable = [call for call in calls if not call.held and call.ended_at is not None]
    if deletable and not call_ids:
        return
    if held := [call.id for call in calls if call.held]:
        raise DisposalRefused(f"Under a legal hold: {', '.join(held)}. Nothing was deleted.")
    if live := [call.id for call in calls if call.ended_at is None]:
        raise DisposalRefused(f"Still going on: {', '.join(live)}. Nothing was deleted.")


def _kept(call_id: str, why: str) -> dict[str, Any]:
    return {"what": "call", "call_id": call_id, "why": why}


def _certified(content: Mapping[str, Any], head: Head) -> dict[str, Any]:
    return {**content, "audit_entry": {"number": head.number, "hash": head.hash}}
