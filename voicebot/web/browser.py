"""The ways in for a browser: the call page, its tickets and its WebSocket."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources

import structlog
from aiohttp import web

from voicebot.errors import RemoteProtocolError
from voicebot.telephony.browser import messages
from voicebot.telephony.browser.leg import BrowserLeg, await_hello
from voicebot.telephony.leg import Capability, Channel, Direction, LegInfo
from voicebot.web.address import PublicAddress
from voicebot.web.doors import (
    START_TIMEOUT_S,
    Admission,
    CountViolation,
    LiveLegs,
    abort_of,
    base_url,
    client_address,
    close_refused,
    open_socket,
)
from voicebot.web.limits import ConnectionLimit, RateLimit, TooManyConnections
from voicebot.web.tickets import Audience, TicketRefused, Tickets

_log = structlog.get_logger()

PAGE_PATH = "/call"
TICKET_PATH = "/browser/ticket"
MEDIA_PATH = "/browser/media"
#: The page asks for its ticket when the caller presses the button, and may then wait for the microphone's permission.
TICKET_LIFETIME_S = 120.0


class BrowserDoor:
    """`refusal_text` is shown when a call cannot be served well; `new_id` gives fresh random names."""

    def __init__(
        self,
        *,
        public: PublicAddress,
        tickets: Tickets,
        admission: Admission,
        connections: ConnectionLimit,
        starts_of_address: RateLimit,
        legs: LiveLegs,
        refusal_text: str,
        on_violation: CountViolation,
        clock: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._public = public
        self._tickets = tickets
        self._admission = admission
        self._connections = connections
        self._starts_of_address = starts_of_address
        self._legs = legs
        self._refusal_text = refusal_text
        self._on_violation = on_violation
        self._clock = clock
        self._new_id = new_id
        self._page = (resources.files("voicebot.web") / "static" / "call.html").read_text("utf-8")

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(PAGE_PATH, self.page),
            web.post(TICKET_PATH, self.ticket),
            web.get(MEDIA_PATH, self.media),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """Serve the page anyone can call from."""
        del request
        return web.Response(text=self._page, content_type="text/html")

    async def ticket(self, request: web.Request) -> web.Response:
        """Give the page a ticket for one call; a page of another origin gets none."""
        self._check_origin(request)
        address = client_address(request, self._public)
        if not self._starts_of_address.allow(address):
            raise web.HTTPTooManyRequests(text="Too many calls from this address. Try again in a minute.")
        token = self._tickets.issue(Audience.BROWSER_STREAM, "call", lifetime_s=TICKET_LIFETIME_S)
        return web.json_response({"ticket": token})

    async def media(self, request: web.Request) -> web.WebSocketResponse:
        """Carry one call from the page, from the WebSocket handshake to its end."""
        self._check_origin(request)
        try:
            with self._connections.hold(client_address(request, self._public)):
                socket = await open_socket(request)
                await self._call(request, socket)
                return socket
        except TooManyConnections as error:
            self._violated("too_many_connections", str(error))
            raise web.HTTPServiceUnavailable(text=str(error)) from error

    async def _call(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        try:
            hello = await await_hello(socket, timeout_s=START_TIMEOUT_S)
            self._redeem(hello)
        except RemoteProtocolError as error:
            self._violated(error.kind, str(error))
            await close_refused(socket, messages.end("not_allowed", "This page is out of date. Reload it to call."))
            return
        why = self._admission.check("")
        if why is not None:
            _log.warning("call refused", why=why, channel=Channel.BROWSER)
            await close_refused(socket, messages.end("refused_busy", self._refusal_text))
            return
        leg = BrowserLeg(
            socket=socket,
            info=LegInfo(
                leg_id=self._new_id(),
                channel=Channel.BROWSER,
                direction=Direction.INBOUND,
                caller="",
                called="",
                capabilities=frozenset({Capability.PLAYBACK_CONFIRMED, Capability.CAPTIONS}),
            ),
            clock=self._clock,
            on_violation=lambda kind: self._on_violation(Channel.BROWSER, kind),
            abort=abort_of(request),
        )
        await self._legs.carry(leg)

    def _redeem(self, hello: messages.Hello) -> None:
        try:
            self._tickets.redeem(hello.ticket, Audience.BROWSER_STREAM)
        except TicketRefused as error:
            raise RemoteProtocolError(f"ticket_{error.kind}", str(error)) from error

    def _check_origin(self, request: web.Request) -> None:
        if request.headers.get("Origin") != base_url(request, self._public):
            self._violated(
                "wrong_origin", "A page of another origin asked for a call; if it is ours, check public_url."
            )
            raise web.HTTPForbidden(text="Calls start from this server's own page only.")

    def _violated(self, kind: str, what: str) -> None:
        self._on_violation(Channel.BROWSER, kind)
        _log.warning("peer broke the protocol", channel=Channel.BROWSER, kind=kind, what=what)
