"""A spoken line without audio: it notes what the session asks for, and the test plays the caller."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable

from voicebot.dialog.expectation import Expectation
from voicebot.media.events import (
    CallerTurn,
    HearingTimings,
    KeysEntered,
    LineEvent,
    SpeakingBegan,
    SpeakingEnded,
    TurnOver,
    VoiceFailed,
)
from voicebot.media.frames import Utterance
from voicebot.speech.asr import Final, Hypothesis


class FakeLine:
    """Speaks every utterance at once, unless `speaks` is off; prompts in `mute` fail."""

    def __init__(
        self, on_event: Callable[[LineEvent], None], *, speaks: bool = True, mute: frozenset[str] = frozenset()
    ) -> None:
        self.on_event = on_event
        self.said: list[Utterance] = []
        self.expectations: list[Expectation | None] = []
        self.speaks = speaks
        self.mute = mute
        self.stopped = 0
        self.resumed = 0
        self.prepared: list[tuple[tuple[str, bool], ...]] = []
        self._closed = asyncio.Event()
        self._clock = itertools.count(1)
        self._changed = asyncio.Event()

    async def run(self) -> None:
        await self._closed.wait()

    async def say(self, utterance: Utterance) -> None:
        self.said.append(utterance)
        self._changed.set()
        text = self.text(-1)
        if text in self.mute:
            self.on_event(VoiceFailed(utterance.utterance_id, self._now()))
        elif self.speaks:
            self.on_event(SpeakingBegan(utterance.utterance_id, self._now(), self._now()))
            self.on_event(SpeakingEnded(utterance.utterance_id, 900, text, cut=False, at_s=self._now()))

    async def listen(self, expectation: Expectation | None) -> None:
        self.expectations.append(expectation)
        self._changed.set()

    async def prepare(self, pieces: tuple[tuple[str, bool], ...]) -> None:
        self.prepared.append(pieces)
        self._changed.set()

    async def resume_speaking(self) -> None:
        self.resumed += 1
        self._changed.set()

    async def stop_speaking(self) -> None:
        self.stopped += 1
        if not self.speaks and self.said:
            utterance_id = self.said[-1].utterance_id
            self.on_event(SpeakingEnded(utterance_id, 400, "so far", cut=True, at_s=self._now()))
        self._changed.set()

    async def close(self) -> None:
        self._closed.set()

    def text(self, index: int) -> str:
        return " ".join(text for text, _ in self.said[index].pieces)

    @property
    def texts(self) -> list[str]:
        return [self.text(index) for index in range(len(self.said))]

    def speak(self, *alternatives: str, over_prompt: bool = False, secret: bool = False) -> None:
        """The caller says something, to a question whose answer is `secret` perhaps."""
        now_s = self._now()
        final = Final(tuple(Hypothesis(text, 0.9) for text in alternatives), "scripted", 5.0)
        timings = HearingTimings(now_s - 1.0, now_s - 0.4, now_s - 0.1, now_s)
        self.on_event(TurnOver(now_s, over_prompt))
        self.on_event(CallerTurn(final, timings, "", over_prompt, secret))

    def press(self, keys: str) -> None:
        now_s = self._now()
        self.on_event(KeysEntered(keys, now_s, began_s=now_s))

    async def until(self, condition: Callable[[], bool], *, within_s: float = 20.0) -> None:
        """Wait until something that the session does makes `condition` true."""
        async with asyncio.timeout(within_s):
            while not condition():
                self._changed.clear()
                with contextlib.suppress(TimeoutError):  # not everything that the session does is done to its line
                    async with asyncio.timeout(0.01):
                        await self._changed.wait()

    def _now(self) -> float:
        return float(next(self._clock))
