"""Keeps the delay of a bridge small although the two ends' clocks differ. Pure: the clock comes in.

Frames are forwarded as they come, so an end that plays slower than the other speaks collects them, and one that plays
faster runs dry. How much waits is known from what the playing end reports as played. A frame is dropped or doubled
where nobody hears it, in silence; in speech only when the delay would grow too long. Nothing is resampled.
"""

from __future__ import annotations

from enum import Enum, auto

from voicebot import g711
from voicebot.telephony.leg import FRAME_SAMPLES, SAMPLE_RATE_HZ

_PER_MS = SAMPLE_RATE_HZ // 1000
#: What waits is judged by its median of a second: frames that come in bunches do not count, nor a late report.
_WINDOW_FRAMES = 50
#: Beyond the lowest level ever: below the first a silent frame is doubled, above the second one is dropped, and above
#: the third any frame is. A doubled frame stays well under the second.
_LOW = 4 * _PER_MS
_HIGH = 26 * _PER_MS
_TOO_HIGH = 36 * _PER_MS
#: Drops after which as much waits as before: it does not wait then, the way to the other end has become longer.
_FUTILE_DROPS = 3


class _Wish(Enum):
    NOTHING = auto()
    DOUBLE_IN_SILENCE = auto()
    DROP_IN_SILENCE = auto()
    DROP = auto()


class Elastic:
    """One direction of a bridge. Positions are samples sent to the playing leg, times seconds of one clock.

    It begins at `position` with nothing waiting. A leg that never reports is taken to play in real time.
    """

    def __init__(self, position: int, now_s: float) -> None:
        self._position = position
        self._at_s = now_s
        self._reported = False
        self._backlogs: list[int] = []
        self._floor: int | None = None
        self._wish = _Wish.NOTHING
        self._level = 0
        self._level_before_drop: int | None = None
        self._futile = 0
        self.dropped = 0
        self.doubled = 0

    def played(self, position: int, at_s: float) -> None:
        """Note what the playing leg reports."""
        self._position, self._at_s = position, at_s
        if not self._reported:
            # The report brings its own delay into every figure; those from before it lack that.
            self._reported = True
            self._backlogs.clear()
            self._floor = None

    def copies(self, frame: bytes, sent: int, now_s: float) -> int:
        """Return how often to send `frame` (0, 1 or 2), `sent` samples having been sent before it."""
        self._backlogs.append(self._backlog(sent, now_s))
        if len(self._backlogs) == _WINDOW_FRAMES:
            self._judge(sorted(self._backlogs)[_WINDOW_FRAMES // 2])
            self._backlogs.clear()
        match self._wish:
            case _Wish.DROP:
                return self._drop()
            case _Wish.DROP_IN_SILENCE if g711.is_quiet(frame):
                return self._drop()
            case _Wish.DOUBLE_IN_SILENCE if g711.is_quiet(frame):
                self._done()
                self.doubled += 1
                return 2
            case _:
                return 1

    def _backlog(self, sent: int, now_s: float) -> int:
        played = self._position + round((now_s - self._at_s) * SAMPLE_RATE_HZ)
        if played >= sent:
            # It has run dry: what is sent next is played at once.
            self._position, self._at_s = sent, now_s
            return 0
        return sent - played

    def _judge(self, level: int) -> None:
        """Decide from a window's level what should happen next."""
        before, self._level_before_drop = self._level_before_drop, None
        if before is not None:
            self._futile = self._futile + 1 if level > before - FRAME_SAMPLES // 2 else 0
        if self._floor is None or level < self._floor or self._futile >= _FUTILE_DROPS:
            self._floor, self._futile = level, 0
        excess = level - self._floor
        if excess > _TOO_HIGH:
            self._wish = _Wish.DROP
        elif excess > _HIGH:
            self._wish = _Wish.DROP_IN_SILENCE
        else:
            self._wish = _Wish.DOUBLE_IN_SILENCE if excess < _LOW else _Wish.NOTHING
        self._level = level

    def _drop(self) -> int:
        self._level_before_drop = self._level
        self._done()
        self.dropped += 1
        return 0

    def _done(self) -> None:
        """Judge anew from what comes after the change."""
        self._wish = _Wish.NOTHING
        self._backlogs.clear()
