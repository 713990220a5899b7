"""Types and seam of speech recognition: 20 ms of PCM in, partial texts out, then a final with alternatives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from voicebot.dialog.expectation import Expectation


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    start_s: float
    end_s: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One transcript. `confidence` is 0 to 1 and comparable within one engine, not between engines."""

    text: str
    confidence: float
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class Partial:
    """Words so far; may change. What was heard to its end at a pause may have `others`, likeliest first."""

    text: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Final:
    """The finished utterance, likeliest first; empty when nothing was recognised. `engine` names who heard it."""

    hypotheses: tuple[Hypothesis, ...]
    engine: str
    decode_ms: float


class Utterance(Protocol):
    """One utterance being recognised. Feed frames as they come, then `finish` or `cancel`, exactly one of them."""

    def feed(self, pcm: bytes) -> None:
        """Add signed 16-bit little-endian mono PCM at 8 kHz; any whole number of samples, never blocks."""
        ...

    def partials(self) -> AsyncIterator[Partial]:
        """Yield partial texts until `finish` or `cancel`."""
        ...

    def look_ahead(self) -> None:
        """The caller pauses: hear what they said to its end, so that the final is there if they say nothing more.

        Its text comes as a partial. Feeding goes on; nothing happens where the recogniser cannot do this.
        """
        ...

    def go_on(self) -> None:
        """The caller says more after all: what was heard ahead is void."""
        ...

    async def finish(self) -> Final:
        """Return the final; `EngineUnavailable` if no engine answers within its deadline."""
        ...

    def cancel(self) -> None: ...


class Transcriber(Protocol):
    async def start(self, expectation: Expectation) -> Utterance:
        """Begin an utterance shaped by what the dialog expects; `EngineUnavailable` when nothing can hear."""
        ...
