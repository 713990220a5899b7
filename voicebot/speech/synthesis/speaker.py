"""Speaks a text through an engine, clause by clause, as the telephone wants it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from voicebot import g711
from voicebot.g711 import Pcm
from voicebot.speech.synthesis.clauses import split_clauses
from voicebot.speech.synthesis.engine import FASTEST_SPEED, SLOWEST_SPEED, SpeechEngine
from voicebot.speech.synthesis.sound import TELEPHONE_RATE_HZ, to_telephone


class Speaker:
    """A voice ready to speak; `longest_chars` is the longest text its engine gets as one clause."""

    def __init__(self, engine: SpeechEngine, *, longest_chars: int) -> None:
        self._engine = engine
        self._longest_chars = longest_chars

    def speak(self, text: str, speed: float = 1.0) -> Iterator[Pcm]:
        """Yield int16 at 8 kHz, one whole clause and the pause after it at a time; EngineUnavailable on failure.

        `text` is speakable already (see `normalize`); `speed` is limited to what stays intelligible.
        """
        speed = min(max(speed, SLOWEST_SPEED), FASTEST_SPEED)
        for clause in split_clauses(text, self._longest_chars):
            made = list(self._engine.synthesize(clause.text, speed))
            speech = to_telephone(np.concatenate(made), self._engine.rate_hz) if made else np.zeros(0, np.int16)
            pause = np.zeros(round(clause.pause_s / speed * TELEPHONE_RATE_HZ), np.int16)
            yield np.concatenate([speech, pause])

    def speak_mulaw(self, text: str, speed: float = 1.0) -> bytes:
        """Return the whole of `speak` as mu-law."""
        return b"".join(g711.encode(clause) for clause in self.speak(text, speed))
