"""Changes of the queues' board that the database has not taken yet: made later, the newest of each kind alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable

import structlog

log = structlog.get_logger(__name__)

Change = Callable[[], Awaitable[None]]


class Overdue:
    """One process's changes, each about a caller's place or an agent's claim. Nobody else would make them up.

    This server lives, and renews the lease on all that it has on the board.
    """

    def __init__(self) -> None:
        #: The newest change of each kind that is being made, or has failed.
        self._newest: dict[Hashable, Change] = {}
        self._failed: set[Hashable] = set()
        #: Set when there is something to do.
        self.some = asyncio.Event()

    def __contains__(self, what: Hashable) -> bool:
        return what in self._newest

    async def surely(self, what: Hashable, change: Change) -> None:
        """Make a change in the place of any before it that is still to be made; later, if it cannot be made now."""
        self._newest[what] = change
        self._failed.discard(what)
        try:
            await change()
        except Exception as error:  # noqa: BLE001  # what a driver may raise nobody can name; it is made up for later
            if self._newest.get(what) is change:
                log.error("a change of the queues' board is made later", error=type(error).__name__)
                self._failed.add(what)
                self.some.set()
        else:
            self._made(what, change)

    async def catch_up(self) -> None:
        """Make what is still to be made; raises what the first of it fails with."""
        for what in tuple(self._failed):
            change = self._newest.get(what)
            if change is not None and what in self._failed:
                await change()
                self._made(what, change)

    def _made(self, what: Hashable, change: Change) -> None:
        if self._newest.get(what) is change:
            del self._newest[what]
            self._failed.discard(what)
