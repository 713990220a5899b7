"""The audit trail over HTTP: found by what, who and when, a page at a time, by those who have the right."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.fakes.web_server import API_TOKEN, RunningServer, serving
from voicebot.records.access.roles import Role
from voicebot.records.audit import AuditEntry
from voicebot.records.store import Store

BEARER = {"Authorization": f"Bearer {API_TOKEN}"}
START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
#: Who did what to what, a minute apart.
DONE = [
    ("bot", "decided", "call:c1"),
    ("dana", "recording_played", "call:c1"),
    ("dana", "calls_exported", "/api/calls/export"),
    ("bot", "decided", "call:c2"),
]


@pytest.fixture
async def store(tmp_path: Path, database_url: str) -> AsyncIterator[Store]:
    async with Store.open(tmp_path, url=database_url, on_failure=print) as opened:
        for number, (actor, action, subject) in enumerate(DONE):
            at = START + timedelta(minutes=number)
            opened.journal.audit(AuditEntry(at, actor, action, subject, {"about": number}))
        await opened.journal.flush()
        yield opened


@asynccontextmanager
async def _asked(store: Store, **query: str) -> AsyncIterator[dict[str, Any]]:
    async with serving(store=store) as server:
        yield await _ask(server, **query)


async def _ask(server: RunningServer, **query: str) -> dict[str, Any]:
    async with server.http.get(server.base + "/api/audit", params=query, headers=BEARER) as answer:
        assert answer.status == 200, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({}, [4, 3, 2, 1]),
        ({"subject": "call:c1"}, [2, 1]),
        ({"actor": "dana"}, [3, 2]),
        ({"action": "decided", "subject": "call:c2"}, [4]),
        ({"since": "2026-11-21T09:01:00Z", "until": "2026-11-21T09:03:00Z"}, [3, 2]),
        ({"actor": "nobody"}, []),
    ],
)
async def test_entries_are_found_by_what_who_and_when(store: Store, query: dict[str, str], numbers: list[int]) -> None:
    async with _asked(store, **query) as found:
        assert [entry["number"] for entry in found["entries"]] == numbers
        assert found["next_before"] is None


async def test_the_trail_is_read_a_page_at_a_time_whatever_was_added_meanwhile(store: Store) -> None:
    async with serving(store=store) as server:
        first = await _ask(server, limit="2")
        store.journal.audit(AuditEntry(START, "dana", "signed_in", "user:dana", {}))
        await store.journal.flush()
        second = await _ask(server, limit="2", before=str(first["next_before"]))
        assert [entry["number"] for page in (first, second) for entry in page["entries"]] == [4, 3, 2, 1]


async def test_an_entry_tells_all_it_holds_and_one_whose_content_was_deleted_that_it_was(store: Store) -> None:
    async with store.database.begin() as connection:
        await connection.execute(text("DELETE FROM audit_contents WHERE number = 1"))
    async with _asked(store, subject="call:c1") as found:
        played, decided = found["entries"]
    at = "2026-11-21T09:01:00+00:00"
    assert played == {
        "number": 2,
        "at": at,
        "actor": "dana",
        "action": "recording_played",
        "subject": "call:c1",
        "content": {"about": 1},
    }
    assert decided["content"] is None


@pytest.mark.parametrize("query", ["before=0", "before=x", "limit=0", "since=yesterday", "actor=" + "x" * 501])
async def test_what_cannot_be_read_is_refused_by_name(store: Store, query: str) -> None:
    async with (
        serving(store=store) as server,
        server.http.get(f"{server.base}/api/audit?{query}", headers=BEARER) as it,
    ):
        assert it.status == 400
        assert f"`{query.partition('=')[0]}`" in await it.text()


@pytest.mark.parametrize(
    ("role", "status"), [(Role.AUDITOR, 200), (Role.ADMIN, 200), (Role.QA, 403), (Role.AGENT, 403)]
)
async def test_it_is_for_auditors_and_admins(store: Store, role: Role, status: int) -> None:
    async with serving(store=store) as server:
        await server.signed_in_as(role)
        for path in ("/api/audit", "/api/audit/head"):
            assert (await server.http.get(server.base + path)).status == status


async def test_the_head_of_the_trail_is_told_to_be_kept_elsewhere(store: Store) -> None:
    async with serving(store=store) as server:
        url = server.base + "/api/audit/head"
        head = await store.audit_head()
        assert await (await server.http.get(url, headers=BEARER)).json() == {"number": 4, "hash": head.hash}
        assert (await server.http.get(url)).status == 401
