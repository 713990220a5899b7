"""How much of what was sent to a carrier the party has heard, from returned marks and, between them, the clock. Pure.

Twilio and Asterisk play a stream's audio in real time as long as they have some. They return a mark when all audio
before it was played; Twilio also when a `clear` drops that audio, which must not count as heard.
"""

from __future__ import annotations

from collections import deque

from voicebot.telephony.leg import SAMPLE_RATE_HZ


class Playback:
    """Positions are samples since the first one sent; times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._sent = 0
        self._heard = 0
        self._marked = 0
        #: Positions of marks set and not yet returned, ascending; and of those a `clear` has made meaningless.
        self._outstanding: deque[int] = deque()
        self._cleared: set[int] = set()
        #: The playing position at a moment, from which the clock extrapolates.
        self._base_samples = 0
        self._base_s = 0.0

    @property
    def sent(self) -> int:
        return self._sent

    @property
    def unmarked(self) -> int:
        """Samples sent since the last mark."""
        return self._sent - self._marked

    def add(self, samples: int, now_s: float) -> None:
        """Note that audio went out."""
        if self.heard(now_s) >= self._sent:
            self._base_samples, self._base_s = self._sent, now_s
        self._sent += samples

    def set_mark(self) -> str:
        """Return the name of a mark that stands after everything sent so far."""
        self._marked = self._sent
        self._outstanding.append(self._sent)
        return str(self._sent)

    def mark_returned(self, name: str, now_s: float) -> int | None:
        """Return the position that is now known to be heard, or None when the mark was for cleared audio.

        Raises `LookupError` for a mark that was never set or has returned before.
        """
        position = int(name) if name.isascii() and name.isdigit() and len(name) < 16 else -1
        if position in self._cleared:
            self._cleared.remove(position)
            return None
        if position not in self._outstanding:
            raise LookupError("no such mark is outstanding")
        while self._outstanding and self._outstanding[0] <= position:
            self._outstanding.popleft()
        self._heard = position
        self._base_samples, self._base_s = position, now_s
        return position

    def heard(self, now_s: float) -> int:
        """Estimate the position heard by now: never before the last returned mark nor past the next one."""
        played = self._base_samples + round((now_s - self._base_s) * SAMPLE_RATE_HZ)
        bound = self._outstanding[0] if self._outstanding else self._sent
        return max(self._heard, min(played, bound))

    def clear(self, now_s: float, *, skipped: int = 0) -> int:
        """Forget what was not heard and return the position that was; what is sent next counts from `sent` on.

        `skipped` samples were meant to be sent and never were; they take part in the count of positions.
        """
        heard = self.heard(now_s)
        self._cleared.update(self._outstanding)
        self._outstanding.clear()
        self._sent += skipped
        self._marked = self._sent
        # The dropped samples will never be heard, but positions go on after them.
        self._heard = self._sent
        self._base_samples, self._base_s = self._sent, now_s
        return heard
