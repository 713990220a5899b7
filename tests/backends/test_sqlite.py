from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Mapping
from contextlib import closing
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path

import pytest

from voicebot.backends.backends import BackendResult
from voicebot.backends.sqlite import WRITES_TABLE, Handler, SqliteSystem
from voicebot.dialog.events import SlotValue
from voicebot.errors import BackendUnavailable, LocalProtocolError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "system.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(WRITES_TABLE)
        connection.execute("CREATE TABLE visit (who TEXT)")
    return path


def visit(connection: sqlite3.Connection, arguments: Mapping[str, SlotValue]) -> BackendResult:
    connection.execute("INSERT INTO visit VALUES (?)", (arguments["who"],))
    count = connection.execute("SELECT count(*) FROM visit").fetchone()[0]
    return BackendResult("ok", {"number": count, "when": date(2026, 3, 2), "at": time(9, 30), "cost": Decimal("1.50")})


def count(connection: sqlite3.Connection, arguments: Mapping[str, SlotValue]) -> BackendResult:
    return BackendResult("ok", {"number": connection.execute("SELECT count(*) FROM visit").fetchone()[0]})


def system(path: Path, **handlers: Handler) -> SqliteSystem:
    return SqliteSystem(path, {f"visits.{name}": handler for name, handler in handlers.items()})


async def test_a_write_repeated_with_its_key_gives_the_first_result_and_writes_nothing(path: Path) -> None:
    visits = system(path, add=visit, count=count)
    first = await visits.call("visits.add", {"who": "Ann"}, idempotency_key="call-1/1")
    again = await visits.call("visits.add", {"who": "Ann"}, idempotency_key="call-1/1")
    other = await visits.call("visits.add", {"who": "Ann"}, idempotency_key="call-1/2")
    assert again == first
    assert other.result["number"] == 2
    assert (await visits.call("visits.count", {}, idempotency_key=None)).result == {"number": 2}
    await visits.close()


async def test_the_same_write_from_twenty_tasks_at_once_is_done_once(path: Path) -> None:
    visits = system(path, add=visit, count=count)
    calls = [visits.call("visits.add", {"who": "Ann"}, idempotency_key="one") for _ in range(20)]
    results = await asyncio.gather(*calls)
    assert len({repr(result) for result in results}) == 1
    assert (await visits.call("visits.count", {}, idempotency_key=None)).result == {"number": 1}
    await visits.close()


async def test_a_write_that_fails_half_way_leaves_nothing_and_can_be_tried_again(path: Path) -> None:
    broken = True

    def fragile(connection: sqlite3.Connection, arguments: Mapping[str, SlotValue]) -> BackendResult:
        result = visit(connection, arguments)
        if broken:
            raise sqlite3.OperationalError("disk full")
        return result

    visits = system(path, add=fragile, count=count)
    with pytest.raises(BackendUnavailable, match="OperationalError"):
        await visits.call("visits.add", {"who": "Ann"}, idempotency_key="one")
    assert (await visits.call("visits.count", {}, idempotency_key=None)).result == {"number": 0}
    broken = False
    assert (await visits.call("visits.add", {"who": "Ann"}, idempotency_key="one")).result["number"] == 1
    await visits.close()


async def test_every_type_of_value_survives_the_store(path: Path) -> None:
    values: dict[str, SlotValue | None] = {
        "text": "no",
        "yes": True,
        "no": False,
        "number": 7,
        "money": Decimal("12.30"),
        "day": date(2026, 3, 2),
        "time": time(9, 30),
        "moment": datetime(2026, 3, 2, 9, 30),  # noqa: DTZ001  # a local time is what is stored
        "nothing": None,
    }
    everything = system(path, add=lambda *_: BackendResult("ok", values))
    await everything.call("visits.add", {}, idempotency_key="one")
    again = await everything.call("visits.add", {}, idempotency_key="one")
    assert again.result == values
    assert {name: type(value) for name, value in again.result.items()} == {
        name: type(value) for name, value in values.items()
    }
    await everything.close()


async def test_a_key_that_belongs_to_another_operation_is_refused(path: Path) -> None:
    visits = system(path, add=visit, other=visit)
    await visits.call("visits.add", {"who": "Ann"}, idempotency_key="one")
    with pytest.raises(LocalProtocolError):
        await visits.call("visits.other", {"who": "Ann"}, idempotency_key="one")
    await visits.close()


async def test_a_missing_file_is_an_unavailable_backend_and_no_new_file_appears(tmp_path: Path) -> None:
    visits = system(tmp_path / "nowhere.sqlite", count=count)
    with pytest.raises(BackendUnavailable):
        await visits.call("visits.count", {}, idempotency_key=None)
    assert not (tmp_path / "nowhere.sqlite").exists()
    await visits.close()


async def test_a_slow_operation_does_not_block_the_event_loop(path: Path) -> None:
    release = threading.Event()

    def slow(connection: sqlite3.Connection, arguments: Mapping[str, SlotValue]) -> BackendResult:
        assert release.wait(10)
        return BackendResult("ok")

    visits = system(path, slow=slow)
    task = asyncio.create_task(visits.call("visits.slow", {}, idempotency_key=None))
    await asyncio.sleep(0)
    release.set()  # only reached because the loop went on
    assert (await task).outcome == "ok"
    await visits.close()
