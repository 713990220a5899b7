"""The far side of a transfer to agents elsewhere: sent there, and what became of it is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import assert_never

import structlog

from voicebot.calls.transfer.elsewhere import Elsewhere, Sending, Sent
from voicebot.calls.transfer.errands import Errands
from voicebot.calls.transfer.seams import RingFailed
from voicebot.calls.transfer.timings import Timings
from voicebot.records.context import ContextPacket
from voicebot.routing.destinations import Destination
from voicebot.routing.events import (
    CallerLeft,
    ElsewhereAnswered,
    ElsewhereEnded,
    ElsewhereFailed,
    ElsewhereGone,
    Event,
)
from voicebot.routing.queues import Queue
from voicebot.telephony.leg import CallLeg

log = structlog.get_logger(__name__)

#: A caller is sent on once they have heard where to, or after this time.
ANNOUNCE_LIMIT_S = 10.0


class FarSide:
    """One destination after the other, for one caller on `leg`. `let_go` has the bot leave their line.

    `announced` is set while the caller has heard that they are put through. `tell` gets what happens.
    """

    def __init__(
        self,
        leg: CallLeg,
        elsewhere: Elsewhere,
        *,
        introduction: Callable[[ContextPacket], str],
        errands: Errands,
        timings: Timings,
        clock: Callable[[], float],
        let_go: Callable[[], Awaitable[None]],
        tell: Callable[[Event], None],
    ) -> None:
        self._leg = leg
        self._elsewhere = elsewhere
        self._introduction = introduction
        self._errands = errands
        self._timings = timings
        self._clock = clock
        self._let_go = let_go
        self._tell = tell
        self._work: asyncio.Task[None] | None = None
        self.announced = asyncio.Event()
        #: A destination did not take the caller.
        self.tried = False
        #: The caller has talked with somebody elsewhere.
        self.talked = False

    def send(self, destination: Destination, queue: Queue, packet: ContextPacket) -> None:
        """Send the caller there."""
        sending = Sending(
            leg=self._leg,
            destination=destination,
            packet=packet,
            introduction=self._introduction(packet),
            ring_s=queue.ring_s,
            accept_s=queue.accept_s,
            max_wait_s=queue.max_wait_s,
            let_go=self._let_go,
            answered=self._answered,
        )
        self._work = self._errands.start(self._send(sending))

    async def stop(self) -> None:
        """Call off whatever is under way."""
        work, self._work = self._work, None
        if work is not None:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _send(self, sending: Sending) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANNOUNCE_LIMIT_S):
                await self.announced.wait()
        kind = type(sending.destination).__name__
        try:
            sent = await self._elsewhere.send(sending)
        except RingFailed as failed:
            log.info("a caller was not taken elsewhere", kind=kind, failure=failed.failure.value)
            self.tried = True
            self._tell(ElsewhereFailed(failed.failure))
            return
        log.info("a caller was elsewhere", kind=kind, sent=sent.value)
        match sent:
            case Sent.BACK:
                self.talked = True
                self._tell(ElsewhereEnded())
            case Sent.GONE:
                self.talked = True
                self._tell(ElsewhereGone())
            case Sent.LEFT:
                self._tell(CallerLeft())
            case _:
                assert_never(sent)

    def _answered(self) -> None:
        self.talked = True
        self._timings.joined_s = self._clock()
        self._tell(ElsewhereAnswered())
