"""Asking somebody into a call: whoever was claimed for it and is not needed any more is free again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from tests.calls.transfer.test_breaking import PACKET, PLACE, Lines, Party, PlayedFloor
from voicebot.calls.transfer.errands import Errands
from voicebot.calls.transfer.seams import Place
from voicebot.calls.transfer.third import Invitations
from voicebot.routing.events import Claim, Event, ThirdFailed
from voicebot.routing.queues import Failure
from voicebot.routing.wording import Wording

RING_S = 0.05


@dataclass
class LateFloor(PlayedFloor):
    """Claims an agent in the very moment in which nobody waits for one any more."""

    async def enter(
        self, place: Place, queue: str, tried: tuple[str, ...], on_claimed: Callable[[Claim], None]
    ) -> None:
        del place, queue, tried
        self.on_claimed = on_claimed
        loop = asyncio.get_running_loop()
        loop.call_later(RING_S / 2, self.claim, "ana")
        # Both that and the limit are due when the loop goes on.
        loop.call_soon(time.sleep, 2 * RING_S)


def invitations(floor: PlayedFloor, lines: Lines, told: list[Event], broken: list[BaseException]) -> Invitations:
    return Invitations(
        PLACE,
        floor=floor,
        lines=lines,
        make_party=Party,
        wording=Wording(),
        errands=Errands(broken.append),
        tell=told.append,
    )


@pytest.mark.parametrize(
    "floor", [PlayedFloor(claims_on_leaving=True), LateFloor()], ids=["while leaving", "at the limit"]
)
async def test_an_agent_who_is_claimed_too_late_is_free_again(floor: PlayedFloor) -> None:
    told: list[Event] = []
    broken: list[BaseException] = []
    queue = replace(floor.routing.queues["service"], ring_s=RING_S)
    lines = Lines()
    invitations(floor, lines, told, broken).invite(queue, "Ana asks you in.", PACKET, only="")
    async with asyncio.timeout(20):
        while not told and not broken:
            await asyncio.sleep(0.01)
    assert (told, broken) == ([ThirdFailed(Failure.NO_ANSWER)], [])
    assert floor.freed == [Claim("ana", 1)]
    assert lines.rung == []
