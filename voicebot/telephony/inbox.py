"""What a leg's party did, waiting for the one consumer of `CallLeg.events()`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from voicebot.telephony.leg import FrameReceived, LegEnded, LegEvent

#: Five seconds: a consumer further behind than this has failed, and old audio would only make it later.
MAX_WAITING = 250


class LegInbox:
    """A bounded queue of leg events, ended by `LegEnded`.

    When the consumer is `max_waiting` events behind, frames are dropped and the next frame that fits says how many
    (`lost_before`); keys and marks are dropped only at twice that, so that a flood of them stays bounded too.
    """

    def __init__(self, *, max_waiting: int = MAX_WAITING) -> None:
        self._waiting: deque[LegEvent] = deque()
        self._max_waiting = max_waiting
        #: What the consumer waits for; None while it does not wait. A future costs half of what an Event does.
        self._wake: asyncio.Future[None] | None = None
        self._end: LegEnded | None = None
        self._lost = 0

    @property
    def ended(self) -> bool:
        return self._end is not None

    def put(self, event: LegEvent) -> None:
        """Add an event; whatever comes after `LegEnded` is dropped."""
        if self._end is not None:
            return
        if isinstance(event, LegEnded):
            self._end = event
        elif self._lost or len(self._waiting) >= self._max_waiting:
            fits = self._fitting(event)
            if fits is None:
                return
            event = fits
        self._waiting.append(event)
        wake = self._wake
        if wake is not None:
            self._wake = None
            if not wake.done():
                wake.set_result(None)

    def _fitting(self, event: LegEvent) -> LegEvent | None:
        """Return what is to be said of an event where the consumer is behind, or was; None to drop it."""
        behind = len(self._waiting)
        if not isinstance(event, FrameReceived):
            return event if behind < 2 * self._max_waiting else None
        if behind >= self._max_waiting:
            self._lost += event.lost_before + 1
            return None
        lost, self._lost = self._lost, 0
        return event._replace(lost_before=event.lost_before + lost)

    async def events(self) -> AsyncIterator[LegEvent]:
        """Yield events as they come, the last being `LegEnded`; whoever takes the leg over after that gets it again."""
        loop = asyncio.get_running_loop()
        while True:
            while self._waiting:
                event = self._waiting.popleft()
                yield event
                if isinstance(event, LegEnded):
                    return
            if self._end is not None:
                yield self._end
                return
            self._wake = loop.create_future()
            await self._wake
