"""Gives a context packet to everybody who should have it: the desk first, then other systems, each on its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import structlog

from voicebot.records.context import ContextPacket
from voicebot.records.contexts import Contexts

log = structlog.get_logger(__name__)

#: A transfer waits so long for the receivers beyond the desk; then it goes on, and says whom it went on without.
DELIVERY_LIMIT_S = 1.0


class Receiver(Protocol):
    """Another system that gets packets. `send` tries for as long as it makes sense, and logs every attempt."""

    @property
    def name(self) -> str: ...

    async def send(self, packet: ContextPacket) -> bool:
        """Return whether it has the packet."""
        ...


class Deliveries:
    """Delivers packets; what is still under way when a transfer has gone on is finished behind its back."""

    def __init__(self, contexts: Contexts, *, receivers: Sequence[Receiver], clock: Callable[[], float]) -> None:
        self._contexts = contexts
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
        began_s = self._clock()
        sending = {self._start(receiver, packet): receiver.name for receiver in self._receivers}
        await self._contexts.put(packet)
        if sending:
            await asyncio.wait(sending, timeout=max(0.0, began_s + DELIVERY_LIMIT_S - self._clock()))
        late = tuple(sorted(name for task, name in sending.items() if not (task.done() and _has_it(task))))
        if late:
            log.warning("a transfer goes on before everybody has its packet", call_id=packet.call_id, late=late)
        return late

    def _start(self, receiver: Receiver, packet: ContextPacket) -> asyncio.Task[bool]:
        task = asyncio.create_task(receiver.send(packet))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        return task


def _has_it(task: asyncio.Task[bool]) -> bool:
    return not task.cancelled() and task.exception() is None and task.result()
