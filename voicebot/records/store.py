"""The database of everything that must last: opened, migrated and locked here, written through its journal."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import structlog
from sqlalchemy import Row, Select, event, func, select, update
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from voicebot.errors import ConfigurationError, Problem
from voicebot.records.audit import AuditReport, read_heads, verify
from voicebot.records.journal import Journal, JournalFailure
from voicebot.records.migrations import migrate
from voicebot.records.record import CallRecord, HeardWord, Outcome, RecordingRecord, Speaker, TurnRecord
from voicebot.records.schema import call_document
from voicebot.records.tables import CALLS, RECORDINGS, TURNS

log = structlog.get_logger(__name__)


_SQLITE = "voicebot.sqlite3"


def sqlite_url(data: Path) -> str:
    """Return the URL of the database that lies in the data folder."""
    return f"sqlite+aiosqlite:///{data.resolve() / _SQLITE}"


#: The file in the data folder to which heads of the audit trail are exported.
AUDIT_HEADS = "audit-heads.jsonl"


def _utc_now() -> datetime:
    return datetime.now(UTC)


async def verify_audit(data: Path, *, url: str | None = None) -> AuditReport:
    """Check the audit trail against itself and against the heads exported from it; a server may run meanwhile.

    ConfigurationError when there is no database in `data`.
    """
    if url is None and not await asyncio.to_thread((data / _SQLITE).is_file):
        raise ConfigurationError(
            [Problem(str(data), None, "There is no database here.", "Name the server's data folder with --data.")]
        )
    engine = create_async_engine(url or sqlite_url(data), hide_parameters=True)
    try:
        heads = await asyncio.to_thread(read_heads, data / AUDIT_HEADS)
        async with engine.connect() as connection:
            return await verify(connection, heads)
    finally:
        await engine.dispose()


class Store:
    """Calls as they were and as they happen: `journal` takes them down, the other methods read JSON-ready documents."""

    def __init__(self, engine: AsyncEngine, journal: Journal, data: Path) -> None:
        self._engine = engine
        self._data = data
        self.journal = journal

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        data: Path,
        *,
        url: str | None = None,
        instance: str = "main",
        on_failure: Callable[[JournalFailure], None],
        now: Callable[[], datetime] = _utc_now,
    ) -> AsyncIterator[Self]:
        """Open the database at `url`, bring it to its present form, and close what a crash left open.

        `data` is the folder below which recordings lie, and the database too unless `url` says otherwise. `instance`
        names this server process and stays the same over restarts. `now` dates audit entries. ConfigurationError when
        another server uses the same SQLite file.
        """
        url = url or sqlite_url(data)
        with _alone(url):
            # Parameters stay out of error messages: they are what callers said.
            engine = create_async_engine(url, hide_parameters=True)
            if engine.dialect.name == "sqlite":
                event.listen(engine.sync_engine, "connect", _prepare_sqlite)
            try:
                async with engine.begin() as connection:
                    await connection.run_sync(migrate)
                journal = Journal(engine, instance=instance, on_failure=on_failure, heads=data / AUDIT_HEADS, now=now)
                store = cls(engine, journal, data)
                await store._close_abandoned(instance)
                async with journal.writing():
                    yield store
            finally:
                await engine.dispose()

    async def get(self, call_id: str) -> dict[str, Any] | None:
        """Return the record of a call, shaped as `schema.call_schema` says."""
        documents = await self._read(_CALLS.where(CALLS.c.id == call_id))
        return documents[0] if documents else None

    async def list(self, limit: int, before: str | None = None) -> Sequence[dict[str, Any]]:
        """Return up to `limit` records, the latest first, that began before the ISO 8601 time `before`.

        ValueError when `before` is no time.
        """
        query = _CALLS.order_by(CALLS.c.started_at.desc(), CALLS.c.id).limit(limit)
        if before is not None:
            moment = datetime.fromisoformat(before)
            if moment.tzinfo is None:
                raise ValueError("a time needs its zone, such as 2026-01-31T08:00:00Z")
            query = query.where(CALLS.c.started_at < moment)
        return await self._read(query)

    async def recording(self, call_id: str) -> Path | None:
        """Return the file of a call's recording, or None when there is none or it is gone."""
        async with self._engine.connect() as connection:
            found = await connection.scalar(select(RECORDINGS.c.path).where(RECORDINGS.c.call_id == call_id))
        if found is None:
            return None
        path = (self._data / found).resolve()
        inside = path.is_relative_to(self._data.resolve())
        return path if inside and await asyncio.to_thread(path.is_file) else None

    async def _read(self, query: Select[Any]) -> Sequence[dict[str, Any]]:
        turns: defaultdict[str, list[TurnRecord]] = defaultdict(list)
        async with self._engine.connect() as connection:
            calls = (await connection.execute(query)).all()
            of_calls = TURNS.c.call_id.in_([call.id for call in calls])
            for turn in await connection.execute(select(TURNS).where(of_calls).order_by(TURNS.c.number)):
                turns[turn.call_id].append(_turn(turn))
        return [call_document(_call(call, turns[call.id])) for call in calls]

    async def _close_abandoned(self, instance: str) -> None:
        """Close the calls that this server was carrying when it died, at their last sign of life."""
        last_ms = func.coalesce(func.max(TURNS.c.at_ms + TURNS.c.heard_ms), 0)
        open_calls = (
            select(CALLS.c.id, CALLS.c.started_at, last_ms.label("last_ms"))
            .outerjoin(TURNS, TURNS.c.call_id == CALLS.c.id)
            .where(CALLS.c.instance == instance, CALLS.c.ended_at.is_(None))
            .group_by(CALLS.c.id, CALLS.c.started_at)
        )
        async with self._engine.begin() as connection:
            abandoned = (await connection.execute(open_calls)).all()
            for call in abandoned:
                ended_at = call.started_at + timedelta(milliseconds=call.last_ms)
                end = {"ended_at": ended_at, "outcome": Outcome.FAILED.value, "cause": "server_died"}
                await connection.execute(update(CALLS).where(CALLS.c.id == call.id).values(end))
        if abandoned:
            log.warning("calls closed that a crash had left open", calls=len(abandoned))


_CALLS = select(CALLS, RECORDINGS.c.path, RECORDINGS.c.rate_hz).outerjoin(
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
        recording=RecordingRecord(row.path, row.rate_hz) if row.path else None,
        turns=tuple(turns),
    )


def _turn(row: Row[Any]) -> TurnRecord:
    values = dict(row._mapping)  # noqa: SLF001  # SQLAlchemy's documented name for a row as a mapping
    del values["call_id"], values["number"]
    values["speaker"] = Speaker(row.speaker)
    values["alternatives"] = tuple(row.alternatives)
    values["words"] = tuple(HeardWord(**word) for word in row.words)
    return TurnRecord(**values)


@contextmanager
def _alone(url: str) -> Iterator[None]:
    """Keep a second server away from an SQLite file: it would close the first one's calls as abandoned."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in {None, "", ":memory:"}:
        yield
        return
    path = Path(str(parsed.database))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Made here, since SQLite would let everybody read it; its companions copy the file's mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                [
                    Problem(
                        str(path),
                        None,
                        "Another server is using this database.",
                        "Stop it, or give this one another --data folder; several servers need PostgreSQL.",
                    )
                ]
            ) from None
        yield
    finally:
        os.close(lock)


def _prepare_sqlite(connection: DBAPIConnection, _record: object) -> None:
    cursor = connection.cursor()
    # WAL lets pages read while a call is written; FULL survives a power cut, not only a crash.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
