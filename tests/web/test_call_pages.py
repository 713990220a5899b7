from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.fakes.recorded_call import BEGAN, short_call, unrecorded
from tests.fakes.recordings import FakeRecordings
from tests.fakes.web_server import FakeCalls, RunningServer, serving
from voicebot.records.access.roles import Role
from voicebot.records.contexts import Delivery
from voicebot.records.record import RecordingState, Speaker, TurnRecord, UnheardSpeech
from voicebot.records.schema import call_document


def calls(count: int) -> FakeCalls:
    made = [replace(short_call(), id=f"call-{n}", started_at=BEGAN - timedelta(hours=n)) for n in range(count)]
    return FakeCalls([call_document(call) for call in made])


class FakeContexts:
    """The context packet of one call."""

    def __init__(self, packet: Mapping[str, Any]) -> None:
        self.packet = packet

    async def get(self, call_id: str) -> dict[str, Any] | None:
        return dict(self.packet) if call_id == self.packet["call_id"] else None

    async def deliveries(self, call_id: str) -> Sequence[Delivery]:
        return [Delivery("k", "crm", call_id, 2, BEGAN, 200, delivered=True, problem=None, took_ms=31)]


async def page(server: RunningServer, path: str, status: int = 200) -> str:
    answer = await server.http.get(server.base + path)
    assert answer.status == status, await answer.text()
    return await answer.text()


def links(html: str, start: str) -> list[dict[str, list[str]]]:
    """Return the queries of the links that begin so."""
    found = [part.partition('"')[0].replace("&amp;", "&") for part in html.split('href="')[1:]]
    return [parse_qs(urlsplit(link).query) for link in found if link.startswith(start)]


async def test_a_search_keeps_what_was_asked_in_the_form_the_pages_and_the_exports() -> None:
    async with serving(calls=calls(5)) as server:
        await server.signed_in_as(Role.QA)
        html = await page(server, "/calls?words=%22my+order%22&outcome=completed&intent=&limit=2&caller=%2B15550100")

        asked = {"words": ['"my order"'], "outcome": ["completed"], "caller": ["+15550100"]}
        assert links(html, "/api/calls/export") == [asked | {"format": ["csv"]}, asked | {"format": ["json"]}]
        (older,) = links(html, "/calls?words")
        assert older.pop("cursor")
        assert older == asked
        assert 'value="&#34;my order&#34;"' in html
        assert '<option value="completed" selected>' in html
        assert "2 set" in html
        assert "<mark>my order</mark>" in html
        assert 'href="/calls/call-0#turn-1"' in html


async def test_older_calls_follow_and_lead_back_to_the_newest() -> None:
    async with serving(calls=calls(5)) as server:
        await server.signed_in_as(Role.QA)
        first = await page(server, "/calls?limit=2")
        (older,) = links(first, "/calls?cursor")
        rest = await page(server, f"/calls?cursor={older['cursor'][0]}")

        assert [f"/calls/call-{n}" in first for n in range(5)] == [True, True, False, False, False]
        assert [f"/calls/call-{n}" in rest for n in range(5)] == [False, False, True, True, True]
        assert "Newest calls" in rest
        assert "Older calls" not in rest


async def test_what_makes_no_sense_is_said_beside_the_form_that_still_holds_it() -> None:
    async with serving(calls=calls(1)) as server:
        await server.signed_in_as(Role.QA)
        html = await page(server, "/calls?min_duration_s=soon&words=refund", status=400)

        assert "`min_duration_s` is a number of seconds." in html
        assert 'value="refund"' in html
        assert 'aria-invalid="true"' in html
        assert html.index('aria-invalid="true"') > html.index('name="min_duration_s"')
        assert "/calls/call-0" not in html


async def test_a_search_that_finds_nothing_says_so_and_an_empty_server_too() -> None:
    async with serving(calls=FakeCalls()) as server:
        await server.signed_in_as(Role.QA)

        assert "Nothing fits all of this." in await page(server, "/calls?intent=refund")
        empty = await page(server, "/calls")
        assert "Place the first one." in empty
        assert empty.count("No call yet.") == 1


