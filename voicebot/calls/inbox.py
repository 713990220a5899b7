"""What happened to one call and waits to be taken in turn."""

from __future__ import annotations

import asyncio

from voicebot.calls.timers import TimerRan
from voicebot.calls.transfer.handing_over import TransferEnded
from voicebot.calls.transfer.steps import StepCalledOff, StepWanted
from voicebot.dialog.events import Event
from voicebot.media.events import LineEvent, SpeakingEnded

Item = Event | LineEvent | TimerRan | TransferEnded | StepWanted | StepCalledOff


class Inbox:
    """First in, first out; only what was heard to its end may be taken before its turn."""

    def __init__(self) -> None:
        self._items: asyncio.Queue[Item] = asyncio.Queue()

    def put(self, item: Item) -> None:
        self._items.put_nowait(item)

    async def take(self) -> Item:
        return await self._items.get()

    def take_spoken(self) -> tuple[SpeakingEnded, ...]:
        """Take the ends of utterances that wait, and leave the rest in its order."""
        waiting = [self._items.get_nowait() for _ in range(self._items.qsize())]
        for item in waiting:
            if not isinstance(item, SpeakingEnded):
                self._items.put_nowait(item)
        return tuple(item for item in waiting if isinstance(item, SpeakingEnded))
