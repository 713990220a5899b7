"""Calls written and read back, through trouble of every kind: crashes, locked and full disks, hopeless entries."""

from __future__ import annotations

import asyncio
import stat
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import jsonschema
import pytest
import structlog
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from tests.fakes import postgresql
from voicebot.errors import ConfigurationError
from voicebot.records.journal import Journal, JournalFailure
from voicebot.records.record import BackendCall, HeardWord, IntentReading, Outcome, Speaker, TurnRecord
from voicebot.records.schema import call_schema
from voicebot.records.search import CallSearch
from voicebot.records.store import Store

STARTED = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Party:
    channel: str = "twilio"
    direction: str = "inbound"
    caller: str = "+15550100"
    called: str = "+15550199"
    carrier_call_id: str = "CA1"


class _Failures(list[JournalFailure]):
    def __call__(self, failure: JournalFailure) -> None:
        self.append(failure)


@pytest.fixture
def failures() -> _Failures:
    return _Failures()


@pytest.fixture
async def store(tmp_path: Path, database_url: str, failures: _Failures) -> AsyncIterator[Store]:
    async with Store.open(tmp_path, url=database_url, on_failure=failures) as opened:
        yield opened


@pytest.fixture
async def sqlite_store(tmp_path: Path, failures: _Failures) -> AsyncIterator[Store]:
    async with Store.open(tmp_path, on_failure=failures) as opened:
        yield opened


def _caller(said: str, **more: object) -> TurnRecord:
    return TurnRecord(Speaker.CALLER, said, **more)  # type: ignore[arg-type]  # a test names what it cares for


def _whole_call(journal: Journal, call_id: str = "c1", started: datetime = STARTED) -> None:
    journal.begin_call(call_id, _Party(), started, "flows-7")
    journal.add_turn(call_id, TurnRecord(Speaker.BOT, "Hello.", at_ms=120, heard_ms=800, prompt="greeting"))
    journal.add_turn(
        call_id,
        _caller(
            "my balance please",
            at_ms=1500,
            heard_ms=1200,
            engine="pocketsphinx",
            intent="balance",
            confidence=0.91,
            slots={"account": "12"},
            decision="balance.start: asked for",
            alternatives=("my ballots please",),
            words=(HeardWord("my", 1500, 1700, 0.9),),
            timings_ms={"end_of_turn": 310.5, "first_audio_sent": 402.0},
            signals={"frustration": {"value": 0.4, "read_as": "calm"}, "repeats": 2},
            intents=(IntentReading("balance", 0.91), IntentReading("transfer", 0.06)),
            backend_calls=(BackendCall("accounts.balance", "ok", 12.5),),
        ),
    )
    journal.set_goal(call_id, "balance", reached=False)
    journal.set_goal(call_id, "balance", reached=True)
    journal.end_call(call_id, started + timedelta(seconds=30), Outcome.COMPLETED, "we_hung_up")


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def _until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not happened():
            await asyncio.sleep(0.01)


async def test_a_call_comes_back_as_it_was_and_satisfies_the_schema(store: Store, failures: _Failures) -> None:
    _whole_call(store.journal)
    store.journal.note_recording("c1", "2026-11-21/c1")
    store.journal.note_dictation("c1", "Not written down.")
    store.journal.note_dictation("c1", "Written down by scripted 1.")
    await store.journal.flush()
    record = await store.get("c1")
    assert record is not None
    jsonschema.Draft202012Validator(call_schema()).validate(record)
    turns = record.pop("turns")
    assert record == {
        "id": "c1",
        "channel": "twilio",
        "started_at": "2026-11-21T09:00:00Z",
        "ended_at": "2026-11-21T09:00:30Z",
        "outcome": "completed",
        "cause": "we_hung_up",
        "goal": "balance",
        "goal_reached": True,
        "flow_version": "flows-7",
        "direction": "inbound",
        "caller": "+15550100",
        "called": "+15550199",
        "carrier_call_id": "CA1",
        "dictation": "Written down by scripted 1.",
        "recording": {
            "path": "2026-11-21/c1",
            "rate_hz": 8000,
            "channels": ["caller", "bot"],
            "state": "live",
            "codec": None,
            "stored_bytes": None,
            "sha256": None,
            "key_id": None,
            "duration_ms": None,
            "consent": None,
            "consent_ms": None,
            "pauses": [],
            "unheard": [],
        },
    }
    assert [(turn["speaker"], turn["text"]) for turn in turns] == [("bot", "Hello."), ("caller", "my balance please")]
    assert turns[1]["slots"] == {"account": "12"}
    assert turns[1]["alternatives"] == ["my ballots please"]
    assert turns[1]["words"] == [{"text": "my", "start_ms": 1500, "end_ms": 1700, "confidence": 0.9}]
    assert [reading["intent"] for reading in turns[1]["intents"]] == ["balance", "transfer"]
    assert turns[1]["backend_calls"] == [{"operation": "accounts.balance", "outcome": "ok", "ms": 12.5}]
    assert turns[1]["timings_ms"] == {"end_of_turn": 310.5, "first_audio_sent": 402.0}
    assert turns[1]["signals"] == {"frustration": {"value": 0.4, "read_as": "calm"}, "repeats": 2}
    assert failures == []


