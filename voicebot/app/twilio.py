"""Puts together what asks things of Twilio: its REST API, the calls we place by it, and callers who are elsewhere."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import assert_never

import aiohttp
import structlog

from voicebot.app.sip import CallsOut
from voicebot.calls.transfer.by_twilio import AwayAddresses, ByTwilio
from voicebot.calls.transfer.elsewhere import Elsewhere
from voicebot.calls.transfer.seams import Party
from voicebot.errors import ConfigurationError, Problem
from voicebot.routing.destinations import Conference, Destination, Dial, Refer, TaskQueue
from voicebot.routing.queues import Routing
from voicebot.settings import Settings
from voicebot.telephony.leg import CallLeg
from voicebot.telephony.twilio.journey import Journeys
from voicebot.telephony.twilio.outgoing import CallbackAddresses, TwilioDialer
from voicebot.telephony.twilio.rest import RestAccess, TwilioError, TwilioRest
from voicebot.web.address import socket_url
from voicebot.web.tickets import Audience, Tickets
from voicebot.web.twilio import DIALLED_PARAMETER, MEDIA_PATH, STATUS_PATH
from voicebot.web.twilio_calls import AWAY_PATH, CALL_PATH, MACHINE_PATH, SCREEN_PATH, return_twiml, with_id

log = structlog.get_logger(__name__)

#: How long somebody may take from our request to their answer; their stream must show its ticket by then.
ANSWER_LIMIT_S = 300.0


@dataclass(frozen=True, slots=True)
class TwilioServing:
    """What of Twilio's there is: nothing but callers who come in, where no number to call from is set.

    `ways` gives the ways to agents who are with Twilio, from what gives a leg ears and a voice and what agents are
    asked. `number_dialer` is `dialer` where numbers are to be called by Twilio.
    """

    journeys: Journeys
    dialer: TwilioDialer | None
    number_dialer: TwilioDialer | None
    rest: TwilioRest | None
    ways: Callable[[Callable[[CallLeg], Party], str], tuple[Elsewhere, ...]]
    #: Whether a number or SIP address may be called, by whatever carrier.
    allowed: Callable[[str], bool]

    def why_unusable(self, destination: Destination) -> str | None:
        """Return what callers cannot be sent there for, None when nothing speaks against it."""
        match destination:
            case Refer():
                return None
            case Dial(to):
                lines: tuple[str, ...] = (to,)
            case Conference(agent, coach):
                lines = (agent, coach) if coach else (agent,)
            case TaskQueue():
                lines = ()
            case _:
                assert_never(destination)
        if self.dialer is None:
            return "twilio.caller is not set"
        return None if all(map(self.allowed, lines)) else "sip.dial_prefixes and sip.dial_hosts do not allow it"


def say_what_is_unusable(twilio: TwilioServing, routing: Routing) -> None:
    """Warn of every destination of a queue's that no caller could be sent to."""
    for queue in routing.queues.values():
        for destination in queue.elsewhere:
            if why := twilio.why_unusable(destination):
                kind = type(destination).__name__
                log.warning("a queue's destination cannot be used", queue=queue.name, kind=kind, why=why)


