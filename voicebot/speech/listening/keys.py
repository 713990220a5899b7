"""Keys collected into an entry: complete, incomplete, or still going on. Pure; times come with the keys."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from voicebot.dialog.expectation import KeyEntry

KEYS = frozenset("0123456789*#ABCD")

#: Two reports of one key closer than this are one press: a tone heard in the audio and the carrier's own message.
_SAME_PRESS_S = 0.08


class IncompleteReason(StrEnum):
    #: The terminator came before the fewest keys.
    TERMINATED_EARLY = "terminated_early"
    #: No further key came in time.
    TIMED_OUT = "timed_out"


@dataclass(frozen=True, slots=True)
class KeysCompleted:
    """An entry without its terminator. Personal: a PIN or card number may be in it."""

    keys: str


@dataclass(frozen=True, slots=True)
class KeysIncomplete:
    """Too few keys. Personal, too."""

    keys: str
    why: IncompleteReason


KeysEvent = KeysCompleted | KeysIncomplete


class KeyCollector:
    """One entry after another for one question; a new `Expectation` needs a new collector.

    Times are seconds on any clock that never goes back, the same for every call.
    """

    def __init__(self, entry: KeyEntry) -> None:
        self._entry = entry
        self._keys = ""
        self._last_key = ""
        self._last_at_s = float("-inf")

    @property
    def collecting(self) -> bool:
        """Whether an entry has begun: speech does not count until it is over."""
        return bool(self._keys)

    @property
    def deadline_s(self) -> float | None:
        """When `expire` is due; `None` while nothing has been keyed."""
        return self._last_at_s + self._entry.gap_s if self._keys else None

    def press(self, key: str, at_s: float) -> KeysEvent | None:
        """Take a key, one of `KEYS`; return the entry's end if this key brings it."""
        if key not in KEYS:
            raise ValueError("a key is one of 0-9, *, #, A-D")
        if key == self._last_key and at_s - self._last_at_s < _SAME_PRESS_S:
            return None
        self._last_key, self._last_at_s = key, at_s
        if key == self._entry.terminator:
            return self._end(IncompleteReason.TERMINATED_EARLY)
        self._keys += key
        return self._end(IncompleteReason.TIMED_OUT) if len(self._keys) >= self._entry.max_keys else None

    def expire(self, now_s: float) -> KeysEvent | None:
        """Return the entry's end if no key came in time; call at `deadline_s` or any time after."""
        deadline_s = self.deadline_s
        if deadline_s is None or now_s < deadline_s:
            return None
        return self._end(IncompleteReason.TIMED_OUT)

    def _end(self, why: IncompleteReason) -> KeysEvent:
        keys, self._keys = self._keys, ""
        return KeysCompleted(keys) if len(keys) >= self._entry.min_keys else KeysIncomplete(keys, why)
