"""A voice that hums: every word is 200 ms of a tone, so that tests can count what was said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np

from voicebot import g711
from voicebot.errors import EngineUnavailable
from voicebot.telephony.leg import SAMPLE_RATE_HZ

WORD_MS = 200


def hum(text: str) -> bytes:
    """Return mu-law audio of `WORD_MS` a word."""
    samples = len(text.split()) * WORD_MS * SAMPLE_RATE_HZ // 1000
    wave = 8000 * np.sin(2 * np.pi * 400 * np.arange(samples) / SAMPLE_RATE_HZ)
    return g711.encode(wave.astype(np.int16))


class HummingVoice:
    """`slow_s` delays whatever is not cached; texts in `broken` fail with `trouble`."""

    def __init__(self, *, cached: frozenset[str] = frozenset(), slow_s: float = 0.0) -> None:
        self._cached = cached
        self._slow_s = slow_s
        self.broken: set[str] = set()
        self.trouble: Exception = EngineUnavailable("the humming voice is told to fail")
        self.rendered: list[str] = []

    def ready(self, text: str) -> bytes | None:
        return hum(text) if text in self._cached else None

    async def render(self, text: str, *, cache: bool) -> AsyncIterator[bytes]:
        del cache
        await asyncio.sleep(self._slow_s)
        if text in self.broken:
            raise self.trouble
        self.rendered.append(text)
        audio = hum(text)
        for start in range(0, len(audio), 1000):
            yield audio[start : start + 1000]
