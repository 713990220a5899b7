"""The product's recognition engine as its worker runs it, in this process: audio in, hypotheses and costs out."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from _streams import Heard, one_core, speak_at_once

from voicebot import g711
from voicebot.dialog.expectation import Domain, Expectation
from voicebot.simulation.sounds import Wave
from voicebot.speech.asr import Hypothesis
from voicebot.speech.recognition.engine import Engine, Stream
from voicebot.speech.recognition.engines import build
from voicebot.speech.recognition.sphinx.domain import compile_domain
from voicebot.speech.recognition.sphinx.engine import SphinxEngine
from voicebot.speech.recognition.two_pass.engine import LATE_S, TwoPassEngine
from voicebot.speech.recognition.whisper.engine import WhisperEngine
from voicebot.speech.recognition.wire import SAMPLE_BYTES, Request

RATE_HZ = 8000
T = TypeVar("T")


@dataclass(slots=True)
class Costs:
    """Processor seconds by second of audio, and each wait from the end of the audio to the answer, in ms."""

    audio_s: float = 0.0
    processor_s: float = 0.0
    tails_ms: list[float] = field(default_factory=list)


def _telephoned(wave: Wave) -> bytes:
    return g711.decode(g711.encode(np.clip(np.rint(wave), -32768, 32767).astype(np.int16))).tobytes()


def _in_one_process(options: Mapping[str, object]) -> Engine:
    if options["engine"] != "two-pass":
        return build(options)
    first, second = build({**options, "engine": "sphinx"}), build({**options, "engine": "whisper"})
    assert isinstance(first, SphinxEngine)
    assert isinstance(second, WhisperEngine)
    return TwoPassEngine(first, second, late_s=math.inf)


class Recogniser:
    """Hears one utterance after the other with the engine that `options` describe, as a worker would get them."""

    def __init__(self, options: Mapping[str, object], scratch: Path, *, in_one_process: bool = False) -> None:
        """With `in_one_process` the first of two passes runs here, too: no word waits for another process."""
        self._engine = _in_one_process(options) if in_one_process else build(options)
        self._scratch = scratch
        self._loop = asyncio.Runner()
        self._loop.run(self._engine.warm_up())
        self.costs = Costs()

    @property
    def packet_bytes(self) -> int:
        """What `WorkerUtterance` sends this engine at a time."""
        return self._engine.capabilities.packet_ms * RATE_HZ // 1000 * SAMPLE_BYTES

    @property
    def name(self) -> str:
        running = self._engine.capabilities
        return f"{running.engine}, {running.model}"

    def compile(self, requests: Sequence[str], expectations: Sequence[Expectation]) -> Path:
        """Compile what a bot expects, as publishing its flows does."""
        return compile_domain(Domain("bench", tuple(requests), tuple(expectations)), self._scratch)

    def hear(self, wave: Wave, expectation: Expectation, domain: Path | None) -> tuple[Hypothesis, ...]:
        """Return what the engine makes of `wave`, after mu-law."""
        pcm = _telephoned(wave)
        began = time.process_time()
        heard, tail_ms = self._loop.run(self._hear(pcm, Request.of(expectation, domain)))
        self.costs.processor_s += time.process_time() - began
        self.costs.audio_s += wave.size / RATE_HZ
        self.costs.tails_ms.append(tail_ms)
        return heard

    def open(self, expectation: Expectation, domain: Path | None, on_partial: Callable[[str], None]) -> Stream:
        """Begin an utterance that is fed by whoever asks; its partial texts go to `on_partial`."""

        async def tell(text: str) -> None:
            on_partial(text)

        return self.wait_for(self._engine.open(Request.of(expectation, domain), tell))

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """Have the engine do what `work` asks of it."""
        return self._loop.run(work)

    def hear_many(
        self, waves: Sequence[Wave], callers: int, seconds: float, expectation: Expectation, domain: Path
    ) -> Heard:
        """Hear `callers` at once on one core, as a worker does; with two passes the second may be late."""
        said = [_telephoned(wave) for wave in waves]
        request = Request.of(expectation, domain)
        if isinstance(self._engine, TwoPassEngine):
            self._engine.late_s = LATE_S
        with one_core():
            return self._loop.run(speak_at_once(self._engine, request, said, callers, seconds))

    def close(self) -> None:
        self._loop.run(self._engine.close())
        self._loop.close()

    async def _hear(self, pcm: bytes, request: Request) -> tuple[tuple[Hypothesis, ...], float]:
        async def ignore(_text: str) -> None:
            return

        stream = await self._engine.open(request, ignore)
        try:
            for at in range(0, len(pcm), self.packet_bytes):
                await stream.feed(pcm[at : at + self.packet_bytes])
            began = time.perf_counter()
            heard = await stream.finish()
            return heard, (time.perf_counter() - began) * 1000
        finally:
            await stream.close()
