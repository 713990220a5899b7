"""When what happened in a transfer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Timings:
    """Seconds on the monotonic clock, written as it goes on; None for what did not happen."""

    accepted_s: float | None = None
    #: When the caller began to be told who is joining, and when they had heard it.
    telling_s: float | None = None
    told_s: float | None = None
    joined_s: float | None = None
    packet_s: float | None = None
