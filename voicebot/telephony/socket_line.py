"""The part of a leg that is the same for every WebSocket: reading, writing and watching until either side ends it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol

import aiohttp
import structlog

from voicebot.errors import RemoteProtocolError
from voicebot.telephony.inbox import LegInbox
from voicebot.telephony.leg import EndCause, HangUpReason, LegEnded, LegInfo
from voicebot.telephony.patience import Patience

#: A peer that takes no audio for this long (five seconds of frames) has gone, whatever TCP still hopes.
MAX_UNWRITTEN_FRAMES = 250
#: Parties send audio all the time, silence included, so a quiet socket is a dead one.
MEDIA_TIMEOUT_S = 10.0
WATCH_EVERY_S = 1.0
CLOSE_TIMEOUT_S = 3.0
#: Violations logged one by one; the rest of a flood is only counted.
LOGGED_VIOLATIONS = 10

_log = structlog.get_logger()

_CLOSE_CODES = {
    HangUpReason.COMPLETED: aiohttp.WSCloseCode.OK,
    HangUpReason.REFUSED_BUSY: aiohttp.WSCloseCode.TRY_AGAIN_LATER,
    HangUpReason.SHUTTING_DOWN: aiohttp.WSCloseCode.GOING_AWAY,
    HangUpReason.TOO_LONG: aiohttp.WSCloseCode.OK,
    HangUpReason.FAILED: aiohttp.WSCloseCode.INTERNAL_ERROR,
}
_CODE_OF_CAUSE = {
    EndCause.PEER_HUNG_UP: aiohttp.WSCloseCode.OK,
    EndCause.PROTOCOL_ERROR: aiohttp.WSCloseCode.POLICY_VIOLATION,
}


class Socket(Protocol):
    """What a leg needs of an aiohttp WebSocket, server or client."""

    async def receive(self) -> aiohttp.WSMessage: ...
    async def send_str(self, data: str) -> None: ...
    async def send_bytes(self, data: bytes) -> None: ...
    async def close(self, *, code: int) -> bool: ...


class SocketLine:
    """Carries one leg's WebSocket.

    `on_violation` is told the kind of every protocol error; `abort` drops the connection when a polite close hangs;
    `clock` is monotonic.
    """

    def __init__(
        self,
        socket: Socket,
        info: LegInfo,
        *,
        clock: Callable[[], float],
        on_violation: Callable[[str], None],
        abort: Callable[[], None],
    ) -> None:
        self.info = info
        self.socket = socket
        self.clock = clock
        self._abort = abort
        self._on_violation = on_violation
        self._cause: EndCause | None = None
        self._violations = 0
        self._log = _log.bind(leg_id=info.leg_id, channel=info.channel)
        self.inbox = LegInbox()
        #: When the peer was last heard of, which is also the arrival time of the message being taken.
        self.received_s = clock()

    @property
    def is_open(self) -> bool:
        return self._cause is None

    async def run(
        self,
        *,
        take: Callable[[aiohttp.WSMessage], EndCause | None],
        write: Callable[[], Awaitable[None]],
        unwritten: Callable[[], int],
    ) -> None:
        """Carry the call until it ends; `LegEnded` is in the inbox when this returns, raises or is cancelled.

        `take` handles a text or binary message and returns why the leg must end, if it must. `write` forwards audio
        for ever. `unwritten` is the number of frames waiting for it.
        """
        self.received_s = self.clock()
        try:
            async with asyncio.TaskGroup() as tasks:
                others = [tasks.create_task(self._write(write)), tasks.create_task(self._watch(unwritten))]
                cause = await self._read(take)
                await self.close(cause, _CODE_OF_CAUSE.get(cause, aiohttp.WSCloseCode.GOING_AWAY))
                for other in others:
                    other.cancel()
        finally:
            self._end(EndCause.CONNECTION_LOST)

    async def hang_up(self, reason: HangUpReason, *, farewell: str | None = None) -> None:
        """End the leg ourselves, after a last text message if the peer's protocol has one."""
        await self.close(EndCause.WE_HUNG_UP, _CLOSE_CODES[reason], farewell=farewell)

    async def close(self, cause: EndCause, code: int, *, farewell: str | None = None) -> None:
        """Close the socket for `cause`; the first cause stands."""
        if not self._end(cause):
            return
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                if farewell is not None:
                    with contextlib.suppress(ConnectionError):
                        await self.socket.send_str(farewell)
                await self.socket.close(code=code)
        except TimeoutError:
            # A peer that has stopped reading keeps the farewell, and us, in the send buffer.
            self._abort()

    def _end(self, cause: EndCause) -> bool:
        """Set why the leg ended, once, and tell the consumer before the socket takes its time to close."""
        if self._cause is not None:
            return False
        self._cause = cause
        self.inbox.put(LegEnded(cause, self.clock()))
        self._log.info("leg ended", cause=cause, violations=self._violations)
        return True

    def violated(self, kind: str, what: str) -> None:
        """Count a protocol error of the peer, and log it unless it is one of a flood."""
        self._on_violation(kind)
        self._violations += 1
        if self._violations <= LOGGED_VIOLATIONS:
            self._log.warning("peer broke the protocol", kind=kind, what=what)

    def taken(self, patience: Patience, take: Callable[[], EndCause | None]) -> EndCause | None:
        """Return why the leg must end after a message that `take` reads and acts on, None when it goes on.

        A `RemoteProtocolError` is counted, and ends the leg once `patience` is exhausted.
        """
        try:
            cause = take()
        except RemoteProtocolError as error:
            self.violated(error.kind, str(error))
            patience.bad()
            return EndCause.PROTOCOL_ERROR if patience.exhausted else None
        patience.good()
        return cause

    async def _read(self, take: Callable[[aiohttp.WSMessage], EndCause | None]) -> EndCause:
        while True:
            message = await self.socket.receive()
            if message.type not in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
                return EndCause.CONNECTION_LOST
            self.received_s = self.clock()
            cause = take(message)
            if cause is not None:
                return cause

    async def _write(self, write: Callable[[], Awaitable[None]]) -> None:
        try:
            await write()
        except ConnectionError:
            # The socket closed under us; reading sees the same and ends the leg.
            self._log.debug("writing stopped")

    async def _watch(self, unwritten: Callable[[], int]) -> None:
        while self.is_open:
            await asyncio.sleep(WATCH_EVERY_S)
            if self.clock() - self.received_s > MEDIA_TIMEOUT_S:
                await self.close(EndCause.MEDIA_TIMEOUT, aiohttp.WSCloseCode.GOING_AWAY)
            elif unwritten() > MAX_UNWRITTEN_FRAMES:
                await self.close(EndCause.CONNECTION_LOST, aiohttp.WSCloseCode.GOING_AWAY)
