"""What `cancel` and `undo` do to an action, by the state it is in and by how its operation says it is undone. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never

from voicebot.dialog.flow import Operation
from voicebot.records.actions import ActionKind, ActionState


class Verb(StrEnum):
    #: It is not to happen; if it has, what it did is to be made as if it had not, where an operation can.
    CANCEL = "cancel"
    #: What it did is to be taken back, by hand where no operation can; if it has not happened, it is not to.
    UNDO = "undo"


class Reversal(StrEnum):
    """How an action that was done is taken back."""

    BY_OPERATION = "by_operation"
    BY_HAND = "by_hand"
    NEVER = "never"


class Course(StrEnum):
    """What is done about it."""

    #: Stop what has not happened.
    STOP = "stop"
    #: Have an operation take back what was done.
    REVERSE = "reverse"
    #: Leave it to a person to take it back.
    ASK_PERSON = "ask_person"
    #: It is as it was wished to be.
    NOTHING = "nothing"
    #: It is being taken back.
    WAIT = "wait"
    #: It happens at this moment, and can be neither stopped nor taken back before it has.
    BUSY = "busy"
    #: It cannot be.
    REFUSE = "refuse"


def course(verb: Verb, state: ActionState, reversal: Reversal) -> Course:
    """Return what a verb does; `reversal` counts only for what was done."""
    match state:
        case ActionState.AWAITING_APPROVAL | ActionState.SCHEDULED | ActionState.RETRYING | ActionState.FAILED:
            return Course.STOP
        case ActionState.UNDER_WAY:
            return Course.BUSY
        case ActionState.DONE | ActionState.UNDO_FAILED:
            return _course_of_done(verb, reversal)
        case ActionState.UNDOING | ActionState.WITH_PERSON:
            return Course.WAIT
        case (
            ActionState.UNDONE
            | ActionState.CANCELLED
            | ActionState.REFUSED
            | ActionState.EXPIRED
            | ActionState.NOT_DONE
        ):
            return Course.NOTHING
        case _:
            assert_never(state)


def _course_of_done(verb: Verb, reversal: Reversal) -> Course:
    match reversal:
        case Reversal.BY_OPERATION:
            return Course.REVERSE
        case Reversal.BY_HAND:
            # Who only meant to stop something is told what it takes, and sends nobody after it.
            return Course.ASK_PERSON if verb is Verb.UNDO else Course.REFUSE
        case Reversal.NEVER:
            return Course.REFUSE
        case _:
            assert_never(reversal)


def reversal_of(kind: ActionKind, contract: Operation | None) -> tuple[Reversal, str]:
    """Return how an action that was done is taken back, and what people are told of it.

    `contract` is that of a write's operation, None where its flows are gone.
    """
    match kind:
        case ActionKind.WRITE:
            return _reversal_of_write(contract)
        case ActionKind.MESSAGE:
            return Reversal.NEVER, "A message that was sent cannot be called back; write or call them."
        case ActionKind.FOLLOW_UP:
            return Reversal.NEVER, "A person has done this, and only they can take it back."
        case ActionKind.CALLBACK:
            return Reversal.NEVER, "They have been called."
        case _:
            assert_never(kind)


def _reversal_of_write(contract: Operation | None) -> tuple[Reversal, str]:
    if contract is None:
        return Reversal.NEVER, "The flows that did it do not know the operation any more; undo it in the system itself."
    undo = contract.undo
    if undo is None:
        what = f"Nothing says how '{contract.name}' is undone; add 'undo:' to the operation."
        return Reversal.NEVER, what
    if undo.operation:
        return Reversal.BY_OPERATION, f"It is taken back by '{undo.operation}'."
    if undo.by_hand:
        return Reversal.BY_HAND, undo.by_hand
    return Reversal.NEVER, undo.never


#: What was never done is neither stopped nor taken back; why it was not.
NOT_HAPPENED = {
    ActionState.UNDONE: "It has been undone already.",
    ActionState.CANCELLED: "It was cancelled already and has not happened.",
    ActionState.REFUSED: "A person refused it, so it has not happened.",
    ActionState.EXPIRED: "Nobody allowed it in time, so it has not happened.",
    ActionState.NOT_DONE: "It did not come about, so there is nothing to stop or take back.",
}
