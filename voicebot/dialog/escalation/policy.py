"""The escalation policy of a bot: weights and thresholds by kind of interaction, hard rules, and the ladder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from voicebot.dialog.condition import Condition
from voicebot.dialog.escalation.rung import EscalationRung
from voicebot.dialog.escalation.signals import Signals
from voicebot.dialog.prompt import Prompt


@dataclass(frozen=True, slots=True)
class Weight:
    """A signal adds `weight` when it is `full` or more, and its share below that."""

    weight: float
    full: float

    def part(self, value: float) -> float:
        """Return what a value adds to the score."""
        return self.weight * min(1.0, max(0.0, value) / self.full)


@dataclass(frozen=True, slots=True)
class InteractionType:
    """A kind of interaction: the `intents` it is about, what its signals weigh, and the score at each rung it has."""

    name: str
    intents: tuple[str, ...]
    weights: Mapping[str, Weight]
    rungs: Mapping[EscalationRung, float]


@dataclass(frozen=True, slots=True)
class HardRule:
    """Whatever the score: when `condition` holds of the signals, go to `rung`. `text` is the condition as written."""

    name: str
    condition: Condition
    text: str
    rung: EscalationRung


@dataclass(frozen=True, slots=True)
class Hysteresis:
    """A score involves a person only if it stood at `armed_by` on an earlier turn, or if it is `at_once` or more.

    It fires only while it rises. Once it falls below `released_below` the call begins anew: what was climbed may be
    climbed again.
    """

    armed_by: float
    at_once: float
    released_below: float


@dataclass(frozen=True, slots=True)
class Asked:
    """What an explicit request for a person leads to, and what may be offered once before."""

    rung: EscalationRung
    offer: EscalationRung | None = None


@dataclass(frozen=True, slots=True)
class RungWords:
    """What happens at a rung: `prompt` is said before the question comes again, or `flow` goes on instead of it.

    `calm` is said in place of `prompt` to callers who are not upset: a kind word to whom nothing troubles is odd.
    """

    prompt: Prompt | None = None
    flow: str = ""
    calm: Prompt | None = None

    def said_to(self, signals: Signals) -> Prompt | None:
        """Return what a caller hears who sounds as `signals` say."""
        return self.prompt if self.calm is None or signals.is_upset else self.calm


@dataclass(frozen=True, slots=True)
class Sources:
    """Where signals come from that only the bot's own declarations know.

    `authentication` are operations whose failure means that the caller was not proven; `value` are slots holding a sum
    at stake; `solved` are yes/no slots that answer "did that solve it?"; `tier` is a remembered slot.
    """

    authentication: frozenset[str] = frozenset()
    value: frozenset[str] = frozenset()
    solved: frozenset[str] = frozenset()
    tier: str = ""


@dataclass(frozen=True, slots=True)
class EscalationPolicy:
    """A whole policy. `version` is a hash of its text. `usual` is the type of whatever no other type is about.

    `listen_for` are sentences that a recogniser should know besides the requests, of anger and of need.
    """

    version: str
    usual: InteractionType
    types: tuple[InteractionType, ...]
    rules: tuple[HardRule, ...]
    hysteresis: Hysteresis
    asked: Asked
    rungs: Mapping[EscalationRung, RungWords]
    sources: Sources = field(default_factory=Sources)
    listen_for: tuple[str, ...] = ()

    def type_of(self, intent: str) -> InteractionType:
        """Return the kind of interaction that a request belongs to."""
        return next((one for one in self.types if intent in one.intents), self.usual)

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        return tuple(prompt for words in self.rungs.values() for prompt in (words.prompt, words.calm) if prompt)

    @property
    def flows(self) -> frozenset[str]:
        """The flows that rungs lead to."""
        return frozenset(words.flow for words in self.rungs.values() if words.flow)
