"""Reads after_call.yaml: what is done once a call is over, or everything that is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, time
from enum import StrEnum
from pathlib import Path

from voicebot.dialog.condition import Condition, ConditionError, holds, names_in, parse_condition
from voicebot.dialog.document import Fields, Source, read_yaml, suggestion
from voicebot.dialog.events import SlotValue
from voicebot.dialog.flow import Operation
from voicebot.dialog.loader import AFTER_CALL
from voicebot.dialog.prompt import Fixed, Piece, TemplateError, Values, parse_template, render
from voicebot.dialog.values import ValueKind
from voicebot.errors import ConfigurationError, Problem

#: What is known of every call besides its slots. `customer` is empty until somebody has proved who they are.
KNOWN = ("outcome", "goal", "goal_reached", "channel", "caller", "called", "customer", "summary")
TASK_KEYS = ("when", "operation", "with", "sms", "email", "subject", "text", "follow_up", "due_hours")
_TOP_KEYS = ("customer", "proven_by", "tasks")
#: Kinds that a slot's written text can be passed as.
_TEXTUAL = frozenset(
    (
        ValueKind.TEXT,
        ValueKind.DIGITS,
        ValueKind.ALPHANUMERIC,
        ValueKind.NAME,
        ValueKind.CHOICE,
        ValueKind.PHONE,
        ValueKind.POSTCODE,
    )
)
#: Nothing here compares days with today.
NO_DAY = date.min
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME = re.compile(r"\d{2}:\d{2}(:\d{2})?")


class Channel(StrEnum):
    SMS = "sms"
    EMAIL = "email"


@dataclass(frozen=True, slots=True)
class Operate:
    """Carry out a write of the customer's systems; `arguments` are names of what is known of the call."""

    operation: str
    arguments: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Write:
    """Send a message to what the name `to` holds: by SMS a number, by e-mail an address."""

    channel: Channel
    to: str
    subject: str
    text: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Remind:
    """Leave something for a person to do within `due_hours`."""

    text: tuple[Piece, ...]
    due_hours: int


@dataclass(frozen=True, slots=True)
class Task:
    name: str
    when: Condition | None
    work: Operate | Write | Remind

    def applies(self, facts: Mapping[str, str]) -> bool:
        """Say whether it is to be done after a call of which `facts` are known; an empty fact is not known."""
        known = _truths(facts)
        return self.when is None or holds(self.when, known.get, NO_DAY)


@dataclass(frozen=True, slots=True)
class Plan:
    """`customer` is the slot that names a customer, once the slot `proven_by` says that it is really them."""

    customer: str = ""
    proven_by: str = ""
    tasks: Mapping[str, Task] = field(default_factory=dict)


def fill(text: tuple[Piece, ...], facts: Mapping[str, str]) -> str:
    """Return a message's text with what is known of the call filled in, days and times as people write them."""
    values: dict[str, SlotValue] = {name: _day_or_time(value) for name, value in facts.items()}
    parts = render(text, Values(values.get, lambda _: ValueKind.TEXT, NO_DAY), in_writing=True)
    return " ".join(part.text for part in parts)


def _day_or_time(value: str) -> SlotValue:
    """Read back what a record holds of a day or a time; anything else stays the text it is."""
    for shape, read in ((_DAY, date.fromisoformat), (_TIME, time.fromisoformat)):
        if shape.fullmatch(value):
            try:
                return read(value)
            except ValueError:  # the thirtieth of February
                return value
    return value


def load_plan(folder: Path, operations: Mapping[str, Operation]) -> Plan:
    """Load the plan of a bot's folder, an empty one if it has none; ConfigurationError with file and line."""
    path = folder / AFTER_CALL
    if not path.is_file():
        return Plan()
    problems: list[Problem] = []
    document = read_yaml(path, AFTER_CALL, problems)
    plan = _plan(document, operations) if document else Plan()
    if problems:
        raise ConfigurationError(sorted(problems, key=lambda problem: problem.line or 0))
    return plan


