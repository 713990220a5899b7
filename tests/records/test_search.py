"""Calls found by what was said and by what is known of them, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from voicebot.records.record import Outcome, Speaker, TurnRecord
from voicebot.records.search import CallSearch, Cursor, SearchRefused
from voicebot.records.store import Store

START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Party:
    caller: str = "+15550100"
    channel: str = "twilio"
    direction: str = "inbound"
    called: str = "+15550199"
    carrier_call_id: str = "CA1"


def _call(store: Store, number: int, *turns: TurnRecord, caller: str = "+15550100", version: str = "v1") -> None:
    call_id, started = f"c{number}", START + timedelta(hours=number)
    store.journal.begin_call(call_id, _Party(caller), started, version)
    for turn in turns:
        store.journal.add_turn(call_id, turn)
    outcome = Outcome.COMPLETED if number % 2 else Outcome.FAILED
    store.journal.end_call(call_id, started + timedelta(seconds=30 * number), outcome, "we_hung_up")


def _caller(said: str, intent: str | None = None) -> TurnRecord:
    return TurnRecord(Speaker.CALLER, said, intent=intent)


def _bot(said: str, heard: str | None = None) -> TurnRecord:
    return TurnRecord(Speaker.BOT, said, heard_text=heard)


@pytest.fixture
async def store(tmp_path: Path, database_url: str) -> AsyncIterator[Store]:
    async with Store.open(tmp_path, url=database_url, on_failure=print) as opened:
        _call(opened, 1, _bot("Welcome to Acme."), _caller("I want my money back", "refund"))
        _call(opened, 2, _caller("where is my e-mail about order 24.50", "order_status"), caller="+15550102")
        _call(
            opened, 3, _caller("back with my money, the café's"), _caller("refunding, please", "refund"), version="v2"
        )
        _call(opened, 4, _bot("Your money is on its way back home.", "Your money"), _caller("yes", "status"))
        opened.journal.set_goal("c4", "close_account", reached=False)
        await opened.journal.flush()
        yield opened


async def _found(store: Store, search: CallSearch) -> list[str]:
    return [call["id"] for call in await store.search(search, 100)]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("money", ["c4", "c3", "c1"]),
        ("MONEY back", ["c3", "c1"]),
        ('"money back"', ["c1"]),
        ('"my money" back', ["c3", "c1"]),
        ("refund", []),  # the word was never said; the intent is another matter
        ("refund*", ["c3"]),
        ('"back with my mon"*', ["c3"]),
        ("home", []),  # the caller interrupted before it
        ("e-mail", ["c2"]),
        ("24.50", ["c2"]),
        ("café", ["c3"]),
        ("acme money", ["c1"]),
        ("nothing", []),
        ("' OR 1=1 --", []),
        ('money NOT "back"', []),
        ("money* OR* welcome", []),
        ("{caller} : money", []),
        ("money:A | back!", []),
    ],
)
async def test_calls_are_found_by_all_the_words_that_were_said(store: Store, words: str, found: list[str]) -> None:
    assert await _found(store, CallSearch(words=words)) == found


async def test_words_may_be_asked_of_one_speaker(store: Store) -> None:
    assert await _found(store, CallSearch(words="money", said_by=Speaker.BOT)) == ["c4"]
    assert await _found(store, CallSearch(words="money", said_by=Speaker.CALLER)) == ["c3", "c1"]
    assert await _found(store, CallSearch(words="money", said_by=Speaker.AGENT)) == []


@pytest.mark.parametrize(
    ("search", "found"),
    [
        (CallSearch(), ["c4", "c3", "c2", "c1"]),
        (CallSearch(intent="refund"), ["c3", "c1"]),
        (CallSearch(intent="order_status"), ["c2"]),
        (CallSearch(intent="status"), ["c4"]),
        (CallSearch(intent="close_account"), ["c4"]),
        (CallSearch(intent="it's \\ odd"), []),
        (CallSearch(caller="+15550102"), ["c2"]),
        (CallSearch(outcome=Outcome.FAILED), ["c4", "c2"]),
        (CallSearch(flow_version="v2"), ["c3"]),
        (CallSearch(min_duration_s=60, max_duration_s=90), ["c3", "c2"]),
        (CallSearch(since=START + timedelta(hours=2), until=START + timedelta(hours=4)), ["c3", "c2"]),
        (CallSearch(words="money", intent="refund", flow_version="v1", outcome=Outcome.COMPLETED), ["c1"]),
    ],
)
async def test_calls_are_found_by_what_is_known_of_them(store: Store, search: CallSearch, found: list[str]) -> None:
    assert await _found(store, search) == found


@pytest.mark.parametrize("words", ["--", '""', "a " * 30])
async def test_a_search_for_nothing_or_too_much_is_refused(store: Store, words: str) -> None:
    with pytest.raises(SearchRefused, match="`words`"):
        await store.search(CallSearch(words=words), 10)


async def test_pages_follow_one_another_though_calls_began_at_once_and_more_come_in(store: Store) -> None:
    for name in "edabc":
        store.journal.begin_call(f"same-{name}", _Party(), START - timedelta(hours=1), "v1")
    await store.journal.flush()
    seen: list[str] = []
    after: Cursor | None = None
    while page := await store.search(CallSearch(), 2, after):
        seen += [call["id"] for call in page]
        after = Cursor.parse(str(Cursor(datetime.fromisoformat(page[-1]["started_at"]), page[-1]["id"])))
        _call(store, 50 + len(seen), _caller("a newer call"))
        await store.journal.flush()
    assert seen == ["c4", "c3", "c2", "c1", "same-e", "same-d", "same-c", "same-b", "same-a"]


@pytest.mark.parametrize("given", ["", "x", "eA==", "MjAyNi0xMS0yMVQwOTowMDowMCBjMQ==", "é"])
def test_a_cursor_that_was_never_given_is_refused(given: str) -> None:
    with pytest.raises(SearchRefused, match="`cursor`"):
        Cursor.parse(given)


async def test_what_is_exported_is_every_call_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicebot.records.store._PAGE", 3)
    assert [call["id"] async for call in store.every(CallSearch())] == ["c4", "c3", "c2", "c1"]
    assert [call["id"] async for call in store.every(CallSearch(words="money"))] == ["c4", "c3", "c1"]


async def test_words_that_are_changed_or_deleted_are_found_no_more(store: Store) -> None:
    async with store.database.begin() as connection:
        await connection.execute(text("UPDATE turns SET text = 'all blank' WHERE call_id = 'c1' AND number = 1"))
        await connection.execute(text("DELETE FROM turns WHERE call_id = 'c3' AND number = 0"))
        await connection.execute(text("DELETE FROM calls WHERE id = 'c2'"))
    assert await _found(store, CallSearch(words="money")) == ["c4"]
    assert await _found(store, CallSearch(words="blank welcome")) == ["c1"]
    assert await _found(store, CallSearch(words="please")) == ["c3"]
    assert await _found(store, CallSearch(words="order")) == []
    left = "SELECT count(*) FROM call_words"
    async with store.database.connect() as connection:
        assert await connection.scalar(text(left)) == 3


async def test_a_call_is_found_while_it_goes_on(store: Store) -> None:
    store.journal.begin_call("live", _Party(), START, "v1")
    store.journal.add_turn("live", _caller("something unheard-of"))
    await store.journal.flush()
    assert await _found(store, CallSearch(words="unheard")) == ["live"]
    assert await _found(store, CallSearch(words="unheard", min_duration_s=0)) == []  # it has no duration yet


async def test_records_and_words_of_older_versions_stay_readable(store: Store) -> None:
    before = await store.get("c1")
    await store.database.migrate_down("0002")
    await store.database.migrate()
    assert await store.get("c1") == before
    assert await _found(store, CallSearch(words="money")) == ["c4", "c3", "c1"]
    assert await _found(store, CallSearch(intent="refund")) == ["c3", "c1"]
