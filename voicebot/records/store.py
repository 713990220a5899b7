"""The database of everything that must last: opened, migrated and locked here, written through its journal."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import structlog
from sqlalchemy import Row, Select, func, select, update

from voicebot.records.access.sight import Sight, is_seen
from voicebot.records.audit import AuditReport, AuditSearch, Head, KeptEntry, find, newest, read_heads, verify
from voicebot.records.database import Database, locate
from voicebot.records.journal import Journal, JournalFailure
from voicebot.records.record import (
    BackendCall,
    CallRecord,
    HeardWord,
    IntentReading,
    Outcome,
    RecordingRecord,
    RecordingState,
    Redaction,
    Speaker,
    TurnRecord,
)
from voicebot.records.schema import call_document
from voicebot.records.search import CallSearch, Cursor, select_ids
from voicebot.records.tables import CALLS, RECORDINGS, TURNS
from voicebot.records.vault.index import SERVER_DIED, RecordingIndex, recording_of

log = structlog.get_logger(__name__)

#: Calls read at once when many are wanted.
_PAGE = 200
#: The file in the data folder to which heads of the audit trail are exported.
AUDIT_HEADS = "audit-heads.jsonl"


def _utc_now() -> datetime:
    return datetime.now(UTC)


async def verify_audit(data: Path, *, url: str | None = None) -> AuditReport:
    """Check the audit trail against itself and against the heads exported from it; a server may run meanwhile.

    ConfigurationError when there is no database in `data` or at `url`.
    """
    async with Database.connected(locate(data, url)) as database:
        heads = await asyncio.to_thread(read_heads, data / AUDIT_HEADS)
        async with database.connect() as connection:
            return await verify(connection, heads)


async def read_audit(data: Path, wanted: AuditSearch, *, url: str | None = None, limit: int) -> Sequence[KeptEntry]:
    """Return up to `limit` entries of the audit trail that fit, the newest first; a server may run meanwhile.

    ConfigurationError when there is no database in `data` or at `url`.
    """
    async with Database.connected(locate(data, url)) as database:
        return await CallReader(database).audited(wanted, limit)


class CallReader:
    """Reads calls as JSON-ready documents, also beside a server that runs on the same database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def get(self, call_id: str) -> dict[str, Any] | None:
        """Return the record of a call, shaped as `schema.call_schema` says."""
        documents = await self._read(_CALLS.where(CALLS.c.id == call_id))
        return documents[0] if documents else None

    async def is_seen(self, call_id: str, sight: Sight) -> bool:
        """Tell whether there is such a call in `sight`."""
        async with self.database.connect() as connection:
            found = await connection.scalar(select(CALLS.c.id).where(CALLS.c.id == call_id, is_seen(sight)))
        return found is not None

    async def search(self, wanted: CallSearch, limit: int, after: Cursor | None = None) -> Sequence[dict[str, Any]]:
        """Return the records of up to `limit` calls that fit and follow a place in the list, the latest first.

        SearchRefused when the words hold nothing to search for, or too much.
        """
        query = select_ids(wanted, self.database.engine.dialect.name, limit=limit, after=after)
        async with self.database.connect() as connection:
            ids = [row.id for row in await connection.execute(query)]
        found = {document["id"]: document for document in await self._read(_CALLS.where(CALLS.c.id.in_(ids)))}
        return [found[call_id] for call_id in ids if call_id in found]

    async def every(self, wanted: CallSearch) -> AsyncIterator[dict[str, Any]]:
        """Yield the records of all calls that fit, the latest first, holding no more than a page of them in memory."""
        after = None
        while page := await self.search(wanted, _PAGE, after):
            for document in page:
                yield document
            after = Cursor(datetime.fromisoformat(page[-1]["started_at"]), page[-1]["id"])

    async def audit_head(self) -> Head:
        """Return the newest entry of the audit trail."""
        async with self.database.connect() as connection:
            return await newest(connection)

    async def audited(self, wanted: AuditSearch, limit: int, before: int | None = None) -> Sequence[KeptEntry]:
        """Return up to `limit` entries of the audit trail that fit, the newest first, below the number `before`."""
        async with self.database.connect() as connection:
            return await find(connection, wanted, limit=limit, before=before)

    async def _read(self, query: Select[Any]) -> Sequence[dict[str, Any]]:
        turns: defaultdict[str, list[TurnRecord]] = defaultdict(list)
        async with self.database.connect() as connection:
            calls = (await connection.execute(query)).all()
            of_calls = TURNS.c.call_id.in_([call.id for call in calls])
            for turn in await connection.execute(select(TURNS).where(of_calls).order_by(TURNS.c.number)):
                turns[turn.call_id].append(_turn(turn))
        return [call_document(_call(call, turns[call.id])) for call in calls]


