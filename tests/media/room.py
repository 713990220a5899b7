"""The pipeline on a real event loop with a fake leg, voice and recogniser, for the tests of this folder."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TypeVar

from tests.fakes.buzz import buzz
from tests.fakes.leg import FakeLeg
from tests.fakes.transcriber import ScriptedTranscriber
from tests.fakes.voice import HummingVoice
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.media.events import (
    LineEnded,
    LineEvent,
)
from voicebot.media.frames import Utterance
from voicebot.media.hearing import Completeness
from voicebot.media.line import Line

E = TypeVar("E", bound=LineEvent)

OPEN = Expectation("open", (AnswerKind.OPEN,))


class Tape:
    """A tap that keeps what it hears."""

    def __init__(self) -> None:
        self.caller = 0
        self.bot = 0
        self.cuts: list[int] = []

    def heard(self, frame: bytes, at_s: float) -> None:
        self.caller += len(frame)

    def sent(self, audio: bytes, at_s: float) -> None:
        self.bot += len(audio)

    def played(self, position_samples: int, at_s: float) -> None:
        pass

    def cut(self, position_samples: int, at_s: float) -> None:
        self.cuts.append(position_samples)


class Room:
    """A line with its fakes, and a way to wait for what happens on it."""

    def __init__(
        self, voice: HummingVoice, transcriber: ScriptedTranscriber, *, keys_apart: bool, completeness: Completeness
    ) -> None:
        self.leg = FakeLeg(keys_apart=keys_apart)
        self.tape = Tape()
        self.transcriber = transcriber
        self.events: list[LineEvent] = []
        self._changed = asyncio.Event()
        self.line = Line(
            self.leg,
            transcriber=transcriber,
            turn_model=Undecided(),
            completeness=completeness,
            voice=voice,
            voice_judge=None,
            tap=self.tape,
            on_event=self._note,
            clock=asyncio.get_running_loop().time,
            on_late=lambda: None,
        )
        self.running = asyncio.create_task(self.line.run())

    def _note(self, event: LineEvent) -> None:
        self.events.append(event)
        self._changed.set()

    async def until(self, kind: type[E], *, count: int = 1, within_s: float = 20.0) -> E:
        """Return the `count`-th event of a kind, waiting for it."""
        async with asyncio.timeout(within_s):
            while len(found := self.all(kind)) < count:
                self._changed.clear()
                await self._changed.wait()
        return found[count - 1]

    def all(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    async def close(self) -> None:
        self.leg.end()
        await self.until(LineEnded)
        await self.line.close()
        async with asyncio.timeout(20):
            await self.running


class BuzzingVoice(HummingVoice):
    """Speaks three seconds of a voice-like buzz, whatever it is asked to say."""

    def ready(self, text: str) -> bytes | None:
        return b"".join(buzz(3.0))


class Undecided:
    async def probability(self, pcm: bytes) -> float | None:
        return None


@contextlib.asynccontextmanager
async def room(
    *words: str | Exception | None,
    voice: HummingVoice | None = None,
    recognition_delay_s: float = 0.0,
    keys_apart: bool = True,
    ahead: bool = False,
    others: tuple[str, ...] = (),
    completeness: Completeness = lambda text, expectation: 0.0,
) -> AsyncIterator[Room]:
    transcriber = ScriptedTranscriber(list(words), delay_s=recognition_delay_s, ahead=ahead, others=others)
    made = Room(voice or HummingVoice(), transcriber, keys_apart=keys_apart, completeness=completeness)
    try:
        yield made
    finally:
        await made.close()


def one(utterance_id: str, text: str, *, interruptible: bool = True) -> Utterance:
    return Utterance(utterance_id, ((text, True),), interruptible)
