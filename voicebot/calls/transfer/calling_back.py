"""Makes the callbacks that were promised: at their time, to whoever answers, with all that was known before."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import structlog

from voicebot.calls.transfer.carriers import Dialer
from voicebot.calls.transfer.enduring import enduring
from voicebot.records.callbacks import LEASE, CallbackBook, CallbackRow
from voicebot.records.context import ContextPacket, read_context
from voicebot.records.contexts import Contexts
from voicebot.routing.callbacks import Again, GivenUp, after_attempt, is_decent
from voicebot.routing.queues import Queue, Routing
from voicebot.telephony.dialing import DialFailed
from voicebot.telephony.leg import CallLeg, HangUpReason

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0
RING_S = 30.0
#: Callbacks under way at once, since each takes a line and soon an agent.
MOST_AT_ONCE = 5

#: Talks with whoever answered: True when they were there and took the call. Who was not is told what follows.
Talk = Callable[[CallLeg, CallbackRow, ContextPacket, Again | GivenUp], Awaitable[bool]]


class CallbackMaker:
    """`talk` carries an answered call; `is_open` tells whether a queue has its hours. `now` is wall-clock time.

    `can_serve` tells whether anybody is on duty who could take the caller: nobody is called to be told that nobody is
    there.
    """

    def __init__(
        self,
        book: CallbackBook,
        contexts: Contexts,
        find_routing: Callable[[], Routing],
        *,
        find_dialer: Callable[[], Dialer | None],
        is_open: Callable[[Queue, datetime], bool],
        can_serve: Callable[[Queue], Awaitable[bool]],
        talk: Talk,
        now: Callable[[], datetime],
    ) -> None:
        self._book = book
        self._contexts = contexts
        self._find_routing = find_routing
        self._find_dialer = find_dialer
        self._is_open = is_open
        self._can_serve = can_serve
        self._talk = talk
        self._now = now
        self._making: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Make callbacks until cancelled; those under way are cut then, and made again later."""
        try:
            await enduring(self._look, part="callbacks", every_s=LOOK_EVERY_S)
        finally:
            for task in self._making:
                task.cancel()
            await asyncio.gather(*self._making, return_exceptions=True)

    async def _look(self) -> None:
        while len(self._making) < MOST_AT_ONCE and self._find_dialer() is not None:
            row = await self._book.claim_due()
            if row is None:
                return
            task = asyncio.create_task(self._make(row))
            self._making.add(task)
            task.add_done_callback(self._making.discard)

    async def _make(self, row: CallbackRow) -> None:
        queue, document = self._find_routing().queues.get(row.queue), await self._contexts.get(row.call_id)
        dialer = self._find_dialer()
        if queue is None or dialer is None or not row.consent:
            why = "no_consent" if not row.consent else "no_queue"
            await self._book.finish(row, why, failed=True)
            return
        if row.attempts > self._find_routing().callbacks.attempts:
            # Servers died at it, or could not write how it went: nobody is rung without end for that.
            await self._book.finish(row, "broken", failed=True)
            return
        if not self._may_call(row, queue):
            await self._go_on(row, self._following(row, queue, tried=False), tried=False, why="not_now")
            return
        if not queue.elsewhere and not await self._can_serve(queue):
            await self._go_on(row, self._following(row, queue, tried=False), tried=False, why="nobody_there")
            return
        following = self._following(row, queue, tried=True)
        renewing = asyncio.create_task(self._renew(row))
        nothing: str | None
        try:
            nothing = await self._called(dialer, row, self._packet(row, document), following)
        except Exception:  # whatever breaks, it was an attempt: left as it is, they would be rung again at once
            log.exception("a callback broke", call_id=row.call_id)
            nothing = "broken"
        finally:
            renewing.cancel()
        if nothing is None:
            await self._book.finish(row, "taken")
        else:
            await self._go_on(row, following, tried=True, why=nothing)

    async def _called(
        self, dialer: Dialer, row: CallbackRow, packet: ContextPacket, following: Again | GivenUp
    ) -> str | None:
        """Call and talk; return why it came to nothing, None when it was taken."""
        try:
            leg = await dialer.dial(row.number, timeout_s=RING_S)
        except DialFailed as failed:
            return failed.reason.value
        carrying = asyncio.create_task(leg.run())
        try:
            return None if await self._talk(leg, row, packet, following) else "nobody_took_it"
        finally:
            await leg.hang_up(HangUpReason.COMPLETED)
            await asyncio.gather(carrying, return_exceptions=True)

    async def _renew(self, row: CallbackRow) -> None:
        while True:
            if not await self._book.renew(row):
                return
            await asyncio.sleep(LEASE.total_seconds() / 3)

    def _may_call(self, row: CallbackRow, queue: Queue) -> bool:
        now = self._now()
        return self._is_open(queue, now) and is_decent(now, ZoneInfo(row.zone), self._find_routing().callbacks)

    def _following(self, row: CallbackRow, queue: Queue, *, tried: bool) -> Again | GivenUp:
        """Say what follows if this attempt, or this look at it where it is not `tried`, comes to nothing."""
        return after_attempt(
            row.attempts if tried else 0,
            self._now(),
            rules=self._find_routing().callbacks,
            zone=ZoneInfo(row.zone),
            is_open=lambda at: self._is_open(queue, at),
        )

    async def _go_on(self, row: CallbackRow, following: Again | GivenUp, *, tried: bool, why: str) -> None:
        log.info("callback not made", call_id=row.call_id, why=why, attempts=row.attempts)
        match following:
            case Again(at):
                await self._book.postpone(row, at, why, tried=tried)
            case GivenUp():
                await self._book.finish(row, why, failed=True)

    def _packet(self, row: CallbackRow, document: dict[str, object] | None) -> ContextPacket:
        """Return what was known when the callback was promised; a caller who was cut off early may have none."""
        if document is not None:
            packet = read_context(document)
            return replace(packet, id=f"{packet.id}-callback-{row.attempts}")
        return empty_packet(row, self._now())


def empty_packet(row: CallbackRow, now: datetime) -> ContextPacket:
    """Return a packet that knows only whom to call."""
    nothing = {
        "version": 1,
        "id": f"{row.call_id}-callback-{secrets.token_hex(4)}",
        "call_id": row.call_id,
        "channel": "callback",
        "created_at": now,
        "started_at": row.created_at,
        "summary": ["Caller, not authenticated.", "Has not said what it is about.", "Was promised a callback."],
        "request": None,
        "conversation": [],
        "attempts": [],
        "authentication": {"authenticated": False},
        "customer": {"number": row.number},
        "data": {},
        "mood": {},
        "escalation": {"reason": "callback", "queue": row.queue},
        "next_steps": [],
        "promises": [],
        "recording": "",
    }
    return read_context(nothing)
