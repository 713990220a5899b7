"""A leg that runs on a fake socket, so that both ends of the call are the test's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from tests.fakes.socket import FakeClock, FakeSocket
from voicebot.telephony.leg import EndCause, HangUpReason, LegEnded, LegEvent, LegInfo
from voicebot.telephony.socket_line import SocketLine
from voicebot.web.socket_door import CarriedLeg

AnyLeg = TypeVar("AnyLeg", bound=CarriedLeg)


class LegOnSocket(Generic[AnyLeg]):
    """`violations` are the kinds of protocol errors that were counted."""

    def __init__(self, info: LegInfo, make_leg: Callable[[SocketLine], AnyLeg], socket: FakeSocket) -> None:
        self.socket = socket
        self.clock = FakeClock()
        self.violations: list[str] = []
        line = SocketLine(socket, info, clock=self.clock, on_violation=self.violations.append, abort=socket.abort)
        self.leg = make_leg(line)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the leg while the block lasts, then hang up."""
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            tasks.create_task(self.leg.run())
            await asyncio.sleep(0)
            yield
            await self.leg.hang_up(HangUpReason.COMPLETED)

    async def events(self, count: int) -> list[LegEvent]:
        """Return the next `count` events."""
        async with asyncio.timeout(20):
            events = self.leg.events()
            return [await anext(events) for _ in range(count)]

    async def ended(self) -> EndCause:
        """Return why the leg ended, whatever happened before."""
        async with asyncio.timeout(20):
            async for event in self.leg.events():
                if isinstance(event, LegEnded):
                    return event.cause
        raise AssertionError("the leg's events ended without LegEnded")
