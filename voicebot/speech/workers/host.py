"""The server inside a worker process: one service, many connections, each answered in order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import structlog
from wyoming.error import Error
from wyoming.event import Event, async_read_event, async_write_event
from wyoming.info import Describe
from wyoming.ping import Ping, Pong

from voicebot.errors import EngineUnavailable, RemoteProtocolError
from voicebot.speech.workers.capabilities import info_event
from voicebot.speech.workers.service import Conversation, Send, Service

_log = structlog.get_logger()


@dataclass(slots=True)
class Host:
    """Serves `service` on a Unix socket or a loopback port until its `serve` is cancelled."""

    service: Service
    _connections: set[asyncio.Task[None]] = field(default_factory=set)

    async def listen(self, address: str) -> asyncio.Server:
        """Start listening on ``unix:///path`` or ``tcp://host:port`` and return the server."""
        scheme, _, rest = address.partition("://")
        if scheme == "unix":
            return await asyncio.start_unix_server(self._connected, path=rest)
        host, _, port = rest.rpartition(":")
        return await asyncio.start_server(self._connected, host=host, port=int(port))

    async def close(self, server: asyncio.Server) -> None:
        """Stop listening, drop every connection, and close the service."""
        server.close()
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self.service.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._converse(reader, writer)
        except OSError:
            _log.debug("speech peer went away")
        except asyncio.CancelledError:
            # Only `close` cancels a connection, and awaits it; the stream protocol would print what it raised.
            _log.debug("speech connection closed with its worker")
        finally:
            self._connections.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        write_lock = asyncio.Lock()

        async def send(event: Event) -> None:
            # A conversation may send from several tasks; two events must not interleave.
            async with write_lock:
                await async_write_event(event, writer)

        conversation = self.service.converse(send)
        try:
            while (event := await async_read_event(reader)) is not None:
                if Describe.is_type(event.type):
                    await send(info_event(self.service.info(), self.service.capabilities()))
                elif Ping.is_type(event.type):
                    await send(Pong(text=Ping.from_event(event).text).event())
                else:
                    await _handle(conversation, event, send)
        except (asyncio.IncompleteReadError, KeyError, TypeError):
            # A half-sent or shapeless event: nothing after it can be trusted on this connection.
            _log.warning("speech peer broke the protocol")
        finally:
            await conversation.close()


async def _handle(conversation: Conversation, event: Event, send: Send) -> None:
    try:
        await conversation.handle(event)
    except RemoteProtocolError as error:
        _log.warning("speech request refused", kind=error.kind)
        await send(Error(text=str(error), code=error.kind).event())
    except EngineUnavailable as error:
        _log.warning("speech engine failed", error=str(error))
        await send(Error(text=str(error), code="unavailable").event())
