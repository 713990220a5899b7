"""What a check finds: a mistake that keeps a bot from going live, or something that callers will suffer from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from voicebot.dialog.flow import Bot, Flow, Place
from voicebot.dialog.steps import Step
from voicebot.errors import ConfigurationError


class Severity(StrEnum):
    """An `ERROR` refuses the bot; a `WARNING` leaves it to the admin."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding with its place. `rule` is a short constant, for tools; `what` and `fix` are for people."""

    rule: str
    severity: Severity
    file: str
    line: int | None
    what: str
    fix: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.severity}: {self.what} {self.fix}"


def at(flow: Flow, step: Step | None = None) -> Place:
    """Where a step, or the flow itself, stands."""
    return Place(flow.file, step.line if step else flow.line)


def declared_at(bot: Bot, what: str) -> Place:
    """Where something outside steps is declared (``"type pin"``)."""
    return bot.places.get(what, Place("bot.yaml", 1))


def error(rule: str, place: Place, what: str, fix: str) -> Finding:
    return Finding(rule, Severity.ERROR, place.file, place.line, what, fix)


def warning(rule: str, place: Place, what: str, fix: str) -> Finding:
    return Finding(rule, Severity.WARNING, place.file, place.line, what, fix)


def refused(wrong: ConfigurationError) -> Iterator[Finding]:
    """Yield what a reader of one of the bot's files refused."""
    for problem in wrong.problems:
        yield Finding("load", Severity.ERROR, problem.file, problem.line, problem.what, problem.fix)
