"""The database opened, shared and altered: on an SQLite file and on a PostgreSQL alike."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, func, inspect, select

from tests.fakes import postgresql
from tests.fakes.sealing import KEYS
from voicebot.errors import ConfigurationError
from voicebot.records.actions import ActionBook, ActionState
from voicebot.records.audit import AuditEntry, append, verify
from voicebot.records.database import Database, locate
from voicebot.records.deeds import Deeds
from voicebot.records.journal import JournalFailure
from voicebot.records.migrations import versions
from voicebot.records.record import Outcome, Speaker, TurnRecord
from voicebot.records.store import Store
from voicebot.records.tables import CALLS, METADATA

STARTED = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


class _Party:
    channel = direction = "x"
    caller = called = carrier_call_id = ""


@pytest.fixture
async def database(tmp_path: Path, database_url: str) -> AsyncIterator[Database]:
    async with Database.served(locate(tmp_path, database_url), instance="main") as opened:
        yield opened


@pytest.fixture
def postgresql_url(postgresql_socket: str) -> Iterator[str]:
    with postgresql.fresh_database(postgresql_socket) as url:
        yield url


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgresql://bot@db/calls", "postgresql+psycopg"),
        ("postgres://bot@db/calls", "postgresql+psycopg"),
        ("postgresql+psycopg://bot@db/calls", "postgresql+psycopg"),
        ("sqlite:////var/lib/calls.sqlite3", "sqlite+aiosqlite"),
        pytest.param(None, "sqlite+aiosqlite", marks=pytest.mark.sqlite),
    ],
)
def test_a_database_is_named_by_a_url(url: str | None, driver: str, tmp_path: Path) -> None:
    assert locate(tmp_path, url).drivername == driver


@pytest.mark.parametrize("url", ["", "calls", "mysql://db/calls", "sqlite://", "sqlite:///calls.sqlite3", "http://x:y"])
def test_what_names_no_database_is_refused_with_what_helps(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"`database_url`.*postgresql://"):
        locate(tmp_path, url)


async def test_a_database_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    url = locate(tmp_path, f"postgresql://bot:hush-hush@/calls?host={tmp_path}")
    with pytest.raises(ConfigurationError, match="does not answer") as caught:
        async with Database.served(url, instance="main"):
            pass
    assert "hush-hush" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


async def test_the_migrations_make_exactly_the_tables_of_the_code(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        options = {
            "compare_type": True,
            "include_name": lambda name, kind, _: kind != "table" or name in METADATA.tables,
        }
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), METADATA))

    async with database.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_migrations_go_down_to_nothing_and_up_again(database: Database) -> None:
    await database.migrate_down("base")
    async with database.connect() as connection:
        assert await connection.run_sync(lambda inside: inspect(inside).get_table_names()) == ["alembic_version"]
    await database.migrate()
    async with database.connect() as connection:
        assert await connection.scalar(select(func.count()).select_from(CALLS)) == 0


async def test_servers_that_start_at_once_make_the_tables_once(tmp_path: Path, postgresql_url: str) -> None:
    async with AsyncExitStack() as stack:
        opened = await asyncio.gather(
            *(
                stack.enter_async_context(
                    Database.served(locate(tmp_path, postgresql_url), instance=f"server-{number}")
                )
                for number in range(4)
            )
        )
        async with opened[0].connect() as connection:
            assert await connection.scalar(select(func.count()).select_from(CALLS)) == 0


async def test_a_second_server_of_the_same_name_is_refused_until_the_first_has_gone(
    tmp_path: Path, postgresql_url: str
) -> None:
    url = locate(tmp_path, postgresql_url)
    async with Database.served(url, instance="one"):
        with pytest.raises(ConfigurationError, match=r"'one' is using this database.*VOICEBOT_INSTANCE"):
            async with Database.served(url, instance="one"):
                pass
        async with Database.served(url, instance="two"):
            pass
    async with Database.served(url, instance="one"):
        pass


_PROCESS = """
import asyncio, sys
from datetime import datetime, UTC
from pathlib import Path
from typing import Any
from tests.records.test_database import _Party, STARTED
from voicebot.records.journal import JournalFailure
from voicebot.records.record import Outcome, Speaker, TurnRecord
from voicebot.records.journal import JournalFailure
from voicebot.records.migrations import versions
from voicebot.records.record import Outcome, Speaker, TurnRecord
from voicebot.records.store import Store

async def main(data, url, name):
    async with Store.open(Path(data), url=url, instance=name, on_failure=sys.exit) as store:
        for number in range(25):
            call_id = f"{name}-{number}"
            store.journal.begin_call(call_id, _Party(), STARTED, "f")
            store.journal.add_turn(call_id, TurnRecord(Speaker.CALLER, "balance", decision="balance.start"))
            await store.journal.flush()
            if number < 20:
                store.journal.end_call(call_id, STARTED, Outcome.COMPLETED, "we_hung_up")

