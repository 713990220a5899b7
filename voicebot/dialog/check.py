"""`flows check`: every mistake in a bot at once, with its place and the likely fix, before a caller finds it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voicebot.dialog.filling import empty_uses, unproven_calls
from voicebot.dialog.finding import Finding, Severity, at, declared_at, error, refused, warning
from voicebot.dialog.flow import Bot
from voicebot.dialog.kinds import kind_findings
from voicebot.dialog.loader import load_bot
from voicebot.dialog.recording_rules import recording_findings
from voicebot.dialog.shape import shape_findings
from voicebot.dialog.steps import CallStep
from voicebot.dialog.values import ValueKind
from voicebot.dialog.wording import wording_findings
from voicebot.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class ExampleTaken:
    """An example that a classifier trained on the others takes for another intent, and how sure it is."""

    example: str
    intent: str
    taken_for: str
    confidence: float


#: Measures which examples collide; the language room's classifier in production.
Collide = Callable[[Mapping[str, Sequence[str]]], Sequence[ExampleTaken]]


#: Finds what is wrong with files of a bot's folder that other rooms read, such as queues.yaml.
Beside = Callable[[Path, Bot], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, errors first in each file. `bot` is None when it could not even be loaded."""

    findings: tuple[Finding, ...]
    bot: Bot | None

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)

    @property
    def may_go_live(self) -> bool:
        return self.bot is not None and not self.errors


def check(directory: Path, collide: Collide | None = None, beside: Sequence[Beside] = ()) -> Report:
    """Check the bot in `directory`. Without `collide`, only examples that are exactly alike collide.

    What `beside` finds counts as what is found here.
    """
    try:
        bot = load_bot(directory)
    except ConfigurationError as wrong:
        return Report(tuple(refused(wrong)), None)
    findings = [
        *shape_findings(bot),
        *_filling_findings(bot),
        *_permission_findings(bot),
        *kind_findings(bot),
        *wording_findings(bot),
        *recording_findings(bot),
        *(_collisions(bot, collide) if collide else ()),
        *(finding for find in beside for finding in find(directory, bot)),
    ]
    ordered = sorted(set(findings), key=lambda one: (one.file, one.line or 0, one.severity, one.what))
    return Report(tuple(ordered), bot)


def _filling_findings(bot: Bot) -> Iterator[Finding]:
    for name, uses in empty_uses(bot).items():
        for use in uses:
            what = f"'{use.slot}' may still be empty at the step '{use.step.id}'."
            fix = "Ask for it, save it or set it on every path before."
            yield error("empty", at(bot.flows[name], use.step), what, fix)


def _permission_findings(bot: Bot) -> Iterator[Finding]:
    for name, calls in unproven_calls(bot).items():
        for call in calls:
            if isinstance(call.step, CallStep):
                what = f"'{call.step.operation}' needs '{call.slot}', and some path comes here without it."
                fix = "Run the flow that proves it before, and leave when that fails."
                yield error("unproven", at(bot.flows[name], call.step), what, fix)
    for operation in bot.operations.values():
        limits = (operation.person_when, operation.approve_when)
        if operation.write and operation.undo is None:
            what = f"'{operation.name}' writes, and nothing says how it is undone."
            fix = "Add 'undo:' with an operation, with 'by_hand: what a person does' or 'never: why nobody can'."
            yield error("no_undo", declared_at(bot, f"operation {operation.name}"), what, fix)
        if operation.write and not any(limits) and ValueKind.MONEY in operation.arguments.values():
            what = f"'{operation.name}' moves any amount of money without a person."
            fix = "Add 'person_when: amount > 500' with your limit."
            yield warning("no_limit", declared_at(bot, f"operation {operation.name}"), what, fix)


def _collisions(bot: Bot, collide: Collide) -> Iterator[Finding]:
    for taken in collide(bot.intents):
        what = (
            f"'{taken.example}' is an example of {taken.intent}, but sounds like {taken.taken_for}"
            f" ({taken.confidence:.0%} sure)."
        )
        fix = "Move or reword it, or give both intents more examples that differ."
        yield warning("collision", declared_at(bot, f"intent {taken.intent}"), what, fix)
