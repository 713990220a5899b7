"""Where the hand-over of one caller stands, and what its rows have in common."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from voicebot.routing.actions import (
    Action,
    Ending,
    FindQueue,
    Finish,
    Offer,
    Setback,
)
from voicebot.routing.events import (
    Claim,
    Rules,
)
from voicebot.routing.queues import Choice, Failure
from voicebot.routing.waiting import Outlook, Standing

#: Queues that a caller is sent on to, one after the other, before something else must be offered.
MOST_QUEUES = 3
#: How often something is offered before a callback is noted down without asking again.
MOST_OFFERS = 2


class Phase(StrEnum):
    NEW = "new"
    #: In the queue: told what happens next, hearing music.
    ANNOUNCED = "announced"
    DIALLING = "dialling"
    #: The agent hears who calls and why.
    BRIEFING = "briefing"
    #: The caller hears who is joining.
    ACCEPTED = "accepted"
    JOINED = "joined"
    #: The agent is joined, and the caller hears music.
    HELD = "held"
    #: The agent has sent the caller to the bot for one step, and waits.
    WITH_BOT = "with_bot"
    #: On the way to where the queue's agents live: the packet goes first, then it rings there.
    SENDING = "sending"
    #: Talks with somebody there.
    ELSEWHERE = "elsewhere"
    #: Nobody will take the caller now; they choose what happens instead.
    CHOOSING = "choosing"
    #: What the caller chose is being arranged.
    ARRANGING = "arranging"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Handover:
    """Where a hand-over stands. `packet_settled` and `told` must both be true before anybody is joined.

    `only` is the one agent the caller was sent on to, while there is hope for them. `inviting` is the queue of which
    the agent has asked somebody into the call, `third` who has come. `because` is why the caller is on their way to
    another queue, if something went wrong.
    """

    phase: Phase = Phase.NEW
    outlook: Outlook | None = None
    rules: Rules = field(default_factory=Rules)
    claim: Claim | None = None
    tried: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    offered: int = 0
    #: How many destinations elsewhere did not take the caller.
    sent: int = 0
    packet_settled: bool = False
    told: bool = False
    late: tuple[str, ...] = ()
    only: str = ""
    inviting: str = ""
    third: Claim | None = None
    because: Failure | Setback | None = None


Result = tuple[Handover, tuple[Action, ...]]
#: Phases in which the caller has a place in the queue.
IN_QUEUE = frozenset({Phase.ANNOUNCED, Phase.DIALLING, Phase.BRIEFING})


def overflow(state: Handover, because: Failure | Setback | None = None) -> Result | None:
    """Send the caller on to the queue below, if there is one that they have not been to."""
    queue = state.rules.overflow
    if not queue or queue in state.queues or len(state.queues) >= MOST_QUEUES:
        return None
    moved = replace(state, phase=Phase.NEW, queues=(*state.queues, queue), because=because)
    return moved, (FindQueue(queue),)


def instead(state: Handover) -> tuple[Choice, ...]:
    """What a caller can have who gets no agent: after hours what holds then."""
    closed = state.outlook is not None and state.outlook.standing is Standing.CLOSED
    return state.outlook.choices if closed and state.outlook else state.rules.offers


def offer(state: Handover, choices: tuple[Choice, ...]) -> Result:
    """Offer what there is; when it has been offered often enough, a callback is noted down without asking."""
    outlook = state.outlook
    if not choices or state.offered >= MOST_OFFERS or outlook is None:
        return finish(Ending.NOTED)
    state = replace(state, phase=Phase.CHOOSING, offered=state.offered + 1)
    return state, (Offer(choices, outlook.standing, outlook.wait_s),)


def finish(ending: Ending) -> Result:
    return Handover(phase=Phase.DONE), (Finish(ending),)