async def test_a_call_that_goes_on_satisfies_the_schema_too(store: Store) -> None:
    store.journal.begin_call("c1", _Party(), STARTED, "flows-7")
    await store.journal.flush()
    record = await store.get("c1")
    jsonschema.Draft202012Validator(call_schema()).validate(record)
    assert record
    assert (record["ended_at"], record["outcome"], record["recording"]) == (None, None, None)


async def test_a_call_nobody_made_is_not_found(store: Store) -> None:
    assert await store.get("nobody") is None
    assert await store.recordings.get("nobody") is None


async def test_times_of_another_zone_are_kept_in_utc(store: Store) -> None:
    store.journal.begin_call("c1", _Party(), datetime(2026, 7, 1, 10, tzinfo=ZoneInfo("Europe/Berlin")), "f")
    await store.journal.flush()
    record = await store.get("c1")
    assert record
    assert record["started_at"] == "2026-07-01T08:00:00Z"


async def test_the_first_end_of_a_call_stands(store: Store) -> None:
    _whole_call(store.journal)
    store.journal.end_call("c1", STARTED + timedelta(hours=1), Outcome.FAILED, "late")
    await store.journal.flush()
    record = await store.get("c1")
    assert record
    assert (record["outcome"], record["ended_at"]) == ("completed", "2026-11-21T09:00:30Z")


async def test_a_call_begun_twice_is_one_call(store: Store, failures: _Failures) -> None:
    store.journal.begin_call("c1", _Party(), STARTED, "flows-7")
    store.journal.begin_call("c1", _Party(caller="other"), STARTED, "flows-8")
    await store.journal.flush()
    record = await store.get("c1")
    assert record
    assert (record["caller"], record["flow_version"]) == ("+15550100", "flows-7")
    assert failures == []


async def test_a_turn_added_after_the_end_is_kept_in_its_place(store: Store) -> None:
    _whole_call(store.journal)
    store.journal.add_turn("c1", TurnRecord(Speaker.BOT, "Goodbye."))
    await store.journal.flush()
    record = await store.get("c1")
    assert record
    assert [turn["text"] for turn in record["turns"]] == ["Hello.", "my balance please", "Goodbye."]


async def test_a_secret_turn_leaves_no_digit_in_any_file(
    tmp_path: Path, database_url: str, failures: _Failures
) -> None:
    async with Store.open(tmp_path, url=database_url, on_failure=failures) as store:
        store.journal.begin_call("c1", _Party(), STARTED, "f")
        secret = _caller(
            "the pin is 471142",
            secret=True,
            heard_text="471142",
            slots={"pin": "471142"},
            alternatives=("471142",),
            words=(HeardWord("471142", 0, 1, 1.0),),
        )
        store.journal.add_turn("c1", secret)
        store.journal.add_turn("c1", _caller("planted quetzalcoatl there"))
        await store.journal.flush()
        if database_url.startswith("postgresql"):
            everything = await asyncio.to_thread(postgresql.everything_of, database_url)
        else:
            everything = b"".join(path.read_bytes() for path in _files(tmp_path))
        assert b"quetzalcoatl" in everything  # the search finds what is there
        assert b"471142" not in everything
        record = await store.get("c1")
        assert record
        assert record["turns"][0]["secret"] is True
        assert record["turns"][0]["text"] == ""


