"""The caller's voice and ears in processes of their own, so that neither makes the line's 20 ms late."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from types import TracebackType
from typing import Self

from voicebot.simulation import ears, voice
from voicebot.simulation.ears import Heard
from voicebot.simulation.phrasebook import Phrasebook
from voicebot.speech.tts import Voice


class Senses:
    """An async context manager that any number of callers may share.

    `voices` are tried in order; entering raises EngineUnavailable when none of them speaks here. `niceness` keeps
    the callers from taking the processor from the server they measure.
    """

    def __init__(
        self,
        phrasebook: Phrasebook,
        *,
        voices: tuple[Voice, ...] = voice.CALLER_VOICES,
        processes: int = 1,
        niceness: int = 5,
    ) -> None:
        self._phrasebook = phrasebook
        self._voices = voices
        self._processes = processes
        self._pool = ProcessPoolExecutor(
            processes, multiprocessing.get_context("spawn"), initializer=os.nice, initargs=(niceness,)
        )
        self._voice = voices[0]

    @property
    def voice(self) -> Voice:
        """The voice in use, once entered."""
        return self._voice

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        try:
            self._voice = await loop.run_in_executor(self._pool, voice.first_present, self._voices)
            warming = (loop.run_in_executor(self._pool, ears.warm_up, self._phrasebook) for _ in range(self._processes))
            await asyncio.gather(*warming)
        except BaseException:
            self._pool.shutdown(cancel_futures=True)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)

    async def speak(self, text: str) -> bytes:
        """Return `text` in the caller's voice, mu-law at 8 kHz."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, voice.speak, self._voice, text)

    async def glance(self, mulaw: bytes) -> Heard:
        """Return at once what the bot seems to have said in `mulaw`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, ears.glance, self._phrasebook, mulaw)

    async def hear(self, mulaw: bytes, first: Heard | None = None) -> Heard:
        """Return what the bot said in `mulaw`; `first` is what a glance gave."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, ears.hear, self._phrasebook, mulaw, first)
