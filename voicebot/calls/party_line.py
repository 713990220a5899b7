"""The line between the bot and a party: it can leave the line to others, and come back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from voicebot.calls.seams import SpokenLine
from voicebot.dialog.expectation import Expectation
from voicebot.media.events import LineEnded, LineEvent
from voicebot.media.frames import Utterance
from voicebot.telephony.leg import EndCause

#: How long the bot may take to leave a line; its audio has been dropped before.
LEAVE_LIMIT_S = 2.0


class PartyLine:
    """A `SpokenLine` on one leg. `tell` gets its events; when it stops on its own that is told as a lost connection."""

    def __init__(
        self,
        make_line: Callable[[Callable[[LineEvent], None]], SpokenLine],
        *,
        tell: Callable[[LineEvent], None],
        clock: Callable[[], float],
    ) -> None:
        self._make_line = make_line
        self._tell = tell
        self._clock = clock
        self._line = make_line(tell)
        self._running: asyncio.Task[None] | None = None

    @property
    def running(self) -> asyncio.Task[None] | None:
        """The task that carries the line; None while the bot has left it."""
        return self._running

    def start(self) -> None:
        running = asyncio.create_task(self._line.run())
        self._running = running

        def stopped(task: asyncio.Task[None]) -> None:
            if task is self._running:
                self._tell(LineEnded(EndCause.CONNECTION_LOST, self._clock()))

        running.add_done_callback(stopped)

    async def step_aside(self) -> None:
        """Leave the leg to somebody else, with nothing of ours still to be heard. The leg goes on."""
        running, self._running = self._running, None
        if running is None:
            return
        await self._line.listen(None)
        await self._line.stop_speaking()
        await self._line.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_LIMIT_S):
                await asyncio.gather(running, return_exceptions=True)
        running.cancel()

    def come_back(self) -> None:
        """Take the leg again, after whoever had it has let go of its events."""
        self._line = self._make_line(self._tell)
        self.start()

    async def run(self) -> None:
        """Carry the line to its end."""
        self.start()
        if self._running:
            await self._running

    async def say(self, utterance: Utterance) -> None:
        if self._running:
            await self._line.say(utterance)

    async def prepare(self, pieces: tuple[tuple[str, bool], ...]) -> None:
        if self._running:
            await self._line.prepare(pieces)

    async def listen(self, expectation: Expectation | None) -> None:
        if self._running:
            await self._line.listen(expectation)

    async def resume_speaking(self) -> None:
        if self._running:
            await self._line.resume_speaking()

    async def stop_speaking(self) -> None:
        if self._running:
            await self._line.stop_speaking()

    async def close(self) -> None:
        if self._running:
            await self._line.close()
