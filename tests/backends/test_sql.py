from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.fakes.postgresql import fresh_database
from voicebot.backends.backends import BackendResult
from voicebot.backends.sql import SqlSystem
from voicebot.backends.systems import SqlSpec, Statement
from voicebot.dialog.flow import Operation
from voicebot.dialog.values import ValueKind
from voicebot.errors import BackendUnavailable, LocalProtocolError

LEVEL = Operation(
    "stock.level",
    {"item": ValueKind.TEXT},
    {"pieces": ValueKind.NUMBER, "price": ValueKind.MONEY, "due": ValueKind.DATE, "rare": ValueKind.YES_NO},
    ("unknown",),
)
RESERVE = Operation("stock.reserve", {"item": ValueKind.TEXT}, {"left": ValueKind.NUMBER}, ("sold_out",), write=True)
PRICE = Operation("stock.price", {"item": ValueKind.TEXT, "price": ValueKind.MONEY}, {}, (), write=True)
CLEAR = Operation("stock.clear", {}, {}, ())
CONTRACTS = {operation.name: operation for operation in (LEVEL, RESERVE, PRICE, CLEAR)}
SPEC = SqlSpec(
    "warehouse",
    "WAREHOUSE_URL",
    {
        "stock.level": Statement("SELECT pieces, price, due, rare FROM stock WHERE item = :item", "unknown"),
        "stock.reserve": Statement(
            'UPDATE stock SET pieces = pieces - 1 WHERE item = :item AND pieces > 0 RETURNING pieces AS "left"',
            "sold_out",
        ),
        "stock.price": Statement("UPDATE stock SET price = :price WHERE item = :item", None),
        "stock.clear": Statement("DELETE FROM stock", None),
    },
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "stock.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE stock (item TEXT, pieces INTEGER, price TEXT, due TEXT, rare INTEGER)")
        connection.execute("INSERT INTO stock VALUES ('lamp', 2, '12.50', '2026-03-05', 1)")
        connection.execute("INSERT INTO stock VALUES ('odd', 'many', '12.50', '2026-03-05', 1)")
    return path


@pytest.fixture
async def system(path: Path) -> AsyncIterator[SqlSystem]:
    system = SqlSystem(SPEC, CONTRACTS, f"sqlite:///{path}")
    yield system
    await system.close()


def pieces(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT pieces FROM stock WHERE item = 'lamp'").fetchone()[0])


async def test_a_row_becomes_a_typed_result(system: SqlSystem) -> None:
    answer = await system.call("stock.level", {"item": "lamp"}, idempotency_key=None)
    due = date(2026, 3, 5)
    assert answer == BackendResult("ok", {"pieces": 2, "price": Decimal("12.50"), "due": due, "rare": True})


async def test_no_row_is_the_named_failure(system: SqlSystem) -> None:
    assert await system.call("stock.level", {"item": "moon"}, idempotency_key=None) == BackendResult("unknown")


async def test_what_a_caller_says_is_never_read_as_sql(system: SqlSystem, path: Path) -> None:
    said = "x'; DROP TABLE stock; --"
    assert (await system.call("stock.level", {"item": said}, idempotency_key=None)).outcome == "unknown"
    assert pieces(path) == 2


async def test_a_statement_that_is_not_declared_to_write_writes_nothing(system: SqlSystem, path: Path) -> None:
    with pytest.raises(BackendUnavailable):  # a DELETE gives no rows to read
        await system.call("stock.clear", {}, idempotency_key=None)
    assert pieces(path) == 2


async def test_a_write_is_done_once_by_its_key_and_again_by_another(system: SqlSystem, path: Path) -> None:
    calls = [system.call("stock.reserve", {"item": "lamp"}, idempotency_key="one") for _ in range(6)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert BackendResult("ok", {"left": 1}) in answers
    assert pieces(path) == 1
    again = await system.call("stock.reserve", {"item": "lamp"}, idempotency_key="one")
    assert again == BackendResult("ok", {"left": 1})
    assert (await system.call("stock.reserve", {"item": "lamp"}, idempotency_key="two")).result == {"left": 0}
    sold_out = await system.call("stock.reserve", {"item": "lamp"}, idempotency_key="three")
    assert sold_out == BackendResult("sold_out")


async def test_money_is_written_exactly(system: SqlSystem) -> None:
    new = Decimal("0.10")
    await system.call("stock.price", {"item": "lamp", "price": new}, idempotency_key="one")
    assert (await system.call("stock.level", {"item": "lamp"}, idempotency_key=None)).result["price"] == new


async def test_a_key_of_another_operation_is_refused(system: SqlSystem) -> None:
    await system.call("stock.reserve", {"item": "lamp"}, idempotency_key="one")
    with pytest.raises(LocalProtocolError):
        await system.call("stock.price", {"item": "lamp", "price": Decimal(1)}, idempotency_key="one")


async def test_a_value_of_another_kind_is_unavailable_and_not_quoted(system: SqlSystem) -> None:
    with pytest.raises(BackendUnavailable, match="not number") as caught:
        await system.call("stock.level", {"item": "odd"}, idempotency_key=None)
    assert "many" not in str(caught.value)


async def test_a_database_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    system = SqlSystem(SPEC, CONTRACTS, f"sqlite:///{tmp_path / 'no' / 'where.sqlite'}")
    with pytest.raises(BackendUnavailable, match="OperationalError"):
        await system.call("stock.level", {"item": "lamp"}, idempotency_key=None)
    await system.close()


async def test_a_write_that_waits_too_long_for_a_lock_is_broken_off_and_not_done_later(
    postgresql_socket: str,
) -> None:
    with fresh_database(postgresql_socket) as url:
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE stock (item TEXT, pieces INTEGER)"))
            connection.execute(text("INSERT INTO stock VALUES ('lamp', 2)"))
        hasty, patient = SqlSystem(SPEC, CONTRACTS, url, statement_limit_s=0.2), SqlSystem(SPEC, CONTRACTS, url)
        with engine.begin() as somebody_else:
            somebody_else.execute(text("LOCK TABLE stock"))
            with pytest.raises(BackendUnavailable, match=r"stock\.reserve"):
                await hasty.call("stock.reserve", {"item": "lamp"}, idempotency_key="call/1")
        reserved = await patient.call("stock.reserve", {"item": "lamp"}, idempotency_key="call/1")
        assert reserved == BackendResult("ok", {"left": 1})
        await hasty.close()
        await patient.close()
        engine.dispose()
