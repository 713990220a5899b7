"""The ways in for those who take calls and those who watch: /desk, /floor, their WebSockets, and a desk's audio."""

from __future__ import annotations

import asyncio
import re
import weakref
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from datetime import datetime
from typing import Any

from aiohttp import WSCloseCode, web

from voicebot.errors import RemoteProtocolError
from voicebot.records.access.roles import Right
from voicebot.records.call_notes import MAX_NOTE_CHARS, Disposition
from voicebot.routing.agents import Agent
from voicebot.telephony.browser import messages
from voicebot.telephony.browser.leg import BrowserLeg, await_hello
from voicebot.telephony.leg import CallLeg, Capability, Channel, Direction, LegInfo
from voicebot.web.access.declared import requires
from voicebot.web.access.guard import SeesCalls
from voicebot.web.access.headers import CSP_HEADER, content_security_policy
from voicebot.web.access.identity import Identity
from voicebot.web.access.principal import principal_of
from voicebot.web.address import PublicAddress, socket_url
from voicebot.web.call_query import read_moment
from voicebot.web.desk.board_view import Board, floor_board
from voicebot.web.desk.conversation import OFFER_CLAIM, ORIGIN_CLAIM, SERVER_CLAIM, DeskConversation, DeskParts
from voicebot.web.desk.feed import BoardFeed
from voicebot.web.desk.wire import Wire
from voicebot.web.doors import CountViolation, base_url
from voicebot.web.limits import ConnectionLimit, RateLimit
from voicebot.web.pages import Pages
from voicebot.web.socket_door import CLOSE_TIMEOUT_S, START_TIMEOUT_S, LiveLegs, SocketDoor, TurnedAway
from voicebot.web.tickets import Audience, TicketRefused

AUDIO_PATH = "/desk/audio"
#: What the metrics count a desk's protocol errors under.
_CHANNEL = "desk"
_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
#: A note of the longest kind, in bytes.
_MAX_MESSAGE_BYTES = 8 * MAX_NOTE_CHARS
#: A desk that answers no ping for half as long again is gone.
_HEARTBEAT_S = 20.0
#: Of one agent: typing saves a note every second or so.
MESSAGES_A_MINUTE = 240
_NOT_OFFERED = messages.end("gone", "The call is not offered any more.")


