"""Queues: who belongs in them, who may serve them, and what happens when nobody does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from voicebot.routing.agents import Agent
from voicebot.routing.destinations import Destination
from voicebot.routing.wording import Wording


class Failure(StrEnum):
    """Why an agent who was to take a caller did not."""

    BUSY = "busy"
    NO_ANSWER = "no_answer"
    DECLINED = "declined"
    #: Something answered that is no person, or gave no sign of being one.
    VOICEMAIL = "voicemail"
    UNREACHABLE = "unreachable"
    #: The agent hung up before accepting.
    HUNG_UP = "hung_up"
    #: The lease of the claim was lost: another process may have the agent now.
    CLAIM_LOST = "claim_lost"


class NextStep(StrEnum):
    """What follows a failure."""

    NEXT_AGENT = "next_agent"
    OVERFLOW = "overflow"
    OFFER = "offer"


class Choice(StrEnum):
    """What a caller can have instead of an agent at once."""

    WAIT = "wait"
    CALLBACK = "callback"
    MESSAGE = "message"
    OVERFLOW = "overflow"
    NUMBER = "number"


#: What follows each failure unless the queue says otherwise.
USUAL_STEPS: Mapping[Failure, NextStep] = dict.fromkeys(Failure, NextStep.NEXT_AGENT)


@dataclass(frozen=True, slots=True)
class Queue:
    """`title` is how callers hear it named. Times are seconds.

    `hours` names a schedule, empty when it is always open. A caller who waits `max_wait_s` goes to the queue `overflow`
    or is offered what else there is, as is one who comes when `max_waiting` wait. `offer_above_s` is the expected wait
    from which a choice is offered at once. An agent rings `ring_s`, has `accept_s` to accept after the introduction,
    and `wrap_up_s` afterwards. `survey` is the flow that asks the caller how it was, where the agent wants it or
    `survey_always`; `step` is the one that the bot runs for an agent who asks for it by key. After `max_tries` agents
    the caller is offered what else there is. While the queue is open, callers are sent to the destinations `elsewhere`
    first, one after the other.
    """

    name: str
    title: str
    skills: Mapping[str, int] = field(default_factory=dict)
    topics: frozenset[str] = frozenset()
    priority: int = 0
    hours: str = ""
    overflow: str = ""
    max_wait_s: float = 600.0
    max_waiting: int = 50
    offer_above_s: float = 120.0
    ring_s: float = 20.0
    accept_s: float = 15.0
    wrap_up_s: float = 30.0
    handle_s: float = 240.0
    max_tries: int = 5
    offers: tuple[Choice, ...] = (Choice.CALLBACK, Choice.MESSAGE)
    after_hours: tuple[Choice, ...] = (Choice.CALLBACK, Choice.MESSAGE)
    number: str = ""
    survey: str = ""
    survey_always: bool = False
    step: str = ""
    then: Mapping[Failure, NextStep] = field(default_factory=lambda: USUAL_STEPS)
    elsewhere: tuple[Destination, ...] = ()


@dataclass(frozen=True, slots=True)
class Callbacks:
    """When callers are called back, in their own time zone: whole hours of the day, from and until.

    A slot lasts `slot_minutes` and takes `per_slot` callbacks. A call that reaches nobody is made `attempts` times in
    all, `retry_minutes` apart.
    """

    earliest_hour: int = 9
    latest_hour: int = 20
    slot_minutes: int = 30
    per_slot: int = 4
    attempts: int = 3
    retry_minutes: int = 15


@dataclass(frozen=True, slots=True)
class Routing:
    """Everything of queues.yaml. `tiers` and `topics` add to a caller's priority; `default` takes every other topic."""

    queues: Mapping[str, Queue]
    agents: Mapping[str, Agent]
    default: str
    tiers: Mapping[str, int] = field(default_factory=dict)
    topics: Mapping[str, int] = field(default_factory=dict)
    callbacks: Callbacks = Callbacks()
    wording: Wording = field(default_factory=Wording)

    def queue_for(self, topic: str) -> Queue:
        """Return the queue that a topic belongs to."""
        return next((queue for queue in self.queues.values() if topic in queue.topics), self.queues[self.default])

    def queue_named(self, name: str) -> Queue:
        """Return a queue by name; the usual one where a newer version of the flows has none of that name."""
        return self.queues.get(name) or self.queues[self.default]

    def priority(self, queue: Queue, *, tier: str, topic: str, urgency: float) -> int:
        """Return how much earlier than others a caller is served; urgency from 0 to 1 counts up to ten."""
        return queue.priority + self.tiers.get(tier, 0) + self.topics.get(topic, 0) + round(10 * urgency)

    def serves(self, agent_id: str, queue: Queue) -> bool:
        """Tell whether an agent has every skill the queue needs, at its level."""
        agent = self.agents.get(agent_id)
        return agent is not None and all(agent.skills.get(skill, 0) >= level for skill, level in queue.skills.items())
