"""A backup taken from a server that goes on writing, put back elsewhere, on both databases."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.fakes import postgresql
from tests.fakes.sealing import KEYS
from voicebot import cli
from voicebot.records.backup import MANIFEST, BackupFailed, back_up, restore
from voicebot.records.database import Database, locate
from voicebot.records.deeds import Deeds
from voicebot.records.facts import SealedFacts
from voicebot.records.record import Outcome, Speaker, TurnRecord
from voicebot.records.search import CallSearch
from voicebot.records.store import Store, verify_audit

START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Party:
    channel: str = "twilio"
    direction: str = "inbound"
    caller: str = "+15550100"
    called: str = ""
    carrier_call_id: str = ""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def url(database_url: str, data: Path) -> str | None:
    """Where the database lies: beside the recordings, or on PostgreSQL."""
    return database_url if database_url.startswith("postgresql") else None


@pytest.fixture
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def empty_url(url: str | None, request: pytest.FixtureRequest) -> Iterator[str | None]:
    """Another database of the same kind, with nothing in it."""
    if url is None:
        yield None
    else:
        with postgresql.fresh_database(request.getfixturevalue("postgresql_socket")) as made:
            yield made


def _call(store: Store, data: Path, call_id: str, started: datetime = START) -> None:
    store.journal.begin_call(call_id, _Party(), started, "f")
    store.journal.add_turn(call_id, TurnRecord(Speaker.CALLER, f"words of {call_id}", decision="balance"))
    path = data / "recordings" / "2026-11-21" / f"{call_id}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(call_id.encode() * 1000)
    store.journal.note_recording(call_id, path.relative_to(data / "recordings").as_posix())
    store.journal.end_call(call_id, started + timedelta(seconds=30), Outcome.COMPLETED, "we_hung_up")


async def test_a_backup_of_a_running_server_comes_back_whole(
    tmp_path: Path, data: Path, url: str | None, empty_url: str | None
) -> None:
    version = data / "flows" / "versions" / "abc" / "flow.yaml"
    version.parent.mkdir(parents=True)
    version.write_text("flow: balance\n")
    version.chmod(0o444)
    (data / "cache").mkdir()
    (data / "cache" / "prompt.pcm").write_bytes(b"made again")
    async with Store.open(data, url=url, on_failure=print) as store:
        for number in range(5):
            _call(store, data, f"c{number}", START + timedelta(minutes=number))
        await store.journal.flush()
        before = [await store.get(f"c{number}") for number in range(5)]
        going_on = asyncio.Event()

        async def go_on() -> None:
            number = 100
            while not going_on.is_set():
                _call(store, data, f"later-{number}")
                await store.journal.flush()
                number += 1

        writing = asyncio.create_task(go_on())
        await asyncio.sleep(0.05)
        made = await back_up(data, locate(data, url), tmp_path / "backup", at=START)
        going_on.set()
        await writing
    assert made.kind == ("sqlite" if url is None else "postgresql")
    target = tmp_path / "elsewhere"
    assert await restore(tmp_path / "backup", target, locate(target, empty_url)) == made
    assert not (target / "cache").exists()
    assert (target / "flows" / "versions" / "abc" / "flow.yaml").read_text() == "flow: balance\n"
    assert (await verify_audit(target, url=empty_url)).sound
    async with Store.open(target, url=empty_url, on_failure=print) as store:
        assert [await store.get(f"c{number}") for number in range(5)] == before
        found = await store.search(CallSearch(words='"words of c3"'), 10)
        assert [call["id"] for call in found] == ["c3"]
        for call in await store.search(CallSearch(), 1000):
            recording = target / "recordings" / call["recording"]["path"]
            assert recording.read_bytes() == call["id"].encode() * 1000
        _call(store, target, "new")  # and it goes on from there
    assert (await verify_audit(target, url=empty_url)).sound


async def test_only_its_user_reads_a_backup(tmp_path: Path, data: Path, url: str | None) -> None:
    async with Store.open(data, url=url, on_failure=print) as store:
        _call(store, data, "c1")
    await back_up(data, locate(data, url), tmp_path / "backup", at=START)
    inside = [path for path in (tmp_path / "backup").rglob("*") if path.is_file()]
    modes = {path: stat.S_IMODE(path.stat().st_mode) & 0o077 for path in [tmp_path / "backup", *inside]}
    assert len(modes) >= 4
    assert set(modes.values()) == {0}


async def test_a_restore_overwrites_nothing(tmp_path: Path, data: Path, url: str | None) -> None:
    async with Store.open(data, url=url, on_failure=print) as store:
        _call(store, data, "c1")
    await back_up(data, locate(data, url), tmp_path / "backup", at=START)
    with pytest.raises(BackupFailed, match="not empty"):
        await restore(tmp_path / "backup", data, locate(data, url))
    with pytest.raises(BackupFailed, match="is there already"):
        await back_up(data, locate(data, url), tmp_path / "backup", at=START)
    if url is not None:
        with pytest.raises(BackupFailed, match="has tables already"):
            await restore(tmp_path / "backup", tmp_path / "empty", locate(data, url))
    with pytest.raises(BackupFailed, match="lies in the data folder"):
        await back_up(data, locate(data, url), data / "backup", at=START)


@pytest.mark.parametrize(
    "spoilt", ["missing", "changed", "unfinished", "damaged", "newer", "added", "linked", "a field less"]
)
async def test_a_backup_that_is_not_whole_is_not_put_back(tmp_path: Path, data: Path, spoilt: str) -> None:
    async with Store.open(data, on_failure=print) as store:
        _call(store, data, "c1")
    backup = tmp_path / "backup"
    await back_up(data, locate(data), backup, at=START)
    recording = next(backup.rglob("c1.wav"))
    manifest = backup / MANIFEST
    match spoilt:
        case "missing":
            recording.unlink()
        case "changed":
            recording.write_bytes(b"x")
        case "unfinished":
            manifest.unlink()
        case "damaged":
            manifest.write_text(manifest.read_text()[:-9])
        case "added":  # as a published flow or a key would be
            (backup / "files" / "flows").mkdir()
            (backup / "files" / "flows" / "current").write_text("planted")
        case "linked":
            elsewhere = tmp_path / "elsewhere"
            recording.rename(elsewhere)
            recording.symlink_to(elsewhere)
        case "a field less":
            manifest.write_text(manifest.read_text().replace('"kind"', '"sort"'))
        case _:
            manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(BackupFailed, match=r"missing or changed|is no backup|is damaged|another version|added"):
        await restore(backup, tmp_path / "target", locate(tmp_path / "target"))
    assert not (tmp_path / "target").exists()


@pytest.fixture
def postgresql_url(postgresql_socket: str) -> Iterator[str]:
    with postgresql.fresh_database(postgresql_socket) as made:
        yield made


async def _filled(data: Path, *, calls: int = 3) -> list[dict[str, Any] | None]:
    """Fill an SQLite database with calls and what follows them, and return the calls' records."""
    async with Store.open(data, on_failure=print) as store:
        for number in range(calls):
            _call(store, data, f"c{number}", START + timedelta(minutes=number))
        await store.journal.flush()
        deeds = Deeds(store.database, KEYS, now=lambda: START)
        await SealedFacts(store.database).keep("c1", "h" * 64, b"sealed")
        await deeds.note_summary("c1", "A summary.")
        await deeds.note_follow_up("c1/call", "c1", "Call back.", timedelta(hours=1))
        return [await store.get(f"c{number}") for number in range(calls)]