async def test_those_who_may_not_export_see_no_link_to_it() -> None:
    listed = calls(1)
    listed.given_to["call-0"] = frozenset({"the-agent"})
    async with serving(calls=listed) as server:
        await server.signed_in_as(Role.AGENT)
        html = await page(server, "/calls")

        assert "/calls/call-0" in html
        assert "/api/calls/export" not in html


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (None, "This call was not recorded."),
        (RecordingState.LIVE, "is being redacted"),
        (RecordingState.LOST, "The recording was lost"),
        (RecordingState.DELETED, "The recording was deleted"),
    ],
)
async def test_a_recording_that_is_not_there_is_explained(state: RecordingState | None, told: str) -> None:
    async with serving(calls=FakeCalls([unrecorded(short_call(), state)])) as server:
        await server.signed_in_as(Role.QA)
        html = await page(server, "/calls/short")

        assert told in html
        assert "<audio" not in html
        assert "where" in html


async def test_a_call_that_goes_on_says_so() -> None:
    going = replace(short_call(), ended_at=None, outcome=None, cause=None, turns=())
    async with serving(calls=FakeCalls([unrecorded(going, RecordingState.LIVE)])) as server:
        await server.signed_in_as(Role.QA)
        html = await page(server, "/calls/short")

        assert "The call goes on" in html
        assert "Nothing was said yet." in html


async def test_speech_that_nobody_wrote_down_is_told_and_drawn() -> None:
    call = short_call()
    assert call.recording is not None
    hidden = (UnheardSpeech(21_000, 23_500, "caller"), UnheardSpeech(65_000, 66_000, "bot"))
    call = replace(call, recording=replace(call.recording, unheard=hidden))
    async with serving(calls=FakeCalls([call_document(call)]), recordings=FakeRecordings()) as server:
        await server.signed_in_as(Role.QA)
        html = await page(server, "/calls/short")
        assert 'data-pause="21000" data-end="23500"' in html
        assert "What was said at 0:21, 1:05 (agent) was not written down and may hold a number" in html
        assert "not recorded, or not written down" in html


async def test_an_auditor_sees_the_waveform_and_no_sound() -> None:
    async with serving(calls=FakeCalls([call_document(short_call())]), recordings=FakeRecordings()) as server:
        await server.signed_in_as(Role.AUDITOR)
        html = await page(server, "/calls/short")

        assert 'id="waveform"' in html
        assert "<audio" not in html
        assert "You may read this call, but not listen to it." in html


async def test_every_turn_tells_what_was_understood_weighed_and_taken_out() -> None:
    async with serving(calls=FakeCalls([call_document(short_call())])) as server:
        await server.signed_in_as(Role.QA)
        html = await page(server, "/calls/short")

        for told in ("71 %", "where is my aunt", "callback", "by score", "score 0.62 of 0.60", "negativity", "0.35"):
            assert told in html
        for told in ("or order status 17 %", 'orders · status: no such order <span class="soft">in 42 ms</span>'):
            assert told in html
        for told in ("kept secret", "taken out here and in the recording: card", "interrupted at 0:04", "(not heard: "):
            assert told in html
        assert "Nothing yet: the score is below every rung that is left." in html
        assert 'data-pause="8000" data-end="9500"' in html


async def test_what_the_person_was_told_stands_beside_a_call_that_was_handed_over() -> None:
    packet = {
        "call_id": "short",
        "summary": ["Wants to know where the order is."],
        "escalation": {"reason": "caller_asked", "rule": "asked", "queue": "orders", "priority": 2},
        "customer": {"name": "Omar <Haddad>", "number": "+15550100"},
        "authentication": {"authenticated": True, "failures": 1},
        "mood": {"trend": "worse", "cues": ["joke"]},
        "attempts": [{"operation": "order_status", "outcome": "done", "reference": "T-1"}],
        "promises": [],
        "next_steps": ["Offer a refund."],
    }
    other = replace(short_call(), id="other", turns=(TurnRecord(Speaker.CALLER, "hello"),))
    both = FakeCalls([call_document(short_call()), call_document(other)])
    async with serving(calls=both, contexts=FakeContexts(packet)) as server:
        await server.signed_in_as(Role.QA)
        html = await page(server, "/calls/short")

        for told in (
            "What the person was told",
            "Wants to know",
            "caller asked",
            "Omar &lt;Haddad&gt;, proved, 1 failed",
        ):
            assert told in html
        for told in ("order status: done (T-1)", "Offer a refund.", "crm: taken after 31 ms, attempt 2"):
            assert told in html
        assert "Promised" not in html
        assert "What the person was told" not in await page(server, "/calls/other")
