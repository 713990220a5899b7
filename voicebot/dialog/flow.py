"""What a bot is made of, as the machine sees it: flows of linked steps, intents, types and operations.

The YAML is nested; `loader` links it into the flat graph of these types, where every step names its successors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from voicebot.dialog.condition import Condition, Literal, Name
from voicebot.dialog.expectation import Domain, Expectation
from voicebot.dialog.prompt import Prompt
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
class Operation:
    """What `backends` can do: typed arguments and results, and the failures it names.

    A `write` is carried out exactly once by its idempotency key. Arguments named in `secret` are never written down.
    """

    name: str
    arguments: Mapping[str, ValueKind]
    results: Mapping[str, ValueKind]
    failures: tuple[str, ...] = ()
    write: bool = False
    secret: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Intent:
    """What callers may want, with the sentences they say it in. `flow` is started by it; commands have none."""

    name: str
    examples: tuple[str, ...]
    flow: str | None = None


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
    id: str
    line: int
    reason: str
    next: str


@dataclass(frozen=True, slots=True)
class ReachedStep:
    """The caller's goal is reached."""

    id: str
    line: int
    goal: str
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
    | BranchStep
    | SetStep
    | TakeStep
    | RunStep
    | JumpStep
    | PersonStep
    | ReachedStep
    | DoneStep
    | EndStep
)


@dataclass(frozen=True, slots=True)
class Flow:
    """One thing a caller can get done, or a part of one.

    `slots` are its own, empty at each start. `unless` makes it unnecessary: it is then over at once with its first
    outcome. A flow that `replaces` ends what was going on instead of returning to it (goodbye, a person).
    """

    name: str
    title: str
    file: str
    line: int
    start: str
    steps: Mapping[str, Step]
    slots: Mapping[str, Slot]
    outcomes: tuple[str, ...]
    unless: Condition | None = None
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Rung:
    """One attempt of a ladder: what is said before the question comes again, and whether keys are offered."""

    say: Prompt | None
    offer_keys: bool


@dataclass(frozen=True, slots=True)
class Ladder:
    """What follows misses in a row: rung by rung, then the flow `gives_up`."""

    rungs: tuple[Rung, ...]
    gives_up: str


@dataclass(frozen=True, slots=True)
class Ladders:
    silence: Ladder
    no_match: Ladder
    hearing: Ladder


@dataclass(frozen=True, slots=True)
class Commands:
    """Intents that work at every question, by what they do."""

    repeat: str
    help: str
    start_over: str
    wait: str
    slower: str
    person: str


@dataclass(frozen=True, slots=True)
class Understanding:
    """Calibrated probabilities: at `accept` an intent is taken, at `clarify` it is asked about.

    Two intents closer than `margin` are asked about too. `digress` is what an intent needs to leave a question that
    wants something else.
    """

    accept: float = 0.55
    clarify: float = 0.35
    margin: float = 0.12
    digress: float = 0.7


@dataclass(frozen=True, slots=True)
class Limits:
    """`misses` at one question, `turns` in one call, `stack` of requests within requests: each ends somewhere."""

    misses: int = 5
    turns: int = 200
    stack: int = 4


@dataclass(frozen=True, slots=True)
class Patterns:
    """What every bot says in the situations that no flow is about."""

    returning: Prompt
    clarify_one: Prompt
    clarify_two: Prompt
    clarify_again: Prompt
    wait: Prompt
    start_over: Prompt
    help: Prompt
    talked_too_long: Prompt
    cannot_change_now: Prompt
    keys_yes_no: Prompt
    call_too_long: Prompt
    shutting_down: Prompt
    broken: Prompt
    one_moment: Prompt
    voice_trouble: Prompt
    backend_down: str

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        return (
            self.returning,
            self.clarify_one,
            self.clarify_two,
            self.clarify_again,
            self.wait,
            self.start_over,
            self.help,
            self.talked_too_long,
            self.cannot_change_now,
            self.keys_yes_no,
            self.call_too_long,
            self.shutting_down,
            self.broken,
            self.one_moment,
            self.voice_trouble,
        )