async def test_calls_left_open_by_a_crash_are_closed_as_failed_at_their_last_sign_of_life(
    tmp_path: Path, database_url: str, failures: _Failures
) -> None:
    program = f"""
import asyncio, os, sys
from datetime import datetime, UTC
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.records.test_store import _Party, STARTED, _whole_call
from voicebot.records.record import Speaker, TurnRecord
from voicebot.records.search import CallSearch
from voicebot.records.store import Store

async def main():
    async with Store.open(Path({str(tmp_path)!r}), url={database_url!r}, on_failure=print) as store:
        _whole_call(store.journal, "whole")
        store.journal.begin_call("cut", _Party(), STARTED, "f")
        store.journal.add_turn("cut", TurnRecord(Speaker.BOT, "Hello.", at_ms=1000, heard_ms=2500))
        store.journal.begin_call("empty", _Party(), STARTED, "f")
        await store.journal.flush()
        os.kill(os.getpid(), 9)

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    assert await process.wait() == -9
    async with Store.open(tmp_path, url=database_url, on_failure=failures) as store:
        cut, empty, whole = [await store.get(call_id) for call_id in ("cut", "empty", "whole")]
    assert cut
    assert empty
    assert whole
    assert (cut["outcome"], cut["cause"], cut["ended_at"]) == ("failed", "server_died", "2026-11-21T09:00:03.500000Z")
    assert empty["ended_at"] == "2026-11-21T09:00:00Z"
    assert len(cut["turns"]) == 1
    assert whole["outcome"] == "completed"


async def test_another_servers_open_calls_are_left_alone(
    tmp_path: Path, database_url: str, failures: _Failures
) -> None:
    async with Store.open(tmp_path, url=database_url, instance="one", on_failure=failures) as store:
        store.journal.begin_call("c1", _Party(), STARTED, "f")
    async with Store.open(tmp_path, url=database_url, instance="two", on_failure=failures) as store:
        record = await store.get("c1")
        assert record
        assert record["ended_at"] is None


@pytest.mark.sqlite
@pytest.mark.usefixtures("sqlite_store")
async def test_a_second_server_on_the_same_file_is_refused_with_what_helps(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"Another server.*PostgreSQL"):
        async with Store.open(tmp_path, on_failure=print):
            pass


async def test_a_closed_store_can_be_opened_again(tmp_path: Path, database_url: str, failures: _Failures) -> None:
    async with Store.open(tmp_path, url=database_url, on_failure=failures) as store:
        _whole_call(store.journal)  # written by the closing, not by a flush
    async with Store.open(tmp_path, url=database_url, on_failure=failures) as store:
        record = await store.get("c1")
        assert record
        assert record["outcome"] == "completed"


@pytest.mark.sqlite
async def test_the_database_belongs_to_its_user_alone(sqlite_store: Store, tmp_path: Path) -> None:
    _whole_call(sqlite_store.journal)
    await sqlite_store.journal.flush()
    files = _files(tmp_path)
    assert {path.suffix for path in files} >= {".sqlite3", ".sqlite3-wal", ".jsonl"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


@pytest.mark.sqlite
async def test_taking_down_returns_at_once_while_another_process_locks_the_database(
    sqlite_store: Store, tmp_path: Path, failures: _Failures
) -> None:
    holder = f"""
import sqlite3, sys, time
database = sqlite3.connect({str(tmp_path / "voicebot.sqlite3")!r})
database.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", holder, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    await process.stdout.readline()
    longest = 0.0
    for number in range(50):
        before = time.perf_counter()
        _whole_call(sqlite_store.journal, f"c{number}")
        await asyncio.sleep(0)
        longest = max(longest, time.perf_counter() - before)
    assert longest < 1.0  # the database would have made it five
    await process.communicate(b"done\n")
    await sqlite_store.journal.flush()
    assert len(await sqlite_store.search(CallSearch(), 100)) == 50
    assert JournalFailure.DROPPED not in failures


