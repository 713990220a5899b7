"""Audio for a party nobody talks with, sent in real time while somebody else reads the leg."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from voicebot.media.pacing import Pacer
from voicebot.telephony.leg import FRAME_BYTES, SILENT_FRAME, CallLeg

#: How far ahead of real time the leg is kept; so much may still be heard after the end.
LEAD_S = 0.1


async def play(leg: CallLeg, audio: AsyncIterator[bytes], *, clock: Callable[[], float]) -> None:
    """Send mu-law in pieces of any length until it ends; cancelled, what was not heard yet is dropped."""
    pacer = Pacer(LEAD_S)
    rest = b""
    try:
        async for piece in audio:
            rest += piece
            while len(rest) >= FRAME_BYTES:
                frame, rest = rest[:FRAME_BYTES], rest[FRAME_BYTES:]
                await asyncio.sleep(pacer.delay_s(clock()))
                leg.send(frame)
                pacer.sent(FRAME_BYTES, clock())
        if rest:
            leg.send(rest + SILENT_FRAME[len(rest) :])
    except asyncio.CancelledError:
        leg.clear()
        raise
