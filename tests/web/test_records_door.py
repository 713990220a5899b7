from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fakes.recordings import FakeRecording, FakeRecordings
from tests.fakes.web_server import API_TOKEN, FakeCalls, serving
from voicebot.records.access.roles import Role
from voicebot.records.record import CallRecord, Outcome, Speaker, TurnRecord
from voicebot.records.schema import call_document
from voicebot.records.search import CallSearch

BEARER = {"Authorization": f"Bearer {API_TOKEN}"}
BEGAN = datetime(2026, 3, 5, 14, 5, tzinfo=UTC)


def record(number: int = 1) -> Mapping[str, Any]:
    return call_document(
        CallRecord(
            id=f"call-{number}",
            channel="twilio",
            started_at=BEGAN + timedelta(minutes=number),
            ended_at=BEGAN + timedelta(minutes=number, seconds=62),
            outcome=Outcome.COMPLETED,
            cause="we_hung_up",
            goal="order_status",
            goal_reached=True,
            flow_version="0123456789abcdef",
            caller="+15550100",
            turns=(
                TurnRecord(Speaker.BOT, "Welcome to <Acme>.", at_ms=200, heard_ms=900, heard_text="Welcome"),
                TurnRecord(
                    Speaker.CALLER,
                    "where is my order",
                    at_ms=1500,
                    heard_ms=1300,
                    intent="order_status",
                    confidence=0.934,
                    slots={"order_number": "4711"},
                    decision="order_status.ask_number",
                    engine="pocketsphinx",
                    alternatives=("where is my aunt",),
                    timings_ms={"end_of_turn": 240.0, "final": 310.4, "first_audio_sent": 402.0},
                ),
                TurnRecord(Speaker.CALLER, "", at_ms=8000, secret=True, engine="keys"),
            ),
        )
    )


async def test_records_are_listed_and_read_with_the_token() -> None:
    records = [record(number) for number in (3, 2, 1)]
    async with serving(calls=FakeCalls(records)) as server:
        url = server.base + "/api/calls"
        first = await (await server.http.get(url, params={"limit": "2"}, headers=BEARER)).json()
        rest = await (
            await server.http.get(url, params={"limit": "2", "before": first["next_before"]}, headers=BEARER)
        ).json()

        assert first["calls"] == records[:2]
        assert rest == {"calls": records[2:], "next_cursor": None, "next_before": None}
        next_page = {"limit": "2", "cursor": first["next_cursor"]}
        assert await (await server.http.get(url, params=next_page, headers=BEARER)).json() == rest
        assert await (await server.http.get(url + "/call-2", headers=BEARER)).json() == records[1]
        assert (await server.http.get(url + "/call-9", headers=BEARER)).status == 404


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {API_TOKEN}"}, {"Authorization": "Bearer "}],
)
async def test_without_the_token_nothing_is_read(headers: dict[str, str]) -> None:
    async with serving(calls=FakeCalls([record()])) as server:
        for path in ("/api/calls", *(f"/api/calls/call-1{part}" for part in ("", "/recording", "/waveform"))):
            assert (await server.http.get(server.base + path, headers=headers)).status == 401


async def test_a_server_without_a_token_is_closed() -> None:
    async with serving(calls=FakeCalls([record()]), api_token=None) as server:
        assert (await server.http.get(server.base + "/api/calls", headers=BEARER)).status == 401
        assert (await server.http.get(server.base + "/api/calls", headers={"Authorization": "Bearer "})).status == 401


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=201", "limit=x", "limit=-1", "limit=²", "before=no time", "cursor=x", "outcome=x"),
        *("said_by=x", "min_duration_s=-1", "max_duration_s=nan", "since=2026-13-01", "until=2026-01-01T00:00:00"),
        *("words=" + "x" * 501, "words=%00", "format=xml", "since=0001-01-01T00:00:00%2B23:00"),
    ],
)
async def test_a_query_that_makes_no_sense_is_a_bad_request(query: str) -> None:
    path = "/api/calls/export" if query.startswith("format") else "/api/calls"
    async with serving() as server:
        assert (await server.http.get(f"{server.base}{path}?{query}", headers=BEARER)).status == 400


@pytest.mark.parametrize("path", ["/api/calls", "/api/calls/export", "/api/audit"])
async def test_a_filter_that_was_mistyped_finds_nothing_and_names_what_was_meant(path: str) -> None:
    mistyped, meant = ("acter", "actor") if path == "/api/audit" else ("callr", "caller")
    async with serving(calls=FakeCalls([record()])) as server:
        answer = await server.http.get(f"{server.base}{path}?{mistyped}=%2B15550100", headers=BEARER)
        assert answer.status == 400
        assert (await answer.json())["error"] == f"`{mistyped}` is not known here. Did you mean '{meant}'?"
        if path == "/api/calls/export":
            assert server.audited == []


