"""Which numbers may be called, and how often: a bot that was talked into it must not call the world. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import phonenumbers


class NumberPlan:
    """Numbers as people write them to E.164, and the prefixes that may be called. `region` is a two-letter country."""

    def __init__(self, prefixes: Sequence[str], *, region: str) -> None:
        self._prefixes = tuple(prefixes)
        self._region = region

    def normalise(self, number: str) -> str | None:
        """Return ``+15550100``, or None when it is no number that can be dialled."""
        try:
            parsed = phonenumbers.parse(number, self._region)
        except phonenumbers.NumberParseException:
            return None
        if not phonenumbers.is_possible_number(parsed):
            return None
        return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)

    def allows(self, e164: str) -> bool:
        """Tell whether a normalised number begins with an allowed prefix."""
        return e164.startswith(self._prefixes) if self._prefixes else False


class DialLimits:
    """Counts calls going out. `clock` is monotonic, in seconds."""

    def __init__(self, *, per_hour: int, at_once: int, clock: Callable[[], float]) -> None:
        self._per_hour = per_hour
        self._at_once = at_once
        self._clock = clock
        self._begun_s: deque[float] = deque()
        self._open = 0

    def take(self) -> bool:
        """Count a call that begins now, unless a limit forbids it; `give_back` when it is over."""
        now_s = self._clock()
        while self._begun_s and now_s - self._begun_s[0] >= 3600:
            self._begun_s.popleft()
        if len(self._begun_s) >= self._per_hour or self._open >= self._at_once:
            return False
        self._begun_s.append(now_s)
        self._open += 1
        return True

    def give_back(self) -> None:
        self._open -= 1
