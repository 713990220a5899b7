"""The server's side of Twilio on loopback, with an account that plays Twilio's."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from tests.fakes.ports import bound_socket
from tests.fakes.web_server import AUTH_TOKEN, RunningServer, echo, serving
from voicebot.calls.transfer.by_twilio import AwayAddresses
from voicebot.simulation.carrier import Account
from voicebot.simulation.twilio_account import TwilioAccount
from voicebot.simulation.twilio_exchange import Phone, PlayedCall
from voicebot.telephony.leg import CallLeg
from voicebot.telephony.numbers import DialLimits, NumberPlan
from voicebot.telephony.twilio.journey import Journeys
from voicebot.telephony.twilio.outgoing import CallbackAddresses, TwilioDialer
from voicebot.telephony.twilio.rest import RestAccess, TwilioRest
from voicebot.web.address import PublicAddress, socket_url
from voicebot.web.tickets import Audience, Tickets
from voicebot.web.twilio import DIALLED_PARAMETER, MEDIA_PATH, STATUS_PATH
from voicebot.web.twilio_calls import AWAY_PATH, CALL_PATH, MACHINE_PATH, SCREEN_PATH, return_twiml, with_id

OUR_NUMBER = "+15550100100"
AGENT = "+15550123"


@dataclass
class Twilio:
    """`account` plays Twilio, the rest is ours."""

    account: TwilioAccount
    rest: TwilioRest
    dialer: TwilioDialer
    journeys: Journeys
    addresses: AwayAddresses
    limits: DialLimits
    server: RunningServer
    refused: list[str]

    def call_to(self, number: str) -> PlayedCall:
        """Return the latest call to a number."""
        return [call for call in self.account.exchange.calls.values() if call.numbers.called == number][-1]


def access(account: TwilioAccount, **changes: str) -> RestAccess:
    given = {"user": account.account.account_sid, "secret": AUTH_TOKEN, **changes}
    return RestAccess(account.account.account_sid, given["user"], given["secret"], base_url=account.url)


@asynccontextmanager
async def account_served(
    phones: Mapping[str, Phone] | None = None, *, user: str = "", secret: str = ""
) -> AsyncIterator[TwilioAccount]:
    async with (
        aiohttp.ClientSession() as http,
        TwilioAccount(http, Account(auth_token=AUTH_TOKEN), phones=phones, user=user, secret=secret).serve() as account,
    ):
        yield account


@asynccontextmanager
async def twilio_served(
    accept: Callable[[CallLeg], Awaitable[None]] = echo,
    *,
    phones: Mapping[str, Phone] | None = None,
    at_once: int = 10,
    timeout_s: float = 1.0,
) -> AsyncIterator[Twilio]:
    """Run the web server and an account whose calls reach it; at the end nothing was wrong with any request."""
    bound = bound_socket()
    base = f"http://127.0.0.1:{bound.getsockname()[1]}"
    tickets = Tickets(b"s" * 32, clock=time.time, new_id=_new_id)
    refused: list[str] = []
    async with account_served(phones) as account, aiohttp.ClientSession() as http:
        rest = TwilioRest(access(account), http, timeout_s=timeout_s)
        limits = DialLimits(per_hour=100, at_once=at_once, clock=time.monotonic)
        dialer = TwilioDialer(
            rest,
            CallbackAddresses(
                stream=socket_url(base, MEDIA_PATH),
                stream_status=base + STATUS_PATH,
                status=lambda call_id: base + with_id(CALL_PATH, call_id),
                machine=lambda call_id: base + with_id(MACHINE_PATH, call_id),
            ),
            caller=OUR_NUMBER,
            numbers=NumberPlan(("+1555",), region="US"),
            limits=limits,
            issue_ticket=lambda call_id, number: tickets.issue(
                Audience.TWILIO_DIALLED, call_id, lifetime_s=60, claims={"from": OUR_NUMBER, "to": number}
            ),
            ticket_parameter=DIALLED_PARAMETER,
            new_id=_new_id,
            on_refused=refused.append,
            clock=time.monotonic,
        )
        journeys = Journeys(end_call=rest.end_call, new_id=_new_id)
        addresses = AwayAddresses(
            action=lambda journey: base + with_id(AWAY_PATH, journey),
            screen=lambda journey: base + with_id(SCREEN_PATH, journey),
            return_twiml=lambda call_sid: return_twiml(tickets, base, call_sid),
            context=lambda packet: f"{base}/api/calls/{packet.call_id}/context",
        )
        async with serving(
            accept, public=PublicAddress(base), journeys=journeys, calls_out=dialer, tickets=tickets, bound=bound
        ) as server:
            yield Twilio(account, rest, dialer, journeys, addresses, limits, server, refused)
            await account.exchange.end_all()
            await dialer.close()
        assert (account.exchange.faults, account.exchange.undelivered) == ([], [])


async def until(condition: Callable[[], object], *, limit_s: float = 20.0) -> None:
    """Wait until something is so; TimeoutError when it does not come to be."""
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.01)


def _new_id() -> str:
    return uuid.uuid4().hex
