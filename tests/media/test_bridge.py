"""Two fake legs joined: real time, but short."""

from __future__ import annotations

import asyncio
import time

from tests.fakes.leg import FakeLeg
from voicebot.media.bridge import Bridge, BridgeEnded, Side
from voicebot.telephony.leg import FRAME_BYTES, EndCause, FrameReceived, KeyPressed, LegEnded, LegEvent

CALLER_VOICE = b"\x10" * FRAME_BYTES
AGENT_VOICE = b"\x20" * FRAME_BYTES


async def test_both_parties_hear_each_other_and_everything_is_observed() -> None:
    caller, agent = FakeLeg(), FakeLeg(leg_id="leg-2")
    seen: list[tuple[Side, LegEvent]] = []
    bridge = Bridge(caller, agent, clock=time.monotonic, observe=lambda side, event: seen.append((side, event)))
    running = asyncio.create_task(bridge.run())
    await asyncio.gather(caller.speak([CALLER_VOICE] * 20), agent.speak([AGENT_VOICE] * 20))
    await asyncio.sleep(0.1)
    agent.end()
    assert await running == BridgeEnded(Side.AGENT, EndCause.PEER_HUNG_UP)
    assert agent.heard.count(CALLER_VOICE) >= 15
    assert caller.heard.count(AGENT_VOICE) >= 15
    assert sum(isinstance(event, FrameReceived) for _, event in seen) == 40
    assert isinstance(seen[-1][1], LegEnded)


async def test_keys_go_on_unless_they_are_withheld() -> None:
    caller, agent = FakeLeg(), FakeLeg(leg_id="leg-2")
    passed: list[str] = []
    observed: list[str] = []

    def observe(side: Side, event: LegEvent) -> None:
        if isinstance(event, KeyPressed):
            observed.append(event.key)

    bridge = Bridge(caller, agent, clock=time.monotonic, observe=observe, keys_to_agent=passed.append)
    running = asyncio.create_task(bridge.run())
    caller.press("1")
    await asyncio.sleep(0.05)
    bridge.withhold_keys(on=True)
    caller.press("4242")
    await asyncio.sleep(0.05)
    bridge.withhold_keys(on=False)
    caller.press("2")
    agent.press("9")
    await asyncio.sleep(0.05)
    caller.end()
    assert (await running).side is Side.CALLER
    assert passed == ["1", "2"]
    assert "".join(observed) == "1424229"


async def test_a_cancelled_bridge_leaves_the_legs_as_they_are() -> None:
    caller, agent = FakeLeg(), FakeLeg(leg_id="leg-2")
    bridge = Bridge(caller, agent, clock=time.monotonic, observe=lambda side, event: None)
    running = asyncio.create_task(bridge.run())
    await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert caller.hung_up is agent.hung_up is None
    # The caller can be heard by the next consumer of its events.
    caller.press("5")
    async with asyncio.timeout(1):
        async for event in caller.events():
            assert isinstance(event, KeyPressed)
            break
