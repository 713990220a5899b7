"""Walks a conversation from step to step until it waits for the caller or a system, or ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import assert_never

from voicebot.dialog.actions import CallBackend, Say, SetGoal
from voicebot.dialog.condition import Literal, Name, holds
from voicebot.dialog.events import SlotValue
from voicebot.dialog.flow import Flow, Operation
from voicebot.dialog.hours_values import values_on
from voicebot.dialog.outcome import Outcome
from voicebot.dialog.recorded import order as order_recording
from voicebot.dialog.slots import judge, mentioned_candidates
from voicebot.dialog.state import Misses, Origin, Phase
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
    ReachedStep,
    RecordingStep,
    RequestStep,
    Rule,
    RunStep,
    SayStep,
    SetStep,
    TakeStep,
)
from voicebot.dialog.turn import Turn

#: Steps walked on one event; a flow that needs more turns in a circle without asking anything.
_FUEL = 500


def walk(turn: Turn) -> None:
    """Carry out steps until one waits for the caller or a backend, or the call ends."""
    for _ in range(_FUEL):
        if not _advance(turn):
            return
    turn.record("circle")
    turn.say(turn.bot.patterns.broken)
    turn.transfer("broken")
    turn.end(Outcome.FAILED)


def _advance(turn: Turn) -> bool:
    """Carry out the current step; False when the walk is over."""
    turn.walked.append((turn.frame.flow, turn.frame.step))
    match turn.step:
        case SayStep(prompt=prompt, next=following):
            turn.say(prompt)
            turn.go_to(following)
        case AskStep() as step:
            return _ask(turn, step)
        case ConfirmStep(question=question) | RequestStep(question=question):
            turn.say(question.prompt)
            turn.listen()
            return False
        case CallStep() as step:
            return _call(turn, step)
        case HoursStep() as step:
            _look_up_hours(turn, step)
        case BranchStep(condition=condition, text=text, then=then, next=otherwise):
            is_so = holds(condition, turn.lookup, turn.today)
            turn.record("branch", detail=f"{text}: {'yes' if is_so else 'no'}")
            turn.go_to(then if is_so else otherwise)
        case SetStep(values=values, next=following):
            for name, operand in values.items():
                turn.fill(name, _operand(turn, operand) if operand else None)
            turn.go_to(following)
        case TakeStep(slots=slots, next=following):
            for name in slots:
                if turn.value(name) is None:
                    _take_mentioned(turn, name, ())
            turn.go_to(following)
        case RunStep(flow=flow, outcomes=outcomes, next=following):
            if _unnecessary(turn, turn.bot.flows[flow]):
                turn.record("unnecessary", detail=flow)
                turn.go_to(outcomes.get(turn.bot.flows[flow].outcomes[0], following))
            else:
                turn.push(flow, Origin.PART, turn.frame.mentioned)
        case JumpStep() as step:
            _jump(turn, step)
        case PersonStep(reason=reason, by=by, next=following):
            turn.record("person", detail=reason)
            turn.transfer(reason, by)
            turn.go_to(following)
        case ReachedStep(goal=goal, next=following):
            turn.actions.append(SetGoal(goal, reached=True))
            turn.go_to(following)
        case RecordingStep(order=order, next=following):
            order_recording(turn, order)
            turn.go_to(following)
        case DoneStep(outcome=outcome):
            return _done(turn, outcome)
        case EndStep(outcome=outcome):
            turn.record("end", detail=outcome)
            turn.end(outcome)
            return False
        case _ as never:
            assert_never(never)
    return True


def _unnecessary(turn: Turn, flow: Flow) -> bool:
    return flow.unless is not None and holds(flow.unless, turn.lookup_outside, turn.today)


def _ask(turn: Turn, step: AskStep) -> bool:
    if turn.value(step.slot) is not None:
        turn.go_to(step.next)
        return True
    if _take_next_reading(turn, step) or _take_mentioned(turn, step.slot, step.rules):
        turn.go_to(step.next)
        return True
    turn.change_frame(replace(turn.frame, words=""))
    turn.say(step.question.prompt)
    turn.listen()
    return False


def _take_next_reading(turn: Turn, step: AskStep) -> bool:
    """Fill a slot with what else the caller may have said, where they just said no to what it held; once an answer."""
    spelled = turn.frame.spelled.get(step.slot)
    following = spelled.next_offer() if spelled else None
    if following is None:
        return False
    turn.take_spelled(step.slot, following)
    turn.record("next_reading", detail=step.slot)
    return True


def _take_mentioned(turn: Turn, name: str, rules: Sequence[Rule]) -> bool:
    """Fill a slot from what was said before it was asked for; False when nothing of that will do."""
    slot = turn.slot_of(name)
    if slot is None:
        return False
    candidates = mentioned_candidates(turn.frame.mentioned, turn.frame.words, slot.type)
    candidate = judge(candidates, slot.type, rules, turn.lookup_with, turn.today).candidate
    if candidate is None:
        return False
    turn.fill(name, candidate.value)
    frame = turn.frame
    mentioned = tuple(entity for entity in frame.mentioned if entity is not candidate.entity)
    turn.change_frame(replace(frame, mentioned=mentioned, asked=(*frame.asked, (name, frame.step))))
    turn.record("said_before", detail=name)
    return True


def _operand(turn: Turn, operand: Literal | Name) -> SlotValue | None:
    return operand.value if isinstance(operand, Literal) else turn.value(operand.name)


def _look_up_hours(turn: Turn, step: HoursStep) -> None:
    hours = turn.hours(step.hours)
    if hours is not None:
        named = turn.value(step.day.name) if step.day else None
        day = named if isinstance(named, date) and not isinstance(named, datetime) else hours.today(turn.state.at)
        found = values_on(hours, day)
        for slot, result in step.save.items():
            turn.fill(slot, found[result])
    turn.go_to(step.next)


def _jump(turn: Turn, step: JumpStep) -> None:
    taken = turn.frame.jumps.get(step.id, 0)
    if step.at_most is not None and taken >= step.at_most:
        turn.record("bound_reached", detail=step.target)
        turn.go_to(step.next)
        return
    turn.change_frame(replace(turn.frame, jumps={**turn.frame.jumps, step.id: taken + 1}))
    turn.go_to(step.target)


def _call(turn: Turn, step: CallStep) -> bool:
    operation = turn.bot.operations[step.operation]
    arguments: dict[str, SlotValue] = {}
    for name, operand in step.arguments.items():
        value = _operand(turn, operand)
        if value is None or not operation.arguments[name].accepts(value):
            turn.record("argument_missing", detail=name)
            unavailable(turn, step)
            return True
        arguments[name] = value
    if not _may_call(turn, step, operation, arguments):
        return True
    number = turn.state.requests + 1
    request_id = f"{operation.name}#{number}"
    key = f"{turn.state.call_id}/{number}/{operation.name}" if operation.write else None
    filler = None
    if step.filler:
        before = len(turn.actions)
        turn.say(step.filler)
        said = turn.actions[before:]
        del turn.actions[before:]
        filler = next((action for action in said if isinstance(action, Say)), None)
    turn.record("backend", detail=operation.name)
    turn.actions.append(CallBackend(request_id, operation.name, arguments, key, filler, operation.secret))
    turn.state = replace(turn.state, phase=Phase.WAITING, waiting_for=request_id, requests=number)
    return False


def _may_call(turn: Turn, step: CallStep, operation: Operation, arguments: Mapping[str, SlotValue]) -> bool:
    """Whether the bot may do it alone and now; else the conversation goes where it is decided."""
    if operation.needs and not holds(operation.needs, turn.state.slots.get, turn.today):
        # `flows check` finds a flow that comes here unproven; this keeps one that it missed from doing harm.
        turn.record("not_allowed", detail=operation.name)
        unavailable(turn, step)
        return False
    if operation.person_when and holds(operation.person_when, arguments.get, turn.today):
        turn.record("needs_person", detail=operation.name)
        turn.transfer("approval")
        turn.say(turn.bot.patterns.needs_person)
        turn.replace_all(turn.bot.intents_by_name[turn.bot.commands.person].flow or turn.bot.start)
        return False
    return True


def unavailable(turn: Turn, step: CallStep) -> None:
    """Go on where the step, or else the bot, says what follows a system that does not answer."""
    turn.record("backend_unavailable", detail=step.operation)
    if step.unavailable is not None:
        turn.go_to(step.unavailable)
    elif turn.flow.name == turn.bot.patterns.backend_down:
        turn.say(turn.bot.patterns.broken)
        turn.end(Outcome.FAILED)
    else:
        _abandon_request(turn)
        turn.push(turn.bot.patterns.backend_down, Origin.REQUEST)


def _abandon_request(turn: Turn) -> None:
    """Drop the flows of the current request, down to the question it was asked at."""
    stack = list(turn.state.stack)
    while len(stack) > 1:
        if stack.pop().origin in {Origin.REQUEST, Origin.UNKNOWN}:
            break
    turn.state = replace(turn.state, stack=tuple(stack))


def leave_request(turn: Turn) -> None:
    """Drop the request under way, and go on below it as if it were done."""
    _abandon_request(turn)
    step = turn.step
    if isinstance(step, RequestStep):
        if not _start_queued(turn):
            turn.go_to(step.next)
    elif len(turn.state.stack) > 1:
        _resume(turn)


def _done(turn: Turn, outcome: str) -> bool:
    """Leave the current flow and go on in the one below; False when the call ended with it."""
    finished = turn.frame
    turn.record("flow_done", detail=outcome)
    if len(turn.state.stack) == 1:
        turn.end(Outcome.COMPLETED)
        return False
    turn.state = replace(turn.state, stack=turn.state.stack[:-1])
    step = turn.step
    if finished.origin is Origin.PART and isinstance(step, RunStep):
        # What was said before its question came up may still answer a question of the caller's own flow.
        turn.change_frame(replace(turn.frame, mentioned=finished.mentioned))
        turn.go_to(step.outcomes.get(outcome, step.next))
    elif finished.origin is Origin.OFFER:
        turn.record("declined_offer")  # the question below comes again, as it was
    elif finished.origin is Origin.CONSENT:
        turn.record("consent_done")  # the call begins
    elif isinstance(step, RequestStep):
        if finished.origin is Origin.UNKNOWN and outcome != turn.bot.flows[finished.flow].outcomes[0]:
            turn.is_unknown = True
            return False
        if not _start_queued(turn):
            turn.go_to(step.next)
    else:
        return _resume(turn)
    return True


def _start_queued(turn: Turn) -> bool:
    """Begin what was asked for along with the request that is done now."""
    if not turn.state.queued:
        return False
    queued, *later = turn.state.queued
    turn.state = replace(turn.state, queued=tuple(later))
    turn.record("queued", intent=queued.intent)
    flow = flow_for(turn, turn.bot.flows[turn.bot.intents_by_name[queued.intent].flow or turn.bot.start], queued.intent)
    if flow.replaces:
        turn.replace_all(flow.name)
    else:
        turn.say(turn.bot.patterns.next_request, {"title": flow.title})
        turn.start_request(flow.name, queued.intent, queued.entities, queued.words)
    return True


def flow_for(turn: Turn, flow: Flow, intent: str | None) -> Flow:
    """Return the flow of a request, or, where a supervisor has stopped it, the one that leads to a person."""
    if intent not in turn.state.paused or flow.replaces:
        return flow
    turn.record("paused", intent=intent)
    turn.transfer("paused")
    return turn.bot.flows[turn.bot.intents_by_name[turn.bot.commands.person].flow or turn.bot.start]


def _resume(turn: Turn) -> bool:
    """Come back to a question that was left for another request."""
    if _unnecessary(turn, turn.flow):  # the other request has done what this flow was for
        return _done(turn, turn.flow.outcomes[0])
    titles = [
        title
        for frame in reversed(turn.state.stack)
        if frame.origin is Origin.REQUEST and (title := turn.bot.flows[frame.flow].title)
    ]
    turn.record("returned")
    if titles:
        turn.say(turn.bot.patterns.returning, {"title": titles[0]})
    turn.change_frame(replace(turn.frame, misses=Misses()))
    turn.state = replace(turn.state, clarifying=())
    return True
