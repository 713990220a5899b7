"""Digest authentication, both sides, and who gets in by it."""

from __future__ import annotations

import pytest

from tests.fakes.sip_server import phone, sip_bot
from tests.telephony.sip.messages import SDP, request, response
from voicebot.telephony.sip.digest import NONCE_LIFETIME_S, Authenticator, Credentials, Verdict, parse_digest
from voicebot.telephony.sip.message import parse_uri

USERS = {"pbx": "secret"}


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def authenticator(clock: Clock) -> Authenticator:
    return Authenticator(USERS, realm="test", key=b"key", clock=clock)


def test_the_example_of_rfc_7616_gives_its_own_answers() -> None:
    # Section 3.9.1, for the method GET and this URI.
    for algorithm, expected in (
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ):
        asked = request("OPTIONS")
        asked.method = "GET"
        asked.uri = type("Path", (), {"__str__": lambda _self: "/dir/index.html"})()
        cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
        challenge = (
            f'Digest realm="http-auth@example.org", qop="auth", algorithm={algorithm}, '
            'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
            'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
        )
        refused = response(request("OPTIONS"), 401, headers=(("WWW-Authenticate", challenge),))
        (header,) = Credentials("Mufasa", "Circle of Life", lambda cnonce=cnonce: cnonce).answer(refused, asked)  # type: ignore[misc]
        given = parse_digest(header[1])
        assert given is not None
        assert given["response"] == expected


@pytest.mark.parametrize(
    ("user", "password", "verdict"),
    [("pbx", "secret", "pbx"), ("pbx", "wrong", Verdict.WRONG), ("x", "secret", Verdict.WRONG)],
)
def test_a_password_is_right_or_wrong(user: str, password: str, verdict: str) -> None:
    clock = Clock()
    gate = authenticator(clock)
    asked = request()
    refused = response(asked, 401, headers=tuple(gate.challenges(stale=False)))
    for name, value in Credentials(user, password, lambda: "c").answer(refused, asked):
        asked.headers.set(name, value)
    assert gate.check(asked) == verdict
    if verdict == "pbx":
        assert gate.check(asked) is Verdict.STALE, "the same count again is a replay"


def test_an_old_nonce_is_stale_and_a_foreign_one_too() -> None:
    clock = Clock()
    gate = authenticator(clock)
    asked = request()
    refused = response(asked, 401, headers=tuple(gate.challenges(stale=False)))
    for name, value in Credentials("pbx", "secret", lambda: "c").answer(refused, asked):
        asked.headers.set(name, value)
    clock.now_s += NONCE_LIFETIME_S + 1
    assert gate.check(asked) is Verdict.STALE
    assert Authenticator(USERS, realm="test", key=b"other", clock=clock).check(asked) is Verdict.STALE


@pytest.mark.parametrize(
    "value", ["", "Basic abc", "Digest", "Digest x", 'Digest realm="test"', 'Digest realm="test", nonce="']
)
def test_credentials_that_cannot_be_read_are_missing_or_wrong(value: str) -> None:
    asked = request(headers=(f"Authorization: {value}",)) if value else request()
    assert authenticator(Clock()).check(asked) in {Verdict.MISSING, Verdict.WRONG}


async def test_a_caller_from_elsewhere_gets_in_by_password_and_not_without() -> None:
    async with sip_bot(trunks=(), users=USERS) as bot, phone(bot.port) as caller:
        caller.send(caller.raw(body=SDP))
        refused = await caller.response(401)
        caller.send(caller.raw("ACK"))
        assert len(bot.endpoint.transactions) == 0
        asked = request(uri="sip:bot@127.0.0.1")
        assert asked.uri == parse_uri("sip:bot@127.0.0.1")
        for password, code in (("wrong", 403), ("secret", 200)):
            ((_, value),) = Credentials("pbx", password, lambda: "c").answer(refused, asked)
            caller.send(caller.raw(branch=f"z9hG4bK{code}", cseq=code, body=SDP, headers=(f"Authorization: {value}",)))
            await caller.response(code)
        assert bot.refused == ["stranger"]
