"""The shared beat on a real event loop, with a clock that can be set forward."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from voicebot.telephony.rtp.metronome import FRAME_S, SLOTS, Metronome

pytestmark = pytest.mark.virtual_time


class Member:
    def __init__(self) -> None:
        self.told_s: list[float] = []

    def beat(self, now_s: float) -> None:
        self.told_s.append(now_s)


async def test_a_member_is_told_on_every_deadline_and_never_before() -> None:
    metronome, member = Metronome(asyncio.get_running_loop().time), Member()
    first_s = metronome.join(member.beat)
    await asyncio.sleep(0.5)
    metronome.leave(member.beat)
    assert len(member.told_s) >= 10
    for told_s in member.told_s:
        # To a deadline belongs whatever comes in the 20 ms after it.
        assert told_s >= first_s
    numbers = [int((told_s - first_s + 1e-6) / FRAME_S) for told_s in member.told_s]
    assert all(later > earlier for earlier, later in itertools.pairwise(numbers))


async def test_members_are_spread_over_the_frame() -> None:
    metronome = Metronome(asyncio.get_running_loop().time)
    members = [Member() for _ in range(3 * SLOTS)]
    phases = [round(metronome.join(member.beat) % FRAME_S, 6) for member in members]
    assert sorted(map(phases.count, set(phases))) == [3] * SLOTS
    for member in members:
        metronome.leave(member.beat)


async def test_a_late_member_is_told_in_time_though_nobody_shared_its_deadline() -> None:
    metronome, first, second = Metronome(asyncio.get_running_loop().time), Member(), Member()
    metronome.join(first.beat)
    await asyncio.sleep(0.073)
    asked_s = asyncio.get_running_loop().time()
    due_s = metronome.join(second.beat)
    assert asked_s <= due_s <= asked_s + FRAME_S
    await asyncio.sleep(0.1)
    for member in (first, second):
        metronome.leave(member.beat)
    assert second.told_s[0] >= due_s
    assert len(second.told_s) >= 3


async def test_nobody_is_told_after_leaving_and_the_last_one_stops_the_timer() -> None:
    metronome, stays, leaves = Metronome(asyncio.get_running_loop().time), Member(), Member()
    metronome.join(stays.beat)
    metronome.join(leaves.beat)
    await asyncio.sleep(0.05)
    metronome.leave(leaves.beat)
    told = len(leaves.told_s)
    before = len(stays.told_s)
    await asyncio.sleep(0.1)
    assert len(leaves.told_s) == told
    assert len(stays.told_s) > before
    metronome.leave(stays.beat)
    assert metronome._timer is None
    metronome.join(leaves.beat)
    await asyncio.sleep(0.05)
    assert len(leaves.told_s) > told
    metronome.leave(leaves.beat)


async def test_after_a_stall_everybody_is_told_once_and_then_on_the_old_deadlines() -> None:
    ahead_s = 0.0
    metronome = Metronome(lambda: asyncio.get_running_loop().time() + ahead_s)
    member = Member()
    first_s = metronome.join(member.beat)
    await asyncio.sleep(0.05)
    told = len(member.told_s)
    ahead_s = 1.0
    await asyncio.sleep(0.06)
    metronome.leave(member.beat)
    after = member.told_s[told:]
    assert after[0] - first_s > 1.0
    assert len(after) <= 6