class DeskDoor:
    """`now` gives wall-clock time in the bot's zone; `new_id` gives fresh random names."""

    def __init__(
        self,
        parts: DeskParts,
        *,
        calls: SeesCalls,
        identity: Identity,
        pages: Pages,
        public: PublicAddress,
        connections: ConnectionLimit,
        on_violation: CountViolation,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        self._parts = parts
        self._calls = calls
        self._identity = identity
        self._pages = pages
        self._public = public
        self._on_violation = on_violation
        self._clock = clock
        self._now = now
        self._new_id = new_id
        self._feed = BoardFeed(self._read, clock=clock)
        self._messages = RateLimit(max_events=MESSAGES_A_MINUTE, window_s=60, clock=clock)
        self._sockets: weakref.WeakSet[web.WebSocketResponse] = weakref.WeakSet()
        self._legs = LiveLegs(self._bring)
        self._audio = SocketDoor(
            Channel.BROWSER,
            legs=self._legs,
            connections=connections,
            public=public,
            on_violation=on_violation,
            clock=clock,
            farewell=_NOT_OFFERED,
        )
        #: What legs that are opening are for, by their ids: the agent and the offer's token.
        self._taking: dict[str, tuple[str, int]] = {}

    def open(self, app: web.Application) -> None:
        """Add the routes, and have the server close what is open when it ends."""
        app.add_routes(self.routes())
        app.on_shutdown.append(self.close)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/desk", self.desk),
            web.get("/desk/socket", self.desk_socket),
            web.get(AUDIO_PATH, self.audio),
            web.get("/floor", self.floor),
            web.get("/floor/socket", self.floor_socket),
            web.get("/api/calls/{id}/notes", self.notes),
            web.get("/api/agents/times", self.times),
        ]

    async def close(self, app: web.Application) -> None:
        """Close every page's socket and hang up every leg; a handler of aiohttp's `on_shutdown`."""
        del app
        closing = [socket.close(code=WSCloseCode.GOING_AWAY) for socket in set(self._sockets)]
        await asyncio.gather(*closing, self._legs.hang_up_all(), return_exceptions=True)

    # --- pages

    @requires(Right.TAKE_CALLS, lists=True)
    async def desk(self, request: web.Request) -> web.Response:
        """Serve the page on which an agent takes calls."""
        agent = self._agent(request)
        servers = await self._parts.neighbours.urls()
        page = self._pages.html(
            request,
            "desk.html",
            agent=agent,
            dispositions=list(Disposition),
            max_note_chars=MAX_NOTE_CHARS,
            servers=servers,
        )
        page.headers[CSP_HEADER] = content_security_policy(connect=[socket_url(server, "") for server in servers])
        return page

    @requires(Right.WATCH_QUEUES)
    async def floor(self, request: web.Request) -> web.Response:
        """Serve the page on which supervisors watch queues and agents."""
        return self._pages.html(request, "floor.html")

    # --- their sockets

    @requires(Right.TAKE_CALLS, lists=True)
    async def desk_socket(self, request: web.Request) -> web.WebSocketResponse:
        agent = self._agent(request)
        if agent is None:
            raise web.HTTPForbidden(text="Nobody of your name takes calls in queues.yaml.")
        wire = await self._open(request)
        conversation = DeskConversation(
            wire,
            agent,
            principal_of(request).sight(Right.TAKE_CALLS),
            parts=self._parts,
            calls=self._calls,
            feed=self._feed,
            origin=base_url(request, self._public),
            audio_path=AUDIO_PATH,
            messages=self._messages,
            on_violation=self._violated,
        )
        return await self._hold(request, wire, Right.TAKE_CALLS, conversation.run())

    @requires(Right.WATCH_QUEUES)
    async def floor_socket(self, request: web.Request) -> web.WebSocketResponse:
        wire = await self._open(request)
        return await self._hold(request, wire, Right.WATCH_QUEUES, self._watch_floor(wire))

    async def _watch_floor(self, wire: Wire) -> None:
        showing = asyncio.create_task(wire.show_board(floor_board, self._feed))
        try:
            async for _ in wire.socket:
                self._violated("bad_message")  # a page that watches has nothing to say
                return
        finally:
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)

    async def _open(self, request: web.Request) -> Wire:
        socket = web.WebSocketResponse(
            heartbeat=_HEARTBEAT_S, compress=False, max_msg_size=_MAX_MESSAGE_BYTES, timeout=CLOSE_TIMEOUT_S
        )
        await socket.prepare(request)
        self._sockets.add(socket)
        return Wire(socket, clock=self._clock)

    async def _hold(
        self, request: web.Request, wire: Wire, right: Right, talk: Coroutine[Any, Any, None]
    ) -> web.WebSocketResponse:
        """Talk with a page for as long as its user is signed in and has the right."""

        async def is_signed_in() -> bool:
            principal = await self._identity.find(request)
            return principal is not None and principal.may(right)

        watching = asyncio.create_task(wire.watch_sign_in(is_signed_in))
        try:
            await talk
        except ConnectionError:
            pass  # the page has gone
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await wire.socket.close()
        return wire.socket

    # --- a desk's audio

    async def audio(self, request: web.Request) -> web.WebSocketResponse:
        """Carry the audio of one call that an agent takes in the page."""
        return await self._audio.carry(request, self._greet)

    async def _greet(self, request: web.Request, socket: web.WebSocketResponse) -> BrowserLeg:
        hello = await await_hello(socket, timeout_s=START_TIMEOUT_S)
        try:
            ticket = self._parts.tickets.redeem(hello.ticket, Audience.DESK_AUDIO)
        except TicketRefused as error:
            raise RemoteProtocolError(f"ticket_{error.kind}", str(error)) from error
        if ticket.claims.get(SERVER_CLAIM) != self._parts.server:
            raise RemoteProtocolError("ticket_elsewhere", "The ticket is for another server.")
        # The page may be another server's; the ticket says which one's. Browsers name the page's origin always.
        if request.headers.get("Origin", ticket.claims[ORIGIN_CLAIM]) != ticket.claims[ORIGIN_CLAIM]:
            raise RemoteProtocolError("bad_origin", "The audio was opened from another page than the desk's.")
        agent_id, token = ticket.subject, int(ticket.claims[OFFER_CLAIM])
        if not self._parts.desks.may_take(agent_id, token):
            raise TurnedAway(_NOT_OFFERED)
        info = LegInfo(
            leg_id=self._new_id(),
            channel=Channel.BROWSER,
            direction=Direction.INBOUND,
            caller="",
            called="",
            capabilities=frozenset({Capability.KEYS_APART, Capability.PLAYBACK_CONFIRMED}),
        )
        self._taking[info.leg_id] = agent_id, token
        return BrowserLeg(self._audio.line(request, socket, info))

    async def _bring(self, leg: CallLeg) -> None:
        agent_id, token = self._taking.pop(leg.info.leg_id)
        await self._parts.desks.bring(agent_id, token, leg)

    # --- the API

    @requires(Right.READ_CALLS, call="id")
    async def notes(self, request: web.Request) -> web.Response:
        """Answer what agents wrote down about a call."""
        call_id = request.match_info["id"]
        if not _CALL_ID.fullmatch(call_id):
            raise web.HTTPNotFound
        notes = await self._parts.notes.list(call_id)
        answer = [asdict(note) | {"saved_at": note.saved_at.isoformat()} for note in notes]
        return web.json_response({"notes": answer})

    @requires(Right.WATCH_QUEUES)
    async def times(self, request: web.Request) -> web.Response:
        """Answer how many seconds each agent was in each state, since midnight UTC unless `since` says otherwise."""
        now = self._now()
        since = read_moment(request.query, "since") or now.replace(hour=0, minute=0, second=0, microsecond=0)
        centre = self._parts.centre
        agents = [
            {
                "id": agent.id,
                "name": agent.name,
                "seconds": {
                    state.value: round(spent.total_seconds())
                    for state, spent in (await centre.times_of(agent.id, since)).items()
                },
            }
            for agent in centre.routing.agents.values()
        ]
        return web.json_response({"since": since.isoformat(), "until": now.isoformat(), "agents": agents})

    # --- beneath

    def _agent(self, request: web.Request) -> Agent | None:
        return self._parts.centre.routing.agents.get(principal_of(request).actor)

    async def _read(self) -> Board:
        centre = self._parts.centre
        snapshot, callbacks = await asyncio.gather(centre.snapshot(), self._parts.callbacks.list())
        return Board(self._now(), centre.routing, snapshot, callbacks, centre.is_open)

    def _violated(self, kind: str) -> None:
        self._on_violation(_CHANNEL, kind)
