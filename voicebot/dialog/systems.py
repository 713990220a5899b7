"""What a conversation makes of a system's answer, or of its silence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from voicebot.dialog.condition import Name
from voicebot.dialog.events import SlotValue
from voicebot.dialog.ladder import walk_on
from voicebot.dialog.state import Phase
from voicebot.dialog.steps import CallStep
from voicebot.dialog.turn import Turn
from voicebot.dialog.walk import unavailable


def backend_answered(turn: Turn, request_id: str, outcome: str, result: Mapping[str, SlotValue | None]) -> None:
    step_ = turn.step
    if request_id != turn.state.waiting_for or not isinstance(step_, CallStep):
        turn.record("ignored", detail="late answer")
        return
    operation = turn.bot.operations[step_.operation]
    saved = {slot: result.get(name) for slot, name in step_.save.items()}
    kinds = {slot: operation.results[name] for slot, name in step_.save.items()}
    broken = [slot for slot, value in saved.items() if value is not None and not kinds[slot].accepts(value)]
    turn.state = replace(turn.state, waiting_for="")
    if broken or (outcome != "ok" and outcome not in step_.outcomes):
        turn.record("contract_broken", detail=operation.name)
        unavailable(turn, step_)
    elif _tries_next_reading(turn, step_, operation.no_such.get(outcome)):
        pass
    else:
        for slot, value in saved.items():
            turn.fill(slot, value)
        if operation.write and outcome == "ok":
            turn.change_frame(replace(turn.frame, committed=True))
        turn.record("backend_answered", detail=f"{operation.name}: {outcome}")
        turn.go_to(step_.next if outcome == "ok" else step_.outcomes[outcome])
    _go_on(turn)


def _tries_next_reading(turn: Turn, step_: CallStep, argument: str | None) -> bool:
    """Fill the slot behind an argument that does not exist with what else the caller may have said, if anything.

    After the last reading the first one is back: it is what the caller hears about.
    """
    operand = step_.arguments.get(argument) if argument else None
    if not isinstance(operand, Name) or operand.aspect:
        return False
    spelled = turn.frame.spelled.get(operand.name)
    if spelled is None or turn.value(operand.name) != spelled.taken:
        return False
    following = spelled.next_try()
    if following is None:
        turn.take_spelled(operand.name, spelled.given_up())
        return False
    turn.take_spelled(operand.name, following)
    turn.record("next_reading", detail=operand.name)
    return True


def backend_failed(turn: Turn, request_id: str) -> None:
    step_ = turn.step
    if request_id != turn.state.waiting_for or not isinstance(step_, CallStep):
        turn.record("ignored", detail="late failure")
        return
    turn.state = replace(turn.state, waiting_for="")
    unavailable(turn, step_)
    _go_on(turn)


def _go_on(turn: Turn) -> None:
    if turn.state.phase is Phase.ENDED:
        return
    if turn.state.wants_person:
        turn.state = replace(turn.state, wants_person=False)
        person = turn.bot.intents_by_name[turn.bot.commands.person].flow
        if person:
            turn.replace_all(person)
    walk_on(turn)
