"""What an attacker would try first. Stolen tickets and codes are tried in the tests of the doors that take them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from tests.fakes.media_streams import incoming
from tests.fakes.recordings import FakeRecording, FakeRecordings
from tests.fakes.web_server import API_TOKEN, PASSWORD, FakeCalls, RunningServer, serving, sign
from tests.web.test_records_door import record
from voicebot.records.access.roles import RIGHTS, Reach, Right, Role
from voicebot.records.access.sight import SharedWith
from voicebot.records.record import Speaker, TurnRecord
from voicebot.records.store import Store
from voicebot.records.vault.objects import DiskObjects

EVIL = "https://evil.example"


# Somebody else's calls.


async def test_an_agent_gets_at_no_call_that_was_not_given_to_them() -> None:
    calls = FakeCalls([record(1), record(2), record(3)])
    calls.given_to = {"call-1": frozenset({"the-agent"}), "call-2": frozenset({"billing"})}
    async with serving(calls=calls) as server:
        await server.signed_in_as(Role.AGENT, "billing")
        for wider in ("sight=all", "user=x"):
            assert (await server.http.get(f"{server.base}/api/calls?{wider}")).status == 400
        listed = await (await server.http.get(server.base + "/api/calls")).json()
        assert [call["id"] for call in listed["calls"]] == ["call-1", "call-2"]
        page = await (await server.http.get(server.base + "/calls")).text()
        assert "/calls/call-1" in page
        assert "/calls/call-3" not in page

        for path in ("/api/calls/{}", "/api/calls/{}/recording", "/api/calls/{}/waveform", "/calls/{}"):
            hidden = await server.http.get(server.base + path.format("call-3"))
            missing = await server.http.get(server.base + path.format("call-9"))
            assert (hidden.status, await hidden.text()) == (404, await missing.text()), path
        assert (await server.http.get(server.base + "/api/calls/call-1")).status == 200
        assert (await server.http.get(server.base + "/api/calls/export")).status == 403


_ROUTES = {
    "/api/calls": Right.READ_CALLS,
    "/api/calls/call-1": Right.READ_CALLS,
    "/calls": Right.READ_CALLS,
    "/calls/call-1": Right.READ_CALLS,
    "/api/calls/call-1/recording": Right.LISTEN,
    "/api/calls/call-1/waveform": Right.READ_CALLS,
    "/api/calls/export": Right.EXPORT_CALLS,
}


@pytest.mark.parametrize("role", Role)
async def test_each_role_gets_what_its_rights_reach_and_nothing_more(role: Role) -> None:
    recordings = FakeRecordings({"call-1": FakeRecording(b"fLaC")})
    async with serving(calls=FakeCalls([record(1)]), recordings=recordings) as server:
        await server.signed_in_as(role)
        for path, right in _ROUTES.items():
            status = (await server.http.get(server.base + path)).status
            match RIGHTS[role].get(right):
                case Reach.ALL:
                    assert status == 200, path
                case Reach.OWN:  # there are none of their own
                    assert status == (404 if "call-1" in path else 200), path
                case None:
                    assert status == 403, path


# Another site's page, in the browser of somebody who is signed in.


@pytest.mark.parametrize(
    ("headers", "form"),
    [
        ({}, {}),
        ({}, {"csrf": ""}),
        ({}, {"csrf": "guessed"}),
        ({}, {"csrf": "ÿ"}),
        ({"Origin": EVIL}, {"csrf": "RIGHT"}),
        ({"Origin": "null"}, {"csrf": "RIGHT"}),
        ({"Sec-Fetch-Site": "cross-site"}, {"csrf": "RIGHT"}),
        ({"Sec-Fetch-Site": "same-site"}, {"csrf": "RIGHT"}),
        ({"X-CSRF-Token": "guessed"}, {"csrf": "RIGHT"}),
    ],
)
async def test_another_sites_page_changes_nothing(headers: dict[str, str], form: dict[str, str]) -> None:
    async with serving() as server:
        await server.signed_in_as(Role.ADMIN)
        right = await server.csrf()
        form = {name: right if value == "RIGHT" else value for name, value in form.items()}
        url = server.base + "/sign-out"
        assert (await server.http.post(url, data=form, headers=headers, allow_redirects=False)).status == 403
        assert (await server.http.get(server.base + "/calls", allow_redirects=False)).status == 200

        same = {"X-CSRF-Token": right, "Origin": server.base, "Sec-Fetch-Site": "same-origin"}
        assert (await server.http.post(url, headers=same, allow_redirects=False)).status == 303


async def test_one_sessions_csrf_token_is_worth_nothing_in_another() -> None:
    async with serving() as server:
        await server.signed_in_as(Role.ADMIN)
        first = await server.csrf()
        assert (await server.sign_in("the-admin")).status == 303
        refused = await server.http.post(server.base + "/sign-out", data={"csrf": first}, allow_redirects=False)
        assert refused.status == 403


async def test_another_sites_page_cannot_sign_a_browser_in_as_the_attacker() -> None:
    async with serving() as server:
        await server.add_user("mallory", Role.AGENT)
        answer = await server.http.post(
            server.base + "/sign-in", data={"name": "mallory", "password": PASSWORD}, headers={"Origin": EVIL}
        )
        assert answer.status == 403
        assert "Set-Cookie" not in answer.headers


# What callers say, shown to those who review it.

_SAID = """"><script>alert(1)</script><img src=x onerror=alert(2)> {{ 7*7 }} {% raw %} ${7*7} javascript:alert(3)"""


