"""Which slots are filled where: followed along every path, so that nothing empty is said or sent to a system."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from voicebot.dialog.condition import AllOf, AnyOf, Condition, Holds, Name, Not
from voicebot.dialog.flow import Bot, Flow
from voicebot.dialog.graph import successors
from voicebot.dialog.hours_values import HoursAspect, hours_names
from voicebot.dialog.steps import (
    AskStep,
    BranchStep,
    CallStep,
    ConfirmStep,
    DoneStep,
    HoursStep,
    RunStep,
    SetStep,
    Step,
    prompts_of,
)

#: What hours hold at some times only.
_PASSING = (f".{HoursAspect.CLOSES}", f".{HoursAspect.HOLIDAY}")


@dataclass(frozen=True, slots=True)
class EmptyUse:
    """A step uses a slot that some path to it leaves empty."""

    step: Step
    slot: str


def empty_uses(bot: Bot) -> dict[str, list[EmptyUse]]:
    """By flow, every use of a slot before it is filled.

    A result saved from a system counts as filled, although the system may leave it out: which outcome gives what is
    the system's business. What a part fills for the whole call counts where every way to its outcome fills it.
    """
    at_start = _filled_at_start(bot)
    return {name: list(_empty_uses(bot, flow, at_start[name])) for name, flow in bot.flows.items()}


def _filled_at_start(bot: Bot) -> dict[str, frozenset[str]]:
    """What is surely filled when a flow begins: nothing, or what every flow that runs it has filled by then."""
    everything = frozenset(bot.remembered)
    asked_for = bot.entrances()
    filled = {name: frozenset[str]() if name in asked_for else everything for name in bot.flows}
    while True:
        narrowed = dict(filled)
        for flow in bot.flows.values():
            before = _filled_before(bot, flow, filled[flow.name])
            for step in flow.steps.values():
                if isinstance(step, RunStep) and step.id in before:
                    narrowed[step.flow] = narrowed[step.flow] & before[step.id]
        if narrowed == filled:
            return filled
        filled = narrowed


def _filled_before(
    bot: Bot, flow: Flow, at_start: frozenset[str], seen: frozenset[str] = frozenset()
) -> Mapping[str, frozenset[str]]:
    """For every reachable step, the slots filled on all paths to it."""
    before: dict[str, frozenset[str]] = {flow.start: at_start}
    waiting = [flow.start]
    while waiting:
        step_id = waiting.pop()
        step = flow.steps[step_id]
        for why, target in successors(step):
            after = _after(bot, step, why, before[step_id], seen)
            known = before.get(target)
            merged = after if known is None else known & after
            if merged != known:
                before[target] = merged
                waiting.append(target)
    return before


def _after(bot: Bot, step: Step, why: str, before: frozenset[str], seen: frozenset[str]) -> frozenset[str]:
    match step:
        case AskStep(slot=slot):
            return before | {slot} if not why else before
        case CallStep(save=save):
            return before | save.keys() if why != "unavailable" else before
        case HoursStep(save=save):
            return before | save.keys()
        case SetStep(values=values):
            emptied = {name for name, value in values.items() if value is None}
            return (before | values.keys()) - emptied
        case BranchStep(condition=condition):
            return before | _filled_if(condition, is_so=why == "yes")
        case RunStep(flow=name):
            return before | _surely_fills(bot, name, why or bot.flows[name].outcomes[0], seen)
        case _:
            return before


def _filled_if(condition: Condition, *, is_so: bool) -> frozenset[str]:
    """What must be filled where a condition holds, or fails to."""
    match condition:
        case Holds(name):
            return _held_with(name.name) if is_so else frozenset()
        case Not(inner):
            return _filled_if(inner, is_so=not is_so)
        case AllOf(conditions) if is_so:
            return frozenset().union(*(_filled_if(inner, is_so=True) for inner in conditions))
        case AnyOf(conditions) if not is_so:
            return frozenset().union(*(_filled_if(inner, is_so=False) for inner in conditions))
        case _:
            return frozenset()


def _held_with(name: str) -> frozenset[str]:
    """What is filled besides a name that holds: while it is open, it is known when it closes."""
    hours, _, aspect = name.partition(".")
    return frozenset({name, f"{hours}.{HoursAspect.CLOSES}"} if aspect == HoursAspect.OPEN_NOW else {name})


def _surely_fills(bot: Bot, flow_name: str, outcome: str, seen: frozenset[str] = frozenset()) -> frozenset[str]:
    """The remembered slots that are filled whenever a flow ends with an outcome.

    A flow that is skipped by `unless` was carried out before, so that what it fills is filled.
    """
    flow = bot.flows[flow_name]
    if flow_name in seen:
        return frozenset()
    before = _filled_before(bot, flow, frozenset(), seen | {flow_name})
    ends = [
        filled
        for step_id, filled in before.items()
        if isinstance(step := flow.steps[step_id], DoneStep) and step.outcome == outcome
    ]
    return frozenset(name for name in bot.remembered if ends and all(name in filled for filled in ends))


def unproven_calls(bot: Bot) -> dict[str, list[EmptyUse]]:
    """By flow, every call of an operation on a path on which what it needs does not surely hold."""
    at_start = _filled_at_start(bot)
    found: dict[str, list[EmptyUse]] = {}
    for flow in bot.flows.values():
        for step_id, filled in _filled_before(bot, flow, at_start[flow.name]).items():
            step = flow.steps[step_id]
            needs = bot.operations[step.operation].needs if isinstance(step, CallStep) else None
            for name in sorted(_filled_if(needs, is_so=True) - filled) if needs else ():
                found.setdefault(flow.name, []).append(EmptyUse(step, name))
    return found


def _empty_uses(bot: Bot, flow: Flow, at_start: frozenset[str]) -> Iterator[EmptyUse]:
    passing = {name for name in hours_names(bot.hours) if name.endswith(_PASSING)}
    slots = {*flow.slots, *bot.remembered, *passing}
    for step_id, filled in _filled_before(bot, flow, at_start).items():
        step = flow.steps[step_id]
        # Reasons and reprompts are said while the slot in question is still empty, but never name it.
        for name in sorted(_used(step) & slots - filled):
            yield EmptyUse(step, name)


def _used(step: Step) -> frozenset[str]:
    names = frozenset(name for prompt in prompts_of(step) for name in prompt.names)
    match step:
        case CallStep(arguments=arguments):
            return names | {operand.name for operand in arguments.values() if isinstance(operand, Name)}
        case SetStep(values=values):
            return names | {operand.name for operand in values.values() if isinstance(operand, Name)}
        case ConfirmStep(slots=slots):
            return names | set(slots)
        case _:
            return names
