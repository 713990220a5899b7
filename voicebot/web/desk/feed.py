"""Reads the board for all pages at once: many that look at the same moment cost one reading."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from voicebot.web.desk.board_view import Board


class BoardFeed:
    """`read` reads the board; `clock` is monotonic, in seconds."""

    def __init__(self, read: Callable[[], Awaitable[Board]], *, clock: Callable[[], float]) -> None:
        self._read = read
        self._clock = clock
        self._lock = asyncio.Lock()
        self._latest: tuple[float, Board] | None = None

    async def not_before(self, at_s: float) -> Board:
        """Return the board as it was at the clock's `at_s` or later."""
        async with self._lock:
            if self._latest is None or self._latest[0] < at_s:
                began_s = self._clock()
                self._latest = began_s, await self._read()
            return self._latest[1]
