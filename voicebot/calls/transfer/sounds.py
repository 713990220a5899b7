"""What a caller hears while a transfer has their line: never silence, one thing at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

import numpy as np

from voicebot import g711
from voicebot.calls.transfer.seams import CallerSide
from voicebot.dialog.expectation import AnswerKind, Expectation, KeyEntry
from voicebot.routing.queues import Choice
from voicebot.telephony.leg import SAMPLE_RATE_HZ

#: Music between two words.
MUSIC_S = 18.0
_TONE_HZ, _TONE_S, _TONE_FADE_S = 1000.0, 0.4, 0.02


def choice_expectation(choices: tuple[Choice, ...], *, no_input_s: float = 8.0) -> Expectation | None:
    """Return what to listen for while these can be chosen; None when there is nothing to choose."""
    if not choices:
        return None
    phrases = ("call me back", "message", "wait", "another team", "number")
    return Expectation(
        "transfer.choice", (AnswerKind.CHOICE,), phrases=phrases, keys=KeyEntry(1, 1), no_input_s=no_input_s
    )


def _tone() -> bytes:
    at_s = np.arange(round(_TONE_S * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    edges = np.clip(np.minimum(at_s, _TONE_S - at_s) / _TONE_FADE_S, 0.0, 1.0)
    return g711.encode((8000 * edges * np.sin(2 * np.pi * _TONE_HZ * at_s)).astype(np.int16))


#: The tone after which a caller speaks a message; mu-law, a whole number of frames.
TONE = _tone()


class HoldMusic:
    """Cuts a recording into stretches that go on where the last one stopped."""

    def __init__(self, mulaw: bytes, stretch_s: float = MUSIC_S) -> None:
        self._mulaw = mulaw
        self._stretch = round(stretch_s * SAMPLE_RATE_HZ)
        self._at = 0

    def stretch(self) -> bytes:
        found = bytearray()
        while len(found) < self._stretch:
            piece = self._mulaw[self._at : self._at + self._stretch - len(found)]
            found += piece
            self._at = (self._at + len(piece)) % len(self._mulaw)
        return bytes(found)


class Sounds:
    """The caller's ear: what is asked for replaces what was played before. Owns the task that plays."""

    def __init__(self, caller: CallerSide, music: HoldMusic, *, broken: Callable[[BaseException], None]) -> None:
        """`broken` is told what sounds broke down with: the caller hears nothing any more."""
        self._caller = caller
        self._music = music
        self._broken = broken
        self._playing: asyncio.Task[None] | None = None

    async def play(self, sounds: Coroutine[None, None, None]) -> None:
        """Play instead of whatever is playing."""
        await self.stop()
        self._playing = asyncio.create_task(sounds)
        self._playing.add_done_callback(self._done)

    def _done(self, playing: asyncio.Task[None]) -> None:
        if not playing.cancelled() and (error := playing.exception()) is not None:
            self._broken(error)

    async def stop(self) -> None:
        """Stop whatever is playing, at once."""
        playing, self._playing = self._playing, None
        if playing is None:
            return
        if not playing.done():
            playing.cancel()
            await self._caller.hush()
        await asyncio.gather(playing, return_exceptions=True)

    async def finished(self) -> None:
        """Return when what is playing has been heard, or was stopped."""
        if self._playing is not None:
            await asyncio.gather(self._playing, return_exceptions=True)

    async def wait_with_music(self, first: tuple[str, str] | None, comfort: Callable[[], Awaitable[str]]) -> None:
        """Say `first` (prompt and text), then play music with a word every so often, until stopped."""
        if first is not None:
            await self._caller.say(*first)
        while True:
            await self._caller.play(self._music.stretch())
            await self._caller.say("transfer.comfort", await comfort())
