"""A WebSocket without a network: what the peer sends is put in, what goes out can be read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp


class FakeSocket:
    """Implements `voicebot.telephony.socket_line.Socket`; `stuck` makes it a peer that no longer reads."""

    def __init__(self) -> None:
        self._incoming: asyncio.Queue[aiohttp.WSMessage] = asyncio.Queue()
        self.texts: list[str] = []
        self.binaries: list[bytes] = []
        #: Everything sent, in order.
        self.sent: list[str | bytes] = []
        self.closed_with: int | None = None
        self.aborted = False
        self._unstuck = asyncio.Event()
        self._unstuck.set()

    def stuck(self) -> None:
        self._unstuck.clear()

    def peer_sends(self, data: str | bytes) -> None:
        kind = aiohttp.WSMsgType.TEXT if isinstance(data, str) else aiohttp.WSMsgType.BINARY
        self._incoming.put_nowait(aiohttp.WSMessage(kind, data, None))

    def peer_vanishes(self) -> None:
        self._incoming.put_nowait(aiohttp.WSMessage(aiohttp.WSMsgType.CLOSED, None, None))

    async def receive(self) -> aiohttp.WSMessage:
        return await self._incoming.get()

    async def send_str(self, data: str) -> None:
        await self._send(data)
        self.texts.append(data)

    async def send_bytes(self, data: bytes) -> None:
        await self._send(data)
        self.binaries.append(data)

    async def _send(self, data: str | bytes) -> None:
        await self._unstuck.wait()
        if self.closed_with is not None or self.aborted:
            raise ConnectionResetError("the socket is closed")
        self.sent.append(data)

    async def close(self, *, code: int) -> bool:
        await self._unstuck.wait()
        self.closed_with = code
        self._incoming.put_nowait(aiohttp.WSMessage(aiohttp.WSMsgType.CLOSING, None, None))
        return True

    def abort(self) -> None:
        self.aborted = True
        self.peer_vanishes()


class FakeClock:
    """A monotonic clock that moves when told to."""

    def __init__(self, now_s: float = 100.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


async def until(condition: Callable[[], object]) -> None:
    """Let other tasks run until `condition` holds; fails after twenty seconds."""
    async with asyncio.timeout(20):
        while not condition():  # the condition is the code's own, without an event to wait for
            await asyncio.sleep(0.001)
