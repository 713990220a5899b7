from __future__ import annotations

import asyncio

from voicebot.telephony.inbox import LegInbox
from voicebot.telephony.leg import EndCause, FrameReceived, KeyPressed, LegEnded, LegEvent

FRAME = b"\x7f" * 160


async def drained(inbox: LegInbox) -> list[LegEvent]:
    return [event async for event in inbox.events()]


async def test_events_come_out_in_order_and_end_with_the_leg() -> None:
    inbox = LegInbox()
    sent: list[LegEvent] = [FrameReceived(FRAME, 1.0), KeyPressed("5", 1.1), LegEnded(EndCause.PEER_HUNG_UP, 1.2)]
    for event in sent:
        inbox.put(event)
    inbox.put(KeyPressed("6", 1.3))

    assert await drained(inbox) == sent
    assert inbox.ended


async def test_a_waiting_consumer_is_woken() -> None:
    inbox = LegInbox()
    async with asyncio.timeout(20):
        consumer = asyncio.create_task(drained(inbox))
        await asyncio.sleep(0)
        inbox.put(KeyPressed("1", 0.0))
        await asyncio.sleep(0)
        inbox.put(LegEnded(EndCause.WE_HUNG_UP, 0.1))
        assert await consumer == [KeyPressed("1", 0.0), LegEnded(EndCause.WE_HUNG_UP, 0.1)]


async def test_a_consumer_that_falls_behind_loses_frames_and_is_told_how_many() -> None:
    inbox = LegInbox(max_waiting=2)
    for at in range(5):
        inbox.put(FrameReceived(FRAME, float(at), lost_before=1))
    inbox.put(KeyPressed("9", 5.0))
    events = inbox.events()
    first = [await anext(events) for _ in range(3)]
    inbox.put(FrameReceived(FRAME, 6.0))

    assert first == [FrameReceived(FRAME, 0.0, 1), FrameReceived(FRAME, 1.0, 1), KeyPressed("9", 5.0)]
    assert await anext(events) == FrameReceived(FRAME, 6.0, lost_before=6)


async def test_a_flood_of_keys_is_bounded_and_the_end_still_comes_through() -> None:
    inbox = LegInbox(max_waiting=3)
    for at in range(1000):
        inbox.put(KeyPressed("0", float(at)))
    inbox.put(LegEnded(EndCause.PEER_HUNG_UP, 1.0))

    events = await drained(inbox)
    assert len(events) == 7
    assert events[-1] == LegEnded(EndCause.PEER_HUNG_UP, 1.0)
