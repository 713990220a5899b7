"""Checks on how flows hang together: what cannot be reached, what never ends, what nobody uses."""

from __future__ import annotations

from collections.abc import Iterator

from voicebot.dialog.condition import Name, names_in
from voicebot.dialog.finding import Finding, at, declared_at, error, warning
from voicebot.dialog.flow import Bot, Flow
from voicebot.dialog.graph import circles, reachable, successors
from voicebot.dialog.steps import (
    AskStep,
    BranchStep,
    CallStep,
    ConfirmStep,
    DoneStep,
    EndStep,
    HoursStep,
    JumpStep,
    PersonStep,
    QuestionStep,
    ReachedStep,
    RequestStep,
    RunStep,
    SayStep,
    SetStep,
    Step,
    TakeStep,
    prompts_of,
)


def shape_findings(bot: Bot) -> Iterator[Finding]:
    for flow in bot.flows.values():
        yield from _unreachable(flow)
        yield from _endless(flow)
        yield from _outcomes(flow)
        yield from _unconfirmed_writes(bot, flow)
        yield from _goals(bot, flow)
    yield from _recursion(bot)
    yield from _entrances(bot)
    yield from _persons(bot)
    yield from _unused(bot)


def _unreachable(flow: Flow) -> Iterator[Finding]:
    seen = reachable(flow)
    for step in flow.steps.values():
        if step.id not in seen and step.id != "done":
            what = f"No conversation comes to the step '{step.id}'."
            yield error("unreachable", at(flow, step), what, "Remove it, or lead to it with 'go_to:'.")


def _endless(flow: Flow) -> Iterator[Finding]:
    """A circle must pass a question that is asked anew each time, or be bounded."""
    seen = reachable(flow)
    stops = {step.id for step in flow.steps.values() if isinstance(step, ConfirmStep | RequestStep)}
    edges = {
        step_id: [target for target in _unbounded(flow.steps[step_id]) if target not in stops]
        for step_id in seen - stops
    }
    for circle in circles(edges):
        steps = [flow.steps[step_id] for step_id in circle]
        emptied = {
            name for step in steps if isinstance(step, SetStep) for name, value in step.values.items() if value is None
        }
        asking = {step.id for step in steps if isinstance(step, AskStep) and step.slot in emptied}
        rest = {node: [target for target in edges[node] if target in circle - asking] for node in circle - asking}
        for inner in circles(rest):
            first = min((flow.steps[step_id] for step_id in inner), key=lambda step: step.line)
            what = f"From '{first.id}' the flow can go round for ever without asking anything."
            fix = "Add 'at_most:' and 'otherwise:' to the 'go_to:', or clear the slot that is asked for in the circle."
            yield error("endless", at(flow, first), what, fix)


def _unbounded(step: Step) -> Iterator[str]:
    for _, target in successors(step):
        if not (isinstance(step, JumpStep) and step.at_most and target == step.target):
            yield target


def _outcomes(flow: Flow) -> Iterator[Finding]:
    seen = reachable(flow)
    given = {step.outcome for step_id in seen if isinstance(step := flow.steps[step_id], DoneStep)}
    ends = any(isinstance(flow.steps[step_id], EndStep) for step_id in seen)
    if not given and not ends and not any(isinstance(flow.steps[step_id], RequestStep) for step_id in seen):
        what = f"The flow '{flow.name}' never ends."
        yield error("never_ends", at(flow), what, "Let a path come to its last step, or to 'done'.")
    for outcome in flow.outcomes:
        if outcome not in given and len(flow.outcomes) > 1:
            what = f"'{flow.name}' never ends with '{outcome}'."
            yield warning("outcome_unused", at(flow), what, f"Remove it, or add '- done: {outcome}'.")


def _unconfirmed_writes(bot: Bot, flow: Flow) -> Iterator[Finding]:
    """A write should have a yes of the caller on every path to it."""
    agreed: dict[str, bool] = {flow.start: False}
    waiting = [flow.start]
    while waiting:
        step_id = waiting.pop()
        step = flow.steps[step_id]
        asked = isinstance(step, ConfirmStep) or (isinstance(step, AskStep) and _is_yes_no(bot, flow, step.slot))
        for why, target in successors(step):
            after = agreed[step_id] or (asked and why in {"", "yes"})
            if target not in agreed or (agreed[target] and not after):
                agreed[target] = after
                waiting.append(target)
    for step in flow.steps.values():
        if isinstance(step, CallStep) and bot.operations[step.operation].write and agreed.get(step.id) is False:
            what = f"'{step.operation}' changes something, and the caller has not said yes to it."
            yield warning("unconfirmed", at(flow, step), what, "Add a 'confirm:' before it.")


def _is_yes_no(bot: Bot, flow: Flow, name: str) -> bool:
    slot = flow.slots.get(name) or bot.remembered.get(name)
    return slot is not None and slot.type.kind == "yes_no"


def _goals(bot: Bot, flow: Flow) -> Iterator[Finding]:
    own = [intent.name for intent in bot.intents_by_name.values() if intent.flow == flow.name]
    reached = any(isinstance(step, ReachedStep) for step in flow.steps.values())
    if own and not reached and not flow.replaces:
        what = f"'{flow.name}' never says that its goal is reached, so it counts as a failure in every report."
        yield warning("no_goal", at(flow), what, f"Add '- reached: {own[0]}' where it is.")


