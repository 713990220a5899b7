"""Registering with a PBX that the test plays."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from sipmessage import Request

from tests.fakes.sip_server import phone, sip_bot
from voicebot.telephony.sip.digest import Authenticator, Credentials
from voicebot.telephony.sip.message import parse_uri, respond, whole_number
from voicebot.telephony.sip.registration import (
    BASE_WAIT_S,
    MOST_WAIT_S,
    Registration,
    RegistrationPlan,
    RegistrationState,
    wait_s,
)
from voicebot.telephony.sip.resolve import DnsLookup, Resolver


async def test_a_registration_answers_the_challenge_takes_the_longer_time_and_is_taken_back() -> None:
    gate = Authenticator({"bot": "secret"}, realm="pbx", key=b"k", clock=lambda: 5.0)
    async with sip_bot() as bot, phone(bot.port) as pbx:
        registration = Registration(
            bot.endpoint,
            RegistrationPlan(parse_uri(f"sip:127.0.0.1:{pbx.port}"), parse_uri("sip:bot@127.0.0.1"), 60),
            Credentials("bot", "secret", lambda: "c"),
            Resolver(DnsLookup()),
        )
        running = asyncio.create_task(registration.run())
        pbx.send(bytes(respond(await pbx.request("REGISTER"), 423, phrase="Brief", headers=[("Min-Expires", "120")])))
        longer = await pbx.request("REGISTER")
        assert longer.headers["Expires"] == "120"
        pbx.send(bytes(respond(longer, 401, headers=gate.challenges("127.0.0.1", stale=False))))
        proven = await pbx.request("REGISTER")
        assert gate.check(proven, "127.0.0.1") == "bot"
        pbx.send(bytes(respond(proven, 200, headers=[("Contact", f"{proven.headers['Contact']};expires=120")])))
        async with asyncio.timeout(20):
            while registration.state is not RegistrationState.REGISTERED:
                await asyncio.sleep(0.01)
        running.cancel()
        last = await pbx.request("REGISTER")
        assert isinstance(last, Request)
        assert last.headers["Expires"] == "0"
        pbx.send(bytes(respond(last, 200)))
        with contextlib.suppress(asyncio.CancelledError):
            await running
        assert str(registration.state) == "unregistered"


def test_tries_come_later_and_later_up_to_half_an_hour() -> None:
    waits = [wait_s(failures, lambda _least, most: most) for failures in range(12)]
    assert waits[:3] == [BASE_WAIT_S, 2 * BASE_WAIT_S, 4 * BASE_WAIT_S]
    assert max(waits) == MOST_WAIT_S


@pytest.mark.parametrize("text", ["\u00b2", "9" * 5000, "-1", "1.5", "", "\u0663"])
def test_what_is_no_number_of_a_peer_breaks_nothing(text: str) -> None:
    assert whole_number(text) is None


def test_a_peers_number_may_have_room_around_it() -> None:
    assert whole_number(" 120 ") == 120
