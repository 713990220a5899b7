"""Where everything that must last lies: one SQLite file beside the recordings, or a PostgreSQL that servers share."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Insert, Table, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from voicebot.errors import ConfigurationError, Problem
from voicebot.records.migrations import migrate, migrate_down

SQLITE_FILE = "voicebot.sqlite3"
_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
#: First half of the locks by which servers on one PostgreSQL keep their names apart; the second is the name's.
_INSTANCE_LOCKS = 1_986_354_283
#: A network that swallows packets must not hold a connection for ever.
_POSTGRESQL_CONNECTION = {
    "connect_timeout": 10,
    "tcp_user_timeout": 20_000,
    "keepalives_idle": 30,
    # A search is planned for the words it is for; poolers, too, know no prepared statements.
    "prepare_threshold": None,
}
#: Execution option of transactions that will write.
_WRITES = "voicebot_writes"


def insert_new(connection: AsyncConnection, table: Table, values: Mapping[str, Any]) -> Insert:
    """Return what adds a row unless one like it is there, which stands then."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return insert(table).values(values).on_conflict_do_nothing()


def locate(data: Path, url: str | None = None) -> URL:
    """Return the database's URL: `url` if given, such as ``postgresql://host/name``, else the file in folder `data`.

    ConfigurationError when `url` is none or names another kind of database.
    """
    if url is None:
        return _beside(data)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise _refusal("is no URL of a database") from None
    driver = _DRIVERS.get(parsed.get_backend_name().partition("+")[0])
    if driver is None:
        raise _refusal(f"names a database of the kind {parsed.get_backend_name()}, which is not supported")
    if driver == _DRIVERS["sqlite"] and not (parsed.database and Path(parsed.database).is_absolute()):
        raise _refusal("must name SQLite's file by its whole path, such as sqlite:////var/lib/voicebot/calls.sqlite3")
    return parsed.set(drivername=driver)


def _beside(data: Path) -> URL:
    """Return the URL of the file in a data folder, which is where records lie unless somebody says otherwise."""
    return URL.create(_DRIVERS["sqlite"], database=str(data.resolve() / SQLITE_FILE))


def _refusal(what: str) -> ConfigurationError:
    fix = "Write postgresql://USER@HOST/NAME, or leave it out for an SQLite file in the data folder."
    return ConfigurationError([Problem("settings", None, f"`database_url` {what}.", fix)])


