"""Whether a speech server answers in time: late again and again, it is left for others, and tried now and then.

A server that dies shows at once. One that lives and is slow would have every caller wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LatePolicy:
    """After how many late answers in a row a server is left, and how long it rests: longer after each failed trial."""

    answers: int = 3
    first_rest_s: float = 30.0
    longest_rest_s: float = 300.0


class Punctuality:
    """Counts one server's late answers. What is late, those who ask decide, each by what its caller can bear."""

    def __init__(self, peer: str, policy: LatePolicy, clock: Callable[[], float]) -> None:
        self._peer = peer
        self._policy = policy
        self._clock = clock
        self._in_a_row = 0
        self._rest_s = 0.0
        #: When a server that is left may be tried again.
        self._rested_at_s: float | None = None
        self._on_trial = False
        #: How often it was left.
        self.times_left = 0

    @property
    def left(self) -> bool:
        """Whether others go before this server."""
        return self._rested_at_s is not None

    def begin_trial(self) -> bool:
        """Say whether the server is left, has rested and nobody tries it yet; who is told so tries it now."""
        if self._rested_at_s is None or self._on_trial or self._clock() < self._rested_at_s:
            return False
        self._on_trial = True
        return True

    def end_trial(self) -> None:
        """The trial is over, whatever it showed; nothing, where the caller hung up."""
        self._on_trial = False

    def answered(self, *, in_time: bool) -> None:
        """Count an answer: one that nobody had to wait for, or one that came too late or is not there yet."""
        if in_time:
            self._in_a_row = 0
            if self.left:
                self._rested_at_s = None
                _log.info("speech server taken back", peer=self._peer)
            return
        self._in_a_row += 1
        if not self.left and self._in_a_row >= self._policy.answers:
            self.times_left += 1
            self._rest(self._policy.first_rest_s)
        elif self._on_trial:
            self._rest(min(self._policy.longest_rest_s, 2 * self._rest_s))

    def forget(self) -> None:
        """The server was started anew: nothing is known of it."""
        self._in_a_row = 0
        self._rested_at_s = None

    def _rest(self, rest_s: float) -> None:
        self._rest_s = rest_s
        self._rested_at_s = self._clock() + rest_s
        _log.warning(
            "speech server left, it answers too late", peer=self._peer, late=self._in_a_row, tried_again_in_s=rest_s
        )
