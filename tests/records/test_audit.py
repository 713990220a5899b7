"""The audit trail: every way to tamper with it shows, and a lawful deletion does not break it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from voicebot import cli
from voicebot.errors import ConfigurationError
from voicebot.records.audit import DELETED, AuditEntry, AuditReport, Head, append, read_heads, verify, write_head
from voicebot.records.database import Database, _engine, locate
from voicebot.records.journal import JournalFailure
from voicebot.records.record import Outcome, Speaker, TurnRecord
from voicebot.records.store import AUDIT_HEADS, Store, verify_audit

START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def _entry(number: int) -> AuditEntry:
    at = START + timedelta(seconds=number)
    return AuditEntry(at, "dana", "listened", f"call:{number}", {"caller": "+15550100", "why": f"sample {number}"})


@pytest.fixture
async def database(tmp_path: Path, database_url: str) -> AsyncIterator[Database]:
    async with Database.served(locate(tmp_path, database_url), instance="main") as opened:
        yield opened


@pytest.fixture
async def chain(database: Database) -> list[Head]:
    """Five entries, added in three transactions; their heads."""
    heads = []
    for numbers in ((1, 2), (3,), (4, 5)):
        async with database.begin() as connection:
            heads.append(await append(connection, [_entry(number) for number in numbers]))
    return heads


async def _verify(database: Database, heads: list[Head] | None = None) -> AuditReport:
    async with database.connect() as connection:
        return await verify(connection, heads or [])


async def _tamper(database: Database, *statements: str) -> None:
    """Change the tables as somebody would who owns the database: no constraint holds them up."""
    engine = _engine(database.url, foreign_keys=False)
    async with engine.begin() as connection:
        if database.is_postgresql:
            await connection.execute(text("SET session_replication_role = replica"))
        for statement in statements:
            await connection.execute(text(statement))
    await engine.dispose()


async def test_an_untouched_chain_is_sound_and_contains_its_heads(database: Database, chain: list[Head]) -> None:
    report = await _verify(database, chain)
    assert report.sound
    assert (report.entries, report.deleted, report.head) == (5, 0, chain[-1])


async def test_an_empty_chain_is_sound(database: Database) -> None:
    report = await _verify(database)
    assert (report.sound, report.head.number) == (True, 0)


async def test_a_server_tells_each_new_head(tmp_path: Path, database_url: str) -> None:
    heads: list[Head] = []
    async with Store.open(tmp_path, url=database_url, on_failure=print, on_head=heads.append) as store:
        assert await store.audit_head() == Head(0, "0" * 64)
        for number in (1, 2):
            store.journal.audit(_entry(number))
            await store.journal.flush()
        assert [head.number for head in heads] == [1, 2]
        assert await store.audit_head() == heads[-1]


@pytest.mark.parametrize(
    ("statement", "number", "what"),
    [
        ("UPDATE audit SET actor = 'nobody' WHERE number = 3", 3, "changed"),
        ("UPDATE audit SET action = 'deleted' WHERE number = 5", 5, "changed"),
        ("UPDATE audit SET subject = 'call:9' WHERE number = 1", 1, "changed"),
        ("UPDATE audit SET at = '2026-01-01 00:00:00.000000' WHERE number = 2", 2, "changed"),
        ("UPDATE audit_contents SET content = '{}' WHERE number = 4", 4, "content changed"),
        ("UPDATE audit_contents SET salt = 'ab' WHERE number = 4", 4, "content changed"),
        ("DELETE FROM audit_contents WHERE number = 4", 4, "content deleted, and no entry says so"),
        ("DELETE FROM audit WHERE number = 3", 3, "missing, up to 3"),
        ("DELETE FROM audit WHERE number IN (1, 2)", 1, "missing, up to 2"),
        ("UPDATE audit SET number = -1 WHERE number = 5", -1, "put in before the first entry"),
    ],
)
@pytest.mark.usefixtures("chain")
async def test_what_was_tampered_with_is_found(database: Database, statement: str, number: int, what: str) -> None:
    await _tamper(database, statement)
    report = await _verify(database)
    assert (number, what) in [(problem.number, problem.what) for problem in report.problems]


@pytest.mark.sqlite  # PostgreSQL takes nothing else for a moment
async def test_what_is_no_moment_any_more_is_found(tmp_path: Path) -> None:
    async with Database.prepared(locate(tmp_path)) as database:
        async with database.begin() as connection:
            await append(connection, [_entry(number) for number in (1, 2, 3)])
        await _tamper(database, "UPDATE audit SET at = 'yesterday' WHERE number = 3")
        (problem,) = (await _verify(database)).problems
        assert (problem.number, problem.what) == (3, "changed")


@pytest.mark.usefixtures("chain")
async def test_a_deletion_does_not_excuse_what_went_after_it(database: Database) -> None:
    deleted = AuditEntry(START, "retention", DELETED, "deletion:1", {"audit_contents": [[1, 9]]})
    async with database.begin() as connection:
        await append(connection, [deleted, _entry(7)])
    await _tamper(database, "DELETE FROM audit_contents WHERE number IN (1, 7)")
    (problem,) = (await _verify(database)).problems
    assert (problem.number, problem.what) == (7, "content deleted, and no entry says so")


@pytest.mark.usefixtures("chain")
async def test_entries_put_in_another_order_are_found(database: Database) -> None:
    await _tamper(
        database,
        "UPDATE audit SET number = 99 WHERE number = 2",
        "UPDATE audit SET number = 2 WHERE number = 3",
        "UPDATE audit SET number = 3 WHERE number = 99",
    )
    report = await _verify(database)
    assert {problem.number for problem in report.problems} >= {2, 3}


async def test_a_truncated_chain_is_found_by_a_head_that_was_exported(database: Database, chain: list[Head]) -> None:
    await _tamper(database, "DELETE FROM audit_contents WHERE number > 3", "DELETE FROM audit WHERE number > 3")
    assert (await _verify(database)).sound  # nothing inside the chain tells
    report = await _verify(database, chain)
    assert [(problem.number, problem.what) for problem in report.problems] == [(5, "exported once and now missing")]


async def test_a_chain_made_anew_is_found_by_a_head_that_was_exported(database: Database, chain: list[Head]) -> None:
    await _tamper(database, "DELETE FROM audit_contents", "DELETE FROM audit")
    async with database.begin() as connection:
        await append(connection, [_entry(number) for number in (1, 2, 3, 4)] + [_entry(6)])
    assert (await _verify(database)).sound
    report = await _verify(database, chain)
    assert {problem.what for problem in report.problems} == {"is not the entry whose hash was exported"}


async def test_a_deleted_content_leaves_the_chain_sound_and_nothing_of_itself(
    database: Database, chain: list[Head], tmp_path: Path
) -> None:
    async with database.begin() as connection:
        await connection.execute(text("DELETE FROM audit_contents WHERE number = 2"))
        told = AuditEntry(START, "dana", DELETED, "deletion:1", {"audit_contents": [[2, 2]]})
        await append(connection, [told])
    report = await _verify(database, chain)
    assert report.sound
    assert report.deleted == 1
    async with database.connect() as connection:
        left = (await connection.execute(text("SELECT * FROM audit WHERE number = 2"))).one()
    assert "15550100" not in str(left)


async def test_the_same_content_has_another_digest_each_time(database: Database) -> None:
    async with database.begin() as connection:
        await append(connection, [_entry(1), _entry(1)])
        digests = (await connection.execute(text("SELECT content_digest FROM audit"))).scalars().all()
    assert len(set(digests)) == 2


async def test_an_entry_written_twice_is_there_once(database: Database) -> None:
    entry = _entry(1)
    for _ in range(2):
        async with database.begin() as connection:
            head = await append(connection, [entry, _entry(2)] if _ else [entry])
    assert head.number == 2
    assert (await _verify(database)).sound


async def test_a_transaction_rolled_back_leaves_no_gap(database: Database, chain: list[Head]) -> None:
    async def fail() -> None:
        async with database.begin() as connection:
            await append(connection, [_entry(6)])
            await connection.execute(text("no such statement"))

    with pytest.raises(DBAPIError):
        await fail()
    async with database.begin() as connection:
        assert (await append(connection, [_entry(7)])).number == 6
    assert (await _verify(database, chain)).sound


def test_heads_are_read_back_and_a_line_cut_short_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "heads.jsonl"
    assert read_heads(path) == []
    write_head(path, Head(1, "aa"), START)
    write_head(path, Head(7, "bb"), START)
    with path.open("a") as file:
        file.write('{"at": "2026')
    assert read_heads(path) == [Head(1, "aa"), Head(7, "bb")]


class _Party:
    channel = direction = "x"
    caller = called = carrier_call_id = ""


async def test_every_decision_of_a_call_and_its_end_are_audited(tmp_path: Path, database_url: str) -> None:
    failures: list[JournalFailure] = []
    async with Store.open(tmp_path, url=database_url, on_failure=failures.append) as store:
        store.journal.begin_call("c1", _Party(), START, "f")
        store.journal.add_turn("c1", TurnRecord(Speaker.BOT, "Hello."))
        store.journal.add_turn(
            "c1", TurnRecord(Speaker.CALLER, "balance", decision="balance.start: asked for", intent="balance")
        )
        store.journal.end_call("c1", START, Outcome.COMPLETED, "we_hung_up")
        store.journal.audit(_entry(1))
        await store.journal.flush()
        running = await verify_audit(tmp_path, url=database_url)
    assert failures == []
    assert (running.sound, running.entries) == (True, 3)
    report = await verify_audit(tmp_path, url=database_url)
    assert report.sound
    assert read_heads(tmp_path / AUDIT_HEADS)[-1] == report.head
    async with Database.connected(locate(tmp_path, database_url)) as database, database.connect() as connection:
        rows = (await connection.execute(text("SELECT actor, action, subject FROM audit ORDER BY number"))).all()
        content = await connection.scalar(text("SELECT content FROM audit_contents WHERE number = 1"))
    assert [tuple(row) for row in rows] == [
        ("bot", "decided", "call:c1"),
        ("bot", "call_ended", "call:c1"),
        ("dana", "listened", "call:1"),
    ]
    assert '"decision":"balance.start: asked for"' in str(content)


async def test_entries_cut_off_after_their_head_was_exported_show(tmp_path: Path, database_url: str) -> None:
    async with Store.open(tmp_path, url=database_url, on_failure=print) as store:
        store.journal.audit(_entry(1))
        store.journal.audit(_entry(2))
    async with Database.connected(locate(tmp_path, database_url)) as database:
        await _tamper(database, "DELETE FROM audit_contents WHERE number = 2", "DELETE FROM audit WHERE number = 2")
    report = await verify_audit(tmp_path, url=database_url)
    assert [(problem.number, problem.what) for problem in report.problems] == [(2, "exported once and now missing")]


@pytest.mark.sqlite
def test_the_command_names_the_entry_that_was_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def record() -> None:
        async with Store.open(tmp_path, on_failure=print) as store:
            store.journal.begin_call("c1", _Party(), START, "f")
            store.journal.end_call("c1", START, Outcome.COMPLETED, "we_hung_up")
            store.journal.audit(_entry(1))

    asyncio.run(record())
    assert cli.main(["audit", "verify", "--data", str(tmp_path)]) == 0
    assert "2 entries, the contents of 0 deleted: sound" in capsys.readouterr().out
    with closing(sqlite3.connect(tmp_path / "voicebot.sqlite3")) as database, database:
        database.execute("UPDATE audit SET actor = 'somebody else' WHERE number = 1")
    assert cli.main(["audit", "verify", "--data", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("entry 1: ")
    assert "NOT SOUND" in printed


def test_the_command_lists_what_was_done_about_a_call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def fill() -> None:
        async with Store.open(tmp_path, on_failure=print) as store:
            for number in (1, 2):
                store.journal.audit(_entry(number))

    asyncio.run(fill())
    capsys.readouterr()
    assert cli.main(["audit", "list", "--call", "2", "--data", str(tmp_path)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    entry = json.loads(line)
    assert entry["content"] == {"caller": "+15550100", "why": "sample 2"}
    assert entry["at"] == datetime.fromisoformat(entry["at"]).isoformat(), "as the API writes moments"
    assert cli.main(["audit", "list", "--by", "dana", "--limit", "1", "--data", str(tmp_path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    with pytest.raises(SystemExit):
        cli.main(["audit", "list", "--limit", "0"])


@pytest.mark.sqlite
async def test_a_secret_turns_audit_entry_holds_its_decision_and_no_digit(tmp_path: Path) -> None:
    async with Store.open(tmp_path, on_failure=print) as store:
        store.journal.begin_call("c1", _Party(), START, "f")
        secret = TurnRecord(
            Speaker.CALLER, "4711", secret=True, slots={"pin": "4711"}, decision="balance.pin: accepted"
        )
        store.journal.add_turn("c1", secret)
    everything = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"balance.pin: accepted" in everything
    assert b"4711" not in everything


@pytest.mark.sqlite
async def test_checking_where_there_is_no_database_says_so_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no database here"):
        await verify_audit(tmp_path)
    assert list(tmp_path.iterdir()) == []
