"""Whether the bot is on the caller's line, or has left it to others."""

from __future__ import annotations

from voicebot.calls.transfer.seams import CallerSide
from voicebot.calls.transfer.sounds import Sounds


class BotsPlace:
    """`aside` is whether the bot has left the line, so that it can be bridged."""

    def __init__(self, caller: CallerSide, sounds: Sounds) -> None:
        self._caller = caller
        self._sounds = sounds
        self.aside = False

    async def step_aside(self) -> None:
        """Stop whatever the caller hears of ours, and leave their line."""
        await self._sounds.stop()
        await self._caller.step_aside()
        self.aside = True

    async def come_back(self) -> None:
        """Take the caller's line again, if it was left."""
        if self.aside:
            self.aside = False
            await self._caller.come_back()
