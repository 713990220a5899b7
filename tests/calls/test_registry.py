"""Who gets a place, how long an announced call keeps one, and how the last calls end when the server must stop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tests.fakes.leg import FakeLeg
from voicebot.calls.admission import Limits, RefusalReason
from voicebot.calls.registry import EXPECTED_WITHIN_S, LiveCalls
from voicebot.telephony.leg import CallLeg, HangUpReason


@dataclass
class FakeSession:
    """A call that goes on until the test, or the drain, ends it."""

    over: asyncio.Event = field(default_factory=asyncio.Event)
    asked_to_end: str = ""

    async def run(self) -> None:
        await self.over.wait()

    def must_end(self, why: str) -> None:
        self.asked_to_end = why
        self.over.set()


class House:
    """Live calls with two places, one call a caller, and a clock that the test sets."""

    def __init__(self, max_calls: int = 2) -> None:
        self.now_s = 100.0
        self.sessions: list[FakeSession] = []
        self.cpu_percent = 0.0
        self.left: list[int] = []
        self.live = LiveCalls(
            self._make,
            Limits(max_calls, max_calls_per_caller=1, max_cpu_percent=80, max_engine_load=0.95),
            cpu_percent=lambda: self.cpu_percent,
            engine_load=lambda: 0.0,
            after_call=self.left.append,
            clock=lambda: self.now_s,
        )

    def _make(self, leg: CallLeg) -> FakeSession:
        self.sessions.append(FakeSession())
        return self.sessions[-1]


async def started(house: House, leg: FakeLeg) -> asyncio.Task[None]:
    running = asyncio.create_task(house.live.accept(leg))
    await asyncio.sleep(0)
    return running


async def test_calls_on_their_way_hold_their_places() -> None:
    house = House(max_calls=2)
    assert house.live.admit("+1", "CA1") is None
    assert house.live.admit("+2", "CA2") is None
    assert house.live.admit("+3", "CA3") is RefusalReason.TOO_MANY_CALLS


async def test_a_repeated_webhook_takes_no_second_place() -> None:
    house = House(max_calls=1)
    assert house.live.admit("+1", "CA1") is None
    assert house.live.admit("+1", "CA1") is None


async def test_the_place_passes_to_the_leg_when_it_comes() -> None:
    house = House(max_calls=1)
    assert house.live.admit("", "leg-1") is None
    running = await started(house, FakeLeg(leg_id="leg-1"))
    assert house.live.count == 1
    assert house.live.admit("+2", "CA2") is RefusalReason.TOO_MANY_CALLS
    house.sessions[0].over.set()
    await running
    assert house.left == [0]
    assert house.live.admit("+2", "CA2") is None


async def test_a_call_whose_media_never_comes_loses_its_place() -> None:
    house = House(max_calls=1)
    assert house.live.admit("+1", "CA1") is None
    house.now_s += EXPECTED_WITHIN_S - 1
    assert house.live.admit("+2", "CA2") is RefusalReason.TOO_MANY_CALLS
    house.now_s += 1
    assert house.live.admit("+2", "CA2") is None


async def test_one_caller_has_one_place_whether_announced_or_talking() -> None:
    house = House(max_calls=5)
    assert house.live.admit("+1", "CA1") is None
    assert house.live.admit("+1", "CA2") is RefusalReason.TOO_MANY_FROM_CALLER
    house.now_s += EXPECTED_WITHIN_S
    running = await started(house, FakeLeg(caller="+1"))
    assert house.live.admit("+1", "CA3") is RefusalReason.TOO_MANY_FROM_CALLER
    assert house.live.admit("", "CA4") is None
    assert house.live.admit("", "CA5") is None
    house.sessions[0].over.set()
    await running


async def test_a_busy_machine_refuses_calls_only_while_it_has_some() -> None:
    house = House()
    house.cpu_percent = 95
    assert house.live.admit("+1", "CA1") is None
    assert house.live.admit("+2", "CA2") is RefusalReason.OVERLOADED


async def test_draining_waits_for_live_calls_then_has_them_say_goodbye() -> None:
    house = House()
    running = await started(house, FakeLeg())
    await house.live.drain(0.05)
    assert house.sessions[0].asked_to_end == "shutting_down"
    await running
    late = FakeLeg(leg_id="late")
    await house.live.accept(late)
    assert late.hung_up is HangUpReason.SHUTTING_DOWN
    assert house.live.admit("+1", "CA1") is RefusalReason.SHUTTING_DOWN
