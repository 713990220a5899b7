"""Two fake legs joined: real time, but short."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from tests.fakes.leg import FakeLeg
from voicebot import g711
from voicebot.media.bridge import Bridge, BridgeEnded, Conference, Side, mixed
from voicebot.speech.listening.dtmf import DtmfDetector
from voicebot.telephony.leg import FRAME_BYTES, Capability, EndCause, FrameReceived, KeyPressed, LegEnded, LegEvent

pytestmark = pytest.mark.virtual_time

CALLER_VOICE = b"\x10" * FRAME_BYTES
AGENT_VOICE = b"\x20" * FRAME_BYTES


async def test_both_parties_hear_each_other_and_everything_is_observed() -> None:
    caller, agent = FakeLeg(), FakeLeg(leg_id="leg-2")
    seen: list[tuple[Side, LegEvent]] = []
    bridge = Bridge(
        caller, agent, clock=asyncio.get_running_loop().time, observe=lambda side, event: seen.append((side, event))
    )
    running = asyncio.create_task(bridge.run())
    await asyncio.gather(caller.speak([CALLER_VOICE] * 20), agent.speak([AGENT_VOICE] * 20))
    await asyncio.sleep(0.1)
    agent.end()
    assert await running == BridgeEnded(Side.AGENT, EndCause.PEER_HUNG_UP)
    assert agent.heard.count(CALLER_VOICE) >= 15
    assert caller.heard.count(AGENT_VOICE) >= 15
    assert sum(isinstance(event, FrameReceived) for _, event in seen) == 40
    assert isinstance(seen[-1][1], LegEnded)


class KeyedLeg(FakeLeg):
    """A leg that sends keys as messages."""

    def __init__(self, leg_id: str) -> None:
        super().__init__(leg_id=leg_id)
        self._info = replace(self._info, capabilities=self._info.capabilities | {Capability.SEND_KEYS})
        self.keys = ""

    def send_keys(self, keys: str) -> None:
        self.keys += keys


async def test_a_key_goes_to_the_other_party_as_a_message_where_their_leg_can_send_one() -> None:
    caller, agent = FakeLeg(), KeyedLeg("leg-2")
    observed: list[str] = []

    def observe(side: Side, event: LegEvent) -> None:
        if isinstance(event, KeyPressed):
            observed.append(f"{side}{event.key}")

    running = asyncio.create_task(Bridge(caller, agent, clock=asyncio.get_running_loop().time, observe=observe).run())
    caller.press("1")
    await asyncio.sleep(0.05)
    caller.end()
    assert (await running).side is Side.CALLER
    assert agent.keys == "1"
    assert observed == ["caller1"]


async def test_a_key_goes_as_a_tone_where_the_leg_can_send_none_and_holds_up_nothing() -> None:
    caller, agent = FakeLeg(), FakeLeg(leg_id="leg-2")
    running = asyncio.create_task(
        Bridge(caller, agent, clock=asyncio.get_running_loop().time, observe=lambda _side, _event: None).run()
    )
    caller.press("5")
    caller.press("#")
    await caller.speak([CALLER_VOICE] * 40)
    await asyncio.sleep(0.1)
    caller.end()
    await running
    found, detector = "", DtmfDetector()
    for frame in frames_of(bytes(agent.heard)):
        found += "".join(heard.key for heard in detector.feed(g711.decode(frame).tobytes()))
    assert found == "5#"
    assert bytes(agent.heard).count(CALLER_VOICE) >= 40 - 24 - 6, "in the place of what was said, not before it"


async def test_keys_may_be_read_before_they_go_anywhere() -> None:
    caller, agent = KeyedLeg("leg-1"), KeyedLeg("leg-2")
    pressed: list[tuple[Side, str]] = []
    bridge = Bridge(
        caller,
        agent,
        clock=asyncio.get_running_loop().time,
        observe=lambda _side, _event: None,
        pressed=lambda side, key: pressed.append((side, key)),
    )
    running = asyncio.create_task(bridge.run())
    caller.press("4")
    agent.press("9")
    await asyncio.sleep(0.05)
    bridge.send_key(Side.CALLER, "9")
    caller.end()
    await running
    assert sorted(pressed) == [(Side.AGENT, "9"), (Side.CALLER, "4")]
    assert (caller.keys, agent.keys) == ("9", "")


async def test_a_cancelled_bridge_leaves_the_legs_as_they_are() -> None:
    caller, agent = FakeLeg(), FakeLeg(leg_id="leg-2")
    bridge = Bridge(caller, agent, clock=asyncio.get_running_loop().time, observe=lambda side, event: None)
    running = asyncio.create_task(bridge.run())
    await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert caller.hung_up is agent.hung_up is None
    # The caller can be heard by the next consumer of its events.
    caller.press("5")
    async with asyncio.timeout(20):
        async for event in caller.events():
            assert isinstance(event, KeyPressed)
            break


def tone(hz: int, seconds: float = 1.0) -> bytes:
    samples = 8000 * np.sin(2 * np.pi * hz * np.arange(round(seconds * 8000)) / 8000)
    return g711.encode(samples.astype(np.int16))


def frames_of(mulaw: bytes) -> list[bytes]:
    return [mulaw[at : at + FRAME_BYTES] for at in range(0, len(mulaw), FRAME_BYTES)]


def share_at(mulaw: bytes, hz: int) -> float:
    """Return how much of the sound is at one frequency, 0 to 1."""
    samples = g711.decode(mulaw).astype(np.float64)
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    around = np.abs(np.fft.rfftfreq(len(samples), 1 / 8000) - hz) < 20
    return float(spectrum[around].sum() / max(1.0, spectrum.sum()))


async def test_three_parties_hear_both_others_and_never_themselves() -> None:
    hz = {Side.CALLER: 400, Side.AGENT: 1000, Side.THIRD: 1600}
    legs = {side: FakeLeg(leg_id=side.value) for side in hz}
    pressed: list[tuple[Side, str]] = []
    conference = Conference(
        legs,
        clock=asyncio.get_running_loop().time,
        observe=lambda _side, _event: None,
        pressed=lambda side, key: pressed.append((side, key)),
    )
    running = asyncio.create_task(conference.run())
    legs[Side.CALLER].press("5")
    await asyncio.gather(*(legs[side].speak(frames_of(tone(hz[side]))) for side in hz))
    await asyncio.sleep(0.1)
    for side, leg in legs.items():
        heard = bytes(leg.heard)[1600:6400]
        assert share_at(heard, hz[side]) < 0.02
        assert all(share_at(heard, hz[other]) > 0.3 for other in hz if other is not side)
    legs[Side.THIRD].end()
    assert await running == BridgeEnded(Side.THIRD, EndCause.PEER_HUNG_UP)
    assert pressed == [(Side.CALLER, "5")]
    assert legs[Side.CALLER].hung_up is None


async def test_a_conference_that_cannot_mix_ends_instead_of_leaving_everybody_in_silence() -> None:
    class BrokenLeg(FakeLeg):
        def send(self, frame: bytes) -> None:
            del frame
            raise OSError("the line broke")

    legs = {Side.CALLER: FakeLeg(), Side.AGENT: BrokenLeg(leg_id="leg-2"), Side.THIRD: FakeLeg(leg_id="leg-3")}
    conference = Conference(
        legs,
        clock=asyncio.get_running_loop().time,
        observe=lambda _side, _event: None,
        pressed=lambda _side, _key: None,
    )
    with pytest.raises(OSError, match="the line broke"):
        await asyncio.wait_for(conference.run(), 2)


def test_what_is_too_loud_together_is_clipped_and_nobody_is_silence() -> None:
    loud = g711.encode(np.full(FRAME_BYTES, 30000, dtype=np.int16))
    assert g711.decode(mixed([loud, loud])).min() > 30000
    assert mixed([]) == b"\xff" * FRAME_BYTES
    assert mixed([loud]) == loud