async def test_what_is_searched_for_reaches_the_store() -> None:
    query = {
        "words": '"my order" refund*',
        "said_by": "caller",
        "caller": "+15550100",
        "intent": "refund",
        "outcome": "completed",
        "min_duration_s": "10",
        "max_duration_s": "99.5",
        "flow_version": "v1",
        "since": "2026-03-05",
        "until": "2026-03-06T01:00:00+01:00",
    }
    async with serving(calls=FakeCalls([record()])) as server:
        await server.http.get(server.base + "/api/calls", params=query, headers=BEARER)
        assert server.calls.searches == [
            CallSearch(
                words='"my order" refund*',
                said_by=Speaker.CALLER,
                caller="+15550100",
                intent="refund",
                outcome=Outcome.COMPLETED,
                min_duration_s=10,
                max_duration_s=99.5,
                since=datetime(2026, 3, 5, tzinfo=UTC),
                until=datetime(2026, 3, 6, tzinfo=UTC),
                flow_version="v1",
            )
        ]


async def test_calls_are_exported_as_json_and_as_lines_for_a_spreadsheet() -> None:
    records = [dict(record(2)), dict(record(1))]
    records[1]["caller"] = "=HYPERLINK(1)"
    async with serving(calls=FakeCalls(records)) as server:
        url = server.base + "/api/calls/export"
        whole = await server.http.get(url, params={"format": "json"}, headers=BEARER)
        assert await whole.json() == records
        assert whole.headers["Content-Disposition"] == 'attachment; filename="calls.json"'
        lines = await (await server.http.get(url, params={"format": "csv"}, headers=BEARER)).text()
        first, second = csv.DictReader(io.StringIO(lines))
        assert (first["id"], first["caller"], first["duration_s"], first["intents"]) == (
            *("call-2", "+15550100", "62.0", "order_status"),
        )
        assert first["transcript"] == "bot: Welcome\ncaller: where is my order\ncaller: (kept secret)"
        assert second["caller"] == "'=HYPERLINK(1)"
        assert (await server.http.get(url)).status == 401


async def test_an_export_of_nothing_is_whole_too() -> None:
    async with serving() as server:
        url = server.base + "/api/calls/export"
        assert await (await server.http.get(url, headers=BEARER)).json() == []
        lines = await (await server.http.get(url, params={"format": "csv"}, headers=BEARER)).text()
        assert lines.startswith("id,started_at")
        assert lines.count("\n") == 1


async def test_the_schema_is_open() -> None:
    async with serving(api_token=None) as server:
        answer = await server.http.get(server.base + "/api/schema")

        assert await answer.json() == {"title": "CallRecord"}


async def test_a_person_signs_in_and_sees_the_call() -> None:
    recordings = FakeRecordings({"call-1": FakeRecording(b"fLaC")})
    async with serving(calls=FakeCalls([record()]), recordings=recordings) as server:
        asked = await server.http.get(server.base + "/calls/call-1")
        assert asked.url.path == "/sign-in"
        assert asked.url.query["then"] == "/calls/call-1"
        await server.signed_in_as(Role.QA)

        html = await (await server.http.get(server.base + "/calls/call-1")).text()
        for shown in ("Order status", "goal reached", "5 Mar 2026, 14:06 UTC", "1:02", "where is my order", "93 %"):
            assert shown in html
        for shown in ("order_status.ask_number", "kept secret", "order number", "4711", "end of turn", "402"):
            assert shown in html
        assert "Welcome to &lt;Acme&gt;." not in html  # cut where the caller interrupted, and escaped
        assert "&lt;Acme&gt;" in html
        assert (await server.http.get(server.base + "/api/calls/call-1/recording")).status == 200
        assert [(entry.actor, entry.action) for entry in server.audited][-1] == ("the-qa", "recording_played")
        assert 'href="/calls/call-1"' in await (await server.http.get(server.base + "/calls")).text()


async def test_an_id_cannot_leave_its_place() -> None:
    async with serving(calls=FakeCalls([record()])) as server:
        for bad in ("..%2F..%2Fetc", "a%00b", "x" * 200):
            assert (await server.http.get(f"{server.base}/api/calls/{bad}", headers=BEARER)).status == 404
