"""Operations on a database by the statements of ``systems.yaml``; each write in one transaction with its key."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Column, Connection, MetaData, String, Table, Text, create_engine, insert, make_url, select, text
from sqlalchemy.exc import SQLAlchemyError

from voicebot.backends.backends import BackendResult
from voicebot.backends.conversion import Unconvertible, typed, written
from voicebot.backends.sqlite import from_json, to_json
from voicebot.backends.systems import SqlSpec, Statement
from voicebot.dialog.events import SlotValue
from voicebot.dialog.flow import Operation
from voicebot.errors import BackendUnavailable, LocalProtocolError

_METADATA = MetaData()
#: Stands in the customer's own database: only there can it be written in the same transaction as the write itself.
_DONE_WRITES = Table(
    "voicebot_done_write",
    _METADATA,
    Column("key", String(200), primary_key=True),
    Column("operation", String(200), nullable=False),
    Column("outcome", String(100), nullable=False),
    Column("result", Text, nullable=False),
)
_THREADS = 4
#: What takes longer is broken off by the database itself, before the caller is told that it failed: a write that waits
#: for a lock must not happen after that.
STATEMENT_LIMIT_S = 7.0
_CONNECT_LIMIT_S = 5


class SqlSystem:
    """One database. Reads run in a transaction that is rolled back, so that no statement can write by mistake."""

    def __init__(
        self,
        spec: SqlSpec,
        contracts: Mapping[str, Operation],
        url: str,
        *,
        statement_limit_s: float = STATEMENT_LIMIT_S,
    ) -> None:
        """Take a SQLAlchemy URL; nothing is opened before the first call.

        PostgreSQL breaks off statements after `statement_limit_s`, and connections that are lost are noticed.
        """
        self._spec = spec
        self._contracts = contracts
        self._engine = create_engine(url, pool_pre_ping=True, connect_args=_limits(url, statement_limit_s))
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"sql-{spec.name}")
        self._has_table = False
        # For one transaction, since poolers refuse what they do not know when a connection begins.
        self._limit = f"SET LOCAL statement_timeout = {round(statement_limit_s * 1000)}"

    @property
    def operations(self) -> frozenset[str]:
        return frozenset(self._spec.statements)

    async def call(
        self, operation: str, arguments: Mapping[str, SlotValue], *, idempotency_key: str | None
    ) -> BackendResult:
        """Run the statement in a thread; `BackendUnavailable` names the kind of trouble, never a value."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._run, operation, dict(arguments), idempotency_key)

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)
        self._engine.dispose()

    def _run(self, operation: str, arguments: dict[str, SlotValue], key: str | None) -> BackendResult:
        contract, statement = self._contracts[operation], self._spec.statements[operation]
        if self._engine.dialect.name == "sqlite":  # it has no types of its own for money, days and times
            arguments = {name: _plain(value) for name, value in arguments.items()}
        try:
            if not contract.write:
                with self._engine.connect() as connection:
                    self._set_limit(connection)
                    result = _read(connection, contract, statement, arguments)
                    connection.rollback()
                return result
            if not self._has_table:
                _METADATA.create_all(self._engine)
                self._has_table = True
            with self._engine.begin() as connection:
                self._set_limit(connection)
                return _write_once(connection, contract, statement, arguments, key or "")
        except SQLAlchemyError as error:
            kind = type(error).__name__
            raise BackendUnavailable(f"The database '{self._spec.name}' failed at '{operation}' ({kind}).") from error
        except Unconvertible as error:
            raise BackendUnavailable(f"'{operation}' gave a value that is {error}.") from error

    def _set_limit(self, connection: Connection) -> None:
        if self._engine.dialect.name == "postgresql":
            connection.exec_driver_sql(self._limit)


def _limits(url: str, limit_s: float) -> dict[str, object]:
    """Return what has libpq give up in time; what the URL says itself goes before it."""
    parsed = make_url(url)
    if parsed.get_driver_name() not in {"psycopg", "psycopg2"}:
        return {}
    limits: dict[str, object] = {"connect_timeout": _CONNECT_LIMIT_S, "tcp_user_timeout": round(limit_s * 1000)}
    return {name: value for name, value in limits.items() if name not in parsed.query}


def _plain(value: SlotValue) -> SlotValue:
    return value if isinstance(value, str | int) else written(value)


def _read(
    connection: Connection, contract: Operation, statement: Statement, arguments: Mapping[str, SlotValue]
) -> BackendResult:
    row = connection.execute(text(statement.sql), arguments).mappings().first()
    if row is None:
        return BackendResult(statement.nothing) if statement.nothing else BackendResult("ok")
    found = {name: typed(row[name], kind) for name, kind in contract.results.items() if name in row}
    return BackendResult("ok", found)


def _write_once(
    connection: Connection,
    contract: Operation,
    statement: Statement,
    arguments: Mapping[str, SlotValue],
    key: str,
) -> BackendResult:
    done = connection.execute(select(_DONE_WRITES).where(_DONE_WRITES.c.key == key)).mappings().first()
    if done:
        if done["operation"] != contract.name:
            raise LocalProtocolError(f"An idempotency key of '{done['operation']}' came again for '{contract.name}'.")
        return BackendResult(done["outcome"], from_json(done["result"]))
    answer = connection.execute(text(statement.sql), arguments)
    result = BackendResult("ok")
    if answer.returns_rows:
        row = answer.mappings().first()
        changed = row is not None
        if row is not None:
            found = {name: typed(row[name], kind) for name, kind in contract.results.items() if name in row}
            result = BackendResult("ok", found)
    else:
        changed = answer.rowcount > 0
    if not changed and statement.nothing:
        result = BackendResult(statement.nothing)
    # The primary key makes the second of two at once fail, and with it everything else in its transaction.
    connection.execute(
        insert(_DONE_WRITES).values(
            key=key, operation=contract.name, outcome=result.outcome, result=to_json(result.result)
        )
    )
    return result
