"""The simulated carrier and the real server, which were written apart: each must find the other without fault."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest

from tests.fakes.socket import until
from tests.fakes.web_server import AUTH_TOKEN, Listener, RunningServer, echo, serving
from voicebot import g711
from voicebot.simulation.carrier import Account, CallRefused, Carrier
from voicebot.simulation.impairment import Impairment
from voicebot.simulation.line import CarrierLine, LineEnd
from voicebot.telephony.leg import AudioPlayed, CallLeg, EndCause, FrameReceived, KeyPressed, LegEnded
from voicebot.telephony.twilio.webhook import StreamStatusChanged

SPEECH = g711.encode((8000 * np.sin(2 * np.pi * 400 * np.arange(2400) / 8000)).astype(np.int16))


@asynccontextmanager
async def call(
    accept: Callable[[CallLeg], Awaitable[None]], impairment: Impairment | None = None
) -> AsyncIterator[tuple[RunningServer, CarrierLine]]:
    async with serving(accept) as server:
        carrier = Carrier(server.http, server.base, Account(auth_token=AUTH_TOKEN))
        async with carrier.dial(impairment=impairment or Impairment()) as line:
            yield server, line


async def test_a_call_passes_without_a_fault_on_either_side() -> None:
    async with call(echo) as (server, line):
        line.press("5")
        await line.speak(SPEECH).finished.wait()
        await asyncio.sleep(0.3)

    report = line.report()
    assert report.violations == {}
    assert server.violations == []
    assert report.end is LineEnd.CALLER_HUNG_UP
    assert report.marks_set > 0
    assert report.frames_received >= 20
    assert len(line.heard_s) >= 14
    assert [change.event for change in server.statuses if isinstance(change, StreamStatusChanged)] == [
        "stream-started",
        "stream-stopped",
    ]


async def test_keys_words_and_the_end_arrive() -> None:
    listener = Listener()
    async with call(listener) as (server, line):
        line.press("#")
        await line.speak(SPEECH).finished.wait()
        line.drop()
        await until(listener.ended.is_set)
        assert server.violations == []

    heard = b"".join(event.payload for event in listener.events if isinstance(event, FrameReceived))
    assert SPEECH in heard
    assert [event.key for event in listener.events if isinstance(event, KeyPressed)] == ["#"]
    assert isinstance(listener.events[-1], LegEnded)
    assert listener.events[-1].cause is EndCause.CONNECTION_LOST


async def test_what_is_cleared_is_not_heard_and_not_counted_as_heard() -> None:
    positions: list[int] = []
    cleared: list[int] = []

    async def barge_in(leg: CallLeg) -> None:
        for begin in range(0, 8000, 160):
            leg.send((SPEECH * 4)[begin : begin + 160])
        async for event in leg.events():
            match event:
                case AudioPlayed(position):
                    positions.append(position)
                    if position == 1600 and not cleared:
                        await asyncio.sleep(0.1)
                        cleared.append(leg.clear())
                case _:
                    pass

    async with call(barge_in) as (server, line):
        await until(lambda: cleared)
        await asyncio.sleep(0.3)
        report = line.report()

    assert server.violations == []
    assert report.violations == {}
    assert len(report.clears_s) == 1
    assert 1600 < cleared[0] < 8000
    # Marks that Twilio returns because of the clear say nothing about what was heard.
    assert positions[-1] == cleared[0] == max(positions)
    assert len(line.heard_s) * 160 == pytest.approx(cleared[0], abs=800)


async def test_a_lossy_line_is_heard_with_its_losses_told() -> None:
    listener = Listener()
    async with call(listener, Impairment(loss=0.3, seed=7)) as (server, line):
        await asyncio.sleep(2)
        await line.hang_up()
        await until(listener.ended.is_set)

    frames = [event for event in listener.events if isinstance(event, FrameReceived)]
    lost = sum(frame.lost_before for frame in frames)
    assert set(server.kinds()) == {"chunk_gap"}
    assert lost > 10
    assert len(frames) + lost == pytest.approx(line.report().frames_sent, abs=3)


async def test_a_full_server_speaks_to_the_caller() -> None:
    async with serving() as server:
        server.admission.refuse_with = "too_many_calls"
        carrier = Carrier(server.http, server.base, Account(auth_token=AUTH_TOKEN))
        with pytest.raises(CallRefused) as caught:
            async with carrier.dial():
                pass

    assert "busy" in caught.value.spoken
