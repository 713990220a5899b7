"""Callers whose agents live beyond this server: sent there with their packet, and taken back when nobody takes them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from voicebot.calls.transfer.seams import RingFailed
from voicebot.records.context import ContextPacket
from voicebot.routing.destinations import Destination
from voicebot.routing.queues import Failure
from voicebot.telephony.leg import CallLeg


class Sent(StrEnum):
    """What became of a caller who was sent elsewhere and was taken there."""

    #: They have talked, the far side hung up, and the caller is on our line again.
    BACK = "back"
    #: The call goes on without us; its leg has ended "redirected".
    GONE = "gone"
    #: The caller hung up, while it rang or while they talked.
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Sending:
    """One caller on their way, and what their transfer does for it.

    `let_go` has the bot leave the caller's line: until then the caller hears music, and after it nobody reads the leg
    but who called it. `answered` is told once, when somebody there has taken the caller. `introduction` is what an
    agent hears of them; it takes `accept_s` at most to accept after it. Nobody rings longer than `ring_s`, and nobody
    waits in another system's queue longer than `max_wait_s`.
    """

    leg: CallLeg
    destination: Destination
    packet: ContextPacket
    introduction: str
    ring_s: float
    accept_s: float
    max_wait_s: float
    let_go: Callable[[], Awaitable[None]]
    answered: Callable[[], None]


class Elsewhere(Protocol):
    """One kind of way to agents beyond this server."""

    def takes(self, leg: CallLeg, destination: Destination) -> bool:
        """Tell whether a caller on this line can be sent there."""
        ...

    async def send(self, sending: Sending) -> Sent:
        """Send a caller there and return when that is over; raises `RingFailed` when nobody took them.

        The caller is on `sending.leg` then, as before, unless they have hung up. Cancelled, as when they hang up, it
        calls off whatever rings.
        """
        ...


class Ways:
    """The `Elsewhere` of a server: the first way that a caller and a destination fit."""

    def __init__(self, ways: Sequence[Elsewhere]) -> None:
        self._ways = tuple(ways)

    def takes(self, leg: CallLeg, destination: Destination) -> bool:
        return any(way.takes(leg, destination) for way in self._ways)

    async def send(self, sending: Sending) -> Sent:
        way = next((way for way in self._ways if way.takes(sending.leg, sending.destination)), None)
        if way is None:
            raise RingFailed(Failure.UNREACHABLE)
        return await way.send(sending)
