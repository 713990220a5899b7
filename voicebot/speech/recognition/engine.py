"""What a recognition engine is, inside its worker process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from voicebot.speech.asr import Hypothesis
from voicebot.speech.recognition.wire import Request
from voicebot.speech.workers.capabilities import Capabilities

OnPartial = Callable[[str], Awaitable[None]]


class Stream(Protocol):
    """One utterance inside an engine."""

    @property
    def engine(self) -> str:
        """The name of who heard what `finish` or `look_ahead` last returned."""
        ...

    async def feed(self, pcm: bytes) -> None:
        """Hear more 8 kHz PCM; returns when the engine is ready for the next piece."""
        ...

    async def look_ahead(self) -> tuple[Hypothesis, ...] | None:
        """Return what `finish` would return now; None where that is not worth its cost. More may be fed meanwhile.

        Whoever asks says `go_on` before speech that follows; until then what is fed counts as silence.
        """
        ...

    async def go_on(self) -> None:
        """Forget what was heard ahead, and hear what was fed since."""
        ...

    async def finish(self) -> tuple[Hypothesis, ...]:
        """Return what was heard, likeliest first; nothing when nothing was."""
        ...

    async def close(self) -> None:
        """Give back everything this utterance holds; safe after `finish` and in the middle of it."""
        ...


class Engine(Protocol):
    """One engine with its model loaded, shared by all utterances of the process."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def warm_up(self) -> None:
        """Load and run once; `EngineUnavailable` names what is missing."""
        ...

    async def prepare(self, domain: Path) -> None:
        """Load a compiled domain ahead of its first utterance; `EngineUnavailable` if it cannot be read."""
        ...

    async def open(self, request: Request, on_partial: OnPartial) -> Stream:
        """Begin an utterance; `EngineUnavailable` when the engine has no room for it."""
        ...

    async def close(self) -> None: ...
