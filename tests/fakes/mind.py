"""A caller's mind without speech engines: it hums, and knows a hum by its length."""

from __future__ import annotations

from collections.abc import Mapping

from tests.fakes.voice import WORD_MS, hum
from voicebot.simulation.ears import Heard
from voicebot.simulation.loudness import speech_bounds


class HummingMind:
    """`sentences` maps the number of words of a hum to what it means."""

    def __init__(self, sentences: Mapping[int, str]) -> None:
        self._sentences = sentences

    async def speak(self, text: str) -> bytes:
        return hum(text)

    async def glance(self, mulaw: bytes) -> Heard:
        return await self.hear(mulaw)

    async def hear(self, mulaw: bytes, first: Heard | None = None) -> Heard:
        begin, end = speech_bounds(mulaw)
        words = round((end - begin) / 8 / WORD_MS)
        return Heard(self._sentences.get(words, ""), sure=words in self._sentences)
