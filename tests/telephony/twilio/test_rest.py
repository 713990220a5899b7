"""What is asked of Twilio's API, checked request by request, and what comes of it when Twilio does not do it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest
from aiohttp import web

from tests.fakes.ports import bound_socket
from tests.fakes.twilio import AGENT, OUR_NUMBER, access, account_served
from voicebot.simulation.carrier import Numbers
from voicebot.simulation.twilio_account import Trouble, TwilioAccount
from voicebot.simulation.twilio_exchange import Phone, PlayedCall
from voicebot.telephony.twilio import rest as rest_module
from voicebot.telephony.twilio.rest import NewCall, RestAccess, TwilioRefused, TwilioRest, TwilioUnreachable
from voicebot.telephony.twilio.twiml import hangup_twiml
from voicebot.telephony.twilio.webhook import CarrierCallStatus

CALL = NewCall(AGENT, OUR_NUMBER, hangup_twiml(), "http://127.0.0.1:9/status", "http://127.0.0.1:9/machine", 20)
RINGS = {AGENT: Phone("rings")}


@pytest.fixture(autouse=True)
def again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest_module, "RETRY_AFTER_S", (0.0, 0.0))


@asynccontextmanager
async def client(timeout_s: float = 2.0) -> AsyncIterator[tuple[TwilioRest, TwilioAccount]]:
    async with account_served(RINGS) as account, aiohttp.ClientSession() as http:
        yield TwilioRest(access(account), http, timeout_s=timeout_s), account


def a_call(account: TwilioAccount) -> PlayedCall:
    call = PlayedCall(account.exchange, Numbers(), "inbound", Phone())
    call.status = "in-progress"
    account.exchange.calls[call.sid] = call
    return call


async def test_a_call_is_placed_as_twilio_wants_it() -> None:
    async with client() as (rest, account):
        sid = await rest.place_call(CALL)
        (asked,) = account.asked("CreateCall")
        assert sid in account.exchange.calls
        assert asked.form["To"] == AGENT
        assert asked.form["From"] == OUR_NUMBER
        assert asked.form["Timeout"] == "20"
        assert asked.form["AsyncAmd"] == "true"
        assert account.exchange.calls[sid].events == ("initiated", "ringing", "answered", "completed")


async def test_machines_are_not_looked_for_where_nobody_wants_to_know() -> None:
    async with client() as (rest, account):
        await rest.place_call(replace(CALL, machine_url=""))
        (asked,) = account.asked("CreateCall")
        assert not {"MachineDetection", "AsyncAmd", "AsyncAmdStatusCallback"} & set(asked.form)


async def test_every_operation_is_one_that_twilio_has() -> None:
    workspace = "WS" + "1" * 32
    async with client() as (rest, account):
        call = a_call(account)
        await rest.direct(call.sid, hangup_twiml())
        assert await rest.status_of(call.sid) is CarrierCallStatus.COMPLETED
        agent = a_call(account)
        account.exchange.rooms["room"].members.append(agent.sid)
        assert await rest.add_coach("room", to=AGENT, caller=OUR_NUMBER, agent_call_sid=agent.sid, ring_s=20)
        assert await rest.task_status(workspace, call.sid) is None
        assert (await rest.send_message(to=AGENT, sender=OUR_NUMBER, text="Hello, it is café & co.")).startswith("SM")
        assert account.asked("CreateMessage")[0].form["Body"] == "Hello, it is café & co."
        assert account.exchange.faults == []
        assert {asked.operation for asked in account.requests} == {
            "UpdateCall",
            "FetchCall",
            "CreateParticipant",
            "ListTask",
            "CreateMessage",
        }


async def test_ending_a_call_that_is_over_is_no_mistake() -> None:
    async with client() as (rest, account):
        call = a_call(account)
        await rest.end_call(call.sid)
        assert call.is_over
        await rest.end_call(call.sid)
        await rest.end_call("CA" + "0" * 32)


async def test_an_api_key_is_used_with_the_account_it_belongs_to() -> None:
    key = "SK" + "7" * 32
    async with account_served(RINGS, user=key, secret="s3cret") as account, aiohttp.ClientSession() as http:
        rest = TwilioRest(access(account, user=key, secret="s3cret"), http)
        await rest.end_call("CA" + "0" * 32)
        assert account.asked("UpdateCall")[0].places["AccountSid"] == account.account.account_sid
        wrong = TwilioRest(access(account, user=key, secret="other"), http)
        with pytest.raises(TwilioRefused) as refused:
            await wrong.place_call(CALL)
        assert (refused.value.status, refused.value.code) == (401, 20003)


Ask = Callable[[TwilioRest, PlayedCall], Awaitable[object]]
REPEATABLE: dict[str, tuple[str, Ask]] = {
    "directing": ("UpdateCall", lambda rest, call: rest.direct(call.sid, hangup_twiml())),
    "ending": ("UpdateCall", lambda rest, call: rest.end_call(call.sid)),
    "reading": ("FetchCall", lambda rest, call: rest.status_of(call.sid)),
}


@pytest.mark.parametrize("name", REPEATABLE)
@pytest.mark.parametrize("trouble", [Trouble(503), Trouble(late_s=0.5), Trouble(429)], ids=["503", "late", "429"])
async def test_what_does_no_harm_twice_is_asked_again(name: str, trouble: Trouble) -> None:
    operation, ask = REPEATABLE[name]
    async with client(timeout_s=0.3) as (rest, account):
        account.troubles[operation] = [trouble]
        await ask(rest, a_call(account))
        assert len(account.asked(operation)) == 2


@pytest.mark.parametrize("trouble", [Trouble(500), Trouble(late_s=0.5)], ids=["500", "late"])
async def test_a_call_that_may_have_been_placed_is_not_placed_again(trouble: Trouble) -> None:
    async with client(timeout_s=0.3) as (rest, account):
        account.troubles["CreateCall"] = [trouble]
        with pytest.raises((TwilioRefused, TwilioUnreachable)):
            await rest.place_call(CALL)
        assert len(account.asked("CreateCall")) == 1


async def test_a_call_that_was_turned_away_unread_is_placed_again() -> None:
    async with client() as (rest, account):
        account.troubles["CreateCall"] = [Trouble(429), Trouble(429)]
        assert await rest.place_call(CALL)
        assert len(account.asked("CreateCall")) == 3


async def test_three_troubles_in_a_row_are_enough() -> None:
    async with client() as (rest, account):
        account.troubles["UpdateCall"] = [Trouble(503)] * 3
        with pytest.raises(TwilioRefused):
            await rest.direct(a_call(account).sid, hangup_twiml())


async def test_nobody_there_is_told_so_without_the_address() -> None:
    with bound_socket() as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        nobody = RestAccess("AC" + "5" * 32, "AC" + "5" * 32, "secret", base_url=url)
        async with aiohttp.ClientSession() as http:
            with pytest.raises(TwilioUnreachable, match="ClientConnectorError"):
                await TwilioRest(nobody, http, timeout_s=0.5).place_call(CALL)
    assert "secret" not in repr(nobody)


@pytest.mark.parametrize(
    "answer", ["<html>gateway</html>", "[]", '{"sid": 1}', ""], ids=["html", "list", "odd", "empty"]
)
async def test_an_answer_that_is_none_of_twilios_is_a_failure_of_ours_to_reach_it(answer: str) -> None:
    async def proxy(request: web.Request) -> web.Response:
        del request
        return web.Response(text=answer, status=200)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", proxy)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    there = RestAccess("AC" + "5" * 32, "u", "s", base_url=f"http://127.0.0.1:{runner.addresses[0][1]}")
    try:
        async with aiohttp.ClientSession() as http:
            with pytest.raises(TwilioUnreachable):
                await TwilioRest(there, http).status_of("CA" + "0" * 32)
    finally:
        await runner.cleanup()


async def test_a_server_that_has_ended_does_not_reach_twilio_any_more_and_says_so() -> None:
    async with account_served() as account:
        session = aiohttp.ClientSession()
        rest = TwilioRest(access(account), session)
        await session.close()
        with pytest.raises(TwilioUnreachable, match="SessionClosed"):
            await rest.end_call("CA" + "0" * 32)
        assert account.requests == []
