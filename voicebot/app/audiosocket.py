"""The way in for Asterisk's AudioSocket: a TCP connection for every call, from configured phone systems only."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from voicebot.errors import ConfigurationError, Problem, RemoteProtocolError
from voicebot.telephony.audiosocket import messages
from voicebot.telephony.audiosocket.leg import AudioSocketLeg, await_call
from voicebot.telephony.leg import Channel, Direction, LegInfo
from voicebot.web.chan_websocket import AsteriskPeers
from voicebot.web.doors import Accept, Admission, CountViolation
from voicebot.web.socket_door import START_TIMEOUT_S, LiveLegs

_log = structlog.get_logger()


class AudioSocketDoor:
    """Greets connections and carries their calls; `new_id` gives fresh random names."""

    def __init__(
        self,
        *,
        accept: Accept,
        admission: Admission,
        peers: AsteriskPeers,
        max_connections: int,
        on_violation: CountViolation,
        new_id: Callable[[], str],
    ) -> None:
        self._legs = LiveLegs(accept)
        self._admission = admission
        self._peers = peers
        self._max_connections = max_connections
        self._on_violation = on_violation
        self._new_id = new_id
        self._open = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection's call to its end."""
        self._open += 1
        try:
            leg = await self._greet(reader, writer)
            if leg is not None:
                await self._legs.carry(leg)
        finally:
            self._open -= 1
            writer.close()

    async def close(self) -> None:
        """Hang up every call there is."""
        await self._legs.hang_up_all()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> AudioSocketLeg | None:
        peer = writer.get_extra_info("peername")
        if peer is None or not self._peers.knows(str(peer[0])):
            self._violated("stranger", "A phone system that is not configured asked for a call.")
            return None
        if self._open > self._max_connections:
            self._violated("too_many_connections", "The phone system has as many connections as it may.")
            return None
        parser = messages.Parser()
        try:
            call = await await_call(reader, parser, timeout_s=START_TIMEOUT_S)
        except RemoteProtocolError as error:
            self._violated(error.kind, str(error))
            return None
        leg_id = self._new_id()
        if self._admission.admit("", leg_id) is not None:
            with contextlib.suppress(ConnectionError):
                writer.write(messages.hang_up())
            return None
        info = LegInfo(leg_id, Channel.AUDIOSOCKET, Direction.INBOUND, caller="", called="", carrier_call_id=call)
        return AudioSocketLeg(
            info,
            reader,
            writer,
            parser,
            clock=time.monotonic,
            on_violation=lambda kind: self._on_violation(Channel.AUDIOSOCKET, kind),
        )

    def _violated(self, kind: str, what: str) -> None:
        self._on_violation(Channel.AUDIOSOCKET, kind)
        _log.warning("peer broke the protocol", channel=Channel.AUDIOSOCKET, kind=kind, what=what)


@asynccontextmanager
async def listening(door: AudioSocketDoor, host: str, port: int) -> AsyncIterator[int]:
    """Listen until the block ends, then hang up; yields the port. ConfigurationError if it cannot be had."""
    try:
        server = await asyncio.start_server(door.connected, host, port)
    except OSError as error:
        what = f"`audiosocket_port`: cannot listen on {host}:{port} ({error.strerror})."
        raise ConfigurationError([Problem("settings", None, what, "Choose another port.")]) from error
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await door.close()
