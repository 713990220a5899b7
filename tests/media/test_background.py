from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from tests.fakes.leg import FakeLeg
from voicebot.media.background import play
from voicebot.telephony.leg import FRAME_BYTES


async def pieces(*lengths: int) -> AsyncIterator[bytes]:
    for length in lengths:
        yield b"\x10" * length


async def test_pieces_of_any_length_go_out_as_frames_in_real_time() -> None:
    leg = FakeLeg()
    began_s = time.monotonic()
    await play(leg, pieces(100, 900, 3500), clock=time.monotonic)
    assert leg.sent_samples == 29 * FRAME_BYTES, "4,500 samples, and silence to fill the last frame"
    assert time.monotonic() - began_s > 0.4, "580 ms, of which 100 are sent ahead"


async def test_what_was_not_heard_yet_is_dropped_when_somebody_else_takes_the_leg() -> None:
    leg = FakeLeg()
    playing = asyncio.create_task(play(leg, pieces(80_000), clock=time.monotonic))
    await asyncio.sleep(0.1)
    playing.cancel()
    await asyncio.gather(playing, return_exceptions=True)
    assert leg.cleared == 1
    assert leg.sent_samples < 8000