def _plan(document: Source, operations: Mapping[str, Operation]) -> Plan:
    fields = document.fields(_TOP_KEYS)
    tasks = {}
    if tasks_source := fields.get("tasks"):
        for name, entry in tasks_source.fields():
            if task := _task(name, entry, operations):
                tasks[name] = task
    return Plan(fields.text("customer"), fields.text("proven_by"), tasks)


def _task(name: str, source: Source, operations: Mapping[str, Operation]) -> Task | None:
    fields = source.fields(TASK_KEYS)
    kinds = [key for key in ("operation", "sms", "email", "follow_up") if key in fields]
    if len(kinds) != 1:
        source.problem(f"'{name}' must do one thing.", "Write one of operation, sms, email or follow_up.")
        return None
    make: Mapping[str, Callable[[Fields], Operate | Write | Remind | None]] = {
        "operation": lambda given: _operate(given, operations),
        "sms": lambda given: _write(given, Channel.SMS),
        "email": lambda given: _write(given, Channel.EMAIL),
        "follow_up": _remind,
    }
    work = make[kinds[0]](fields)
    when = fields.get("when")
    return Task(name, _condition(when) if when else None, work) if work else None


def _condition(source: Source) -> Condition | None:
    try:
        condition = parse_condition(source.text())
    except ConditionError as error:
        source.problem(str(error), "Write it like: goal_reached and caller")
        return None
    for used in names_in(condition):
        if not used.isidentifier():
            source.problem(f"'{used}' is not known after a call.", suggestion(used, KNOWN))
    return condition


def _operate(fields: Fields, operations: Mapping[str, Operation]) -> Operate | None:
    source = fields.get("operation")
    if source is None:
        return None
    name = source.text()
    operation = operations.get(name)
    if operation is None:
        source.problem(f"There is no operation '{name}'.", suggestion(name, operations))
        return None
    if not operation.write:
        source.problem(f"'{name}' only reads, so nothing would come of it.", "Name an operation with 'write: yes'.")
    if operation.secret:
        source.problem(f"'{name}' takes a secret, which is not kept after a call.", "Use a follow_up instead.")
    if operation.approve_when or operation.person_when:
        source.problem(f"'{name}' is a person's to allow, and nobody waits after a call.", "Use a follow_up instead.")
    given = fields.get("with")
    entries = dict(given.fields(operation.arguments)) if given else {}
    arguments = {argument: entry.text() for argument, entry in entries.items()}
    _check_arguments(source, operation, arguments)
    return Operate(name, arguments)


def _check_arguments(source: Source, operation: Operation, given: Collection[str]) -> None:
    for argument, kind in operation.arguments.items():
        if argument not in given:
            source.problem(f"'{operation.name}' needs '{argument}'.", f"Add '{argument}: …' under 'with:'.")
        elif kind not in _TEXTUAL:
            what = f"'{argument}' of '{operation.name}' is {kind}; only what is written as text is known after a call."
            source.problem(what, "Have the system take it as text.")


def _write(fields: Fields, channel: Channel) -> Write | None:
    to, text = fields.require(channel.value), fields.require("text")
    pieces = _template(text) if text else ()
    return Write(channel, to.text(), fields.text("subject"), pieces) if to and pieces else None


def _remind(fields: Fields) -> Remind | None:
    text, due = fields.require("follow_up"), fields.get("due_hours")
    pieces = _template(text) if text else ()
    return Remind(pieces, due.number(least=1) if due else 24) if pieces else None


def _template(source: Source) -> tuple[Piece, ...]:
    text = source.text()
    try:
        return parse_template(text) if text else ()
    except TemplateError as error:
        source.problem(str(error), "Write what is known as {goal} or {summary}.")
        return (Fixed(text),)


def _truths(facts: Mapping[str, str]) -> dict[str, str | bool]:
    """Facts as conditions see them: what is empty is not there, and yes and no are truths."""
    words: Mapping[str, bool] = {"True": True, "False": False}
    return {name: words.get(value, value) for name, value in facts.items() if value}