asyncio.run(main(*sys.argv[1:]))
"""


async def test_two_processes_share_one_postgresql(tmp_path: Path, postgresql_url: str) -> None:
    processes = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        command = (sys.executable, "-c", _PROCESS, str(tmp_path / name), postgresql_url, name)
        processes.append(await asyncio.create_subprocess_exec(*command, cwd=Path(__file__).parents[2]))
    async with asyncio.timeout(60):
        assert [await process.wait() for process in processes] == [0, 0]
    # A third server closes nobody's calls, the first's successor only its own.
    async with Store.open(tmp_path, url=postgresql_url, instance="three", on_failure=print) as store:
        assert await _open_calls(store) == {"one": 5, "two": 5}
        async with store.database.connect() as connection:
            report = await verify(connection)
        assert (report.sound, report.entries) == (True, 90)
    async with Store.open(tmp_path, url=postgresql_url, instance="one", on_failure=print) as store:
        assert await _open_calls(store) == {"two": 5}


async def _open_calls(store: Store) -> dict[str, int]:
    query = select(CALLS.c.instance, func.count()).where(CALLS.c.ended_at.is_(None)).group_by(CALLS.c.instance)
    async with store.database.connect() as connection:
        return {row[0]: row[1] for row in await connection.execute(query)}


async def test_writers_in_two_places_take_turns_and_the_chain_stays_whole(
    tmp_path: Path, database_url: str, database: Database
) -> None:
    def entry(number: int) -> AuditEntry:
        return AuditEntry(STARTED, "dana", "listened", f"call:{number}", {})

    async with Database.connected(locate(tmp_path, database_url)) as other:

        async def write(where: Database, number: int) -> None:
            async with where.begin() as connection:
                await append(connection, [entry(number)])

        await asyncio.gather(*(write(where, number) for number in range(10) for where in (database, other)))
        async with database.connect() as connection:
            report = await verify(connection)
    assert (report.sound, report.entries) == (True, 20)


async def test_a_postgresql_that_was_restarted_loses_no_record(tmp_path: Path, postgresql_url: str) -> None:
    failures: list[JournalFailure] = []
    async with Store.open(tmp_path, url=postgresql_url, on_failure=failures.append) as store:
        store.journal.begin_call("before", _Party(), STARTED, "f")
        await store.journal.flush()
        with psycopg.connect(postgresql_url, autocommit=True) as control:  # as a restart ends every connection
            control.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        store.journal.begin_call("after", _Party(), STARTED, "f")
        await store.journal.flush()
        assert [await store.get(call_id) is not None for call_id in ("before", "after")] == [True, True]
    assert JournalFailure.DROPPED not in failures


async def test_a_step_down_and_up_again_keeps_every_call_and_turn(tmp_path: Path, database_url: str) -> None:
    async with Store.open(tmp_path, url=database_url, on_failure=print) as store:
        for number in range(3):
            store.journal.begin_call(f"c{number}", _Party(), STARTED, "f")
            turn = TurnRecord(Speaker.CALLER, f"words {number}", intent="balance", decision="balance.start")
            store.journal.add_turn(f"c{number}", turn)
            store.journal.note_recording(f"c{number}", f"{number}.wav")
            store.journal.end_call(f"c{number}", STARTED, Outcome.COMPLETED, "we_hung_up")
        await store.journal.flush()
        before = [await store.get(f"c{number}") for number in range(3)]
        steps = sorted(path.stem[:4] for path in Path(versions.__file__).parent.glob("0*.py"))
        for revision in reversed(steps):
            await store.database.migrate_down(revision)
            await store.database.migrate()
            found = [await store.get(f"c{number}") for number in range(3)]
            assert [_kept(call) for call in found] == [_kept(call) for call in before], revision
            async with store.database.connect() as connection:
                # The audit trail is younger than the first step.
                assert revision == steps[0] or (await verify(connection)).entries == 6


async def test_calls_that_were_over_before_there_was_work_after_calls_get_none_by_an_upgrade(
    tmp_path: Path, database_url: str
) -> None:
    async with Store.open(tmp_path, url=database_url, on_failure=print) as store:
        store.journal.begin_call("old", _Party(), STARTED, "f")
        store.journal.end_call("old", STARTED, Outcome.COMPLETED, "we_hung_up")
        await store.journal.flush()
        await store.database.migrate_down("0008")
        await store.database.migrate()
        store.journal.begin_call("new", _Party(), STARTED, "f")
        store.journal.end_call("new", STARTED, Outcome.COMPLETED, "we_hung_up")
        await store.journal.flush()
        deeds = Deeds(store.database, KEYS, now=lambda: STARTED)
        assert await deeds.unworked(STARTED - timedelta(days=7), STARTED + timedelta(minutes=5)) == ["new"]


async def test_what_was_left_behind_before_actions_had_states_is_listed_after_an_upgrade(
    tmp_path: Path, database_url: str
) -> None:
    async with Store.open(tmp_path, url=database_url, on_failure=print) as store:
        store.journal.begin_call("old", _Party(), STARTED, "f")
        store.journal.end_call("old", STARTED, Outcome.COMPLETED, "we_hung_up")
        await store.journal.flush()
        deeds = Deeds(store.database, KEYS, now=lambda: STARTED)
        await deeds.note_message("old/sms", "old", "sms", "It is booked.", "SM1")
        await deeds.note_follow_up("old/call_back", "old", "Call them.", timedelta(hours=1))
        await deeds.note("d" * 32, "old", "calendar.book", "{}", "{}")
        await store.database.migrate_down("0013")
        await store.database.migrate()
        book = ActionBook(store.database, now=lambda: STARTED)
        found = {action.name: action for action in await book.of_call("old")}
        assert {name: action.state for name, action in found.items()} == {
            "sms": ActionState.DONE,
            "call_back": ActionState.SCHEDULED,
            "calendar.book": ActionState.DONE,
        }
        assert await book.stop(found["call_back"], "ana")
        assert await book.find(found["sms"].id) == found["sms"]


def _kept(record: dict[str, Any] | None) -> tuple[object, ...]:
    """What every version of the tables holds."""
    assert record
    turns = [(turn["text"], turn["intent"], turn["decision"]) for turn in record["turns"]]
    return (record["id"], record["outcome"], record["started_at"], record["recording"]["path"], turns)
