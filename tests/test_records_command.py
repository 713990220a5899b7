"""`voicebot records` as an operator uses it, on both databases."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from voicebot import cli
from voicebot.backends.journal import WRITES, WriteJournal
from voicebot.records.record import Outcome, Speaker, TurnRecord
from voicebot.records.store import Store

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Party:
    caller: str
    channel: str = "twilio"
    direction: str = "inbound"
    called: str = ""
    carrier_call_id: str = ""


@pytest.fixture
def data(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with four calls by two callers, and the settings that lead to it."""

    async def fill() -> None:
        async with Store.open(tmp_path, url=database_url, on_failure=print) as store:
            for number in range(4):
                store.journal.begin_call(f"c{number}", _Party(f"+{number % 2}"), LONG_AGO, "f")
                store.journal.add_turn(f"c{number}", TurnRecord(Speaker.CALLER, "hello"))
                store.journal.end_call(f"c{number}", LONG_AGO, Outcome.COMPLETED, "we_hung_up")

    asyncio.run(fill())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOICEBOT_DATABASE_URL", database_url)
    monkeypatch.setenv("VOICEBOT_DATA", str(tmp_path))
    return tmp_path


def test_calls_are_held_released_and_deleted_with_a_certificate(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        status = cli.main(["records", *arguments])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    why = ("--reason", "request 17", "--by", "dana")
    status, printed = run("hold", "--caller", "+1", *why)
    assert status == 0
    hold_id = printed.removeprefix("held: ").strip()
    assert f"{hold_id}  " in run("holds")[1]
    assert run("delete", "--caller", "+1", *why) == (
        *(1, "voicebot: Under a legal hold: c1, c3. Nothing was deleted.\n"),
    )
    assert run("release", hold_id, *why)[0] == 0
    assert run("holds") == (0, "")
    status, printed = run("delete", "--caller", "+1", "--certificate", "gone.json", *why)
    assert status == 0
    certificate = json.loads(printed)
    assert [call["call_id"] for call in certificate["calls"]] == ["c1", "c3"]
    assert json.loads((data / "gone.json").read_text()) == certificate
    assert json.loads(run("certificate", certificate["id"])[1]) == certificate
    assert run("delete", "--call", "c1", *why) == (1, "voicebot: There is no call c1.\n")
    assert cli.main(["audit", "verify"]) == 0


@pytest.mark.usefixtures("data")
def test_what_is_due_is_counted_before_it_is_deleted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEBOT_RETENTION__RECORD_DAYS", "365")
    assert cli.main(["records", "retain", "--dry-run"]) == 0
    assert "record: 4 due" in capsys.readouterr().out
    assert cli.main(["records", "retain"]) == 0
    assert "record: 4 deleted" in capsys.readouterr().out
    assert cli.main(["records", "retain"]) == 0
    assert "record: 0 deleted" in capsys.readouterr().out


def test_a_call_whose_writes_cannot_be_deleted_now_is_not_said_to_be_gone(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    WriteJournal(data / WRITES)
    delete = ["records", "delete", "--call", "c1", "--reason", "request 17", "--data", str(data)]
    with closing(sqlite3.connect(data / WRITES)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert cli.main(delete) == 1
    assert "Try again when nobody else uses it." in capsys.readouterr().err
    assert cli.main(delete) == 0


def test_what_systems_answered_to_a_calls_writes_goes_with_the_call(data: Path) -> None:
    kept = data / WRITES

    async def write() -> None:
        journal = WriteJournal(kept)
        for key in ("c1/pay#1", "after:c1/note", "undo:c1/d1:2", "c10/pay#1", "c2/pay#1"):
            await journal.begin(key, "bank.pay")
            await journal.finish(key, "ok", {"name": f"Aiko of {key}"})

    asyncio.run(write())
    assert cli.main(["records", "delete", "--call", "c1", "--reason", "request 17", "--data", str(data)]) == 0
    with closing(sqlite3.connect(kept)) as connection:
        assert {key for (key,) in connection.execute("SELECT key FROM written")} == {"c10/pay#1", "c2/pay#1"}
    assert b"Aiko of c1/" not in b"".join(path.read_bytes() for path in data.glob(WRITES + "*"))
