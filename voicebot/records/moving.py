"""Moves the records of an SQLite file to an empty PostgreSQL, for a house that needs a second server."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import insert, inspect, select, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection

from voicebot.errors import VoicebotError
from voicebot.records.database import Database, locate
from voicebot.records.tables import METADATA

_ROWS = 1000
#: Where the work after calls keeps its jobs; they are PostgreSQL's own there, and begin empty.
_JOBS = "workflow_status"


class NotMoved(VoicebotError):
    """Records could not be moved; nothing was written."""


async def move(file: Path, target: URL) -> str:
    """Write everything that the SQLite file holds to the empty database at `target`; return the form of its tables.

    The file is brought to the present form first, so it must be a copy. All is written in one transaction.
    NotMoved while work after calls is under way, which would be forgotten.
    """
    async with Database.prepared(locate(file.parent, f"sqlite:///{file}")) as source:
        async with source.connect() as old:
            if waiting := await _jobs_under_way(old):
                what = f"{waiting} tasks after calls are under way in this database, and would be forgotten."
                fix = "Start a server on SQLite with this backup until they are done, and back up again."
                raise NotMoved(f"{what} {fix}")
        async with Database.prepared(target) as database, source.connect() as old, database.begin() as new:
            for table in METADATA.sorted_tables:
                rows = await old.stream(select(table))
                async for part in rows.mappings().partitions(_ROWS):
                    await new.execute(insert(table), [dict(row) for row in part])
            return str(await new.scalar(text("SELECT version_num FROM alembic_version")))


async def _jobs_under_way(connection: AsyncConnection) -> int:
    if _JOBS not in await connection.run_sync(lambda inside: inspect(inside).get_table_names()):
        return 0
    waiting = text(f"SELECT count(*) FROM {_JOBS} WHERE status IN ('PENDING', 'ENQUEUED')")  # noqa: S608  # a constant
    return int(await connection.scalar(waiting) or 0)