@pytest.mark.sqlite
async def test_a_backup_of_sqlite_is_put_into_a_postgresql_with_everything_in_it(
    tmp_path: Path, data: Path, postgresql_url: str
) -> None:
    before = await _filled(data)
    await back_up(data, locate(data), tmp_path / "backup", at=START)
    target = tmp_path / "target"
    await restore(tmp_path / "backup", target, locate(target, postgresql_url))
    assert (await verify_audit(target, url=postgresql_url)).sound
    async with Store.open(target, url=postgresql_url, on_failure=print) as store:
        assert [await store.get(f"c{number}") for number in range(3)] == before
        assert [call["id"] for call in await store.search(CallSearch(words="words of c1"), 9)] == ["c1"]
        deeds = Deeds(store.database, KEYS, now=lambda: START)
        assert await SealedFacts(store.database).of("c1") == b"sealed"
        assert [left.text for left in await deeds.follow_ups()] == ["Call back."]
        _call(store, target, "later")
        await store.journal.flush()
    assert (await verify_audit(target, url=postgresql_url)).sound
    assert (target / "recordings" / "2026-11-21" / "c1.wav").read_bytes() == b"c1" * 1000
    with pytest.raises(BackupFailed, match="has tables already"):
        await restore(tmp_path / "backup", tmp_path / "again", locate(target, postgresql_url))


