"""A wrapper that keeps what callers say and key out of logs and error messages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class Personal:
    """Wraps a personal value handed to a logger; only its length ever shows.

    The value itself is reachable as `value` for the one sink that may hold it (the encrypted record).
    """

    value: str

    def __repr__(self) -> str:
        return f"<personal, {len(self.value)} characters>"

    def __str__(self) -> str:
        return repr(self)
