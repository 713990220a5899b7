"""Digest authentication, both sides, and who gets in by it."""

from __future__ import annotations

import pytest
from sipmessage import Request

from tests.fakes.sip_server import phone, sip_bot
from tests.telephony.sip.messages import SDP, request, response
from voicebot.telephony.sip.digest import NONCE_LIFETIME_S, Authenticator, Credentials, Verdict, parse_digest
from voicebot.telephony.sip.message import parse_uri
from voicebot.web.limits import RateLimit

USERS = {"pbx": "secret"}
HOST = "192.0.2.7"


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
    refused = response(asked, 401, headers=tuple(gate.challenges(HOST, stale=False)))
    for name, value in Credentials(user, password, lambda: "c").answer(refused, asked):
        asked.headers.set(name, value)
    assert gate.check(asked, HOST) == verdict
    if verdict == "pbx":
        assert gate.check(asked, HOST) is Verdict.STALE, "the same count again is a replay"


def test_an_old_nonce_is_stale_and_a_foreign_one_too() -> None:
    clock = Clock()
    gate = authenticator(clock)
    asked = request()
    refused = response(asked, 401, headers=tuple(gate.challenges(HOST, stale=False)))
    for name, value in Credentials("pbx", "secret", lambda: "c").answer(refused, asked):
        asked.headers.set(name, value)
    clock.now_s += NONCE_LIFETIME_S + 1
    assert gate.check(asked, HOST) is Verdict.STALE
    assert Authenticator(USERS, realm="test", key=b"other", clock=clock).check(asked, HOST) is Verdict.STALE


@pytest.mark.parametrize(
    "value", ["", "Basic abc", "Digest", "Digest x", 'Digest realm="test"', 'Digest realm="test", nonce="']
)
def test_credentials_that_cannot_be_read_are_missing_or_wrong(value: str) -> None:
    asked = request(headers=(f"Authorization: {value}",)) if value else request()
    assert authenticator(Clock()).check(asked, HOST) in {Verdict.MISSING, Verdict.WRONG}


def proven(gate: Authenticator, password: str, host: str = HOST) -> Request:
    """Return an INVITE with the credentials that a challenge to `host` asks for."""
    asked = request()
    refused = response(asked, 401, headers=tuple(gate.challenges(host, stale=False)))
    for name, value in Credentials("pbx", password, lambda: "c").answer(refused, asked):
        asked.headers.set(name, value)
    return asked


def test_a_host_that_guesses_is_not_believed_for_a_while_and_others_are() -> None:
    clock = Clock()
    tries = RateLimit(max_events=3, window_s=60, clock=clock)
    gate = Authenticator(USERS, realm="test", key=b"key", clock=clock, wrong_tries=tries)
    for _ in range(3):
        assert gate.check(proven(gate, "guess"), HOST) is Verdict.WRONG
    assert gate.check(proven(gate, "secret"), HOST) is Verdict.WRONG
    assert gate.check(proven(gate, "secret", "192.0.2.8"), "192.0.2.8") == "pbx"
    clock.now_s += 61
    assert gate.check(proven(gate, "secret"), HOST) == "pbx"


def test_nobody_uses_up_the_tries_of_another_host() -> None:
    """Datagrams may bear any address: what was not asked of that address does not count."""
    clock = Clock()
    tries = RateLimit(max_events=3, window_s=60, clock=clock)
    gate = Authenticator(USERS, realm="test", key=b"key", clock=clock, wrong_tries=tries)
    for _ in range(5):
        assert gate.check(proven(gate, "guess", "198.51.100.1"), HOST) is Verdict.WRONG
    assert gate.check(proven(gate, "secret", "198.51.100.1"), HOST) is Verdict.STALE
    assert gate.check(proven(gate, "secret"), HOST) == "pbx"


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