@asynccontextmanager
async def serving_twilio(
    settings: Settings,
    tickets: Tickets,
    calls_out: CallsOut,
    on_refused: Callable[[str], None],
    new_id: Callable[[], str],
) -> AsyncIterator[TwilioServing]:
    """Use Twilio's API while the block lasts; ConfigurationError when what is set cannot work."""
    check_twilio(settings)
    access = _access(settings)
    hosts = frozenset(host.lower() for host in settings.sip.dial_hosts)

    def allowed(to: str) -> bool:
        if ":" in to:
            return to.partition("@")[2].partition(":")[0].partition(";")[0].lower() in hosts
        return calls_out.numbers.allows(to)

    if access is None:
        journeys = Journeys(end_call=None, new_id=new_id)
        yield TwilioServing(journeys, None, None, None, lambda _party, _question: (), allowed)
        return
    async with aiohttp.ClientSession() as session:
        rest = TwilioRest(access, session, timeout_s=settings.twilio.timeout_s)

        async def end_call(call_sid: str) -> None:
            try:
                await rest.end_call(call_sid)
            except TwilioError as error:
                log.warning("a call could not be ended", call_sid=call_sid, why=str(error))

        journeys = Journeys(end_call=end_call, new_id=new_id)
        caller = settings.twilio.caller
        if caller is None:
            yield TwilioServing(journeys, None, None, rest, lambda _party, _question: (), allowed)
            return
        base, detects = _base(settings), settings.twilio.detect_machines
        dialer = TwilioDialer(
            rest,
            CallbackAddresses(
                stream=socket_url(base, MEDIA_PATH),
                stream_status=base + STATUS_PATH,
                status=lambda call_id: base + with_id(CALL_PATH, call_id),
                machine=lambda call_id: base + with_id(MACHINE_PATH, call_id) if detects else "",
            ),
            caller=caller,
            numbers=calls_out.numbers,
            limits=calls_out.limits,
            issue_ticket=lambda call_id, number: tickets.issue(
                Audience.TWILIO_DIALLED, call_id, lifetime_s=ANSWER_LIMIT_S, claims={"from": caller, "to": number}
            ),
            ticket_parameter=DIALLED_PARAMETER,
            new_id=new_id,
            on_refused=on_refused,
            clock=time.monotonic,
        )
        addresses = AwayAddresses(
            action=lambda journey: base + with_id(AWAY_PATH, journey),
            screen=lambda journey: base + with_id(SCREEN_PATH, journey),
            return_twiml=lambda call_sid: return_twiml(tickets, base, call_sid),
            context=lambda packet: f"{base}/api/calls/{packet.call_id}/context",
        )

        def ways(make_party: Callable[[CallLeg], Party], question: str) -> tuple[Elsewhere, ...]:
            way = ByTwilio(
                rest,
                journeys,
                addresses,
                dialer=dialer,
                caller=caller,
                allowed=allowed,
                limits=calls_out.limits,
                make_party=make_party,
                question=question,
                clock=time.monotonic,
            )
            return (way,)

        numbers = settings.twilio.numbers
        by_twilio = numbers if numbers is not None else settings.sip.outbound_proxy is None
        try:
            yield TwilioServing(journeys, dialer, dialer if by_twilio else None, rest, ways, allowed)
        finally:
            await dialer.close()


def check_twilio(settings: Settings) -> None:
    """Raise ConfigurationError for what of Twilio's is half set."""
    access = _access(settings)
    if settings.twilio.caller is None:
        return
    if access is None:
        what = "`twilio.caller` is set, but nothing to use Twilio's API with."
        fix = "Set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or TWILIO_API_KEY and TWILIO_API_SECRET."
        raise ConfigurationError([Problem("settings", None, what, fix)])
    _base(settings)


def _access(settings: Settings) -> RestAccess | None:
    """Return who we are at Twilio; None where no account is set."""
    sid, token, key, secret = (
        settings.twilio_account_sid,
        settings.twilio_auth_token,
        settings.twilio_api_key,
        settings.twilio_api_secret,
    )
    if (key is None) != (secret is None):
        what = "TWILIO_API_KEY and TWILIO_API_SECRET belong together, and one of them is missing."
        raise ConfigurationError([Problem("settings", None, what, "Set both in the environment, or neither.")])
    if sid is None or (secret is None and token is None):
        return None
    twilio = settings.twilio
    if key is not None and secret is not None:
        return RestAccess(sid, key, secret.get_secret_value(), twilio.edge, twilio.region, twilio.api_url)
    if token is None:
        return None
    return RestAccess(sid, sid, token.get_secret_value(), twilio.edge, twilio.region, twilio.api_url)


def _base(settings: Settings) -> str:
    if settings.public_url is None:
        what = "`twilio.caller` is set, but not `public_url`, so Twilio could not bring the calls it places to us."
        fix = "Set public_url to the https address under which Twilio reaches this server."
        raise ConfigurationError([Problem("settings", None, what, fix)])
    if settings.twilio_auth_token is None and not settings.insecure_webhooks:
        what = "`twilio.caller` is set, but not TWILIO_AUTH_TOKEN, so nothing that Twilio reports could be checked."
        raise ConfigurationError([Problem("settings", None, what, "Set it in the environment, beside any API key.")])
    return settings.twilio.callback_url or settings.public_url.rstrip("/")