@dataclass(frozen=True, slots=True)
class Place:
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Bot:
    """A whole bot as loaded. `version` is a hash of its files' content; equal content, equal version.

    `places` tells where things that are no steps were declared (``"intent balance"``, ``"type pin"``).
    """

    name: str
    version: str
    language: str
    start: str
    flows: Mapping[str, Flow]
    intents_by_name: Mapping[str, Intent]
    operations: Mapping[str, Operation]
    remembered: Mapping[str, Slot]
    patterns: Patterns
    ladders: Ladders
    commands: Commands
    replies: Mapping[str, Prompt]
    clarify_expectation: Expectation
    understanding: Understanding = field(default_factory=Understanding)
    limits: Limits = field(default_factory=Limits)
    names: tuple[str, ...] = ()
    places: Mapping[str, Place] = field(default_factory=dict)

    @property
    def intents(self) -> Mapping[str, tuple[str, ...]]:
        """Example sentences by intent, for the classifier."""
        return {intent.name: intent.examples for intent in self.intents_by_name.values()}

    def entrances(self) -> frozenset[str]:
        """The flows that begin on their own, not as a part of another: asked for, in a menu, or when all else fails."""
        ladders = (self.ladders.silence, self.ladders.no_match, self.ladders.hearing)
        requests = [
            step for flow in self.flows.values() for step in flow.steps.values() if isinstance(step, RequestStep)
        ]
        return frozenset(
            (
                self.start,
                self.patterns.backend_down,
                *(ladder.gives_up for ladder in ladders),
                *(intent.flow for intent in self.intents_by_name.values() if intent.flow),
                *(flow for step in requests for flow in step.menu.values()),
                *(step.unknown for step in requests if step.unknown),
            )
        )

    def questions(self) -> tuple[Question, ...]:
        return tuple(
            step.question
            for flow in self.flows.values()
            for step in flow.steps.values()
            if isinstance(step, QuestionStep)
        )

    def domain(self) -> Domain:
        """Everything callers may say, for compiling recognisers."""
        requests = dict.fromkeys(
            spoken_words(example) for intent in self.intents_by_name.values() for example in intent.examples
        )
        return Domain(
            version=self.version,
            requests=tuple(requests),
            expectations=(*(question.expectation for question in self.questions()), self.clarify_expectation),
            names=self.names,
        )

    def prompts(self) -> tuple[Prompt, ...]:
        """Every prompt of the bot, flows first."""
        found: list[Prompt] = []
        for flow in self.flows.values():
            for step in flow.steps.values():
                found += prompts_of(step)
            for slot in flow.slots.values():
                found += _prompts_of_type(slot.type)
        for slot in self.remembered.values():
            found += _prompts_of_type(slot.type)
        for ladder in (self.ladders.silence, self.ladders.no_match, self.ladders.hearing):
            found += [rung.say for rung in ladder.rungs if rung.say]
        return (*found, *self.replies.values(), *self.patterns.prompts)

    def static_prompts(self) -> tuple[str, ...]:
        """Each fixed piece of text once, to be rendered before the first call."""
        texts = [text for prompt in self.prompts() for text in prompt.static_texts]
        return tuple(dict.fromkeys(texts))


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


def _prompts_of_type(slot_type: SlotType) -> list[Prompt]:
    told = [prompt for prompt in (slot_type.invalid, slot_type.keys) if prompt]
    return [*(rule.reason for rule in slot_type.rules), *told]


_TYPED_APOSTROPHE = "\N{RIGHT SINGLE QUOTATION MARK}"
_APOSTROPHES = ("'", _TYPED_APOSTROPHE)


def spoken_words(sentence: str) -> str:
    """Lower-case words without punctuation, as a recogniser writes them."""
    kept = (character if character.isalnum() or character in _APOSTROPHES else " " for character in sentence.lower())
    return " ".join("".join(kept).replace(_TYPED_APOSTROPHE, "'").split())
