"""What Twilio asks and tells us about calls that we placed, and about callers who are elsewhere."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import urlencode

import structlog
from aiohttp import web

from voicebot.telephony.twilio.journey import Journey, Journeys, Screened
from voicebot.telephony.twilio.outgoing import OutgoingLeg
from voicebot.telephony.twilio.twiml import hangup_twiml, nothing_twiml, redirect_twiml, screening_twiml
from voicebot.telephony.twilio.webhook import (
    CallStatusChanged,
    CarrierCallStatus,
    parse_came_back,
    parse_key,
    parse_machine,
    parse_status,
    stream_twiml,
)
from voicebot.web.address import socket_url
from voicebot.web.tickets import Audience, Tickets
from voicebot.web.twilio import MEDIA_PATH, RETURN_PARAMETER, STATUS_PATH, TICKET_LIFETIME_S, VOICE_PATH
from voicebot.web.twilio_forms import TwilioForms

_log = structlog.get_logger()

CALL_PATH = "/twilio/call"
MACHINE_PATH = "/twilio/machine"
AWAY_PATH = "/twilio/away"
SCREEN_PATH = "/twilio/screen"
ACCEPT_KEY = "1"


def with_id(path: str, identity: str) -> str:
    """Return the path by which Twilio names one of our calls or journeys."""
    return f"{path}?{urlencode({'id': identity})}"


class CallsOut(Protocol):
    """Who placed the calls; `TwilioDialer` in production."""

    def reported(self, call_id: str, call_sid: str, status: CarrierCallStatus) -> None: ...
    async def answered_by(self, call_id: str, *, machine: bool) -> None: ...
    async def opened(self, leg: OutgoingLeg) -> None: ...


class TwilioCallsDoor:
    """`calls_out` is None where no calls are placed by Twilio; `language` is that of what Twilio itself speaks."""

    def __init__(
        self,
        *,
        forms: TwilioForms,
        tickets: Tickets,
        calls_out: CallsOut | None,
        journeys: Journeys,
        language: str,
    ) -> None:
        self._forms = forms
        self._tickets = tickets
        self._calls_out = calls_out
        self._journeys = journeys
        self._language = language

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(CALL_PATH, self.call),
            web.post(MACHINE_PATH, self.machine),
            web.post(AWAY_PATH, self.away),
            web.post(SCREEN_PATH, self.screen),
        ]

    async def call(self, request: web.Request) -> web.Response:
        """Take note of how a call that we placed is."""
        change = self._forms.parsed(parse_status, await self._forms.genuine(request))
        if isinstance(change, CallStatusChanged):
            _log.info("carrier reports a call out", call_sid=change.call_sid, status=change.status)
            if self._calls_out is not None:
                self._calls_out.reported(_id(request), change.call_sid, change.status)
            if change.status.is_final:
                self._journeys.call_ended(change.call_sid)
        return web.Response(status=204)

    async def machine(self, request: web.Request) -> web.Response:
        """Take note of what answered a call that we placed."""
        found = self._forms.parsed(parse_machine, await self._forms.genuine(request))
        _log.info("carrier tells what answered", call_sid=found.call_sid, machine=found.machine)
        if self._calls_out is not None:
            await self._calls_out.answered_by(_id(request), machine=found.machine)
        return web.Response(status=204)

    async def away(self, request: web.Request) -> web.Response:
        """Take a call back whose stay elsewhere is over, or let it end with its caller."""
        report = self._forms.parsed(parse_came_back, await self._forms.genuine(request))
        _log.info(
            "a call is back", call_sid=report.call_sid, status=report.status, dial=report.dial, queue=report.queue
        )
        leg = self._journeys.came_back(report)
        base = self._forms.own_base(request)
        if leg is not None:
            return _twiml(return_twiml(self._tickets, base, report.call_sid))
        if report.is_over:
            return _twiml(nothing_twiml())
        # Another server had them, or this one before it was started again: they are not left on a dead line.
        return _twiml(redirect_twiml(base + VOICE_PATH))

    async def screen(self, request: web.Request) -> web.Response:
        """Tell whoever answered a <Dial> who calls, and join them only on the right key."""
        form = await self._forms.genuine(request)
        journey = self._journeys.find(_id(request))
        if journey is None or journey.over.done():
            return _twiml(hangup_twiml())
        if request.query.get("step") == "decided":
            return _twiml(nothing_twiml() if _decided(journey, parse_key(form)) else hangup_twiml())
        journey.screened = Screened.ASKED
        decided = f"{self._forms.own_base(request)}{with_id(SCREEN_PATH, journey.id)}&step=decided"
        return _twiml(
            screening_twiml(
                introduction=journey.introduction,
                question=journey.question,
                accept_s=journey.accept_s,
                decided_url=decided,
                language=self._language,
            )
        )


def return_twiml(tickets: Tickets, base: str, call_sid: str) -> str:
    """Return TwiML by which a call comes back over a new stream; `base` is the server's public address."""
    ticket = tickets.issue(Audience.TWILIO_RETURN, call_sid, lifetime_s=TICKET_LIFETIME_S)
    return stream_twiml(
        url=socket_url(base, MEDIA_PATH), status_url=base + STATUS_PATH, parameters={RETURN_PARAMETER: ticket}
    )


def _decided(journey: Journey, key: str) -> bool:
    if key == ACCEPT_KEY:
        journey.screened = Screened.ACCEPTED
        journey.accepted()
        return True
    if key:
        journey.screened = Screened.DECLINED
    return False


def _id(request: web.Request) -> str:
    return request.query.get("id", "")


def _twiml(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/xml")
