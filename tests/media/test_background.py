from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.fakes.leg import FakeLeg
from voicebot.media.background import play
from voicebot.telephony.leg import FRAME_BYTES

pytestmark = pytest.mark.virtual_time


async def pieces(*lengths: int) -> AsyncIterator[bytes]:
    for length in lengths:
        yield b"\x10" * length


async def test_pieces_of_any_length_go_out_as_frames_in_real_time() -> None:
    leg = FakeLeg()
    began_s = asyncio.get_running_loop().time()
    await play(leg, pieces(100, 900, 3500), clock=asyncio.get_running_loop().time)
    assert leg.sent_samples == 29 * FRAME_BYTES, "4,500 samples, and silence to fill the last frame"
    assert asyncio.get_running_loop().time() - began_s > 0.4, "580 ms, of which 100 are sent ahead"


async def test_what_was_not_heard_yet_is_dropped_when_somebody_else_takes_the_leg() -> None:
    leg = FakeLeg()
    playing = asyncio.create_task(play(leg, pieces(80_000), clock=asyncio.get_running_loop().time))
    await asyncio.sleep(0.1)
    playing.cancel()
    await asyncio.gather(playing, return_exceptions=True)
    assert leg.cleared == 1
    assert leg.sent_samples < 8000