class Store(CallReader):
    """Calls as they were and as they happen: `journal` takes them down, the other methods read JSON-ready documents."""

    def __init__(self, database: Database, journal: Journal) -> None:
        super().__init__(database)
        self.journal = journal
        self.recordings = RecordingIndex(database)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        data: Path,
        *,
        url: str | None = None,
        instance: str = "main",
        on_failure: Callable[[JournalFailure], None],
        on_head: Callable[[Head], None] = lambda _: None,
        now: Callable[[], datetime] = _utc_now,
    ) -> AsyncIterator[Self]:
        """Open the database at `url`, bring it to its present form, and close what a crash left open.

        `data` is the folder of exported audit heads, and of the database too unless `url` says otherwise. `instance`
        names this server process and stays the same over restarts. `on_head` gets each new head of the audit
        trail, `now` dates its entries. ConfigurationError when
        another server uses the same SQLite file, or one of the same name the same PostgreSQL.
        """
        async with Database.served(locate(data, url), instance=instance) as database:
            journal = Journal(
                database,
                instance=instance,
                on_failure=on_failure,
                on_head=on_head,
                heads=data / AUDIT_HEADS,
                now=now,
            )
            store = cls(database, journal)
            await store._close_abandoned(instance)
            async with journal.writing():
                yield store

    async def _close_abandoned(self, instance: str) -> None:
        """Close the calls that this server was carrying when it died, at their last sign of life."""
        last_ms = func.coalesce(func.max(TURNS.c.at_ms + TURNS.c.heard_ms), 0)
        open_calls = (
            select(CALLS.c.id, CALLS.c.started_at, last_ms.label("last_ms"))
            .outerjoin(TURNS, TURNS.c.call_id == CALLS.c.id)
            .where(CALLS.c.instance == instance, CALLS.c.ended_at.is_(None))
            .group_by(CALLS.c.id, CALLS.c.started_at)
        )
        async with self.database.begin() as connection:
            abandoned = (await connection.execute(open_calls)).all()
            for call in abandoned:
                ended_at = call.started_at + timedelta(milliseconds=call.last_ms)
                end = {"ended_at": ended_at, "outcome": Outcome.FAILED.value, "cause": SERVER_DIED}
                await connection.execute(update(CALLS).where(CALLS.c.id == call.id).values(end))
        if abandoned:
            log.warning("calls closed that a crash had left open", calls=len(abandoned))


_CALLS = select(CALLS, *(column for column in RECORDINGS.c if column.name != "call_id")).outerjoin(
    RECORDINGS, RECORDINGS.c.call_id == CALLS.c.id
)


def _call(row: Row[Any], turns: Sequence[TurnRecord]) -> CallRecord:
    return CallRecord(
        id=row.id,
        channel=row.channel,
        started_at=row.started_at,
        ended_at=row.ended_at,
        outcome=Outcome(row.outcome) if row.outcome else None,
        cause=row.cause,
        goal=row.goal,
        goal_reached=row.goal_reached,
        flow_version=row.flow_version,
        direction=row.direction,
        caller=row.caller,
        called=row.called,
        carrier_call_id=row.carrier_call_id,
        dictation=row.dictation,
        recording=_recording(row),
        turns=tuple(turns),
    )


def _recording(row: Row[Any]) -> RecordingRecord | None:
    if row.path is not None:
        return recording_of(row)
    return RecordingRecord("", state=RecordingState.DELETED) if row.audio_deleted_at else None


def _turn(row: Row[Any]) -> TurnRecord:
    values = dict(row._mapping)  # noqa: SLF001  # SQLAlchemy's documented name for a row as a mapping
    del values["call_id"], values["number"]
    values["speaker"] = Speaker(row.speaker)
    values["alternatives"] = tuple(row.alternatives)
    values["words"] = tuple(HeardWord(**word) for word in row.words)
    values["intents"] = tuple(IntentReading(**reading) for reading in row.intents)
    values["backend_calls"] = tuple(BackendCall(**asked) for asked in row.backend_calls)
    values["redactions"] = tuple(Redaction(**redaction) for redaction in row.redactions)
    return TurnRecord(**values)
