"""The steps that a flow is made of, the questions they ask and the types of what is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from voicebot.dialog.actions import Takeover
from voicebot.dialog.check_digits import CheckDigit
from voicebot.dialog.condition import Condition, Literal, Name
from voicebot.dialog.expectation import Expectation
from voicebot.dialog.prompt import Prompt
from voicebot.dialog.recording import RecordingOrder
from voicebot.dialog.values import ValueKind


@dataclass(frozen=True, slots=True)
class Rule:
    """A value must satisfy `condition`; else the caller hears `reason` and is asked again."""

    condition: Condition
    reason: Prompt


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a closed list: `value` is stored, any of `phrases` chooses it, the first is its name."""

    value: str
    phrases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SlotType:
    """A kind of value with its own limits. `invalid` tells the caller the right shape, `keys` how to key it in."""

    name: str
    kind: ValueKind
    lengths: tuple[int, ...] = ()
    pattern: str = ""
    check_digit: CheckDigit | None = None
    choices: tuple[Choice, ...] = ()
    secret: bool = False
    rules: tuple[Rule, ...] = ()
    invalid: Prompt | None = None
    keys: Prompt | None = None


@dataclass(frozen=True, slots=True)
class Slot:
    name: str
    type: SlotType


@dataclass(frozen=True, slots=True)
class Question:
    """How one thing is asked. `again` follows a miss, by attempt; `keys` tells how to key it in.

    `gives_up` is the step to go on with when all attempts are used up; None leaves it to the bot's ladder.
    """

    prompt: Prompt
    again: tuple[Prompt, ...]
    keys: Prompt | None
    expectation: Expectation
    gives_up: str | None = None


@dataclass(frozen=True, slots=True)
class SayStep:
    id: str
    line: int
    prompt: Prompt
    next: str


@dataclass(frozen=True, slots=True)
class AskStep:
    """Fill `slot`, unless it is filled already. `options` are slots holding values offered by number.

    `no` is where "neither" leads, for questions that offer something.
    """

    id: str
    line: int
    slot: str
    question: Question
    rules: tuple[Rule, ...]
    options: tuple[str, ...]
    next: str
    no: str | None = None


@dataclass(frozen=True, slots=True)
class ConfirmStep:
    """Read `slots` back. New values said here correct them; "yes" goes to `next`, a plain "no" to `no`."""

    id: str
    line: int
    slots: tuple[str, ...]
    question: Question
    next: str
    no: str


@dataclass(frozen=True, slots=True)
class RequestStep:
    """An open question: starts the flow that the caller asks for and goes on to `next` when that is done.

    `menu` maps keys to flows. `yes` is said when the caller only says yes; `no` is where a plain "no" leads. `unknown`
    is a flow tried when no intent fits; ending with any but its first outcome, it leaves the question unanswered.
    """

    id: str
    line: int
    question: Question
    menu: Mapping[str, str]
    yes: Prompt | None
    no: str | None
    unknown: str | None
    next: str


@dataclass(frozen=True, slots=True)
class CallStep:
    """Run an operation. `outcomes` maps every failure it names to a step; `unavailable` is None for the bot's own."""

    id: str
    line: int
    operation: str
    arguments: Mapping[str, Literal | Name]
    save: Mapping[str, str]
    outcomes: Mapping[str, str]
    unavailable: str | None
    filler: Prompt | None
    next: str


@dataclass(frozen=True, slots=True)
class HoursStep:
    """Save what opening hours say of a day: `day`, or today where none is named or it holds nothing."""

    id: str
    line: int
    hours: str
    day: Name | None
    save: Mapping[str, str]
    next: str


@dataclass(frozen=True, slots=True)
class BranchStep:
    """Go to `then` if `condition` holds, else to `next`. `text` is the condition as it was written."""

    id: str
    line: int
    condition: Condition
    text: str
    then: str
    next: str


@dataclass(frozen=True, slots=True)
class SetStep:
    """Fill slots from constants or other slots, or empty them (None)."""

    id: str
    line: int
    values: Mapping[str, Literal | Name | None]
    next: str


@dataclass(frozen=True, slots=True)
class TakeStep:
    """Fill slots from what the caller has said already, without asking for them."""

    id: str
    line: int
    slots: tuple[str, ...]
    next: str


@dataclass(frozen=True, slots=True)
class RunStep:
    """Run another flow as a part of this one and go on by its outcome."""

    id: str
    line: int
    flow: str
    outcomes: Mapping[str, str]
    next: str


@dataclass(frozen=True, slots=True)
class JumpStep:
    """Go to `target`, at most `at_most` times in one run of the flow (None: as often as it comes), then `next`."""

    id: str
    line: int
    target: str
    at_most: int | None
    next: str


@dataclass(frozen=True, slots=True)
class PersonStep:
    """A person takes over, `by` the way the flow says."""

    id: str
    line: int
    reason: str
    by: Takeover
    next: str


@dataclass(frozen=True, slots=True)
class ReachedStep:
    """The caller's goal is reached."""

    id: str
    line: int
    goal: str
    next: str


@dataclass(frozen=True, slots=True)
class RecordingStep:
    """The recording stops or goes on, or the caller has said how they stand to it."""

    id: str
    line: int
    order: RecordingOrder
    next: str


@dataclass(frozen=True, slots=True)
class DoneStep:
    """The flow is over; `outcome` is one of those it declares."""

    id: str
    line: int
    outcome: str


@dataclass(frozen=True, slots=True)
class EndStep:
    """The call is over."""

    id: str
    line: int
    outcome: str


QuestionStep = AskStep | ConfirmStep | RequestStep
Step = (
    SayStep
    | AskStep
    | ConfirmStep
    | RequestStep
    | CallStep
    | HoursStep
    | BranchStep
    | SetStep
    | TakeStep
    | RunStep
    | JumpStep
    | PersonStep
    | ReachedStep
    | RecordingStep
    | DoneStep
    | EndStep
)


def prompts_of(step: Step) -> list[Prompt]:
    """Every prompt that a step can say."""
    match step:
        case SayStep(prompt=prompt):
            return [prompt]
        case AskStep(question=question, rules=rules):
            return [*_prompts_of_question(question), *(rule.reason for rule in rules)]
        case ConfirmStep(question=question):
            return _prompts_of_question(question)
        case RequestStep(question=question, yes=yes):
            return [*_prompts_of_question(question), *([yes] if yes else [])]
        case CallStep(filler=filler):
            return [filler] if filler else []
        case _:
            return []


def _prompts_of_question(question: Question) -> list[Prompt]:
    return [question.prompt, *question.again, *([question.keys] if question.keys else [])]


def prompts_of_type(slot_type: SlotType) -> list[Prompt]:
    told = [prompt for prompt in (slot_type.invalid, slot_type.keys) if prompt]
    return [*(rule.reason for rule in slot_type.rules), *told]
