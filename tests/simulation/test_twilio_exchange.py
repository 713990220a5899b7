"""The exchange that plays Twilio's: what goes wrong on it is told, so that no test passes over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from tests.fakes.twilio import AGENT, OUR_NUMBER, access, account_served, until
from tests.fakes.web_server import AUTH_TOKEN
from voicebot.simulation.carrier import Account, Numbers
from voicebot.simulation.line import CarrierLine
from voicebot.simulation.twilio_account import Trouble
from voicebot.simulation.twilio_exchange import Phone, PlayedCall, TwilioExchange
from voicebot.telephony.twilio.rest import NewCall, TwilioRest


@asynccontextmanager
async def exchange_and_server(answer: str) -> AsyncIterator[tuple[TwilioExchange, str]]:
    """Run an exchange, and a server that answers every webhook with `answer`."""

    async def answered(_request: web.Request) -> web.Response:
        return web.Response(text=answer, content_type="text/xml")

    async def streamed(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for _ in socket:
            pass
        return socket

    app = web.Application()
    app.router.add_post("/{path:.*}", answered)
    app.router.add_get("/media", streamed)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession() as http:
            exchange = TwilioExchange(http, Account(auth_token=AUTH_TOKEN), {})
            port = runner.addresses[0][1]
            yield exchange, f"http://127.0.0.1:{port}"
            await exchange.close()
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("answer", ["Hello", "<Response><Sing/></Response>"])
async def test_an_answer_that_twilio_could_not_carry_out_is_a_fault(answer: str) -> None:
    async with exchange_and_server(answer) as (exchange, url):
        exchange.ring_in(url)
        await until(lambda: exchange.faults)
        assert "RemoteProtocolError" in exchange.faults[0]


async def test_a_party_that_breaks_down_is_a_fault() -> None:
    async def breaks_down(line: CarrierLine) -> None:
        del line
        raise AssertionError("they were not greeted")

    async with exchange_and_server("<Response/>") as (exchange, url):
        call = PlayedCall(exchange, Numbers(), "inbound", Phone(person=breaks_down))
        socket = url.replace("http", "ws", 1)
        call.run(f'<Response><Connect><Stream url="{socket}/media"/></Connect></Response>')
        await until(lambda: exchange.faults)
        assert exchange.faults == ["AssertionError: they were not greeted"]


async def test_what_is_answered_late_is_done_once() -> None:
    call = NewCall(AGENT, OUR_NUMBER, "<Response/>", "http://127.0.0.1:9/s", "", ring_s=5)
    async with account_served({AGENT: Phone("rings")}) as account, aiohttp.ClientSession() as http:
        account.troubles["CreateCall"] = [Trouble(late_s=0.05, done=True)]
        await TwilioRest(access(account), http).place_call(call)
        assert len(account.exchange.calls) == 1


async def test_whoever_is_cut_off_at_the_end_has_no_last_word_on_a_line_that_is_closed() -> None:
    began: list[str] = []

    async def last_word() -> None:
        began.append("last word")

    async with account_served() as account:
        exchange = account.exchange

        async def talks() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                exchange.keep(last_word())

        exchange.keep(talks())
        await asyncio.sleep(0)
    assert began == []
    assert exchange.faults == []
