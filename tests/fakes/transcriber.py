"""A recogniser that hears what the test has written down, but only from audio that really arrived."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from voicebot.dialog.expectation import Expectation
from voicebot.errors import EngineUnavailable
from voicebot.speech.asr import Final, Hypothesis, Partial


class ScriptedTranscriber:
    """Hears `words` one after the other, an utterance each; "" is an utterance without words. None: it is dead. An
    exception: it breaks down with it.

    With `ahead` it tells its words when it is asked to hear ahead, instead of at once, and `others` with them.
    """

    def __init__(
        self,
        words: list[str | Exception | None],
        *,
        delay_s: float = 0.0,
        ahead: bool = False,
        others: tuple[str, ...] = (),
    ) -> None:
        self._words = words
        self.ahead = ahead
        self.others = others
        #: "look" and "on", as they were asked for.
        self.looks: list[str] = []
        self.delay_s = delay_s
        self.expectations: list[Expectation] = []
        self.fed_samples: list[int] = []
        self.cancelled = 0

    async def start(self, expectation: Expectation) -> ScriptedUtterance:
        if not self._words:
            raise EngineUnavailable("nothing more is written down")
        words = self._words[0]
        if words is None:
            self._words.pop(0)
            raise EngineUnavailable("the scripted recogniser is dead")
        if isinstance(words, Exception):
            self._words.pop(0)
            raise words
        self.expectations.append(expectation)
        return ScriptedUtterance(self, words)

    def finished(self, samples: int) -> None:
        self._words.pop(0)
        self.fed_samples.append(samples)


class ScriptedUtterance:
    def __init__(self, transcriber: ScriptedTranscriber, words: str) -> None:
        self._transcriber = transcriber
        self._words = words
        self._samples = 0
        self._over = asyncio.Event()
        self._telling = asyncio.Event()
        if not transcriber.ahead:
            self._telling.set()

    def feed(self, pcm: bytes) -> None:
        self._samples += len(pcm) // 2

    async def partials(self) -> AsyncIterator[Partial]:
        await self._telling.wait()
        if self._words:
            yield Partial(self._words, self._transcriber.others)
        await self._over.wait()

    def look_ahead(self) -> None:
        self._transcriber.looks.append("look")
        self._telling.set()

    def go_on(self) -> None:
        self._transcriber.looks.append("on")

    async def finish(self) -> Final:
        self._over.set()
        self._telling.set()
        await asyncio.sleep(self._transcriber.delay_s)
        self._transcriber.finished(self._samples)
        hypotheses = (Hypothesis(self._words, 0.9),) if self._words else ()
        return Final(hypotheses, "scripted", 1.0)

    def cancel(self) -> None:
        self._over.set()
        self._telling.set()
        self._transcriber.cancelled += 1
