"""Who gets in, how far, and that every route asks."""

from __future__ import annotations

import re

import pytest
from aiohttp import web

from tests.fakes.contact_centre import Centre
from tests.fakes.web_server import API_TOKEN, PASSWORD, FakeCalls, serving
from tests.web.test_records_door import record
from voicebot.records.access.roles import Right, Role
from voicebot.web.access.declared import PUBLIC, access_of, is_public
from voicebot.web.address import PublicAddress

#: Actions whose reading is as grave as a change.
_GRAVE = {Right.LISTEN, Right.EXPORT_CALLS}


def _routes(app: web.Application) -> list[web.AbstractRoute]:
    return [route for route in app.router.routes() if route.resource is not None]


async def test_every_route_is_on_the_open_list_or_declares_a_right() -> None:
    async with serving(desks=lambda database: Centre(database).parts) as server:
        routes = _routes(server.app)
        bare = [
            (route.method, route.resource.canonical)
            for route in routes
            if route.resource and not is_public(route) and access_of(route.handler) is None
        ]
        both = [route.handler for route in routes if is_public(route) and access_of(route.handler)]

        assert len(routes) > 20
        assert bare == []
        assert both == []


async def test_changes_playback_and_export_are_audited() -> None:
    async with serving(desks=lambda database: Centre(database).parts) as server:
        for route in _routes(server.app):
            access = access_of(route.handler)
            if access is None or (route.method in {"GET", "HEAD"} and access.right not in _GRAVE):
                continue
            assert access.audited, route


async def test_nothing_is_open_that_the_list_names_no_more() -> None:
    async with serving() as server:
        there = {
            (route.method, route.resource.canonical) for route in _routes(server.app) if route.resource is not None
        }
        # Doors that are opened by a setting, which has its own tests.
        by_setting = {
            "/desk/audio",
            "/asterisk/media",
            "/api/chat",
            "/twilio/sms",
            "/sign-in/oidc",
            "/sign-in/oidc/callback",
        }
        assert {path for _, path in set(PUBLIC) - there} <= by_setting


async def test_a_route_that_declares_nothing_is_closed() -> None:
    async def forgotten(request: web.Request) -> web.Response:
        raise AssertionError(request)

    async with serving() as server:
        await server.signed_in_as(Role.ADMIN)
        # The running server's router is closed to new routes, so this one goes in behind its back.
        plain = web.PlainResource("/forgotten")
        server.app.router._resource_index.setdefault("/forgotten", []).append(plain)
        plain.add_route("GET", forgotten)

        answer = await server.http.get(server.base + "/forgotten")
        assert (answer.status, await answer.text()) == (403, "This is closed.")


async def test_a_user_signs_in_sees_the_page_asked_for_and_signs_out() -> None:
    async with serving(calls=FakeCalls([record()])) as server:
        await server.add_user("dana", Role.QA)
        asked = await server.http.get(server.base + "/calls/call-1?x=1")
        assert asked.url.path == "/sign-in"
        assert asked.url.query["then"] == "/calls/call-1?x=1"

        answer = await server.sign_in("Dana", then="/calls/call-1")
        assert (answer.status, answer.headers["Location"]) == (303, "/calls/call-1")
        page = await (await server.http.get(server.base + "/calls/call-1")).text()
        assert "dana" in page

        token = await server.csrf()
        out = await server.http.post(server.base + "/sign-out", data={"csrf": token}, allow_redirects=False)
        assert out.status == 303
        assert (await server.http.get(server.base + "/calls", allow_redirects=False)).status == 303
        signed = [(entry.actor, entry.action) for entry in server.audited]
        assert signed == [("dana", "signed_in"), ("dana", "signed_out")]


async def test_the_cookie_is_out_of_reach_of_scripts_and_over_https_of_plain_http_too() -> None:
    async with serving() as server:
        await server.add_user("dana", Role.QA)
        cookie = (await server.sign_in("dana")).headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert "Secure" not in cookie  # plain http on loopback
    async with serving(public=PublicAddress("https://bot.example")) as server:
        await server.add_user("dana", Role.QA)
        answer = await server.http.post(
            server.base + "/sign-in",
            data={"name": "dana", "password": PASSWORD},
            headers={"Origin": "https://bot.example"},
            allow_redirects=False,
        )
        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith("__Host-voicebot_session=")
        assert "Secure" in cookie
        assert "Strict-Transport-Security" in answer.headers


async def test_no_password_is_taken_over_plain_http_from_elsewhere() -> None:
    async with serving(public=PublicAddress("http://bot.example")) as server:
        await server.add_user("dana", Role.QA)
        answer = await server.http.post(
            server.base + "/sign-in", data={"name": "dana", "password": PASSWORD}, allow_redirects=False
        )

        assert answer.status == 403
        assert "Set-Cookie" not in answer.headers
        assert "https only" in await answer.text()


