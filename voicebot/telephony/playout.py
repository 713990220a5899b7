"""Audio on its way out of a leg that must pace itself, since its carrier plays what comes when it comes. Pure."""

from __future__ import annotations

from collections import deque

from voicebot.telephony.leg import FRAME_BYTES, SAMPLE_RATE_HZ

#: Playback is reported once so much audio has left, and when there is no more.
_REPORT_SAMPLES = SAMPLE_RATE_HZ // 5
#: Whoever sends keeps 200 ms ahead, so more than five seconds waiting is a fault of theirs.
_MOST_WAITING = 250


class Playout:
    """Frames waiting for their turn, one every 20 ms. Positions are samples since the first one queued."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._queued = 0
        self._left = 0
        self._reported = 0
        #: Whether there was nothing to say when a frame was last asked for.
        self.resting = True

    @property
    def queued_samples(self) -> int:
        """Samples handed to `queue` since the beginning."""
        return self._queued

    @property
    def left_samples(self) -> int:
        """Samples of those that have left for the peer, or were dropped."""
        return self._left

    def queue(self, frame: bytes) -> None:
        self._queued += FRAME_BYTES
        self._waiting.append(frame)
        if len(self._waiting) > _MOST_WAITING:
            self._waiting.popleft()
            self._left += FRAME_BYTES

    def next(self) -> bytes | None:
        """Return the frame whose turn it is, None if there is nothing to say."""
        if not self._waiting:
            self.resting = True
            return None
        self.resting = False
        self._left += FRAME_BYTES
        return self._waiting.popleft()

    def clear(self) -> int | None:
        """Drop what has not left and return the position of what has; None if nothing was dropped."""
        if not self._waiting:
            return None
        left = self._left
        self._waiting.clear()
        self._left = self._reported = self._queued
        return left

    def played(self) -> int | None:
        """Return the position to report as played, if there is something to report.

        Whether a frame was the last one is known when the next has not come: who speaks without a store ahead is not
        at an end with every frame.
        """
        left = self._left
        unreported = left - self._reported
        if unreported < _REPORT_SAMPLES and not (unreported and self.resting):
            return None
        self._reported = left
        return left
