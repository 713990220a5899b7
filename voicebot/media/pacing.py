"""When the next chunk of audio may be handed to a leg. Pure: the clock comes in.

The leg is kept `lead_s` ahead of real time, so that a late wake-up of the event loop is not heard. Deadlines are
absolute, which makes a late sender catch up at once instead of drifting.
"""

from __future__ import annotations

from voicebot.telephony.leg import SAMPLE_RATE_HZ


class Pacer:
    def __init__(self, lead_s: float) -> None:
        self._lead_s = lead_s
        self._horizon_s = 0.0

    def delay_s(self, now_s: float) -> float:
        """Return how long to wait before handing over more audio."""
        return max(0.0, self._horizon_s - self._lead_s - now_s)

    def sent(self, samples: int, now_s: float) -> None:
        """Count audio handed over at `now_s`; after an idle spell the horizon starts afresh."""
        self._horizon_s = max(self._horizon_s, now_s) + samples / SAMPLE_RATE_HZ

    def cleared(self) -> None:
        """The leg dropped what it had queued."""
        self._horizon_s = 0.0
