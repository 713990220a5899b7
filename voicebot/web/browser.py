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
from voicebot.web.doors import Admission, base_url, client_address
from voicebot.web.limits import RateLimit
from voicebot.web.socket_door import START_TIMEOUT_S, SocketDoor, TurnedAway
from voicebot.web.tickets import Audience, TicketRefused, Tickets

_log = structlog.get_logger()

PAGE_PATH = "/call"
TICKET_PATH = "/browser/ticket"
MEDIA_PATH = "/browser/media"
#: The page asks for its ticket when the caller presses the button, and may then wait for the microphone's permission.
TICKET_LIFETIME_S = 120.0
#: The page's word when its hello was no good: most likely it is older than the server.
OUT_OF_DATE = messages.end("not_allowed", "This page is out of date. Reload it to call.")


class BrowserDoor:
    """`refusal_text` is shown when a call cannot be served well; `new_id` gives fresh random names."""

    def __init__(
        self,
        *,
        public: PublicAddress,
        tickets: Tickets,
        admission: Admission,
        door: SocketDoor,
        starts_of_address: RateLimit,
        refusal_text: str,
        new_id: Callable[[], str],
    ) -> None:
        self._public = public
        self._tickets = tickets
        self._admission = admission
        self._door = door
        self._starts_of_address = starts_of_address
        self._refusal_text = refusal_text
        self._new_id = new_id
        self._page = (resources.files("voicebot.web") / "static" / "call.html").read_text("utf-8")

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self.home),
            web.get(PAGE_PATH, self.page),
            web.post(TICKET_PATH, self.ticket),
            web.get(MEDIA_PATH, self.media),
        ]

    async def home(self, request: web.Request) -> web.Response:
        """Lead whoever types only the server's name to the call page."""
        del request
        return web.Response(status=302, headers={"Location": PAGE_PATH})

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
        return await self._door.carry(request, self._greet)

    async def _greet(self, request: web.Request, socket: web.WebSocketResponse) -> BrowserLeg:
        self._redeem(await await_hello(socket, timeout_s=START_TIMEOUT_S))
        leg_id = self._new_id()
        why = self._admission.admit("", leg_id)
        if why is not None:
            _log.warning("call refused", why=why, channel=Channel.BROWSER)
            raise TurnedAway(messages.end("refused_busy", self._refusal_text))
        info = LegInfo(
            leg_id=leg_id,
            channel=Channel.BROWSER,
            direction=Direction.INBOUND,
            caller="",
            called="",
            capabilities=frozenset({Capability.KEYS_APART, Capability.PLAYBACK_CONFIRMED, Capability.CAPTIONS}),
        )
        return BrowserLeg(self._door.line(request, socket, info))

    def _redeem(self, hello: messages.Hello) -> None:
        try:
            self._tickets.redeem(hello.ticket, Audience.BROWSER_STREAM)
        except TicketRefused as error:
            raise RemoteProtocolError(f"ticket_{error.kind}", str(error)) from error

    def _check_origin(self, request: web.Request) -> None:
        if request.headers.get("Origin") != base_url(request, self._public):
            self._door.violated(
                "wrong_origin", "A page of another origin asked for a call; if it is ours, check public_url."
            )
            raise web.HTTPForbidden(text="Calls start from this server's own page only.")
