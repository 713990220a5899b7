"""When the journal writes: turns of many calls together, what somebody may look for at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from voicebot.records import journal
from voicebot.records.access.sight import SharedWith
from voicebot.records.audit import AuditEntry, AuditSearch
from voicebot.records.record import Speaker, TurnRecord
from voicebot.records.store import Store

STARTED = datetime(2026, 7, 1, 12, tzinfo=UTC)
CALLS = ("c1", "c2", "c3")
HELLO = TurnRecord(Speaker.BOT, "Hello.", heard_ms=800)
FOR_EVER_S = 600.0


@dataclass(frozen=True, slots=True)
class _Party:
    channel: str = "sip"
    direction: str = "inbound"
    caller: str = "+15550001"
    called: str = "+15550002"
    carrier_call_id: str = "abc"


@pytest.fixture
async def store(tmp_path: Path, database_url: str) -> AsyncIterator[Store]:
    async with Store.open(tmp_path, url=database_url, on_failure=lambda _: None) as store:
        for call_id in CALLS:
            store.journal.begin_call(call_id, _Party(), STARTED, "flows-7")
        await store.journal.flush()
        yield store


@pytest.fixture
def written(store: Store) -> Iterator[list[str]]:
    """The beginnings of what changed the database."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(("INSERT", "UPDATE")):
            statements.append(" ".join(statement.split()[:3]))

    event.listen(store.database.engine.sync_engine, "before_cursor_execute", note)
    yield statements
    event.remove(store.database.engine.sync_engine, "before_cursor_execute", note)


def _say_hello_to_all(store: Store) -> None:
    for call_id in CALLS:
        store.journal.add_turn(call_id, HELLO)


async def _until_turns(store: Store, count: int) -> None:
    async with asyncio.timeout(20):
        while sum([len((await store.get(call_id) or {})["turns"]) for call_id in CALLS]) < count:
            await asyncio.sleep(0.01)


async def test_turns_of_many_calls_are_written_together_without_anybody_asking(
    store: Store, written: list[str]
) -> None:
    for call_id in CALLS:
        store.journal.add_turn(call_id, HELLO)
        await asyncio.sleep(0)
    await _until_turns(store, len(CALLS))
    assert written == ["INSERT INTO turns"]


async def test_what_may_be_looked_for_is_written_at_once_with_the_turns_before_it(
    store: Store, written: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voicebot.records.journal._GATHER_S", FOR_EVER_S)
    _say_hello_to_all(store)
    await asyncio.sleep(0.1)
    assert written == []
    store.journal.share_call("c1", SharedWith.USER, "ana")
    await _until_turns(store, len(CALLS))
    assert written == ["INSERT INTO turns", "INSERT INTO call_shares"]


async def test_what_somebody_did_is_in_the_audit_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicebot.records.journal._GATHER_S", FOR_EVER_S)
    store.journal.audit(AuditEntry(STARTED, "ana", "export", "calls", {}))
    async with asyncio.timeout(20):
        while "export" not in [kept.action for kept in await store.audited(AuditSearch(), limit=50)]:
            await asyncio.sleep(0.01)


async def test_what_must_not_wait_is_written_at_once_behind_more_than_one_batch(
    store: Store, written: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voicebot.records.journal._GATHER_S", FOR_EVER_S)
    monkeypatch.setattr("voicebot.records.journal._BATCH", 4)
    for _ in range(5):
        _say_hello_to_all(store)
    store.journal.share_call("c1", SharedWith.USER, "ana")
    await _until_turns(store, 5 * len(CALLS))
    async with asyncio.timeout(20):
        while "INSERT INTO call_shares" not in written:
            await asyncio.sleep(0.01)


async def test_enough_entries_for_a_batch_wait_for_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicebot.records.journal._GATHER_S", FOR_EVER_S)
    monkeypatch.setattr("voicebot.records.journal._BATCH", len(CALLS))
    _say_hello_to_all(store)
    await _until_turns(store, len(CALLS))


async def test_whoever_waits_for_what_was_taken_down_waits_for_nothing_else(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voicebot.records.journal._GATHER_S", FOR_EVER_S)
    writing, more = asyncio.Event(), asyncio.Event()
    insert = journal._insert

    async def insert_later(*arguments: Any) -> Any:
        writing.set()
        await more.wait()
        return await insert(*arguments)

    monkeypatch.setattr(journal, "_insert", insert_later)
    _say_hello_to_all(store)
    flushing = asyncio.create_task(store.journal.flush())
    await writing.wait()
    _say_hello_to_all(store)  # while the first are being written, so that nothing hurries these
    more.set()
    async with asyncio.timeout(20):
        await flushing
    await _until_turns(store, 2 * len(CALLS))
