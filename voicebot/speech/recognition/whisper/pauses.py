"""Where the caller speaks within one utterance, frame by frame, so that silence is never decoded."""

from __future__ import annotations

from dataclasses import dataclass

import webrtcvad

from voicebot.speech.recognition.wire import SAMPLE_BYTES, SAMPLE_RATE_HZ

FRAME_MS = 20
FRAME_BYTES = SAMPLE_RATE_HZ * SAMPLE_BYTES * FRAME_MS // 1000
_AGGRESSIVENESS = 2
_ONSET_FRAMES = 2


@dataclass(frozen=True, slots=True)
class Span:
    """Speech from byte `start` to byte `end` of the utterance, pauses inside included."""

    start: int
    end: int


class PauseFinder:
    """Follows the audio of one utterance in whole frames."""

    def __init__(self) -> None:
        self._detector = webrtcvad.Vad(_AGGRESSIVENESS)
        self._pending = bytearray()
        self._position = 0
        self._run = 0
        self._first: int | None = None
        self._last = 0
        self.speech_ms = 0

    @property
    def span(self) -> Span | None:
        """Return where speech was so far; None before any."""
        return None if self._first is None else Span(self._first, self._last)

    @property
    def silence_ms(self) -> int:
        """Return how long it has been quiet since the last speech."""
        return (self._position - self._last) // FRAME_BYTES * FRAME_MS

    def follow(self, pcm: bytes) -> bool:
        """Take in more audio and say whether it holds speech. A single loud frame is a click."""
        self._pending += pcm
        spoke = False
        while len(self._pending) >= FRAME_BYTES:
            frame = bytes(self._pending[:FRAME_BYTES])
            del self._pending[:FRAME_BYTES]
            self._position += FRAME_BYTES
            self._run = self._run + 1 if self._detector.is_speech(frame, SAMPLE_RATE_HZ) else 0
            if self._run >= _ONSET_FRAMES:
                spoke = True
                self.speech_ms += FRAME_MS
                self._last = self._position
                if self._first is None:
                    self._first = self._position - self._run * FRAME_BYTES
        return spoke