def _recursion(bot: Bot) -> Iterator[Finding]:
    runs = {
        flow.name: [step.flow for step in flow.steps.values() if isinstance(step, RunStep)]
        for flow in bot.flows.values()
    }
    for circle in circles(runs):
        names = sorted(circle)
        flow = bot.flows[names[0]]
        what = f"These flows run each other without end: {', '.join(names)}."
        yield error("recursion", at(flow), what, "Use 'go_to:' inside one flow instead of 'run:'.")


def _entrances(bot: Bot) -> Iterator[Finding]:
    run = {step.flow for flow in bot.flows.values() for step in flow.steps.values() if isinstance(step, RunStep)}
    for flow in bot.flows.values():
        if flow.name not in bot.entrances() | run:
            what = f"Nothing leads to the flow '{flow.name}'."
            fix = "Give it 'intents:', a menu's key, a queue's 'survey:' or 'step:', or remove it."
            yield error("unused_flow", at(flow), what, fix)
    start = bot.flows[bot.start]
    if not any(isinstance(start.steps[step_id], RequestStep) for step_id in reachable(start)):
        what = f"'{start.name}' begins every call and never asks what the caller wants."
        yield error("no_request", at(start), what, "Add '- request: How can I help you?' with a menu.")


def _persons(bot: Bot) -> Iterator[Finding]:
    """From every question a caller must get to a person: by saying so, and by pressing 0."""
    name = bot.intents_by_name[bot.commands.person].flow
    flow = bot.flows[name] if name else None
    if flow and not any(isinstance(flow.steps[step_id], PersonStep) for step_id in reachable(flow)):
        what = f"Callers who ask for a person come to '{flow.name}', which calls none."
        yield error("no_person", at(flow), what, "Add '- person: asked'.")
    for rung in sorted(bot.policy.flows & bot.flows.keys()) if bot.policy else ():
        rung_flow = bot.flows[rung]
        if not any(isinstance(rung_flow.steps[step_id], PersonStep) for step_id in reachable(rung_flow)):
            what = f"policy.yaml leads to '{rung}' for a person, and it calls none."
            yield error("no_person", at(rung_flow), what, "Add '- person: policy'.")
        yield from _unsaid(rung_flow)
    for other in bot.flows.values():
        for step in other.steps.values():
            if isinstance(step, RequestStep) and step.menu.get("0", name) != name:
                what = f"Key 0 leads to '{step.menu['0']}', but everywhere else it is a person."
                yield error("zero", at(other, step), what, f"Write '0: {name}'.")
            if isinstance(step, AskStep | ConfirmStep) and step.question.gives_up == step.id:
                what = f"'{step.id}' gives up by asking again."
                yield error("endless", at(other, step), what, "Lead 'gives_up:' to a person or an end.")


def _unsaid(flow: Flow) -> Iterator[Finding]:
    """Callers hear what happens next before a person is called, and what becomes of it where none can be reached."""
    silent, waiting = {flow.start}, [flow.start]
    while waiting:
        step = flow.steps[waiting.pop()]
        speaks = isinstance(step, SayStep | QuestionStep)
        following = [] if speaks else [target for _, target in successors(step) if target not in silent]
        silent.update(following)
        waiting += following
    for step in flow.steps.values():
        if not isinstance(step, PersonStep):
            continue
        if step.id in silent:
            what = f"Callers are put through in '{flow.name}' without a word of what happens next."
            yield error("unsaid", at(flow, step), what, "Add '- say:' before it, and say how long it takes.")
        if not isinstance(flow.steps[step.next], SayStep):
            what = f"Where nobody can be reached, '{flow.name}' says nothing of what happens next."
            yield error("unsaid", at(flow, step), what, "Add '- say:' after it, and say when somebody will see to it.")


def _unused(bot: Bot) -> Iterator[Finding]:
    steps = [(flow, step) for flow in bot.flows.values() for step in flow.steps.values()]
    called = {step.operation for _, step in steps if isinstance(step, CallStep)}
    beside = {name for name, operation in bot.operations.items() if operation.after_call}
    for name in bot.operations.keys() - called - beside:
        what = f"No flow calls the operation '{name}'."
        yield warning("unused_operation", declared_at(bot, f"operation {name}"), what, "Remove it, or call it.")
    types = {slot.type.name for flow in bot.flows.values() for slot in flow.slots.values()}
    types |= {slot.type.name for slot in bot.remembered.values()}
    for place in bot.places:
        kind, _, name = place.partition(" ")
        if kind == "type" and name not in types:
            what = f"No slot has the type '{name}'."
            yield warning("unused_type", declared_at(bot, place), what, "Remove it, or use it.")
        elif kind == "slot":
            owner, _, slot = name.partition(".")
            mentions = [step for flow, step in steps if not owner or flow.name == owner]
            if not any(slot in _mentioned(step) for step in mentions):
                what = f"The slot '{slot}' is never used."
                yield warning("unused_slot", declared_at(bot, place), what, "Remove it, or ask for it.")


def _mentioned(step: Step) -> set[str]:
    names = {name for prompt in prompts_of(step) for name in prompt.names}
    match step:
        case AskStep(slot=slot, options=options, rules=rules):
            return names | {slot, *options, *(name for rule in rules for name in names_in(rule.condition))}
        case ConfirmStep(slots=slots) | TakeStep(slots=slots):
            return names | set(slots)
        case CallStep(arguments=arguments, save=save):
            return names | set(save) | {one.name for one in arguments.values() if isinstance(one, Name)}
        case SetStep(values=values):
            return names | set(values) | {one.name for one in values.values() if isinstance(one, Name)}
        case HoursStep(day=day, save=save):
            return names | set(save) | ({day.name} if day else set())
        case BranchStep(condition=condition):
            return names | set(names_in(condition))
        case _:
            return names
