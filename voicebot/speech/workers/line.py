"""A connection to a speech server, carrying one request at a time."""

from __future__ import annotations

import asyncio
import contextlib
import io

from wyoming.event import Event, async_read_event, write_event

from voicebot.errors import EngineUnavailable
from voicebot.speech.workers.capabilities import Capabilities
from voicebot.speech.workers.punctuality import Punctuality

_MAX_LINE_BYTES = 1 << 20
_MAX_UNSENT_BYTES = 2_000_000
"""Two minutes of audio: a server that has not read so much is not listening."""


class PeerLost(EngineUnavailable):
    """A speech server died, stopped answering or broke the protocol in the middle of a request."""


def encode(event: Event) -> bytes:
    """Return `event` as bytes on the wire."""
    buffer = io.BytesIO()
    write_event(event, buffer)
    return buffer.getvalue()


class Line:
    """One open connection to `peer`. `close` cancels what the server still does for it.

    Whoever waits for an answer tells `punctuality` whether it came in time.
    """

    def __init__(
        self,
        peer: str,
        capabilities: Capabilities,
        punctuality: Punctuality,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.peer = peer
        self.capabilities = capabilities
        self.punctuality = punctuality
        #: When the server last said something, on the loop's clock; at first when it took the connection.
        self.heard_s = asyncio.get_running_loop().time()
        self.answered = False
        self._reader = reader
        self._writer = writer

    def send(self, event: Event) -> None:
        """Queue `event`; never blocks. `PeerLost` when the connection is gone or the server reads too slowly."""
        if self._writer.is_closing():
            raise PeerLost(f"The speech server {self.peer} closed the connection.")
        self._writer.write(encode(event))
        if self._writer.transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            self.abort()
            raise PeerLost(f"The speech server {self.peer} does not read what it is sent.")

    async def receive(self) -> Event:
        """Return the next event; `PeerLost` as soon as there can be none."""
        try:
            event = await async_read_event(self._reader)
        except (OSError, EOFError, KeyError, TypeError, AttributeError) as error:
            # The last three are what the library raises for JSON that is not an event.
            raise PeerLost(f"The connection to the speech server {self.peer} broke.") from error
        if event is None:
            raise PeerLost(f"The speech server {self.peer} closed the connection.")
        self.heard_s = asyncio.get_running_loop().time()
        self.answered = True
        return event

    def abort(self) -> None:
        """Drop the connection at once; a pending `receive` raises `PeerLost`."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """Close the connection and wait until it is."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


async def connect(
    address: str, peer: str, capabilities: Capabilities, punctuality: Punctuality, *, timeout_s: float
) -> Line:
    """Open a line to ``unix:///path`` or ``tcp://host:port``; `PeerLost` when nobody answers in `timeout_s`."""
    scheme, _, rest = address.partition("://")
    try:
        async with asyncio.timeout(timeout_s):
            if scheme == "unix":
                reader, writer = await asyncio.open_unix_connection(rest, limit=_MAX_LINE_BYTES)
            else:
                host, _, port = rest.rpartition(":")
                reader, writer = await asyncio.open_connection(host, int(port), limit=_MAX_LINE_BYTES)
    except (OSError, TimeoutError) as error:
        raise PeerLost(f"The speech server {peer} does not accept connections.") from error
    return Line(peer, capabilities, punctuality, reader, writer)
