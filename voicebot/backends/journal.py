"""Remembers writes to systems that cannot do so themselves, so that none is ever done twice."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import structlog

from voicebot.backends.backends import BackendResult
from voicebot.backends.resilience import NotSent
from voicebot.backends.sqlite import from_json, to_json
from voicebot.dialog.events import SlotValue

log = structlog.get_logger(__name__)

#: Its file in the data folder.
WRITES = "writes.sqlite"


class Stage(StrEnum):
    """`BEGUN` without `DONE`: the write may or may not have arrived; only the other side could tell."""

    BEGUN = "begun"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Entry:
    operation: str
    stage: Stage
    result: BackendResult | None


class WriteJournal:
    """One SQLite file, synced to disk before a write leaves the house. Not for reads: they may be repeated."""

    def __init__(self, path: Path) -> None:
        """Open or make the file."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._connect()) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS written (key TEXT PRIMARY KEY, operation TEXT NOT NULL,"
                " stage TEXT NOT NULL, outcome TEXT, result TEXT) WITHOUT ROWID"
            )

    async def begin(self, key: str, operation: str) -> Entry | None:
        """Note that a write is about to leave; returns what is known of an earlier one with this key instead.

        Raises:
            NotSent: It could not be noted, so it must not leave.
        """
        try:
            return await asyncio.to_thread(self._begin, key, operation)
        except sqlite3.Error as error:
            raise NotSent(f"The journal of writes failed at '{operation}' ({type(error).__name__}).") from error

    async def finish(self, key: str, outcome: str, result: Mapping[str, SlotValue | None]) -> None:
        """Note the answer, to be given again to whoever asks with this key.

        Where that fails the answer counts all the same; who asks again is told that nobody knows.
        """
        try:
            await asyncio.to_thread(self._finish, key, outcome, result)
        except sqlite3.Error as error:
            log.error("a write was done and could not be noted", error=type(error).__name__)

    async def forget(self, key: str) -> None:
        """The write is known not to have happened: it may be tried again."""
        await asyncio.to_thread(self._forget, key)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=3.0)
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def _begin(self, key: str, operation: str) -> Entry | None:
        with closing(self._connect()) as connection:
            inserted = connection.execute(
                "INSERT OR IGNORE INTO written (key, operation, stage) VALUES (?, ?, ?)",
                (key, operation, Stage.BEGUN),
            )
            if inserted.rowcount:
                return None
            row = connection.execute(
                "SELECT operation, stage, outcome, result FROM written WHERE key = ?", (key,)
            ).fetchone()
        result = BackendResult(row[2], from_json(row[3])) if row[3] is not None else None
        return Entry(row[0], Stage(row[1]), result)

    def _finish(self, key: str, outcome: str, result: Mapping[str, SlotValue | None]) -> None:
        with closing(self._connect()) as connection:
            connection.execute(
                "UPDATE written SET stage = ?, outcome = ?, result = ? WHERE key = ?",
                (Stage.DONE, outcome, to_json(result), key),
            )

    def _forget(self, key: str) -> None:
        with closing(self._connect()) as connection:
            connection.execute("DELETE FROM written WHERE key = ? AND stage = ?", (key, Stage.BEGUN))


def forget_call(file: Path, call_id: str) -> None:
    """Delete what a journal knows of a call's writes, of what undid them and of the work after it, if there is one.

    It blocks. What systems answered may be about the customer, so it goes with the call.

    Raises:
        OSError: The file is locked or broken.
    """
    if not file.exists():
        return
    try:
        with closing(sqlite3.connect(file, isolation_level=None, timeout=3.0)) as connection:
            connection.execute("PRAGMA secure_delete = ON")
            for prefix in (f"{call_id}/", f"after:{call_id}/", f"undo:{call_id}/"):
                # A range, so that the key's index finds it: a year of calls is deleted one by one.
                end = prefix[:-1] + chr(ord("/") + 1)
                connection.execute("DELETE FROM written WHERE key >= ? AND key < ?", (prefix, end))
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise OSError(f"{file} cannot be written to: {error}. Try again when nobody else uses it.") from error