@dataclass(frozen=True, slots=True)
class Database:
    """An open database. `connect` is for reading, `begin` is one transaction that may write."""

    url: URL
    engine: AsyncEngine

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: URL) -> AsyncIterator[Self]:
        """Open the database at `url` as it is, beside a server that may be running on it.

        ConfigurationError when it is not there.
        """
        file = _sqlite_file(url)
        if file is not None and not await asyncio.to_thread(file.is_file):
            what, fix = "There is no database here.", "Name the server's data folder with --data."
            raise ConfigurationError([Problem(str(file.parent), None, what, fix)])
        engine = _engine(url)
        try:
            await _reach(url, engine)
            yield cls(url, engine)
        finally:
            await engine.dispose()

    @classmethod
    @asynccontextmanager
    async def prepared(cls, url: URL) -> AsyncIterator[Self]:
        """Open the database at `url`, made or brought to its present form, beside a server that may be running on it.

        ConfigurationError when it cannot be reached.
        """
        _make_private(url)
        engine = _engine(url)
        try:
            await _reach(url, engine)
            database = cls(url, engine)
            await database.migrate()
            yield database
        finally:
            await engine.dispose()

    @classmethod
    @asynccontextmanager
    async def served(cls, url: URL, *, instance: str) -> AsyncIterator[Self]:
        """Open the database for the server called `instance`, made or brought to its present form.

        ConfigurationError when it cannot be reached, when another server uses the same SQLite file, or when one of the
        same name uses the same PostgreSQL: each would close the other's calls as abandoned.
        """
        with _alone(url):
            engine = _engine(url)
            try:
                await _reach(url, engine)
                async with _name_taken(engine, instance):
                    database = cls(url, engine)
                    await database.migrate()
                    yield database
            finally:
                await engine.dispose()

    @property
    def is_postgresql(self) -> bool:
        return self.engine.dialect.name == "postgresql"

    def connect(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Connect to read; everything read over one connection is of one moment on SQLite, one statement's else."""
        return self.engine.connect()

    def begin(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Begin to write: committed when the block ends, undone when it raises.

        On SQLite the lock is taken at once, so what is read before writing is still so when it is written.
        """
        return self.engine.execution_options(**{_WRITES: True}).begin()

    async def purge(self) -> None:
        """Make sure that what was deleted is gone from the files too, as far as the database can."""
        if self.is_postgresql:
            statements = ["VACUUM"]
        else:
            # The index keeps what was deleted until its parts are merged, the log until it is written back.
            statements = [
                "INSERT INTO call_words_index (call_words_index) VALUES ('optimize')",
                "PRAGMA wal_checkpoint(TRUNCATE)",
            ]
        async with self.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            for statement in statements:
                await connection.exec_driver_sql(statement)

    async def migrate(self) -> None:
        """Bring the tables to the form that the code expects; several servers may do so at once."""
        await self._altered(migrate)

    async def migrate_down(self, revision: str) -> None:
        """Take the tables back to `revision`; what later ones added is lost."""
        await self._altered(lambda connection: migrate_down(connection, revision))

    async def _altered(self, alter: Callable[[Connection], None]) -> None:
        # SQLite rebuilds a table to alter it; with foreign keys enforced, dropping the old one would take rows along.
        engine = _engine(self.url, foreign_keys=False)
        try:
            async with Database(self.url, engine).begin() as connection:
                await connection.run_sync(alter)
        finally:
            await engine.dispose()


def _engine(url: URL, *, foreign_keys: bool = True) -> AsyncEngine:
    # Parameters stay out of error messages: they are what callers said.
    if url.get_backend_name() == "postgresql":
        return create_async_engine(url, hide_parameters=True, pool_pre_ping=True, connect_args=_POSTGRESQL_CONNECTION)
    engine = create_async_engine(url, hide_parameters=True)

    def prepare(connection: DBAPIConnection, _record: object) -> None:
        # Transactions are begun by us, since sqlite3 begins one only at the first change.
        connection.isolation_level = None
        cursor = connection.cursor()
        # WAL lets pages read while a call is written; FULL survives a power cut, not only a crash.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "secure_delete=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")
        cursor.close()

    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
            return
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITES) else "BEGIN")

    event.listen(engine.sync_engine, "connect", prepare)
    event.listen(engine.sync_engine, "begin", begin)
    return engine


async def _reach(url: URL, engine: AsyncEngine) -> None:
    """Connect once; ConfigurationError, without the password, when that does not work."""
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    except OperationalError as error:
        where = url.render_as_string(hide_password=True)
        # Drivers write several lines.
        what = f"`database_url` {where} does not answer: {' '.join(str(error.orig).split()).rstrip('.')}."
        raise ConfigurationError([Problem("settings", None, what, "Start it, or correct the URL.")]) from None


@asynccontextmanager
async def _name_taken(engine: AsyncEngine, instance: str) -> AsyncIterator[None]:
    """Hold a server's name on a PostgreSQL, over one connection that stays open."""
    if engine.dialect.name != "postgresql":
        yield
        return
    # Stable over processes, and within the four signed bytes that the lock has.
    name = int.from_bytes(hashlib.sha256(instance.encode()).digest()[:4], signed=True)
    lock = {"locks": _INSTANCE_LOCKS, "name": name}
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        if not await connection.scalar(text("SELECT pg_try_advisory_lock(:locks, :name)"), lock):
            what = f"Another server called '{instance}' is using this database."
            fix = "Stop it, or give this one a name of its own with VOICEBOT_INSTANCE."
            raise ConfigurationError([Problem("settings", None, what, fix)])
        try:
            yield
        finally:
            # Closed, not given back: a pooled connection would keep the lock.
            await connection.invalidate()


def _sqlite_file(url: URL) -> Path | None:
    return Path(str(url.database)) if url.get_backend_name() == "sqlite" else None


def _make_private(url: URL) -> None:
    """Make an SQLite file before SQLite does, which would let everybody read it; its companions copy its mode."""
    path = _sqlite_file(url)
    if path is not None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


@contextmanager
def _alone(url: URL) -> Iterator[None]:
    """Keep a second server away from an SQLite file."""
    path = _sqlite_file(url)
    if path is None:
        yield
        return
    _make_private(url)
    lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            what = "Another server is using this database."
            fix = "Stop it, or give this one another --data folder; several servers need PostgreSQL."
            raise ConfigurationError([Problem(str(path), None, what, fix)]) from None
        yield
    finally:
        os.close(lock)
