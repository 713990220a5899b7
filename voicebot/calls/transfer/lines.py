"""How agents are rung: over SIP, at a number by a trunk or Twilio, or at the desk page in a browser."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import structlog

from voicebot.calls.transfer.carriers import Dialer, failure_of
from voicebot.calls.transfer.desks import Desks
from voicebot.calls.transfer.seams import Reached, RingFailed
from voicebot.records.context import ContextPacket
from voicebot.routing.agents import Agent, Reach, ReachKind
from voicebot.routing.events import Claim
from voicebot.routing.queues import Failure
from voicebot.telephony.dialing import DialFailed
from voicebot.telephony.leg import CallLeg
from voicebot.telephony.twilio.outgoing import OutgoingLeg

log = structlog.get_logger(__name__)

_NUMBER = re.compile(r"\+[1-9]\d{4,14}")


class AgentLines:
    """The `Lines` of a server. `find_dialer` gives None while nothing can be dialled.

    Legs that were dialled are carried until they end. `reference` gives what an agent's telephone is told about the
    caller in SIP headers: where the packet is, never what it says.
    """

    def __init__(
        self,
        *,
        find_dialer: Callable[[], Dialer | None],
        desks: Desks,
        reference: Callable[[ContextPacket], tuple[tuple[str, str], ...]],
        takes_number: Callable[[str], bool],
    ) -> None:
        """`takes_number` tells whether a carrier is there for a number, and it may be called."""
        self._takes_number = takes_number
        self._find_dialer = find_dialer
        self._desks = desks
        self._reference = reference
        self._carried: set[asyncio.Task[None]] = set()

    async def ring(
        self, agent: Agent, reach: Reach, claim: Claim, packet: ContextPacket, *, timeout_s: float
    ) -> Reached:
        """Ring an agent on one of their lines; raises `RingFailed`. Cancelled, it stops ringing."""
        match reach.kind:
            case ReachKind.BROWSER:
                return Reached(await self._desks.ring(agent, claim, packet, timeout_s=timeout_s), accepted=True)
            case ReachKind.SIP | ReachKind.PHONE:
                async with self._desks.offering(claim, packet, ring_s=timeout_s, in_page=False) as declined:
                    leg = await self._dial_unless(declined, reach.address, packet, timeout_s)
                    return Reached(leg, confirm=leg.confirm) if isinstance(leg, OutgoingLeg) else Reached(leg)

    def can_call(self, number: str) -> bool:
        """Tell whether somebody who is no agent can be called at this number."""
        dialled = _dialled(number)
        return _NUMBER.fullmatch(dialled) is not None and self._takes_number(dialled)

    async def call(self, number: str, *, timeout_s: float) -> CallLeg:
        """Call somebody who is no agent, and is told nothing of the caller; raises `RingFailed`."""
        leg = await self._dial(_dialled(number), (), timeout_s)
        if isinstance(leg, OutgoingLeg):
            leg.confirm()  # they are joined at once: nothing says later that it is no machine
        return leg

    def release(self, leg: CallLeg) -> None:
        """Let go of a line that has been hung up."""
        self._desks.release(leg)

    async def close(self) -> None:
        """Wait for legs that are ending; those still up are let go."""
        for task in self._carried:
            task.cancel()
        await asyncio.gather(*self._carried, return_exceptions=True)

    async def _dial_unless(
        self, declined: asyncio.Future[None], address: str, packet: ContextPacket, timeout_s: float
    ) -> CallLeg:
        """Dial, until the agent declines at their desk."""
        dialling = asyncio.create_task(self._dial(address, self._reference(packet), timeout_s))
        try:
            decided: set[asyncio.Future[Any]] = {dialling, declined}
            await asyncio.wait(decided, return_when=asyncio.FIRST_COMPLETED)
            if dialling.done():
                return dialling.result()
            raise RingFailed(Failure.DECLINED)
        finally:
            if not dialling.done():
                dialling.cancel()
                await asyncio.gather(dialling, return_exceptions=True)

    async def _dial(self, address: str, headers: tuple[tuple[str, str], ...], timeout_s: float) -> CallLeg:
        dialer = self._find_dialer()
        if dialer is None:
            raise RingFailed(Failure.UNREACHABLE)
        try:
            leg = await dialer.dial(address, timeout_s=timeout_s, headers=headers)
        except DialFailed as failed:
            log.info("nobody was reached", reason=failed.reason.value, status=failed.status)
            raise RingFailed(failure_of(failed.reason)) from failed
        carrying = asyncio.create_task(leg.run())
        self._carried.add(carrying)
        carrying.add_done_callback(self._carried.discard)
        return leg


def _dialled(number: str) -> str:
    """Return a number as carriers take it, without what people write between its digits."""
    return re.sub(r"[\s().-]", "", number)
