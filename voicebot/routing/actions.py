"""What a hand-over wants done; `calls` carries it out, in order, and answers with the events named here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from voicebot.routing.destinations import Destination
from voicebot.routing.events import Claim
from voicebot.routing.queues import Choice, Failure
from voicebot.routing.waiting import Outlook, Standing


class Ending(StrEnum):
    """What became of the caller."""

    SERVED = "served"
    SURVEY = "survey"
    CALLBACK = "callback"
    MESSAGE = "message"
    NUMBER = "number"
    #: Nothing could be arranged: the caller is told so, and that their call is noted.
    NOTED = "noted"
    CALLER_LEFT = "caller_left"
    #: The call goes on where it was sent, and we hear no more of it.
    ELSEWHERE = "elsewhere"


class Setback(StrEnum):
    """Why a caller does not get whom they were told of, where that is no `Failure` of one agent."""

    #: Too many wait already.
    FULL = "full"
    #: Nobody who could take them is on duty.
    NOBODY = "nobody"
    TOO_LONG = "too_long"
    #: They were joined to an agent, whose line was lost.
    AGENT_GONE = "agent_gone"


@dataclass(frozen=True, slots=True)
class FindQueue:
    """Look how it stands in this queue and tell `QueueFound`."""

    queue: str


@dataclass(frozen=True, slots=True)
class EnterQueue:
    """Wait in this queue for an agent not in `tried`, with music; tell the caller how long that may take.

    Answers `AgentClaimed`, `WaitedTooLong`, `QueueClosed` or `CallerChose`. `choices` can be had by key meanwhile.
    `only` is the one agent to wait for, empty for anybody. `because` is what went wrong before, None where nothing did.
    """

    outlook: Outlook
    tried: tuple[str, ...]
    choices: tuple[Choice, ...]
    again: bool
    only: str = ""
    because: Failure | Setback | None = None


@dataclass(frozen=True, slots=True)
class LeaveQueue: ...


@dataclass(frozen=True, slots=True)
class SendPacket:
    """Deliver the context packet; answer `PacketSettled` within a second."""


@dataclass(frozen=True, slots=True)
class AnnounceElsewhere:
    """Tell the caller that they are put through, and play music until they are."""


@dataclass(frozen=True, slots=True)
class SendElsewhere:
    """Send the caller there; answers `ElsewhereAnswered`, then how it ended, or `ElsewhereFailed`."""

    destination: Destination


@dataclass(frozen=True, slots=True)
class RingAgent:
    """Dial the agent's line, or ring their desk; answers `AgentAnswered` or `AgentFailed`."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class BriefAgent:
    """Say who calls and why, and ask; answers `AgentAccepted` or `AgentFailed`."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class TellCaller:
    """Say who is joining; answers `CallerTold`."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class Join:
    """Bridge the two; answers `AgentLeft` in the end."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class Hold:
    claim: Claim
    held: bool


@dataclass(frozen=True, slots=True)
class RunBot:
    """Take the caller out of the bridge for one flow; answers `BotFinished`."""

    claim: Claim
    flow: str


@dataclass(frozen=True, slots=True)
class InviteThird:
    """Have somebody of a queue rung and told who calls; answers `ThirdAccepted` or `ThirdFailed`."""

    queue: str
    agent: str = ""


@dataclass(frozen=True, slots=True)
class JoinThird:
    """Let the third party hear and speak: with both, or with the agent alone while the caller is on hold."""

    third: Claim


@dataclass(frozen=True, slots=True)
class DropThird:
    """Call an invitation off, or let the third party go; caller and agent stay as they are."""


@dataclass(frozen=True, slots=True)
class Promote:
    """The third party is the caller's agent from now on, the first one having left."""

    third: Claim


@dataclass(frozen=True, slots=True)
class FreeAgent:
    """Let the agent go: hang up or stop ringing, and say why. `failure` is None where they did their part."""

    claim: Claim
    failure: Failure | None
    caller_left: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """Ask the caller what they want instead; answers `CallerChose` or `NothingChosen`."""

    choices: tuple[Choice, ...]
    standing: Standing
    wait_s: float | None


@dataclass(frozen=True, slots=True)
class Arrange:
    """Carry out a choice; answers `Arranged` or `NotArranged`."""

    choice: Choice


@dataclass(frozen=True, slots=True)
class Finish:
    """The hand-over is over: say what goes with it and end the call."""

    ending: Ending


#: What is done with a caller who has an agent.
JoinedAction = Hold | RunBot | InviteThird | JoinThird | DropThird | Promote

Action = (
    FindQueue
    | EnterQueue
    | LeaveQueue
    | SendPacket
    | AnnounceElsewhere
    | SendElsewhere
    | RingAgent
    | BriefAgent
    | TellCaller
    | Join
    | JoinedAction
    | FreeAgent
    | Offer
    | Arrange
    | Finish
)