async def test_a_wrong_password_opens_nothing_and_guessing_is_slowed_down() -> None:
    async with serving() as server:
        await server.add_user("dana", Role.QA)
        statuses = [(await server.sign_in("dana", f"guess {number}")).status for number in range(7)]
        locked = await server.sign_in("dana")

        assert statuses == [403] * 5 + [429] * 2
        assert locked.status == 429
        assert 0 < int(locked.headers["Retry-After"]) <= 30
        assert (await server.http.get(server.base + "/calls", allow_redirects=False)).status == 303
        assert [entry.action for entry in server.audited] == ["sign_in_failed"] * 5
        server.clock.ahead += server.clock.ahead.resolution * 31_000_000
        assert (await server.sign_in("dana")).status == 303


async def test_a_name_that_nobody_has_is_answered_as_a_wrong_password_is() -> None:
    async with serving() as server:
        await server.add_user("dana", Role.QA)
        wrong = await server.sign_in("dana", "wrong")
        nobody = await server.sign_in("my secret, typed into the wrong field", "wrong")

        assert (wrong.status, await wrong.text()) == (nobody.status, await nobody.text())
        assert [entry.subject for entry in server.audited] == ["user:dana", "user:"]


async def test_the_page_says_how_to_make_the_first_user() -> None:
    async with serving() as server:
        page = await (await server.http.get(server.base + "/sign-in")).text()
        assert "voicebot users add" in page
        assert "password" not in page


@pytest.mark.parametrize(
    "then", ["https://evil.example", "//evil.example", "/calls/../../etc", "/\\evil.example", "javascript:1", "/", ""]
)
async def test_signing_in_leads_to_no_other_site(then: str) -> None:
    async with serving() as server:
        await server.add_user("dana", Role.QA)

        assert (await server.sign_in("dana", then=then)).headers["Location"] == "/calls"


async def test_a_role_taken_away_counts_at_once() -> None:
    async with serving() as server:
        await server.signed_in_as(Role.QA)
        assert (await server.http.get(server.base + "/calls", allow_redirects=False)).status == 200
        await server.users.set_disabled("the-qa", disabled=True, actor="cli:test")

        assert (await server.http.get(server.base + "/calls", allow_redirects=False)).status == 303
        assert (await server.sign_in("the-qa")).status == 403


async def test_a_session_reads_the_api_and_is_told_when_it_may_not() -> None:
    async with serving(calls=FakeCalls([record()])) as server:
        await server.signed_in_as(Role.AUDITOR)
        assert (await server.http.get(server.base + "/api/calls")).status == 200
        refused = await server.http.get(server.base + "/api/calls/call-1/recording")
        assert refused.status == 403
        assert await refused.json() == {"error": "This needs the right recordings:listen."}


async def test_a_page_that_somebody_may_not_see_says_so_and_leads_to_those_they_may() -> None:
    async with serving() as server:
        await server.signed_in_as(Role.AUDITOR)
        answer = await server.http.get(server.base + "/actions", headers={"Accept": "text/html"})
        assert answer.status == 403
        html = await answer.text()
        assert "You are signed in as <strong>the-auditor</strong>. An administrator says who may do what." in html
        assert '<a href="/calls"' in html
        assert "Sign out" in html


async def test_a_token_opens_what_its_scopes_say_and_no_page() -> None:
    async with serving(calls=FakeCalls([record()])) as server:
        token = await server.programs.create("crm", [Right.READ_CALLS], lifetime=None, actor="cli:test")
        bearer = {"Authorization": f"Bearer {token}"}

        assert (await server.http.get(server.base + "/api/calls", headers=bearer)).status == 200
        answer = await server.http.get(server.base + "/api/calls/call-1/recording", headers=bearer)
        assert answer.status == 403
        page = await server.http.get(server.base + "/calls", headers=bearer, allow_redirects=False)
        assert page.status == 303
        await server.programs.revoke("crm", actor="cli:test")
        assert (await server.http.get(server.base + "/api/calls", headers=bearer)).status == 401


async def test_wrong_tokens_are_slowed_down_and_the_session_does_not_excuse_them() -> None:
    async with serving() as server:
        await server.signed_in_as(Role.ADMIN)
        wrong = {"Authorization": "Bearer wrong"}
        statuses = [(await server.http.get(server.base + "/api/calls", headers=wrong)).status for _ in range(32)]

        assert statuses == [401] * 30 + [429] * 2
        right = {"Authorization": f"Bearer {API_TOKEN}"}
        assert (await server.http.get(server.base + "/api/calls", headers=right)).status == 429


async def test_people_are_refused_on_a_page_and_programs_in_json() -> None:
    async with serving() as server:
        await server.signed_in_as(Role.QA)
        page = await server.http.get(server.base + "/calls/nothing", headers={"Accept": "text/html"})
        assert page.status == 404
        assert re.search(r"<h1>Not Found</h1>\s*<p>There is no such call.</p>", await page.text())
        api = await server.http.get(server.base + "/api/nothing")
        assert (api.status, await api.json()) == (404, {"error": "There is nothing at this address."})
        assert (await server.http.post(server.base + "/api/schema")).headers["Allow"] == "GET,HEAD"