class _Elements(HTMLParser):
    """What a browser would run: scripts by where they come from, and handlers and links that hold script."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str | None] = []
        self.dangers: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self.scripts.append(dict(attributes).get("src"))
        self.dangers += [
            (tag, name)
            for name, value in attributes
            if name.startswith("on") or name == "style" or (value or "").strip().lower().startswith("javascript:")
        ]


@asynccontextmanager
async def _store_of(tmp_path: Path, url: str | None = None) -> AsyncIterator[Store]:
    """Open a store with one call, whose every text was made to do harm."""

    class Party:
        channel, direction, caller, called, carrier_call_id = "sip", "inbound", _SAID, _SAID, _SAID

    async with Store.open(tmp_path, url=url, on_failure=lambda _: None) as store:
        store.journal.begin_call("call-1", Party(), datetime(2026, 11, 21, 9, 0, tzinfo=UTC), _SAID[:64])
        turn: dict[str, Any] = {"intent": _SAID[:100], "decision": _SAID, "engine": _SAID[:100], "confidence": 0.5}
        turn |= {"slots": {_SAID: _SAID}, "alternatives": (_SAID,), "timings_ms": {_SAID: 1.0}, "prompt": _SAID[:100]}
        store.journal.add_turn("call-1", TurnRecord(Speaker.CALLER, _SAID, **turn))
        store.journal.add_turn("call-1", TurnRecord(Speaker.BOT, _SAID + " more", heard_text=_SAID))
        store.journal.set_goal("call-1", _SAID[:100], reached=False)
        await store.journal.flush()
        yield store


async def test_what_callers_say_is_shown_and_never_run(tmp_path: Path) -> None:
    async with _store_of(tmp_path) as store, serving(store=store) as server:
        await server.signed_in_as(Role.ADMIN)
        for path in ("/calls", "/calls/call-1", "/calls?words=%3Cscript%3Ealert(1)%3C/script%3E"):
            answer = await server.http.get(server.base + path)
            html = await answer.text()
            found = _Elements()
            found.feed(html)
            assert answer.status == 200
            assert all(source and source.startswith("/static/") for source in found.scripts), path
            assert found.dangers == [], path
            assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
            assert "unsafe" not in answer.headers["Content-Security-Policy"]
        page = await (await server.http.get(server.base + "/calls/call-1")).text()
        assert "{{ 7*7 }}" in page  # as it was said, not worked out
        assert "&lt;script&gt;" in page


async def test_a_refusal_does_not_run_what_was_asked_for() -> None:
    async with serving() as server:
        await server.signed_in_as(Role.ADMIN)
        for path in ("/calls/<script>alert(1)</script>", "/api/calls?limit=<script>", "/<script>alert(1)</script>"):
            answer = await server.http.get(server.base + path, headers={"Accept": "text/html"})
            assert answer.status in {400, 404}
            assert "<script>" not in await answer.text()


# Questions that are more than questions.

_INJECTIONS = (
    "'; DROP TABLE calls; --",
    "' OR '1'='1",
    '" OR caller:*',
    "call_words_index MATCH 'x'",
    "NEAR(a b)",
    "a' & 'b':* | !c",
    "\\'; SELECT pg_sleep(9); --",
    "{{9*9}}",
    "%' UNION SELECT password_hash FROM users --",
)


@pytest.mark.parametrize("name", ["words", "caller", "intent", "flow_version"])
async def test_a_search_cannot_say_more_than_it_asks(name: str, tmp_path: Path, database_url: str) -> None:
    async with _store_of(tmp_path, database_url) as store, serving(store=store) as server:
        bearer = {"Authorization": f"Bearer {API_TOKEN}"}
        for given in _INJECTIONS:
            answer = await server.http.get(server.base + "/api/calls", params={name: given}, headers=bearer)
            assert answer.status in {200, 400}, (given, await answer.text())
            if answer.status == 200:
                assert (await answer.json())["calls"] == [], given
        assert await store.get("call-1") is not None


async def test_a_search_stays_within_the_agents_own_calls(tmp_path: Path, database_url: str) -> None:
    async with _store_of(tmp_path, database_url) as store, serving(store=store) as server:
        await server.signed_in_as(Role.AGENT)
        url = server.base + "/api/calls?words=alert"
        assert (await (await server.http.get(url)).json())["calls"] == []
        store.journal.share_call("call-1", SharedWith.USER, "the-agent")
        await store.journal.flush()
        assert [call["id"] for call in (await (await server.http.get(url)).json())["calls"]] == ["call-1"]


# Ways out of the folder of recordings.


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../secret", "..", "a//b", "a\0b", ""])
def test_no_recording_lies_outside_its_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"not a caller's")
    objects = DiskObjects(tmp_path / "recordings")
    with pytest.raises(ValueError, match="name"):
        objects.read(name)


@pytest.mark.parametrize("name", ["..%2F..%2Fsecret.wav", "%2e%2e%2fsecret", "call-1%00", "..", ".%5c..%5csecret"])
async def test_no_address_leads_out_of_the_records(name: str) -> None:
    async with serving(calls=FakeCalls([record(1)])) as server:
        url = URL(f"{server.base}/api/calls/{name}/recording", encoded=True)
        assert (await server.http.get(url, headers={"Authorization": f"Bearer {API_TOKEN}"})).status == 404


# Too much of everything.


@pytest.mark.parametrize(
    "path", ["/sign-in", "/twilio/voice", "/twilio/sms", "/twilio/status", "/api/chat", "/sign-out"]
)
async def test_a_body_larger_than_any_is_refused(path: str, tmp_path: Path) -> None:
    async with serving() as server:
        await server.signed_in_as(Role.ADMIN)
        body = "name=" + "x" * 70_000
        kind = "application/x-www-form-urlencoded"
        answer = await server.http.post(server.base + path, data=body, headers={"Content-Type": kind})
        # Closed doors, and those that take another kind of body, need not read it at all.
        assert answer.status in {403, 404, 413, 415}, answer.status
        if path in {"/sign-in", "/twilio/voice", "/twilio/status", "/sign-out"}:
            assert answer.status == 413
        fields = "&".join(f"a{number}=1" for number in range(500))
        answer = await server.http.post(server.base + "/sign-in", data=fields, headers={"Content-Type": kind})
        assert answer.status == 400


async def test_a_password_as_long_as_a_book_costs_no_time() -> None:
    async with serving() as server:
        await server.add_user("dana", Role.QA)
        assert (await server.sign_in("dana", "x" * 60_000)).status == 403


# Bytes that are no text.


@pytest.mark.parametrize(
    "asked",
    [
        b"GET /api/calls HTTP/1.1\r\nAuthorization: Bearer \xff\xfe",
        b"GET /api/calls HTTP/1.1\r\nAuthorization: Bearer vbt_\xff",
        b"GET /calls HTTP/1.1\r\nCookie: voicebot_session=\xff",
        b"GET /sign-in HTTP/1.1\r\nCookie: voicebot_session=\xff",
        b"GET /asterisk/media HTTP/1.1\r\nAuthorization: Basic \xff",
    ],
)
async def test_secrets_of_bytes_that_are_no_text_are_wrong_and_no_fault_of_ours(asked: bytes) -> None:
    async with serving() as server:
        url = URL(server.base)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(asked + f"\r\nHost: {url.authority}\r\nConnection: close\r\n\r\n".encode())
        status = int((await reader.readline()).split()[1])
        writer.close()
        assert status in {200, 303, 401, 404}


# Twilio's name on somebody else's request.


@pytest.mark.parametrize("path", ["/twilio/voice", "/twilio/status"])
async def test_a_forged_webhook_is_refused(path: str) -> None:
    async with serving() as server:
        form = incoming("CA1")
        good = sign(server.base + path, form)
        elsewhere = sign(server.base + "/twilio/other", form)

        async def post(sent: list[tuple[str, str]], signature: str | None, query: str = "") -> int:
            headers = {} if signature is None else {"X-Twilio-Signature": signature}
            data = aiohttp.FormData(sent)()
            return (await server.http.post(server.base + path + query, data=data, headers=headers)).status

        changed = incoming("CA1", From="+15559999")
        assert await post(form, None) == 403
        assert await post(form, "") == 403
        assert await post(form, elsewhere) == 403
        assert await post(changed, good) == 403
        assert await post([*form, ("Extra", "1")], good) == 403
        assert await post(form, good, "?x=1") == 403
        assert await post(form, good) in {200, 204}


# Sessions that are not one's own.


async def test_a_session_planted_before_sign_in_is_worth_nothing_after_it() -> None:
    async with serving() as server:
        await server.add_user("mallory", Role.AGENT)
        await server.add_user("dana", Role.ADMIN)
        await server.sign_in("mallory")
        planted = _cookie_of(server)
        assert (await server.sign_in("dana")).status == 303
        fresh = _cookie_of(server)
        assert fresh != planted

        async with aiohttp.ClientSession(cookies={"voicebot_session": planted}) as mallory:
            assert (await mallory.get(server.base + "/calls", allow_redirects=False)).status == 303
        invented = "x" * len(fresh)
        server.http.cookie_jar.update_cookies({"voicebot_session": invented}, URL(server.base))
        assert (await server.sign_in("dana")).status == 303
        assert _cookie_of(server) != invented


async def test_a_session_stolen_before_sign_out_is_worth_nothing_after_it() -> None:
    async with serving() as server:
        await server.signed_in_as(Role.ADMIN)
        stolen = _cookie_of(server)
        await server.http.post(server.base + "/sign-out", data={"csrf": await server.csrf()})

        async with aiohttp.ClientSession(cookies={"voicebot_session": stolen}) as thief:
            assert (await thief.get(server.base + "/api/calls")).status == 401


def _cookie_of(server: RunningServer) -> str:
    return {cookie.key: cookie.value for cookie in server.http.cookie_jar}["voicebot_session"]


# What is done is written down.


async def test_playback_and_export_are_noted_with_who_and_what() -> None:
    recordings = FakeRecordings({"call-1": FakeRecording(b"fLaC" + bytes(100))})
    async with serving(calls=FakeCalls([record(1)]), recordings=recordings) as server:
        await server.signed_in_as(Role.QA)
        server.audited.clear()
        url = server.base + "/api/calls/call-1/recording"
        for start in range(0, 100, 10):
            answer = await server.http.get(url, headers={"Range": f"bytes={start}-{start + 9}"})
            assert answer.status == 206
        export = server.base + "/api/calls/export?format=csv&words="
        for words in ("a", "4111+1111+1111+1111&caller=%2B15550100"):
            assert (await server.http.get(export + words)).status == 200

        noted = [(entry.actor, entry.action, entry.subject) for entry in server.audited]
        assert noted == [
            ("the-qa", "recording_played", "call:call-1"),
            ("the-qa", "calls_exported", "/api/calls/export"),
            ("the-qa", "calls_exported", "/api/calls/export"),
        ]
        asked = {"format": ["csv"], "words": ["[card number]"], "caller": ["+15550100"]}
        assert [entry.content["query"] for entry in server.audited[1:]] == [{"format": ["csv"], "words": ["a"]}, asked]
