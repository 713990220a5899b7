"""One page's open WebSocket: what is told over it, the board on it, and whether its user is still signed in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from enum import IntEnum
from typing import Any

from aiohttp import web

from voicebot.web.desk.board_view import Board
from voicebot.web.desk.feed import BoardFeed

#: The board is looked at so often even when nothing changed here: another server may have changed it.
LOOK_EVERY_S = 1.0
#: A user who was disabled, or signed out elsewhere, keeps an open page for no longer.
CHECK_EVERY_S = 15.0


class CloseCode(IntEnum):
    """Why the server closes a page's socket, in the range that RFC 6455 leaves to applications."""

    SIGNED_OUT = 4401
    TOO_MANY_MESSAGES = 4429


class Wire:
    """`changed` is set by whoever knows that the board is different."""

    def __init__(self, socket: web.WebSocketResponse, *, clock: Callable[[], float]) -> None:
        self.socket = socket
        self._clock = clock
        self.changed = asyncio.Event()

    async def tell(self, message: Mapping[str, Any]) -> None:
        """Send a message; times in it become ISO 8601. Raises ConnectionError when the page has gone."""
        await self.socket.send_str(json.dumps(message, default=_written))

    async def show_board(self, view: Callable[[Board], Mapping[str, Any]], feed: BoardFeed) -> None:
        """Send what `view` makes of the board now, and again whenever that is different, until cancelled."""
        shown: dict[str, Any] | None = None
        while True:
            self.changed.clear()
            message = view(await feed.not_before(self._clock()))
            content = {name: value for name, value in message.items() if name != "at"}
            if content != shown:
                shown = content
                await self.tell(message)
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self.changed.wait()
            except TimeoutError:
                continue

    async def watch_sign_in(self, is_signed_in: Callable[[], Awaitable[bool]]) -> None:
        """Close the socket once its user is signed in no more."""
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            if not await is_signed_in():
                await self.socket.close(code=CloseCode.SIGNED_OUT)
                return


def _written(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is nothing that a page is told")
