"""What a speech engine is: one clause of speakable text in, samples at its own rate out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from voicebot.g711 import Pcm

SLOWEST_SPEED = 0.5
FASTEST_SPEED = 2.0


class SpeechEngine(Protocol):
    """Speaks one clause at a time; not safe to share between threads."""

    @property
    def rate_hz(self) -> int: ...

    def synthesize(self, text: str, speed: float) -> Iterator[Pcm]:
        """Yield int16 samples at `rate_hz`; together they are `text` spoken `speed` times as fast as usual.

        `text` is already in words; `speed` lies between SLOWEST_SPEED and FASTEST_SPEED. Closing the iterator early
        stops the engine as soon as it can. Raises EngineUnavailable when the engine fails.
        """
        ...
