"""`flows check` for systems.yaml and the articles: what would keep a server from opening a bot's systems."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from voicebot.backends.articles import read_articles
from voicebot.backends.environment import unset, unusable
from voicebot.backends.systems import HttpSpec, Spec, read_systems
from voicebot.dialog.finding import Finding, Severity, declared_at, refused
from voicebot.dialog.flow import Bot
from voicebot.dialog.loader import KNOWLEDGE, SYSTEMS
from voicebot.errors import ConfigurationError, Problem


def systems_findings(
    folder: Path, bot: Bot, *, environ: Mapping[str, str], built_in: frozenset[str]
) -> Iterator[Finding]:
    """Find what is wrong with the systems and articles in `folder`, those of `bot`.

    `built_in` are the operations that a server carries out without any system. A variable that is not set is a warning:
    a bot is often checked where the server's secrets are not.
    """
    try:
        read_articles(folder / KNOWLEDGE)
    except ConfigurationError as wrong:
        yield from refused(wrong)
    try:
        specs = read_systems(folder, bot.operations)
    except ConfigurationError as wrong:
        yield from refused(wrong)
        return
    for problem in unset(specs, environ):
        what = f"{problem.what} It is not set here."
        yield Finding("unset", Severity.WARNING, problem.file, problem.line, what, "Set it where the server runs.")
    yield from refused(ConfigurationError(list(unusable(specs, environ))))
    yield from refused(ConfigurationError(list(undone(bot, built_in | done_by(specs)))))


def done_by(specs: Collection[Spec]) -> frozenset[str]:
    """Return the operations that systems carry out, by name."""
    return frozenset(
        name for spec in specs for name in (spec.requests if isinstance(spec, HttpSpec) else spec.statements)
    )


def undone(bot: Bot, done: Collection[str]) -> Iterator[Problem]:
    """Yield a problem for each operation of `bot` that nothing carries out; `done` are those that something does."""
    for name in sorted(bot.operations.keys() - done):
        place = declared_at(bot, f"operation {name}")
        what = f"No system carries out '{name}'."
        yield Problem(place.file, place.line, what, f"Say in {SYSTEMS} how it is done, or remove it here.")