@pytest.mark.sqlite
async def test_an_older_backup_of_sqlite_is_brought_to_the_present_form_on_its_way(
    tmp_path: Path, data: Path, postgresql_url: str
) -> None:
    await _filled(data)
    async with Database.connected(locate(data)) as database:
        await database.migrate_down("0009")
    await back_up(data, locate(data), tmp_path / "backup", at=START)
    await restore(tmp_path / "backup", tmp_path / "target", locate(data, postgresql_url))
    async with Store.open(tmp_path / "target", url=postgresql_url, on_failure=print) as store:
        record = await store.get("c2")
        assert record
        assert record["turns"][0]["intents"] == []
    kept = locate(tmp_path / "backup", f"sqlite:///{tmp_path}/backup/database.sqlite3")
    async with Database.connected(kept) as old, old.connect() as connection:
        assert await connection.scalar(text("SELECT version_num FROM alembic_version")) == "0009"


@pytest.mark.sqlite
async def test_a_move_forgets_no_work_that_is_under_way(tmp_path: Path, data: Path, postgresql_url: str) -> None:
    await _filled(data)
    async with Database.connected(locate(data)) as database, database.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE workflow_status (workflow_uuid TEXT, status TEXT)")
        await connection.exec_driver_sql("INSERT INTO workflow_status VALUES ('after_call:c1', 'PENDING')")
    await back_up(data, locate(data), tmp_path / "backup", at=START)
    with pytest.raises(BackupFailed, match=r"1 tasks after calls are under way.*back up again"):
        await restore(tmp_path / "backup", tmp_path / "target", locate(data, postgresql_url))
    assert not (tmp_path / "target").exists()


async def test_a_backup_of_a_postgresql_is_not_put_into_a_file(tmp_path: Path, data: Path, postgresql_url: str) -> None:
    async with Store.open(data, url=postgresql_url, on_failure=print):
        pass
    await back_up(data, locate(data, postgresql_url), tmp_path / "backup", at=START)
    with pytest.raises(BackupFailed, match="is of a PostgreSQL, and the settings name an SQLite file"):
        await restore(tmp_path / "backup", tmp_path / "t", locate(data, f"sqlite:///{tmp_path}/t.sqlite3"))


@pytest.mark.usefixtures("_in_a_folder")
def test_the_commands_back_up_and_restore(
    data: Path,
    url: str | None,
    empty_url: str | None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fill() -> None:
        async with Store.open(data, url=url, on_failure=print) as store:
            _call(store, data, "c1")

    asyncio.run(fill())
    if url and empty_url:
        monkeypatch.setenv("VOICEBOT_DATABASE_URL", url)
    assert cli.main(["backup", "kept", "--data", str(data)]) == 0
    if url and empty_url:
        monkeypatch.setenv("VOICEBOT_DATABASE_URL", empty_url)
    assert cli.main(["restore", "kept", "--data", "fresh"]) == 0
    assert "audit trail: 2 entries, sound" in capsys.readouterr().out
    assert cli.main(["restore", "kept", "--data", "fresh"]) == 1
    assert "a restore overwrites nothing" in capsys.readouterr().err
