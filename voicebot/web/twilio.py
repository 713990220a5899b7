"""The ways in for Twilio: the voice webhook, the media WebSocket and the status callbacks."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from aiohttp import web

from voicebot.errors import RemoteProtocolError
from voicebot.personal import Personal
from voicebot.telephony.leg import Capability, Channel, Direction, LegInfo
from voicebot.telephony.twilio.journey import Journeys, ReturningLeg, TravellingLeg
from voicebot.telephony.twilio.leg import TwilioLeg, await_start
from voicebot.telephony.twilio.messages import MAX_PARAMETER_CHARS, Start
from voicebot.telephony.twilio.outgoing import OutgoingLeg
from voicebot.telephony.twilio.stream import TwilioStream
from voicebot.telephony.twilio.webhook import (
    CallStatusChanged,
    IncomingCall,
    StreamStatusChanged,
    parse_incoming,
    parse_status,
    refusal_twiml,
    stream_twiml,
)
from voicebot.web.address import PublicAddress, socket_url
from voicebot.web.doors import Admission, base_url
from voicebot.web.limits import RateLimit
from voicebot.web.socket_door import START_TIMEOUT_S, SocketDoor
from voicebot.web.tickets import Audience, Ticket, TicketRefused, Tickets
from voicebot.web.twilio_forms import TwilioForms

_log = structlog.get_logger()

VOICE_PATH = "/twilio/voice"
MEDIA_PATH = "/twilio/media"
STATUS_PATH = "/twilio/status"
#: The stream's custom parameter that carries the ticket.
TICKET_PARAMETER = "ticket"
#: The parameters of streams that are not a caller's first: of a call we placed, and of one that comes back.
DIALLED_PARAMETER, RETURN_PARAMETER = "dialled", "returning"
#: Twilio opens the stream within a second or two of our TwiML.
TICKET_LIFETIME_S = 60.0
MAX_PASSED_ON = 8

_CAPABILITIES = frozenset({Capability.KEYS_APART, Capability.PLAYBACK_CONFIRMED})
_PARAMETER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class RefusalPrompt:
    """What a caller hears when a call cannot be served well; a recording of it, if there is one, is played instead."""

    text: str = "All our lines are busy right now. Please call again in a few minutes. Goodbye."
    language: str = "en-US"
    recording_url: str | None = None


class TwilioDoor:
    """`on_status` is told what Twilio reports about calls and streams; `new_id` gives fresh random names."""

    def __init__(
        self,
        *,
        forms: TwilioForms,
        public: PublicAddress,
        tickets: Tickets,
        admission: Admission,
        door: SocketDoor,
        starts_of_caller: RateLimit,
        refusal: RefusalPrompt,
        on_status: Callable[[CallStatusChanged | StreamStatusChanged], None],
        new_id: Callable[[], str],
        journeys: Journeys,
    ) -> None:
        self._forms = forms
        self._public = public
        self._tickets = tickets
        self._admission = admission
        self._door = door
        self._starts_of_caller = starts_of_caller
        self._refusal = refusal
        self._on_status = on_status
        self._new_id = new_id
        self._journeys = journeys

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(VOICE_PATH, self.voice),
            web.get(MEDIA_PATH, self.media),
            web.post(STATUS_PATH, self.status),
        ]

    async def voice(self, request: web.Request) -> web.Response:
        """Answer Twilio's question what to do with a call: TwiML that streams it here, or that turns it away."""
        form = await self._forms.genuine(request)
        call = self._forms.parsed(parse_incoming, form)
        self._forms.check_account(call.account_sid)
        why = self._why_refused(call)
        if why is not None:
            _log.warning("call refused", why=why, call_sid=call.call_sid, caller=Personal(call.caller))
            twiml = refusal_twiml(
                message=self._refusal.text,
                language=self._refusal.language,
                recording_url=self._refusal.recording_url,
            )
            return web.Response(text=twiml, content_type="text/xml")
        base = base_url(request, self._public)
        ticket = self._tickets.issue(
            Audience.TWILIO_STREAM,
            call.call_sid,
            lifetime_s=TICKET_LIFETIME_S,
            claims={"from": call.caller, "to": call.called},
        )
        _log.info("call streams here", call_sid=call.call_sid, caller=Personal(call.caller))
        twiml = stream_twiml(
            url=socket_url(base, MEDIA_PATH),
            status_url=base + STATUS_PATH,
            parameters={**_passed_on(request), TICKET_PARAMETER: ticket},
        )
        return web.Response(text=twiml, content_type="text/xml")

    async def status(self, request: web.Request) -> web.Response:
        """Take note of what Twilio reports."""
        change = self._forms.parsed(parse_status, await self._forms.genuine(request))
        match change:
            case CallStatusChanged(call_sid, status, duration_s):
                _log.info("carrier reports a call", call_sid=call_sid, status=status, duration_s=duration_s)
            case StreamStatusChanged(call_sid, stream_sid, event, error):
                _log.info("carrier reports a stream", call_sid=call_sid, stream_sid=stream_sid, what=event, error=error)
        self._on_status(change)
        return web.Response(status=204)

    async def media(self, request: web.Request) -> web.WebSocketResponse:
        """Carry one stream from its WebSocket handshake to its end."""
        return await self._door.carry(request, self._greet)

    async def _greet(
        self, request: web.Request, socket: web.WebSocketResponse
    ) -> TravellingLeg | OutgoingLeg | ReturningLeg:
        stream = TwilioStream()
        start = await await_start(socket, stream, timeout_s=START_TIMEOUT_S)
        if DIALLED_PARAMETER in start.parameters:
            dialled = self._redeem(start, DIALLED_PARAMETER, Audience.TWILIO_DIALLED)
            info = LegInfo(
                leg_id=dialled.subject,
                channel=Channel.TWILIO,
                direction=Direction.OUTBOUND,
                caller=dialled.claims.get("from", ""),
                called=dialled.claims.get("to", ""),
                carrier_call_id=start.call_sid,
                capabilities=_CAPABILITIES,
            )
            return OutgoingLeg(self._door.line(request, socket, info), stream)
        returning = RETURN_PARAMETER in start.parameters
        name, audience = (
            (RETURN_PARAMETER, Audience.TWILIO_RETURN) if returning else (TICKET_PARAMETER, Audience.TWILIO_STREAM)
        )
        ticket = self._redeem(start, name, audience)
        if ticket.subject != start.call_sid:
            raise RemoteProtocolError("ticket_wrong_call", "The stream's ticket was issued for another call.")
        info = LegInfo(
            leg_id=self._new_id(),
            channel=Channel.TWILIO,
            direction=Direction.INBOUND,
            caller=ticket.claims.get("from", ""),
            called=ticket.claims.get("to", ""),
            carrier_call_id=start.call_sid,
            parameters={name: value for name, value in start.parameters.items() if name != TICKET_PARAMETER},
            capabilities=_CAPABILITIES,
        )
        line = self._door.line(request, socket, info)
        return ReturningLeg(line, stream) if returning else self._journeys.begin(TwilioLeg(line, stream))

    def _redeem(self, start: Start, parameter: str, audience: Audience) -> Ticket:
        try:
            return self._tickets.redeem(start.parameters.get(parameter, ""), audience)
        except TicketRefused as error:
            raise RemoteProtocolError(f"ticket_{error.kind}", str(error)) from error

    def _why_refused(self, call: IncomingCall) -> str | None:
        # Callers who withhold their number share no limit: one of them must not shut out the others.
        if call.caller and not self._starts_of_caller.allow(call.caller):
            return "too_many_calls_of_caller"
        return self._admission.admit(call.caller, call.call_sid)


def _passed_on(request: web.Request) -> dict[str, str]:
    """Return the webhook URL's query as custom parameters, since Twilio drops the query of a stream's URL."""
    parameters: dict[str, str] = {}
    for name, value in request.query.items():
        fits = len(name) + len(value) < MAX_PARAMETER_CHARS and value.isprintable()
        if fits and _PARAMETER_NAME.fullmatch(name) and len(parameters) < MAX_PASSED_ON:
            parameters.setdefault(name, value)
    return parameters
