"""What every way into the server shares: opening a WebSocket, and carrying a leg beside the call it belongs to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol
from urllib.parse import parse_qsl

import structlog
from aiohttp import WSCloseCode, web
from multidict import MultiDict

from voicebot.errors import RemoteProtocolError
from voicebot.telephony.leg import CallLeg, HangUpReason
from voicebot.web.address import PublicAddress

_log = structlog.get_logger()

#: A text message of either protocol is smaller; aiohttp closes the socket on a bigger one before it is read whole.
MAX_MESSAGE_BYTES = 64 * 1024
#: A peer that answers no ping for half as long again is gone.
HEARTBEAT_S = 20.0
#: From the open socket to the first words of the protocol.
START_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 2.0
#: For a request's body, so that nobody holds a handler by sending it a byte at a time.
BODY_TIMEOUT_S = 10.0
MAX_FORM_FIELDS = 200

Accept = Callable[[CallLeg], Awaitable[None]]
#: Told of every protocol error: the channel and the kind.
CountViolation = Callable[[str, str], None]


class Admission(Protocol):
    """Whether one more call can be served well."""

    def check(self, caller: str) -> str | None:
        """Return a short constant saying why a call from `caller` (may be empty) is refused, or None to take it."""
        ...


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
        for leg in list(self._legs):
            await leg.hang_up(HangUpReason.SHUTTING_DOWN)


async def open_socket(request: web.Request) -> web.WebSocketResponse:
    """Upgrade the request; raises aiohttp's `HTTPBadRequest` when it is no WebSocket's."""
    socket = web.WebSocketResponse(
        heartbeat=HEARTBEAT_S,
        # Deflating 20 ms of audio costs more than the call itself and saves nothing.
        compress=False,
        max_msg_size=MAX_MESSAGE_BYTES,
        timeout=CLOSE_TIMEOUT_S,
    )
    await socket.prepare(request)
    return socket


def abort_of(request: web.Request) -> Callable[[], None]:
    """Return what drops the request's connection at once."""

    def abort() -> None:
        if request.transport is not None:
            request.transport.abort()

    return abort


def base_url(request: web.Request, public: PublicAddress) -> str:
    """Return scheme and host under which the request was made from outside; raises aiohttp's `HTTPBadRequest`."""
    try:
        return public.base(peer=request.remote or "", scheme=request.scheme, host=request.host, headers=request.headers)
    except RemoteProtocolError as error:
        raise web.HTTPBadRequest(text=str(error)) from error


def client_address(request: web.Request, public: PublicAddress) -> str:
    """Return the IP address of the client, behind trusted proxies too."""
    return public.client(peer=request.remote or "", headers=request.headers)


async def read_form(request: web.Request) -> MultiDict[str]:
    """Read a URL-encoded form, keys that come twice and empty values included.

    Raises aiohttp's HTTP errors for another content type, a body that is too large, too slow or no form.
    """
    if request.content_type != "application/x-www-form-urlencoded":
        raise web.HTTPUnsupportedMediaType(text="Send a URL-encoded form.")
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            body = await request.read()
        fields = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS)
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(text=f"The form took more than {BODY_TIMEOUT_S} s.") from error
    except ValueError as error:
        raise web.HTTPBadRequest(text="The body is not a URL-encoded form.") from error
    return MultiDict(fields)


async def close_refused(socket: web.WebSocketResponse, message: str = "") -> None:
    """Close a WebSocket that may not become a call, with a last text message if there is one."""
    with contextlib.suppress(ConnectionError):
        if message:
            await socket.send_str(message)
        await socket.close(code=WSCloseCode.POLICY_VIOLATION)
