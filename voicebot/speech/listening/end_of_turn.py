"""Asks an end-of-turn worker whether a caller has finished, for as long as the answer is worth having."""

from __future__ import annotations

import asyncio

import numpy as np
import structlog

from voicebot import g711
from voicebot.errors import EngineUnavailable, RemoteProtocolError
from voicebot.speech.listening.service import answer, question
from voicebot.speech.workers.pool import WorkerPool

_log = structlog.get_logger()

_BYTES_PER_SAMPLE = 2
#: The model hears no more than this.
_LONGEST_BYTES = 8 * 8000 * _BYTES_PER_SAMPLE


class EndOfTurnClient:
    """The probability that a caller has finished, from the workers of `pool`, a `WorkerSpec(kind="turn")`.

    An answer after `deadline_s` helps nobody: silence alone has decided by then.
    """

    def __init__(self, pool: WorkerPool, *, deadline_s: float = 0.4) -> None:
        self._pool = pool
        self._deadline_s = deadline_s

    async def probability(self, pcm: bytes) -> float | None:
        """Return 0 to 1 for an utterance with the silence after it, 16-bit at 8 kHz; None when no worker can tell."""
        mulaw = g711.encode(np.frombuffer(pcm[-_LONGEST_BYTES:], dtype="<i2"))
        try:
            async with asyncio.timeout(self._deadline_s):
                async with self._pool.lease(timeout_s=self._deadline_s) as line:
                    line.send(question(mulaw))
                    return answer(await line.receive())
        except (EngineUnavailable, RemoteProtocolError, TimeoutError) as error:
            _log.warning("end of turn judged by silence alone", problem=type(error).__name__)
            return None
