"""Signing in at an OpenID provider on loopback, which is honest at first and then does everything wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from yarl import URL

from tests.fakes.oidc_provider import CLIENT_ID, CLIENT_SECRET, FakeProvider, oidc_provider
from tests.fakes.web_server import RunningServer, serving
from voicebot.records.access.roles import Role
from voicebot.web.access.oidc import OidcProvider


@asynccontextmanager
async def _both() -> AsyncIterator[tuple[RunningServer, FakeProvider]]:
    async with oidc_provider() as provider:
        roles = {"reviewers": Role.QA, "bosses": Role.SUPERVISOR}
        configured = OidcProvider(provider.issuer, CLIENT_ID, CLIENT_SECRET, "Acme", "groups", roles)
        async with serving(oidc=configured) as server:
            yield server, provider


async def _sign_in(server: RunningServer) -> aiohttp.ClientResponse:
    """Follow the browser's way to the provider and back to the page asked for."""
    return await server.http.get(server.base + "/sign-in/oidc?then=/calls%3Fwords=1")


async def _answer_of(server: RunningServer) -> str:
    """Go to the provider, but keep what it sends back instead of following it."""
    begun = await server.http.get(server.base + "/sign-in/oidc", allow_redirects=False)
    back = await server.http.get(URL(begun.headers["Location"], encoded=True), allow_redirects=False)
    return back.headers["Location"]


async def test_a_person_signs_in_at_the_provider() -> None:
    async with _both() as (server, provider):
        assert "Sign in with Acme" in await (await server.http.get(server.base + "/sign-in")).text()
        page = await _sign_in(server)

        assert (page.status, page.url.path_qs) == (200, "/calls?words=1")
        assert "dana" in await page.text()
        (asked,) = provider.asked
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"]
        user = await server.users.get("dana")
        assert user is not None
        assert user.role is Role.QA
        assert [(entry.actor, entry.action) for entry in server.audited] == [("dana", "signed_in")]


async def test_the_provider_decides_about_the_role_at_every_sign_in() -> None:
    async with _both() as (server, provider):
        await _sign_in(server)
        provider.claims = {"groups": ["bosses", "reviewers"]}
        assert (await _sign_in(server)).status == 200
        user = await server.users.get("dana")
        assert user is not None
        assert user.role is Role.SUPERVISOR

        provider.claims = {"groups": "nobody-special"}
        assert (await _sign_in(server)).status == 403


_OTHER_KEY = rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize(
    "wrong",
    [
        {"claims": {"nonce": "of another sign-in"}},
        {"claims": {"aud": "another-program"}},
        {"claims": {"aud": [CLIENT_ID, "another-program"]}},
        {"claims": {"azp": "another-program"}},
        {"claims": {"iss": "https://evil.example"}},
        {"claims": {"exp": 1_600_000_000}},
        {"claims": {"groups": []}},
        {"claims": {"groups": 7}},
        {"claims": {"preferred_username": "<script>"}},
        {"claims": {"preferred_username": "bot"}},
        pytest.param({"sign_with": _OTHER_KEY}, id="signed with another key"),
        {"key_id": "another-key"},
        {"sign_as": "none", "sign_with": ""},
        {"sign_as": "HS256", "sign_with": CLIENT_SECRET.ljust(32)},
        {"refuse": True},
    ],
    ids=range(15),
)
async def test_a_token_that_is_not_as_it_must_be_opens_nothing(wrong: dict[str, Any]) -> None:
    async with _both() as (server, provider):
        for name, value in wrong.items():
            setattr(provider, name, value)
        answer = await _sign_in(server)

        assert answer.status == 403
        assert (await server.http.get(server.base + "/calls", allow_redirects=False)).status == 303
        assert [entry.action for entry in server.audited] == ["sign_in_failed"]


async def test_a_provider_that_says_it_is_another_is_not_used() -> None:
    async with _both() as (server, provider):
        provider.claimed_issuer = "https://evil.example"
        assert (await server.http.get(server.base + "/sign-in/oidc", allow_redirects=False)).status == 502


async def test_what_the_provider_sends_back_is_good_once() -> None:
    async with _both() as (server, _):
        back = URL(await _answer_of(server), encoded=True)
        jar = server.http.cookie_jar
        kept = {cookie.key: cookie.value for cookie in jar}
        assert (await server.http.get(back, allow_redirects=False)).status == 303

        jar.update_cookies(kept, URL(server.base))
        assert (await server.http.get(back, allow_redirects=False)).status == 403


async def test_another_browser_cannot_be_signed_in_with_somebodys_answer() -> None:
    async with _both() as (server, _):
        back = URL(await _answer_of(server), encoded=True)
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as victim:
            begun = await victim.get(server.base + "/sign-in/oidc", allow_redirects=False)
            assert begun.status == 303
            assert (await victim.get(back, allow_redirects=False)).status == 403
        assert (await server.http.get(back, allow_redirects=False)).status == 303  # its own browser may still use it


async def test_an_answer_that_took_too_long_or_names_another_provider_is_refused() -> None:
    async with _both() as (server, _):
        back = URL(await _answer_of(server))
        other = back.update_query(iss="https://evil.example")
        assert (await server.http.get(other, allow_redirects=False)).status == 403
        late = URL(await _answer_of(server), encoded=True)
        server.clock.ahead += server.clock.ahead.resolution * 601_000_000
        assert (await server.http.get(late, allow_redirects=False)).status == 403


async def test_the_provider_cannot_take_over_a_user_with_a_password() -> None:
    async with _both() as (server, _):
        await server.add_user("dana", Role.ADMIN)
        answer = await _sign_in(server)

        assert answer.status == 403
        assert "already a user dana" in await answer.text()


async def test_a_disabled_user_stays_out_whatever_the_provider_says() -> None:
    async with _both() as (server, _):
        await _sign_in(server)
        await server.users.set_disabled("dana", disabled=True, actor="cli:test")

        assert (await _sign_in(server)).status == 403


async def test_a_provider_that_answers_without_end_is_not_listened_to() -> None:
    async with _both() as (server, provider):
        provider.padding_bytes = 1_000_000
        page = await _sign_in(server)
        assert page.status == 403
        assert "too long" in await page.text()
