"""The errors every room may raise. A message names what is wrong and the fix, never what a caller said or keyed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class VoicebotError(Exception):
    """Base of every error this project raises on purpose."""


class LocalProtocolError(VoicebotError):
    """Our own code broke a protocol: a bug here, never the peer's fault."""


class RemoteProtocolError(VoicebotError):
    """A peer sent something its protocol does not allow.

    `kind` is a short constant (``"bad_base64"``) that metrics count; the message may say more, but never quotes
    media, keys or other personal content.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class EngineUnavailable(VoicebotError):
    """A speech engine is missing, dead or too slow. The message says which one and what helps."""


@contextmanager
def first_unavailable() -> Iterator[None]:
    """Raise the first `EngineUnavailable` of a task group alone: callers name this error, not a group of them."""
    failure: Exception | None = None
    try:
        yield
    except* EngineUnavailable as failures:
        failure = failures.exceptions[0]
    if failure is not None:
        # Not within `except*`: Python 3.11.2, which is Debian 12's, takes it there for the group it came from.
        raise failure


class BackendUnavailable(VoicebotError):
    """A customer's system did not answer as agreed. Named failures are results, not this error."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file that a person wrote: where it is, what is wrong, and what would mend it."""

    file: str
    line: int | None
    what: str
    fix: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.what} {self.fix}"


class ConfigurationError(VoicebotError):
    """Something an admin or operator wrote is wrong. Carries every problem found, not only the first."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems
