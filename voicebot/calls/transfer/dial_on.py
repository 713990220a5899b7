"""A caller who is connected to a number that they were told: dialled by us, and bridged with them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from voicebot.calls.transfer.seams import CallerSide, RingFailed
from voicebot.calls.transfer.sounds import Sounds
from voicebot.media.bridge import Bridge, Side
from voicebot.routing.queues import Failure
from voicebot.routing.wording import Wording
from voicebot.telephony.leg import CallLeg, HangUpReason, LegEvent

log = structlog.get_logger(__name__)

RING_S = 30.0


class Onward(Protocol):
    """Calls numbers that are no agent's."""

    def can_call(self, number: str) -> bool:
        """Tell whether there is a carrier, and the number is one that can be dialled."""
        ...

    async def call(self, number: str, *, timeout_s: float) -> CallLeg:
        """Return an open line to whoever answers; raises `RingFailed`. Cancelled, it stops ringing."""
        ...


class NoOnward:
    """An `Onward` where nothing can be dialled."""

    def can_call(self, number: str) -> bool:
        del number
        return False

    async def call(self, number: str, *, timeout_s: float) -> CallLeg:
        del number, timeout_s
        raise RingFailed(Failure.UNREACHABLE)


class DialOn:
    """Connects one caller. Nobody has to accept there: it is as if the caller had dialled the number themselves.

    `left` is told when the caller hangs up while they talk.
    """

    def __init__(
        self,
        caller: CallerSide,
        sounds: Sounds,
        onward: Onward,
        wording: Wording,
        *,
        clock: Callable[[], float],
        left: Callable[[], None],
    ) -> None:
        self._caller = caller
        self._sounds = sounds
        self._onward = onward
        self._wording = wording
        self._clock = clock
        self._left = left

    def is_possible(self, number: str) -> bool:
        return self._onward.can_call(number)

    async def connect(self, number: str) -> bool:
        """Let the caller talk with whoever answers there, until one of them hangs up; False when nobody answers."""
        try:
            leg = await self._answered(number)
        except RingFailed as failed:
            log.info("a number that a caller was told was not reached", failure=failed.failure.value)
            return False
        try:
            await self._caller.step_aside()
            ended = await Bridge(self._caller.leg, leg, clock=self._clock, observe=_unobserved).run()
        finally:
            await leg.hang_up(HangUpReason.COMPLETED)
        if ended.side is Side.CALLER:
            self._left()
        else:
            await self._caller.come_back()
        return True

    async def _answered(self, number: str) -> CallLeg:
        """Dial, with music for the caller meanwhile."""
        waiting = asyncio.create_task(self._sounds.wait_with_music(None, self._still_ringing))
        try:
            return await self._onward.call(number, timeout_s=RING_S)
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            await self._caller.hush()

    async def _still_ringing(self) -> str:
        return self._wording.text("number_connecting")


def _unobserved(side: Side, event: LegEvent) -> None:
    """Take nothing down: whom the caller talks to is none of ours."""
    del side, event
