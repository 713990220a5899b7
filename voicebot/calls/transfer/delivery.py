"""Gives a context packet to everybody who should have it: the desk first, then other systems, each on its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError

from voicebot.calls.transfer.worded import WordedSummaries
from voicebot.records.context import ContextPacket
from voicebot.records.contexts import Contexts

log = structlog.get_logger(__name__)

#: A transfer waits so long for the receivers beyond the desk; then it goes on, and says whom it went on without.
DELIVERY_LIMIT_S = 1.0
#: And so long for our own records, from where desks of other servers have it.
KEEP_LIMIT_S = 4.0
#: How those are called among whoever did not have a packet in time.
RECORDS = "records"
_FIRST_RETRY_S, _LAST_RETRY_S = 0.2, 4.0


class Receiver(Protocol):
    """Another system that gets packets. `send` tries for as long as it makes sense, and logs every attempt."""

    @property
    def name(self) -> str: ...

    async def send(self, packet: ContextPacket) -> bool:
        """Return whether it has the packet."""
        ...


class Deliveries:
    """Delivers packets; what is still under way when a transfer has gone on is finished behind its back."""

    def __init__(
        self,
        contexts: Contexts,
        *,
        receivers: Sequence[Receiver],
        clock: Callable[[], float],
        summaries: WordedSummaries | None = None,
    ) -> None:
        self._contexts = contexts
        self._summaries = summaries
        self._receivers = receivers
        self._clock = clock
        self._sending: set[asyncio.Task[bool]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Finish what is under way at the end, within a second."""
        try:
            yield
        finally:
            if self._sending:
                await asyncio.wait(self._sending, timeout=DELIVERY_LIMIT_S)
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)

    async def deliver(self, packet: ContextPacket) -> tuple[str, ...]:
        """Put a packet on the desk and send it on; return the names of those who did not have it within a second."""
        if self._summaries is not None:
            packet = await self._summaries.worded(packet)
        began_s = self._clock()
        sending = {self._start(receiver.send(packet)): receiver.name for receiver in self._receivers}
        keeping = self._start(self._keep(packet))
        # Without the others the transfer goes on after a second; the records it waits for, unless they are away.
        await asyncio.wait({keeping}, timeout=KEEP_LIMIT_S)
        if sending:
            await asyncio.wait(sending, timeout=max(0.0, began_s + DELIVERY_LIMIT_S - self._clock()))
        everybody = {**sending, keeping: RECORDS}
        late = tuple(sorted(name for task, name in everybody.items() if not (task.done() and _has_it(task))))
        if late:
            log.warning("a transfer goes on before everybody has its packet", call_id=packet.call_id, late=late)
        return late

    async def _keep(self, packet: ContextPacket) -> bool:
        """Put a packet into the records, from where desks of other servers have it; tried for as long as it takes."""
        retry_s = 0.0
        while True:
            try:
                await self._contexts.put(packet)
            except (SQLAlchemyError, OSError) as error:
                if not retry_s:
                    log.error("a packet is kept later", call_id=packet.call_id, error=type(error).__name__)
                retry_s = min(2 * retry_s, _LAST_RETRY_S) or _FIRST_RETRY_S
                await asyncio.sleep(retry_s)
            else:
                return True

    def _start(self, sending: Coroutine[None, None, bool]) -> asyncio.Task[bool]:
        task = asyncio.create_task(sending)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        return task


def _has_it(task: asyncio.Task[bool]) -> bool:
    return not task.cancelled() and task.exception() is None and task.result()
