"""The part of a door for calls that both protocols share: from an HTTP request to a leg that is carried to its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog
from aiohttp import WSCloseCode, web

from voicebot.errors import RemoteProtocolError, VoicebotError
from voicebot.telephony.leg import CallLeg, Channel, HangUpReason, LegInfo
from voicebot.telephony.socket_line import SocketLine
from voicebot.web.address import PublicAddress
from voicebot.web.doors import Accept, CountViolation, client_address
from voicebot.web.limits import ConnectionLimit, TooManyConnections

_log = structlog.get_logger()

#: A text message of either protocol is smaller; aiohttp closes the socket on a bigger one before it is read whole.
MAX_MESSAGE_BYTES = 64 * 1024
#: From the open socket to the first words of the protocol.
START_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 2.0


class TurnedAway(VoicebotError):
    """A call that is not taken, through no fault of the peer; `farewell` is the last text message it gets."""

    def __init__(self, farewell: str) -> None:
        super().__init__("the call was not taken")
        self.farewell = farewell


class CarriedLeg(CallLeg, Protocol):
    """A leg whose socket must be carried by somebody."""

    async def run(self) -> None: ...


class LiveLegs:
    """The legs whose sockets this server carries, so that none outlives the server."""

    def __init__(self, accept: Accept) -> None:
        self._accept = accept
        self._legs: set[CarriedLeg] = set()

    async def carry(self, leg: CarriedLeg) -> None:
        """Run one call and its line until both have ended; what goes wrong in it ends here."""
        self._legs.add(leg)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(leg.run())
                await leg.hang_up(await self._outcome(leg))
        except* Exception as group:  # noqa: BLE001 - the last line of defence for every other call
            for error in group.exceptions:
                _log.error("a leg failed", leg_id=leg.info.leg_id, exc_info=error)
        finally:
            self._legs.discard(leg)

    async def _outcome(self, leg: CarriedLeg) -> HangUpReason:
        try:
            await self._accept(leg)
        except Exception:  # noqa: BLE001 - one place per call may catch everything
            # The call's own session apologises and ends; whatever still gets here must not stay on a silent line.
            _log.exception("a call failed", leg_id=leg.info.leg_id)
            return HangUpReason.FAILED
        return HangUpReason.COMPLETED

    async def hang_up_all(self) -> None:
        """End every leg there is, all at once: one peer that will not close must not hold up the others."""
        async with asyncio.TaskGroup() as tasks:
            for leg in self._legs:
                tasks.create_task(leg.hang_up(HangUpReason.SHUTTING_DOWN))


#: Reads a protocol's opening words and returns the leg they begin; raises `RemoteProtocolError` or `TurnedAway`.
Greet = Callable[[web.Request, web.WebSocketResponse], Awaitable[CarriedLeg]]


class SocketDoor:
    """Opens WebSockets of one channel. `farewell` is the last text message to a peer that broke the protocol."""

    def __init__(
        self,
        channel: Channel,
        *,
        legs: LiveLegs,
        connections: ConnectionLimit,
        public: PublicAddress,
        on_violation: CountViolation,
        clock: Callable[[], float],
        farewell: str = "",
    ) -> None:
        self._channel = channel
        self._legs = legs
        self._connections = connections
        self._public = public
        self._on_violation = on_violation
        self._clock = clock
        self._farewell = farewell

    async def carry(self, request: web.Request, greet: Greet) -> web.WebSocketResponse:
        """Carry one call from the WebSocket handshake to its end; raises aiohttp's errors when it cannot begin."""
        try:
            with self._connections.hold(client_address(request, self._public)):
                socket = await _open_socket(request)
                try:
                    leg = await greet(request, socket)
                except RemoteProtocolError as error:
                    self.violated(error.kind, str(error))
                    await _turn_away(socket, self._farewell)
                except TurnedAway as error:
                    await _turn_away(socket, error.farewell)
                else:
                    await self._legs.carry(leg)
                return socket
        except TooManyConnections as error:
            self.violated("too_many_connections", str(error))
            raise web.HTTPServiceUnavailable(text=str(error)) from error

    def line(self, request: web.Request, socket: web.WebSocketResponse, info: LegInfo) -> SocketLine:
        """Return the line of a leg on `socket`."""

        def abort() -> None:
            if request.transport is not None:
                request.transport.abort()

        def count(kind: str) -> None:
            self._on_violation(self._channel, kind)

        return SocketLine(socket, info, clock=self._clock, on_violation=count, abort=abort)

    def violated(self, kind: str, what: str) -> None:
        """Count and log a protocol error that belongs to no leg."""
        self._on_violation(self._channel, kind)
        _log.warning("peer broke the protocol", channel=self._channel, kind=kind, what=what)


async def _open_socket(request: web.Request) -> web.WebSocketResponse:
    # No heartbeat, which would cost something for every message: a leg ends whose peer sends nothing for some seconds.
    socket = web.WebSocketResponse(
        # Deflating 20 ms of audio costs more than the call itself and saves nothing.
        compress=False,
        max_msg_size=MAX_MESSAGE_BYTES,
        timeout=CLOSE_TIMEOUT_S,
    )
    await socket.prepare(request)
    return socket


async def _turn_away(socket: web.WebSocketResponse, farewell: str) -> None:
    with contextlib.suppress(ConnectionError):
        if farewell:
            await socket.send_str(farewell)
        await socket.close(code=WSCloseCode.POLICY_VIOLATION)
