"""What of a bot its stories show: every step, every failure of a system where it is called, every answer refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from voicebot.dialog.actions import Action, RecordDecision, Say
from voicebot.dialog.flow import Bot, Flow
from voicebot.dialog.prompt import Prompt
from voicebot.dialog.steps import AskStep, CallStep, SlotType
from voicebot.dialog.values import ValueKind

#: How a call of a system ends that gave no answer.
UNAVAILABLE = "unavailable"
#: Kinds that demand something of a value even where the type adds no limits.
_STRICT = frozenset({ValueKind.PHONE, ValueKind.POSTCODE, ValueKind.BIRTH_DATE})


@dataclass(frozen=True, slots=True)
class SystemFailure:
    """A step's call of an operation that ends with `failure`, one that it names or `UNAVAILABLE`."""

    flow: str
    step: str
    failure: str

    def __str__(self) -> str:
        return f"{self.step}: {self.failure}"


@dataclass(frozen=True, slots=True)
class RefusedAnswer:
    """An answer for `slot` that will not do, with the `reason` that the caller hears, as it is written."""

    flow: str
    slot: str
    reason: str

    def __str__(self) -> str:
        return f'{self.slot}: "{self.reason}"'


#: What goes wrong in a conversation that its flow has words for.
Setback = SystemFailure | RefusedAnswer


@dataclass(frozen=True, slots=True)
class FlowCoverage:
    """How many stories come to each step of a flow, and to each of its setbacks."""

    steps: dict[str, int]
    setbacks: dict[Setback, int]

    @property
    def unreached(self) -> tuple[str, ...]:
        return tuple(step for step, times in self.steps.items() if not times)

    @property
    def untold(self) -> tuple[Setback, ...]:
        return tuple(setback for setback, times in self.setbacks.items() if not times)


@dataclass(frozen=True, slots=True)
class Shown:
    """What one story shows: the steps it walks, as (flow, step), and the setbacks it tells."""

    walked: frozenset[tuple[str, str]]
    setbacks: frozenset[Setback]


def coverage(bot: Bot, stories: Sequence[Shown]) -> dict[str, FlowCoverage]:
    """By flow, what of it the stories show, in the order of the files. The implied last step is left out."""
    reached = Counter(place for story in stories for place in story.walked)
    told = Counter(setback for story in stories for setback in story.setbacks)
    return {
        flow.name: FlowCoverage(
            {
                step.id: reached[flow.name, step.id]
                for step in sorted(flow.steps.values(), key=lambda step: step.line)
                if step.id != "done"
            },
            {setback: told[setback] for setback in setbacks(bot, flow)},
        )
        for flow in bot.flows.values()
    }


def setbacks(bot: Bot, flow: Flow) -> tuple[Setback, ...]:
    """Everything that can go wrong in a flow and has words or steps of its own, in the order of its file."""
    found: list[Setback] = []
    for step in sorted(flow.steps.values(), key=lambda step: step.line):
        if isinstance(step, CallStep):
            found += [SystemFailure(flow.name, step.id, failure) for failure in (*step.outcomes, UNAVAILABLE)]
        elif isinstance(step, AskStep):
            found += [_refused(flow, step.slot, reason) for reason in _reasons(bot, flow, step.slot)]
    return tuple(dict.fromkeys(found))


def setbacks_met(bot: Bot, actions: Sequence[Action]) -> Iterator[Setback]:
    """The setbacks that one event of a conversation brought, by what the machine did on it."""
    said = {action.prompt for action in actions if isinstance(action, Say)}
    for note in actions:
        match note:
            case RecordDecision(rule="refused", flow=name, detail=slot):
                flow = bot.flows[name]
                yield from (_refused(flow, slot, why) for why in _reasons(bot, flow, slot) if why.name in said)
            case RecordDecision(rule="backend_answered", flow=name, step=step, detail=detail):
                outcome = detail.rpartition(": ")[2]
                if outcome != "ok":
                    yield SystemFailure(name, step, outcome)
            case RecordDecision(rule="backend_unavailable", flow=name, step=step):
                yield SystemFailure(name, step, UNAVAILABLE)
            case _:
                pass


def _refused(flow: Flow, slot: str, reason: Prompt) -> RefusedAnswer:
    return RefusedAnswer(flow.name, slot, reason.templates[0])


def _reasons(bot: Bot, flow: Flow, name: str) -> Iterator[Prompt]:
    """Every reason for which an answer for a slot is refused in a flow."""
    slot = flow.slots.get(name) or bot.remembered.get(name)
    if slot is None:
        return
    if slot.type.invalid and _may_be_invalid(slot.type):
        yield slot.type.invalid
    asks = [step for step in flow.steps.values() if isinstance(step, AskStep) and step.slot == name]
    rules = [*slot.type.rules, *(rule for step in asks for rule in step.rules)]
    yield from (rule.reason for rule in rules)


def _may_be_invalid(kind: SlotType) -> bool:
    return bool(kind.lengths or kind.pattern or kind.check_digit) or kind.kind in _STRICT
