"""How many connections, and how many calls a caller may start. Pure: the clock comes in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from voicebot.errors import VoicebotError

#: Callers remembered at once; the longest quiet are forgotten first, so a flood of invented numbers stays bounded.
MAX_REMEMBERED = 10_000


class TooManyConnections(VoicebotError):
    """A connection more than allowed, in all or from one address."""


class ConnectionLimit:
    """Counts open WebSockets, in all and by address."""

    def __init__(self, *, max_connections: int, max_per_address: int) -> None:
        self._max_connections = max_connections
        self._max_per_address = max_per_address
        self._of_address: Counter[str] = Counter()

    @property
    def count(self) -> int:
        return self._of_address.total()

    @contextmanager
    def hold(self, address: str) -> Iterator[None]:
        """Count one connection while the block runs; raises `TooManyConnections`."""
        if self.count >= self._max_connections:
            raise TooManyConnections("This server has as many connections as it may.")
        if self._of_address[address] >= self._max_per_address:
            raise TooManyConnections("This address has as many connections as it may.")
        self._of_address[address] += 1
        try:
            yield
        finally:
            self._of_address[address] -= 1
            if not self._of_address[address]:
                del self._of_address[address]


class RateLimit:
    """Allows each key `max_events` within any `window_s` seconds; `clock` is monotonic."""

    def __init__(self, *, max_events: int, window_s: float, clock: Callable[[], float]) -> None:
        self._max_events = max_events
        self._window_s = window_s
        self._clock = clock
        # Lists, since there are thousands of them: an empty deque takes five times the room of a list of one.
        self._events: dict[str, list[float]] = {}

    def is_spent(self, key: str) -> bool:
        """Tell whether one more event of `key` would be too many, without counting one."""
        since_s = self._clock() - self._window_s
        return sum(at_s > since_s for at_s in self._events.get(key, ())) >= self._max_events

    def allow(self, key: str) -> bool:
        """Count one event of `key`; False, and not counted, when it is one too many."""
        now_s = self._clock()
        # Taken out and put back, so that the dictionary is ordered by when a key was last seen.
        events = self._events.pop(key, None) or []
        self._events[key] = events
        if len(self._events) > MAX_REMEMBERED:
            del self._events[next(iter(self._events))]
        while events and events[0] <= now_s - self._window_s:
            events.pop(0)
        if len(events) >= self._max_events:
            return False
        events.append(now_s)
        return True
