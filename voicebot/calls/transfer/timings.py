"""When what happened in a transfer."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise


@dataclass(slots=True)
class Timings:
    """Seconds on the monotonic clock, written as it goes on; None for what did not happen."""

    accepted_s: float | None = None
    #: When the caller began to be told who is joining, and when they had heard it.
    telling_s: float | None = None
    told_s: float | None = None
    joined_s: float | None = None
    packet_s: float | None = None

    def of_join_ms(self) -> dict[str, int]:
        """Return how long it took from the agent's yes to the words who joins, to say them, and from there to the join.

        Milliseconds, and nothing at all when one of these did not happen.
        """
        if None in {self.accepted_s, self.telling_s, self.told_s, self.joined_s}:
            return {}
        at = [self.accepted_s or 0.0, self.telling_s or 0.0, self.told_s or 0.0, self.joined_s or 0.0]
        steps = zip(("yes_to_words_ms", "words_ms", "words_to_join_ms"), pairwise(at), strict=True)
        return {name: round(1000 * (until_s - since_s)) for name, (since_s, until_s) in steps}
