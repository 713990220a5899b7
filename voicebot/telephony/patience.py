"""How much nonsense a peer may send before its connection is given up. Pure."""

from __future__ import annotations

#: Good messages that make up for a bad one: a peer with a harmless fault stays, one that sends little else goes.
GOOD_FOR_BAD = 10


class Patience:
    """Is `exhausted` after `bad_messages` in a row, or more of them with some good ones between."""

    def __init__(self, bad_messages: int) -> None:
        self._limit = bad_messages * GOOD_FOR_BAD
        self._spent = 0

    @property
    def exhausted(self) -> bool:
        return self._spent >= self._limit

    def good(self) -> None:
        if self._spent:
            self._spent -= 1

    def bad(self) -> None:
        self._spent += GOOD_FOR_BAD
