"""What happens in a hand-over. Those about an agent bear the claim, so that a late one is known as such."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from voicebot.routing.destinations import Destination
from voicebot.routing.queues import USUAL_STEPS, Choice, Failure, NextStep
from voicebot.routing.waiting import Outlook


@dataclass(frozen=True, slots=True)
class Claim:
    """One agent, reserved for one caller. `token` grows with every claim on the agent."""

    agent_id: str
    token: int


@dataclass(frozen=True, slots=True)
class Rules:
    """What policy says about a queue's hand-overs."""

    then: Mapping[Failure, NextStep] = field(default_factory=lambda: USUAL_STEPS)
    overflow: str = ""
    offers: tuple[Choice, ...] = (Choice.CALLBACK, Choice.MESSAGE)
    max_tries: int = 5
    #: Whether a survey follows when the agent has hung up.
    survey: bool = False
    elsewhere: tuple[Destination, ...] = ()


@dataclass(frozen=True, slots=True)
class QueueFound:
    """The queue that the caller belongs in, how it looks there, and its rules."""

    outlook: Outlook
    rules: Rules


@dataclass(frozen=True, slots=True)
class AgentClaimed:
    claim: Claim


@dataclass(frozen=True, slots=True)
class AgentAnswered:
    """The agent's line is open. `accepted`: they saw the packet and accepted before they opened it."""

    claim: Claim
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class AgentAccepted:
    claim: Claim


@dataclass(frozen=True, slots=True)
class AgentFailed:
    claim: Claim
    failure: Failure


@dataclass(frozen=True, slots=True)
class CallerTold:
    """The caller has heard who is joining, or it could not be said."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class PacketSettled:
    """The packet is on the desk; `late` are the other receivers that did not have it within a second."""

    late: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WaitedTooLong: ...


@dataclass(frozen=True, slots=True)
class QueueClosed:
    """The queue's hours ended, or its last agent left, while the caller waited."""


@dataclass(frozen=True, slots=True)
class CallerChose:
    choice: Choice


@dataclass(frozen=True, slots=True)
class NothingChosen:
    """The caller did not say what they want instead."""


@dataclass(frozen=True, slots=True)
class Arranged:
    choice: Choice


@dataclass(frozen=True, slots=True)
class NotArranged:
    """What the caller chose could not be arranged, or they changed their mind."""

    choice: Choice


@dataclass(frozen=True, slots=True)
class AgentHeld:
    claim: Claim
    held: bool


@dataclass(frozen=True, slots=True)
class BotAskedBack:
    """The agent wants the bot to do one step with the caller, by the name of its flow."""

    claim: Claim
    flow: str


@dataclass(frozen=True, slots=True)
class BotFinished: ...


@dataclass(frozen=True, slots=True)
class BotCalledOff:
    """The agent takes the caller back although the bot's step is not done."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class ThirdAsked:
    """The agent wants somebody of a queue in the call as well; `agent` names who, if it may be one only."""

    claim: Claim
    queue: str
    agent: str = ""


@dataclass(frozen=True, slots=True)
class ThirdAccepted:
    third: Claim


@dataclass(frozen=True, slots=True)
class ThirdFailed:
    """Nobody who was asked for came."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class ThirdLeft:
    third: Claim


@dataclass(frozen=True, slots=True)
class ThirdCalledOff:
    """The agent wants the third party no more, whether they are still asked for or in the call."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class SentOn:
    """The agent wants another queue to take the caller; `agent` names who there, as long as they do."""

    claim: Claim
    queue: str
    agent: str = ""


@dataclass(frozen=True, slots=True)
class AgentLeft:
    """The agent's line ended after they were joined. `survey`: they asked for one."""

    claim: Claim
    survey: bool = False


@dataclass(frozen=True, slots=True)
class ElsewhereAnswered:
    """Somebody where the caller was sent has taken them."""


@dataclass(frozen=True, slots=True)
class ElsewhereFailed:
    """Nobody there took the caller, who is on our line again."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class ElsewhereEnded:
    """They have talked there, and the caller is on our line again."""


@dataclass(frozen=True, slots=True)
class ElsewhereGone:
    """The call goes on there without us."""


@dataclass(frozen=True, slots=True)
class CallerLeft: ...


Event = (
    QueueFound
    | AgentClaimed
    | AgentAnswered
    | AgentAccepted
    | AgentFailed
    | CallerTold
    | PacketSettled
    | WaitedTooLong
    | QueueClosed
    | CallerChose
    | NothingChosen
    | Arranged
    | NotArranged
    | AgentHeld
    | BotAskedBack
    | BotFinished
    | BotCalledOff
    | ThirdAsked
    | ThirdAccepted
    | ThirdFailed
    | ThirdLeft
    | ThirdCalledOff
    | SentOn
    | AgentLeft
    | ElsewhereAnswered
    | ElsewhereFailed
    | ElsewhereEnded
    | ElsewhereGone
    | CallerLeft
)
