"""Types and seam of speech synthesis: text in, mu-law at 8 kHz out, the first frame as early as possible."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice as the admin names it: `engine` ("flite", "espeak", "piper"), `name` ("rms") and speed, 1.0 is normal."""

    engine: str
    name: str
    speed: float = 1.0


class Synthesizer(Protocol):
    def render(self, text: str, *, cache: bool) -> AsyncIterator[bytes]:
        """Yield mu-law of any length as it is made; `EngineUnavailable` when no voice answers.

        `cache` keeps the result for ever by content (static prompts); dynamic texts live in a bounded LRU.
        """
        ...
