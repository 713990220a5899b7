"""The tiny models that tests of Whisper write, and how an utterance is given to a stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.speech.spoken import frames
from voicebot.speech.recognition.whisper.engine import WhisperStream
from voicebot.speech.recognition.whisper.model import Cue, Decoded, Model, Samples

#: What the model in `directory` hears in any sound.
TEXT = "where is my order"


class CountingModel(Model):
    """The real model, and a count of how often it was made to decode."""

    decodings = 0

    def decode(
        self, samples: Samples, cue: Cue, cancelled: Callable[[], bool], *, draft: bool = False
    ) -> Decoded | None:
        self.decodings += 1
        return super().decode(samples, cue, cancelled, draft=draft)


class HintsUnread(CountingModel):
    """Without the text before: the tiny model counts its tokens from the beginning."""

    @classmethod
    def like(cls, directory: Path) -> HintsUnread:
        return cls(str(directory), threads=1, compute_type="int8", context_s=5.0, local_only=True)

    def decode(
        self, samples: Samples, cue: Cue, cancelled: Callable[[], bool], *, draft: bool = False
    ) -> Decoded | None:
        return super().decode(samples, replace(cue, prompt=""), cancelled, draft=draft)


def load(directory: Path, context_s: float = 5.0) -> CountingModel:
    return CountingModel(str(directory), threads=1, compute_type="int8", context_s=context_s, local_only=True)


async def nothing(text: str) -> None:
    del text


async def hear(stream: WhisperStream, pcm: bytes) -> None:
    for frame in frames(pcm):
        await stream.feed(frame)
