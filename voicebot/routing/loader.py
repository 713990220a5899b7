"""Reads queues.yaml into a `Routing`, or says everything that is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import TypeVar

from voicebot.dialog.document import Fields, Source, read_yaml, suggestion
from voicebot.dialog.loader import FLOWS_FOR_PEOPLE, QUEUES
from voicebot.errors import ConfigurationError, Problem
from voicebot.routing.agents import Agent, Reach, ReachKind
from voicebot.routing.destinations import Conference, Destination, Dial, Refer, TaskQueue
from voicebot.routing.queues import USUAL_STEPS, Callbacks, Choice, Failure, NextStep, Queue, Routing
from voicebot.routing.wording import DEFAULTS, Wording, names_in

TOP_KEYS = ("default", "queues", "agents", "tiers", "topics", "callbacks", "says")
QUEUE_SECONDS = ("max_wait_s", "offer_above_s", "ring_s", "accept_s", "wrap_up_s", "handle_s")
QUEUE_COUNTS = ("priority", "max_waiting", "max_tries")
QUEUE_KEYS = (
    "title",
    "topics",
    "skills",
    "hours",
    "overflow",
    "offers",
    "after_hours",
    "number",
    "survey",
    "survey_always",
    "step",
    "then",
    "elsewhere",
    *QUEUE_SECONDS,
    *QUEUE_COUNTS,
)
AGENT_KEYS = ("name", "skills", "reach")
CALLBACK_KEYS = ("earliest_hour", "latest_hour", "slot_minutes", "per_slot", "attempts", "retry_minutes")
#: What a destination is written with, by the name that tells its kind.
DESTINATION_KEYS = {
    "refer": ("refer", "introduced"),
    "dial": ("dial",),
    "conference": ("conference", "coach"),
    "workflow": ("workflow", "workspace"),
}
LEVELS = range(1, 10)
_SIP_ADDRESS = re.compile(r"sips?:[^\s@]+@[^\s@]+")
_NUMBER = re.compile(r"\+[1-9]\d{4,14}")
_SID = re.compile(r"[0-9a-fA-F]{32}")

_E = TypeVar("_E", Choice, Failure, NextStep, ReachKind)


def load_routing(
    folder: Path, *, schedules: Collection[str] | None = None, flows: Collection[str] | None = None
) -> Routing | None:
    """Load the queues of a bot's folder; None when it has none. ConfigurationError with every problem's file and line.

    `schedules` are the names that a queue's `hours:` may use, `flows` those of `survey:` and `step:`; None leaves them
    unchecked.
    """
    path = folder / QUEUES
    if not path.is_file():
        return None
    problems: list[Problem] = []
    document = read_yaml(path, QUEUES, problems)
    routing = _routing(document, schedules) if document else None
    if document and flows is not None and document.is_fields:
        _check_flows(document, flows)
    if problems or routing is None:
        raise ConfigurationError(sorted(problems, key=lambda problem: problem.line or 0))
    return routing


def _routing(document: Source, schedules: Collection[str] | None) -> Routing:
    fields = document.fields(TOP_KEYS)
    queues_source, agents_source = fields.require("queues"), fields.require("agents")
    queue_fields = list(queues_source.fields()) if queues_source else []
    queues = {name: _queue(name, source, schedules) for name, source in queue_fields}
    agents = {name: _agent(name, source) for name, source in (agents_source.fields() if agents_source else ())}
    _check_references(queue_fields, queues, agents)
    default = fields.require("default")
    if default and default.text() not in queues:
        default.problem(f"There is no queue '{default.text()}'.", suggestion(default.text(), queues))
    callbacks = fields.get("callbacks")
    return Routing(
        queues=queues,
        agents=agents,
        default=default.text() if default else "",
        tiers=_numbers(fields, "tiers"),
        topics=_numbers(fields, "topics"),
        callbacks=_callbacks(callbacks) if callbacks else Callbacks(),
        wording=_wording(fields.get("says")),
    )


def _queue(name: str, source: Source, schedules: Collection[str] | None) -> Queue:
    fields = source.fields(QUEUE_KEYS)
    title, hours = fields.require("title"), fields.get("hours")
    if hours and schedules is not None and hours.text() not in schedules:
        hours.problem(f"There is no schedule '{hours.text()}'.", suggestion(hours.text(), schedules))
    usual = Queue(name, title.text() if title else name)

    def number(key: str, default: float) -> int:
        found = fields.get(key)
        return found.number() if found else round(default)

    queue = Queue(
        name=name,
        title=usual.title,
        skills=_levels(fields.get("skills")),
        topics=frozenset(fields.texts("topics")),
        priority=number("priority", usual.priority),
        hours=hours.text() if hours else "",
        overflow=fields.text("overflow"),
        max_wait_s=number("max_wait_s", usual.max_wait_s),
        max_waiting=number("max_waiting", usual.max_waiting),
        offer_above_s=number("offer_above_s", usual.offer_above_s),
        ring_s=number("ring_s", usual.ring_s),
        accept_s=number("accept_s", usual.accept_s),
        wrap_up_s=number("wrap_up_s", usual.wrap_up_s),
        handle_s=number("handle_s", usual.handle_s),
        max_tries=number("max_tries", usual.max_tries),
        offers=_choices(fields.get("offers"), usual.offers),
        after_hours=_choices(fields.get("after_hours"), usual.after_hours),
        number=fields.text("number"),
        survey=fields.text("survey"),
        survey_always=fields.flag("survey_always"),
        step=fields.text("step"),
        then=_steps(fields.get("then")),
        elsewhere=_destinations(fields.get("elsewhere")),
    )
    if queue.survey_always and not queue.survey:
        source.problem("Every call ends with a survey, and none is named.", "Add 'survey: <flow>'.")
    if Choice.NUMBER in {*queue.offers, *queue.after_hours} and not queue.number:
        source.problem("A number is offered, and none is written.", "Add 'number: +1 555 0100'.")
    if queue.max_tries < 1:
        source.problem("An agent must be tried at least once.", "Write 'max_tries: 1' or more.")
    if Choice.OVERFLOW in {*queue.offers, *queue.after_hours} and not queue.overflow:
        source.problem("Another queue is offered, and none is named.", "Add 'overflow: <queue>'.")
    if Choice.WAIT in queue.after_hours:
        source.problem("Nobody can wait after hours.", "Remove 'wait' from 'after_hours:'.")
    return queue


def _agent(name: str, source: Source) -> Agent:
    fields = source.fields(AGENT_KEYS)
    said, reach = fields.require("name"), fields.require("reach")
    reaches = tuple(found for item in (reach.items() if reach else ()) if (found := _reach(item)))
    return Agent(name, said.text() if said else name, _levels(fields.get("skills")), reaches)


def _reach(source: Source) -> Reach | None:
    """Read ``browser``, ``{sip: sip:ana@pbx.example}`` or ``{phone: "+15550123"}``."""
    if source.is_text:
        kind = _member(ReachKind, source, "line")
        if kind not in {None, ReachKind.BROWSER}:
            source.problem(f"'{kind}' needs an address.", f"Write '- {kind}: <address>'.")
        return Reach(ReachKind.BROWSER)
    for name, entry in source.fields(tuple(ReachKind)):
        if name == ReachKind.BROWSER:
            return Reach(ReachKind.BROWSER)
        return Reach(ReachKind(name), entry.text())
    return None


def _destinations(source: Source | None) -> tuple[Destination, ...]:
    if source is None:
        return ()
    items = source.items() if source.is_list else [source]
    return tuple(found for item in items if (found := _destination(item)))


def _destination(source: Source) -> Destination | None:
    """Read ``{refer: sip:…}``, ``{dial: …}``, ``{conference: …, coach: …}`` or ``{workflow: WW…, workspace: WS…}``."""
    fields = source.fields(tuple(sorted({key for keys in DESTINATION_KEYS.values() for key in keys})))
    kinds = [kind for kind in DESTINATION_KEYS if kind in fields]
    if len(kinds) != 1:
        source.problem("A destination is of one kind.", f"Begin it with one of {', '.join(DESTINATION_KEYS)}.")
        return None
    for name in fields.names:
        if name not in DESTINATION_KEYS[kinds[0]]:
            source.problem(f"'{name}' does not go with '{kinds[0]}'.", "Remove it.")
    match kinds[0]:
        case "refer":
            address = _written(fields, "refer", _SIP_ADDRESS, "a SIP address", "sip:support@pbx.example")
            return Refer(address, fields.flag("introduced"))
        case "dial":
            return Dial(_line_of(fields, "dial"))
        case "conference":
            coach = _line_of(fields, "coach") if "coach" in fields else ""
            return Conference(
                _written(fields, "conference", _NUMBER, "a number with its country", '"+15550123"'), coach
            )
        case _:
            return TaskQueue(
                _written(fields, "workspace", re.compile(f"WS{_SID.pattern}"), "a workspace's SID", "WS…"),
                _written(fields, "workflow", re.compile(f"WW{_SID.pattern}"), "a workflow's SID", "WW…"),
            )


def _line_of(fields: Fields, name: str) -> str:
    either = re.compile(f"{_NUMBER.pattern}|{_SIP_ADDRESS.pattern}")
    return _written(fields, name, either, "a number with its country or a SIP address", '"+15550123"')


def _written(fields: Fields, name: str, form: re.Pattern[str], what: str, example: str) -> str:
    source = fields.require(name)
    if source is None:
        return ""
    text = source.text()
    if form.fullmatch(text) is None:
        source.problem(f"'{text}' is not {what}.", f"Write '{name}: {example}'.")
    return text


def _check_flows(document: Source, flows: Collection[str]) -> None:
    queues = document.fields().get("queues")
    for _, queue in queues.fields() if queues and queues.is_fields else ():
        for key in FLOWS_FOR_PEOPLE:
            named = queue.fields().get(key) if queue.is_fields else None
            if named and named.text() not in flows:
                named.problem(f"There is no flow '{named.text()}'.", suggestion(named.text(), flows))


def _check_references(named: list[tuple[str, Source]], queues: dict[str, Queue], agents: dict[str, Agent]) -> None:
    owners: dict[str, str] = {}
    for name, source in named:
        queue = queues[name]
        if queue.overflow and queue.overflow not in queues:
            source.problem(f"There is no queue '{queue.overflow}' to overflow to.", suggestion(queue.overflow, queues))
        if queue.overflow == name:
            source.problem(f"'{name}' overflows to itself.", "Name another queue, or remove 'overflow:'.")
        for topic in sorted(queue.topics):
            if topic in owners:
                source.problem(f"'{topic}' belongs to '{owners[topic]}' already.", "Keep it in one queue.")
            owners.setdefault(topic, name)
        missing = [skill for skill in queue.skills if not any(skill in agent.skills for agent in agents.values())]
        for skill in missing:
            known = sorted({known for agent in agents.values() for known in agent.skills})
            source.problem(f"No agent has the skill '{skill}'.", suggestion(skill, known))


def _levels(source: Source | None) -> dict[str, int]:
    levels: dict[str, int] = {}
    for name, entry in source.fields() if source else ():
        levels[name] = entry.number(least=1)
        if levels[name] not in LEVELS:
            entry.problem("A level goes from 1 to 9.", "Write one digit.")
    return levels


def _steps(source: Source | None) -> dict[Failure, NextStep]:
    steps = dict(USUAL_STEPS)
    for name, entry in source.fields(tuple(Failure)) if source else ():
        if what := _member(NextStep, entry, "next step"):
            steps[Failure(name)] = what
    return steps


def _choices(source: Source | None, usual: tuple[Choice, ...]) -> tuple[Choice, ...]:
    if source is None:
        return usual
    items = source.items() if source.is_list or source.is_text else []
    return tuple(found for item in items if (found := _member(Choice, item, "choice")))


def _member(kind: type[_E], source: Source, what: str) -> _E | None:
    text = source.text()
    if text in set(kind):
        return kind(text)
    source.problem(f"'{text}' is no {what}.", suggestion(text, [member.value for member in kind]))
    return None


def _numbers(fields: Fields, name: str) -> dict[str, int]:
    source = fields.get(name)
    return {key: entry.number() for key, entry in source.fields()} if source else {}


def _wording(source: Source | None) -> Wording:
    """Read what is said; each text may use the names of the built-in one that it stands for."""
    written: dict[str, str] = {}
    for name, entry in source.fields(tuple(DEFAULTS)) if source else ():
        written[name] = entry.text()
        known = names_in(DEFAULTS[name])
        for used in sorted(names_in(written[name]) - known):
            entry.problem(f"'{{{used}}}' is not known here.", suggestion(used, sorted(known)))
    return Wording(written)


def _callbacks(source: Source) -> Callbacks:
    fields = source.fields(CALLBACK_KEYS)
    values = {key: found.number() for key in CALLBACK_KEYS if (found := fields.get(key))}
    rules = Callbacks(**values)
    if not 0 <= rules.earliest_hour < rules.latest_hour <= 24:
        source.problem("The hours of the day make no sense.", "Write for example earliest_hour: 9, latest_hour: 20.")
    if not rules.slot_minutes or 60 % rules.slot_minutes:
        source.problem("A slot must divide an hour.", "Write 'slot_minutes: 30'.")
    return rules