async def test_a_full_disk_is_counted_and_everything_is_written_when_there_is_room(
    store: Store, failures: _Failures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voicebot.records.journal._FIRST_RETRY_S", 0.01)
    full = True

    def refuse(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if full and statement.startswith("INSERT"):
            raise OperationalError(statement, None, OSError("database or disk is full"))

    event.listen(store.database.engine.sync_engine, "before_cursor_execute", refuse)
    with structlog.testing.capture_logs() as logs:
        _whole_call(store.journal)
        await _until(lambda: failures.count(JournalFailure.RETRIED) == 3)
        full = False
        await store.journal.flush()
        await _until(lambda: len(logs) >= 2)  # said after the writing, which is all that `flush` waits for
    record = await store.get("c1")
    assert record
    assert len(record["turns"]) == 2
    assert [line["event"] for line in logs][:2] == ["journal waits for its database", "journal writes again"]
    assert JournalFailure.DROPPED not in failures


async def test_an_entry_the_database_will_never_take_is_dropped_alone(store: Store, failures: _Failures) -> None:
    with structlog.testing.capture_logs() as logs:
        store.journal.add_turn("unheard-of", _caller("a turn without a call, saying 4711"))
        _whole_call(store.journal)
        store.journal.add_turn("c1", _caller("half a character \ud83d"))
        store.journal.add_turn("c1", _caller("the last"))
        await store.journal.flush()
    record = await store.get("c1")
    assert record
    assert [turn["text"] for turn in record["turns"]] == ["Hello.", "my balance please", "the last"]
    assert failures == [JournalFailure.DROPPED, JournalFailure.DROPPED]
    assert "4711" not in str(logs)


async def test_a_nul_that_somebody_sends_does_not_keep_a_turn_out_of_the_records(
    store: Store, failures: _Failures
) -> None:
    store.journal.begin_call("c1", _Party(caller="+1\x00555"), STARTED, "f")
    store.journal.add_turn("c1", _caller("refund\0me", slots={"why": "be\0cause"}))
    await store.journal.flush()
    record = await store.get("c1")
    assert record
    assert (record["caller"], record["turns"][0]["text"]) == ("+1\ufffd555", "refund\ufffdme")
    assert record["turns"][0]["slots"] == {"why": "be\0cause"}
    assert failures == []


async def test_a_batch_whose_commit_was_not_confirmed_is_not_written_twice(
    store: Store, failures: _Failures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voicebot.records.journal._FIRST_RETRY_S", 0.01)
    confirmed = False

    def lose_the_answer(_connection: object) -> None:
        nonlocal confirmed
        if not confirmed:
            confirmed = True
            raise OperationalError("COMMIT", None, ConnectionResetError("the answer is lost"))

    # After the commit has happened, as a broken connection would have it.
    commit = store.database.engine.sync_engine.dialect.do_commit

    def commit_then_fail(connection: object) -> None:
        commit(connection)  # type: ignore[arg-type]  # handed through
        lose_the_answer(connection)

    monkeypatch.setattr(store.database.engine.sync_engine.dialect, "do_commit", commit_then_fail)
    _whole_call(store.journal)
    await store.journal.flush()
    record = await store.get("c1")
    assert record
    assert len(record["turns"]) == 2
    assert failures == [JournalFailure.RETRIED]


def _journal(store: Store, failures: _Failures, folder: Path) -> Journal:
    heads = folder / "heads.jsonl"
    return Journal(
        store.database, instance="main", on_failure=failures, heads=heads, now=lambda: STARTED, last_writes_s=0.2
    )


async def test_too_many_waiting_entries_are_dropped_and_counted_not_hoarded(
    store: Store, tmp_path: Path, failures: _Failures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voicebot.records.journal._WAITING_ENTRIES", 10)
    journal = _journal(store, failures, tmp_path)
    journal.begin_call("c1", _Party(), STARTED, "f")
    for number in range(20):
        journal.add_turn("c1", _caller(f"turn {number} of many"))
    assert failures == [JournalFailure.DROPPED] * 11
    async with journal.writing():
        await journal.flush()
    record = await store.get("c1")
    assert record
    assert [turn["text"] for turn in record["turns"]] == [f"turn {number} of many" for number in range(9)]


async def test_a_database_that_is_away_does_not_hold_up_the_end_and_losses_are_counted(
    store: Store, tmp_path: Path, failures: _Failures
) -> None:
    def refuse(*_: object) -> None:
        raise OperationalError("", None, OSError("gone"))

    event.listen(store.database.engine.sync_engine, "before_cursor_execute", refuse)
    journal = _journal(store, failures, tmp_path)
    async with asyncio.timeout(10), journal.writing():
        _whole_call(journal)
    assert failures.count(JournalFailure.DROPPED) == 8  # two of them for the audit trail
