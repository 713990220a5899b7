"""What a bot is made of, as the machine sees it: flows of linked steps, intents, types and operations.

The YAML is nested; `loader` links it into the flat graph of these types, where every step names its successors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from voicebot.dialog.condition import Condition
from voicebot.dialog.escalation.policy import EscalationPolicy
from voicebot.dialog.expectation import Domain, Expectation
from voicebot.dialog.hours import Hours
from voicebot.dialog.prompt import Prompt
from voicebot.dialog.recording import RecordingPolicy
from voicebot.dialog.steps import Question, QuestionStep, RequestStep, Slot, Step, prompts_of, prompts_of_type
from voicebot.dialog.values import ValueKind


@dataclass(frozen=True, slots=True)
class Undo:
    """How a write is taken back: by an `operation` whose `arguments` are named after what the write took or gave.

    Or, where no operation can, `by_hand` says what a person does; `never` says why nobody can take it back.
    """

    operation: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    by_hand: str = ""
    never: str = ""


#: How an operation with `approve_when` may end besides: a person refused it, or nobody decided in time.
NOT_APPROVED, NOBODY_DECIDED = "not_approved", "nobody_decided"


@dataclass(frozen=True, slots=True)
class Operation:
    """What `backends` can do: typed arguments and results, and the failures it names.

    A `write` is carried out exactly once by its idempotency key. Arguments named in `secret` are never written down.
    `needs` is a condition on what is remembered of the call (``authenticated``) without which it is not carried out;
    while `person_when` holds for its arguments (``amount > 500``) it is a person's to decide, never the bot's alone.
    While `approve_when` holds the caller waits for a person to allow it, and `undo` says how it is taken back.
    One that is there for `after_call` is not called by any flow.
    `no_such` says which failure means that an argument's value does not exist, so that what else the caller may have
    said is tried before it is believed.
    """

    name: str
    arguments: Mapping[str, ValueKind]
    results: Mapping[str, ValueKind]
    failures: tuple[str, ...] = ()
    write: bool = False
    secret: frozenset[str] = frozenset()
    needs: Condition | None = None
    person_when: Condition | None = None
    approve_when: Condition | None = None
    undo: Undo | None = None
    after_call: bool = False
    no_such: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Intent:
    """What callers may want, with the sentences they say it in. `flow` is started by it; commands have none."""

    name: str
    examples: tuple[str, ...]
    flow: str | None = None


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
    cancel: str
    person: str


@dataclass(frozen=True, slots=True)
class Understanding:
    """Calibrated probabilities: at `accept` an intent is taken, at `clarify` it is asked about.

    What is none of the intents by the level that training found has no scores at all, so `clarify` matters only above
    that. Two intents closer than `margin`, and together at `accept`, are asked about too. `digress` is what an intent
    needs to leave a question that wants something else.
    """

    accept: float = 0.55
    clarify: float = 0.25
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
    next_request: Prompt
    continuing: Prompt
    clarify_one: Prompt
    clarify_two: Prompt
    clarify_again: Prompt
    wait: Prompt
    start_over: Prompt
    help: Prompt
    talked_too_long: Prompt
    cannot_change_now: Prompt
    cancelled: Prompt
    needs_person: Prompt
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
            self.next_request,
            self.continuing,
            self.clarify_one,
            self.clarify_two,
            self.clarify_again,
            self.wait,
            self.start_over,
            self.help,
            self.talked_too_long,
            self.cannot_change_now,
            self.cancelled,
            self.needs_person,
            self.keys_yes_no,
            self.call_too_long,
            self.shutting_down,
            self.broken,
            self.one_moment,
            self.voice_trouble,
        )


@dataclass(frozen=True, slots=True)
class RecordingRules:
    """A bot's rules. `announcement` is said to callers under `ANNOUNCE`, the flow `asks` begins calls under `ASK`.

    While one of the flows `pause_in` runs, or one that it runs, nothing is recorded.
    """

    policy: RecordingPolicy = RecordingPolicy.ALWAYS
    announcement: Prompt | None = None
    asks: str = ""
    pause_in: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Place:
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Bot:
    """A whole bot as loaded. `version` is a hash of its files' content; equal content, equal version.

    `folder` is where it was loaded from. `places` tells where things that are no steps were declared
    (``"intent balance"``, ``"type pin"``).
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
    folder: Path = Path()
    places: Mapping[str, Place] = field(default_factory=dict)
    hours: Mapping[str, Hours] = field(default_factory=dict)
    policy: EscalationPolicy | None = None
    recording: RecordingRules = field(default_factory=RecordingRules)
    #: The flows that people whom a caller talks to have the bot run, as queues.yaml names them.
    for_people: frozenset[str] = frozenset()

    @property
    def intents(self) -> Mapping[str, tuple[str, ...]]:
        """Example sentences by intent, for the classifier."""
        return {intent.name: intent.examples for intent in self.intents_by_name.values()}

    def entrances(self) -> frozenset[str]:
        """The flows that begin on their own: asked for, in a menu, wanted by a person, or when all else fails."""
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
                *(self.policy.flows if self.policy else ()),
                *((self.recording.asks,) if self.recording.asks else ()),
                *(self.for_people & self.flows.keys()),
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
        requests |= dict.fromkeys(spoken_words(text) for text in (self.policy.listen_for if self.policy else ()))
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
                found += prompts_of_type(slot.type)
        for slot in self.remembered.values():
            found += prompts_of_type(slot.type)
        for ladder in (self.ladders.silence, self.ladders.no_match, self.ladders.hearing):
            found += [rung.say for rung in ladder.rungs if rung.say]
        escalating = self.policy.prompts if self.policy else ()
        announced = [self.recording.announcement] if self.recording.announcement else []
        return (*found, *self.replies.values(), *self.patterns.prompts, *escalating, *announced)

    def static_prompts(self) -> tuple[str, ...]:
        """Each fixed piece of text once, to be rendered before the first call."""
        texts = [text for prompt in self.prompts() for text in prompt.static_texts]
        return tuple(dict.fromkeys(texts))


_TYPED_APOSTROPHE = "\N{RIGHT SINGLE QUOTATION MARK}"
_APOSTROPHES = ("'", _TYPED_APOSTROPHE)


def spoken_words(sentence: str) -> str:
    """Lower-case words without punctuation, as a recogniser writes them."""
    kept = (character if character.isalnum() or character in _APOSTROPHES else " " for character in sentence.lower())
    return " ".join("".join(kept).replace(_TYPED_APOSTROPHE, "'").split())
