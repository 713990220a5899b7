"""Keeps the delay of a bridge small although the two ends' clocks differ. Pure.

Frames are forwarded as they come, so an end that plays slower than the other speaks collects them, and one that plays
faster runs dry. How long each frame would wait before it is played is known from the playing leg. A frame is dropped
or doubled where nobody hears it, in silence; in speech only when the delay would grow too long. Nothing is resampled.
"""

from __future__ import annotations

from voicebot import g711
from voicebot.telephony.leg import FRAME_SAMPLES, SAMPLE_RATE_HZ

_PER_MS = SAMPLE_RATE_HZ // 1000
#: Waits are judged by the shortest of a second: every other one is due to frames that came late or in bunches, and
#: will be needed again when they do.
_WINDOW_FRAMES = 50
#: Beyond no wait at all: below the first a silent frame is doubled, above the second one is dropped, and above the
#: third any frame is. A doubled frame stays well under the second.
_LOW = 4 * _PER_MS
_HIGH = 26 * _PER_MS
_TOO_HIGH = 36 * _PER_MS
#: Drops after which the wait is as long as before: it is no wait then, the way to the other end has become longer.
_FUTILE_DROPS = 3


class Elastic:
    """One direction of a bridge, to a leg in which `queued` samples wait at its beginning.

    `measured` says that the leg knows its own waits exactly. Those of another come from a carrier's reports, which
    arrive later than what they tell: the shortest wait ever seen then counts as none.
    """

    def __init__(self, queued: int, *, measured: bool) -> None:
        self._measured = measured
        self._floor: int | None = 0 if measured else None
        self._shortest: int | None = None
        self._frames = 0
        #: Frames still to be doubled (below zero: dropped), and whether only in silence.
        self._wanted = -max(0, (queued - FRAME_SAMPLES) // FRAME_SAMPLES)
        self._only_in_silence = False
        self._judged: int | None = None
        self._before_drop: int | None = None
        self._futile = 0
        self._reported = False
        self.dropped = 0
        self.doubled = 0

    def reported(self) -> None:
        """The leg has reported what it played: the first report brings its own delay into every wait from now on."""
        if not self._reported and not self._measured:
            self._reported = True
            self._floor = None
            self._begin_window()

    def copies(self, frame: bytes, queued: int) -> int:
        """Return how often to send `frame` (0, 1 or 2), before which `queued` samples wait in the leg."""
        self._frames += 1
        if self._shortest is None or queued < self._shortest:
            self._shortest = queued
        if self._frames == _WINDOW_FRAMES:
            self._judge(self._shortest)
        if self._wanted == 0 or (self._only_in_silence and not g711.is_quiet(frame)):
            return 1
        copies = 2 if self._wanted > 0 else 0
        if copies:
            self._wanted -= 1
            self.doubled += 1
        else:
            self._wanted += 1
            self.dropped += 1
            self._before_drop = self._judged
        # What comes after the change is judged anew.
        self._begin_window()
        return copies

    def _judge(self, shortest: int) -> None:
        """Decide from a window's shortest wait what should happen next."""
        self._begin_window()
        before, self._before_drop = self._before_drop, None
        if before is not None:
            self._futile = self._futile + 1 if shortest > before - FRAME_SAMPLES // 2 else 0
        if self._floor is None or (not self._measured and (shortest < self._floor or self._futile >= _FUTILE_DROPS)):
            self._floor, self._futile = shortest, 0
        self._judged = shortest
        excess = shortest - self._floor
        self._only_in_silence = excess <= _TOO_HIGH
        self._wanted = 0
        if excess > _HIGH:
            # What is only reported may be no wait at all: it is tried with one frame.
            sure = self._measured and not self._only_in_silence
            self._wanted = -((excess - _LOW) // FRAME_SAMPLES) if sure else -1
        elif excess < _LOW:
            self._wanted = 1

    def _begin_window(self) -> None:
        self._frames = 0
        self._shortest = None
