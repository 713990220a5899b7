"""A media socket's events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from voicebot.telephony.rtp.latch import Address


def _ignore(_error: OSError) -> None:
    """Do nothing: a lost report is not missed."""


class Datagrams(asyncio.DatagramProtocol):
    """Hands on what comes, and why something could not be sent; `closed` is set when the socket is."""

    def __init__(self, take: Callable[[bytes, Address], None], refused: Callable[[OSError], None] = _ignore) -> None:
        self._take = take
        self._refused = refused
        self.closed = asyncio.Event()

    def datagram_received(self, data: bytes, addr: tuple[str, int] | tuple[str, int, int, int]) -> None:
        self._take(data, addr if len(addr) == 2 else addr[:2])

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.closed.set()

    def error_received(self, exc: Exception) -> None:
        if isinstance(exc, OSError):
            self._refused(exc)
