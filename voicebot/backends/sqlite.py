"""Operations on a SQLite file, in threads of their own, each write in one transaction with its idempotency key."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path

from voicebot.backends.backends import BackendResult
from voicebot.dialog.events import SlotValue
from voicebot.errors import BackendUnavailable, LocalProtocolError

#: What carries an operation out: reads and writes through the connection, inside a transaction it does not end.
Handler = Callable[[sqlite3.Connection, Mapping[str, SlotValue]], BackendResult]

_BUSY_TIMEOUT_S = 3.0
WRITES_TABLE = """
CREATE TABLE IF NOT EXISTS done_write (
    key TEXT PRIMARY KEY,
    operation TEXT NOT NULL,
    outcome TEXT NOT NULL,
    result TEXT NOT NULL
) WITHOUT ROWID
"""


class SqliteSystem:
    """A system whose data lie in one SQLite file. Handlers are plain functions and never run on the event loop.

    Operations in `bookkeeping` write something that may safely be written twice, such as a count of failed tries; they
    need no key.
    """

    def __init__(
        self,
        path: Path,
        handlers: Mapping[str, Handler],
        *,
        bookkeeping: frozenset[str] = frozenset(),
        threads: int = 4,
    ) -> None:
        self._path = path
        self._handlers = dict(handlers)
        self._bookkeeping = bookkeeping
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="sqlite-backend")

    @property
    def operations(self) -> frozenset[str]:
        return frozenset(self._handlers)

    async def call(
        self, operation: str, arguments: Mapping[str, SlotValue], *, idempotency_key: str | None
    ) -> BackendResult:
        """Run the handler in one transaction; `BackendUnavailable` when the file is missing, locked or broken."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._run, operation, dict(arguments), idempotency_key)

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)

    def _run(self, operation: str, arguments: Mapping[str, SlotValue], key: str | None) -> BackendResult:
        try:
            with closing(connect(self._path)) as connection:
                # IMMEDIATE takes the write lock at once: two callers cannot both find the same slot free.
                writes = key is not None or operation in self._bookkeeping
                connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
                result = self._once(connection, operation, arguments, key)
                connection.execute("COMMIT")
                return result
        except sqlite3.Error as error:
            kind = type(error).__name__
            raise BackendUnavailable(f"The database behind '{operation}' failed ({kind}).") from error

    def _once(
        self, connection: sqlite3.Connection, operation: str, arguments: Mapping[str, SlotValue], key: str | None
    ) -> BackendResult:
        if key is None:
            return self._handlers[operation](connection, arguments)
        row = connection.execute("SELECT operation, outcome, result FROM done_write WHERE key = ?", (key,)).fetchone()
        if row:
            if row[0] != operation:
                raise LocalProtocolError(f"An idempotency key of '{row[0]}' came again for '{operation}'.")
            return BackendResult(row[1], from_json(row[2]))
        result = self._handlers[operation](connection, arguments)
        connection.execute(
            "INSERT INTO done_write (key, operation, outcome, result) VALUES (?, ?, ?, ?)",
            (key, operation, result.outcome, to_json(result.result)),
        )
        return result


def connect(path: Path) -> sqlite3.Connection:
    """Open an existing file; transactions are begun and ended by hand."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=_BUSY_TIMEOUT_S)
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def to_json(result: Mapping[str, SlotValue | None]) -> str:
    """A result as text that `from_json` reads back to equal values of the same types."""
    return json.dumps({name: _encoded(value) for name, value in result.items()})


def _encoded(value: SlotValue | None) -> list[str] | None:
    """A value as its type's name and a text that the type reads back exactly."""
    match value:
        case None:
            return None
        case datetime() | date() | time():
            return [type(value).__name__, value.isoformat()]
        case _:
            return [type(value).__name__, str(value)]


_DECODERS: dict[str, Callable[[str], SlotValue]] = {
    "str": str,
    "int": int,
    "bool": lambda text: text == "True",
    "Decimal": Decimal,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "datetime": datetime.fromisoformat,
}


def from_json(text: str) -> dict[str, SlotValue | None]:
    """A result as `to_json` wrote it."""
    stored = json.loads(text)
    return {name: None if entry is None else _DECODERS[entry[0]](entry[1]) for name, entry in stored.items()}
