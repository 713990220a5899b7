"""Playing recordings over HTTP: ranges, who hears what being taken down, and nothing before it may be heard."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from structlog.testing import capture_logs

from tests.fakes.recordings import FakeLiveRecordings, FakeRecording, FakeRecordings
from tests.fakes.web_server import API_TOKEN, FakeCalls, serving

BEARER = {"Authorization": f"Bearer {API_TOKEN}"}
CONTENT = bytes(range(256)) * 4096  # more than one piece
URL = "/api/calls/call-1/recording"


def _recordings(broken_at: int | None = None) -> FakeRecordings:
    return FakeRecordings({"call-1": FakeRecording(CONTENT, broken_at)}, unfinished="call-2")


async def test_a_recording_is_sent_whole_as_what_it_is() -> None:
    async with serving(calls=FakeCalls([{"id": "call-1"}]), recordings=_recordings()) as server:
        answer = await server.http.get(server.base + URL, headers=BEARER)
        assert await answer.read() == CONTENT
        assert (answer.status, answer.content_type, answer.content_length) == (200, "audio/flac", len(CONTENT))
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("0-3", 0, 4), ("5-", 5, None), ("-7", -7, None), ("262140-262150", 262140, 262151), ("10-99999999", 10, None)],
)
async def test_a_range_of_it_is_sent(asked: str, start: int, end: int | None) -> None:
    async with serving(calls=FakeCalls([{"id": "call-1"}]), recordings=_recordings()) as server:
        answer = await server.http.get(server.base + URL, headers={**BEARER, "Range": f"bytes={asked}"})
        assert (answer.status, await answer.read()) == (206, CONTENT[start:end])
        first = start % len(CONTENT)
        last = len(CONTENT) if end is None else end
        assert answer.headers["Content-Range"] == f"bytes {first}-{last - 1}/{len(CONTENT)}"


@pytest.mark.parametrize("asked", ["bytes=9999999-", "bytes=5-2", "bytes=x-y", "lines=1-2"])
async def test_a_range_that_is_none_is_refused_with_the_size(asked: str) -> None:
    async with serving(calls=FakeCalls([{"id": "call-1"}]), recordings=_recordings()) as server:
        answer = await server.http.get(server.base + URL, headers={**BEARER, "Range": asked})
        assert answer.status == 416
        assert answer.headers["Content-Range"] == f"bytes */{len(CONTENT)}"


async def test_a_range_of_what_has_changed_since_brings_the_whole() -> None:
    async with serving(calls=FakeCalls([{"id": "call-1"}]), recordings=_recordings()) as server:
        for condition, status in (('"e1"', 206), ('"e0"', 200)):
            headers = {**BEARER, "Range": "bytes=0-3", "If-Range": condition}
            assert (await server.http.get(server.base + URL, headers=headers)).status == status


async def test_a_head_tells_the_size() -> None:
    async with serving(calls=FakeCalls([{"id": "call-1"}]), recordings=_recordings()) as server:
        answer = await server.http.head(server.base + URL, headers=BEARER)
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(CONTENT)))


async def test_each_playback_is_taken_down_once_however_many_ranges_it_takes() -> None:
    async with serving(calls=FakeCalls([{"id": "call-1"}]), recordings=_recordings()) as server:
        for asked in ("bytes=0-3", "bytes=4-7", "bytes=-5"):
            await server.http.get(server.base + URL, headers={**BEARER, "Range": asked})
        assert [(entry.action, entry.subject) for entry in server.audited] == [("recording_played", "call:call-1")]


@pytest.mark.parametrize("what", ["recording", "waveform"])
async def test_nothing_is_heard_before_it_was_redacted(what: str) -> None:
    async with serving(calls=FakeCalls([{"id": "call-1"}]), recordings=_recordings()) as server:
        answer = await server.http.get(f"{server.base}/api/calls/call-2/{what}", headers=BEARER)
        assert (answer.status, await answer.json()) == (409, {"error": "It is being redacted."})
        assert int(answer.headers["Retry-After"]) > 0
        assert server.audited == []


@pytest.mark.parametrize("call_id", ["call-9", "..%2f..%2fetc%2fpasswd", "a%00b", "%2e%2e", "a" * 129])
@pytest.mark.parametrize("what", ["recording", "waveform"])
async def test_a_call_without_a_recording_says_so(call_id: str, what: str) -> None:
    async with serving(calls=FakeCalls([{"id": "call-1"}]), recordings=_recordings()) as server:
        answer = await server.http.get(f"{server.base}/api/calls/{call_id}/{what}", headers=BEARER)
        assert answer.status == 404


async def test_a_recording_changed_on_disk_is_broken_off_not_played_to_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with capture_logs() as logs:
        async with serving(calls=FakeCalls([{"id": "call-1"}]), recordings=_recordings(broken_at=600_000)) as server:
            answer = await server.http.get(server.base + URL, headers=BEARER)
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()
    assert [entry["event"] for entry in logs] == ["recording broken off"]  # and nothing that failed besides
    assert caplog.records == []


async def test_the_waveform_is_sent_as_json() -> None:
    async with serving(calls=FakeCalls([{"id": "call-1"}]), recordings=_recordings()) as server:
        answer = await server.http.get(server.base + "/api/calls/call-1/waveform", headers=BEARER)
        assert await answer.json() == {"duration_ms": 0, "lanes": {}}


async def test_the_recording_of_a_live_call_is_stopped_and_resumed_and_that_is_audited() -> None:
    live = FakeLiveRecordings("call-1")
    async with serving(calls=FakeCalls([{"id": "call-1"}]), live_recordings=live) as server:
        url = server.base + URL
        assert (await server.http.post(url + "/stop", headers=BEARER)).status == 204
        stopped_by = dict(live.stopped)
        assert stopped_by["call-1"]
        assert (await server.http.post(url + "/resume", headers=BEARER)).status == 204
        assert dict(live.stopped) == {"call-1": None}
        assert [entry.action for entry in server.audited] == ["recording_stopped", "recording_resumed"]
        other = server.base + "/api/calls/call-9/recording/stop"
        assert (await server.http.post(other, headers=BEARER)).status == 404
        assert (await server.http.post(url + "/stop")).status == 401


async def test_a_player_that_goes_away_in_the_middle_is_no_failed_request(caplog: pytest.LogCaptureFixture) -> None:
    recordings = FakeRecordings({"call-1": FakeRecording(bytes(30_000_000))})
    async with serving(recordings=recordings) as server:
        with capture_logs() as logs:
            answer = await server.http.get(server.base + "/api/calls/call-1/recording", headers=BEARER)
            await answer.content.read(1000)
            answer.close()
            await asyncio.sleep(0.3)

    assert [entry["event"] for entry in logs] == []
    assert [entry.message for entry in caplog.records if entry.levelname == "ERROR"] == []
