"""The hand-over of one caller to a person: a state and an event give the next state and what to do.

Everything that changes a hand-over stands in `TRANSITIONS`. What is not in it is ignored, except that an agent who was
claimed for nobody is always let go. A claim bears a number that grows with every claim on that agent (a fencing token),
so that whatever comes late from an earlier claim is known for what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, assert_never

from voicebot.routing.actions import (
    Action,
    AnnounceElsewhere,
    Arrange,
    BriefAgent,
    DropThird,
    Ending,
    EnterQueue,
    FindQueue,
    Finish,
    FreeAgent,
    Hold,
    InviteThird,
    Join,
    JoinThird,
    LeaveQueue,
    Offer,
    Promote,
    RingAgent,
    RunBot,
    SendElsewhere,
    SendPacket,
    Setback,
    TellCaller,
)
from voicebot.routing.events import (
    AgentAccepted,
    AgentAnswered,
    AgentClaimed,
    AgentFailed,
    AgentHeld,
    AgentLeft,
    Arranged,
    BotAskedBack,
    BotCalledOff,
    BotFinished,
    CallerChose,
    CallerLeft,
    CallerTold,
    Claim,
    ElsewhereAnswered,
    ElsewhereEnded,
    ElsewhereFailed,
    ElsewhereGone,
    Event,
    NotArranged,
    NothingChosen,
    PacketSettled,
    QueueClosed,
    QueueFound,
    Rules,
    SentOn,
    ThirdAccepted,
    ThirdAsked,
    ThirdCalledOff,
    ThirdFailed,
    ThirdLeft,
    WaitedTooLong,
)
from voicebot.routing.queues import Choice, Failure, NextStep
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


def begin(queue: str, *, instead: Choice | None = None) -> Result:
    """Begin a hand-over to a queue, or with what is to be arranged `instead` of it."""
    if instead is not None:
        return Handover(Phase.ARRANGING, queues=(queue,)), (SendPacket(), Arrange(instead))
    return Handover(queues=(queue,)), (SendPacket(), FindQueue(queue))


def step(state: Handover, event: Event) -> Result:
    """Take in one event. Never raises; an event that has no row in the table changes nothing."""
    claim: Claim | None = getattr(event, "claim", None)
    if isinstance(event, AgentClaimed):
        if state.phase is not Phase.ANNOUNCED:
            return state, (FreeAgent(event.claim, None),)
    elif claim is not None and claim != state.claim:
        return state, ()
    row = TRANSITIONS.get((state.phase, type(event)))
    return row(state, event) if row else (state, ())


# --- the rows


def _queue_found(state: Handover, event: QueueFound) -> Result:
    state = replace(state, outlook=event.outlook, rules=event.rules, sent=0)
    if event.rules.elsewhere and not state.only and event.outlook.standing is not Standing.CLOSED:
        sending, actions = _send_elsewhere(replace(state, phase=Phase.SENDING))
        return sending, (AnnounceElsewhere(), *actions)
    return _wait_here(state, event.outlook)


def _wait_here(state: Handover, outlook: Outlook) -> Result:
    """Have the caller wait for agents of ours, or see what else there is."""
    match outlook.standing:
        case Standing.OPEN:
            because = state.because
            state = replace(state, phase=Phase.ANNOUNCED, offered=state.offered + bool(outlook.choices), because=None)
            entering = EnterQueue(outlook, state.tried, outlook.choices, again=False, only=state.only, because=because)
            return state, (entering,)
        case Standing.FULL:
            moved = _overflow(state, Setback.FULL)
        case Standing.UNSTAFFED:
            moved = _overflow(state, Setback.NOBODY)
        case Standing.CLOSED:
            moved = None
        case _:
            assert_never(outlook.standing)
    return moved or _offer(state, outlook.choices)


def _send_elsewhere(state: Handover) -> Result:
    """Send the caller on, unless the packet has not gone out yet: nobody takes a caller of whom they know nothing."""
    if not state.packet_settled:
        return state, ()
    return state, (SendElsewhere(state.rules.elsewhere[state.sent]),)


def _packet_settled_first(state: Handover, event: PacketSettled) -> Result:
    if state.packet_settled:
        return state, ()
    return _send_elsewhere(replace(state, packet_settled=True, late=event.late))


def _elsewhere_answered(state: Handover, _event: ElsewhereAnswered) -> Result:
    if not state.packet_settled:
        return state, ()  # nobody was sent anywhere yet
    return replace(state, phase=Phase.ELSEWHERE), ()


def _elsewhere_failed(state: Handover, event: ElsewhereFailed) -> Result:
    """Try the next destination, then what policy says of this failure: agents of ours, another queue, an offer."""
    state = replace(state, phase=Phase.SENDING, sent=state.sent + 1)
    if state.sent < len(state.rules.elsewhere):
        return _send_elsewhere(state)
    what = state.rules.then.get(event.failure, NextStep.NEXT_AGENT)
    if what is NextStep.NEXT_AGENT and state.outlook and state.outlook.standing is Standing.OPEN:
        choices = state.outlook.choices
        entering = EnterQueue(state.outlook, state.tried, choices, again=True, because=event.failure)
        return replace(state, phase=Phase.ANNOUNCED), (entering,)
    if what is not NextStep.OFFER and (moved := _overflow(state, event.failure)):
        return moved
    return _offer(state, state.rules.offers)


def _elsewhere_ended(state: Handover, _event: ElsewhereEnded) -> Result:
    return _done(Ending.SURVEY if state.rules.survey else Ending.SERVED)


def _elsewhere_gone(_state: Handover, _event: ElsewhereGone) -> Result:
    return _done(Ending.ELSEWHERE)


def _agent_claimed(state: Handover, event: AgentClaimed) -> Result:
    return replace(state, phase=Phase.DIALLING, claim=event.claim), (RingAgent(event.claim),)


def _agent_answered(state: Handover, event: AgentAnswered) -> Result:
    if event.accepted:
        return _accepted(state, event.claim)
    return replace(state, phase=Phase.BRIEFING), (BriefAgent(event.claim),)


def _agent_accepted(state: Handover, event: AgentAccepted) -> Result:
    return _accepted(state, event.claim)


def _accepted(state: Handover, claim: Claim) -> Result:
    return replace(state, phase=Phase.ACCEPTED, told=False), (LeaveQueue(), TellCaller(claim))


def _caller_told(state: Handover, _event: CallerTold) -> Result:
    return _join_when_ready(replace(state, told=True))


def _packet_settled(state: Handover, event: PacketSettled) -> Result:
    return replace(state, packet_settled=True, late=event.late), ()


def _packet_settled_last(state: Handover, event: PacketSettled) -> Result:
    return _join_when_ready(replace(state, packet_settled=True, late=event.late))


def _join_when_ready(state: Handover) -> Result:
    if not (state.told and state.packet_settled and state.claim):
        return state, ()
    return replace(state, phase=Phase.JOINED), (Join(state.claim),)


def _agent_failed(state: Handover, event: AgentFailed) -> Result:
    return _without_agent(state, event, event.failure)


def _without_agent(state: Handover, event: AgentFailed, because: Failure | Setback) -> Result:
    """Let the agent go, and do what policy says of this failure; nobody is rung twice for the same caller."""
    freed = FreeAgent(event.claim, event.failure)
    leave = (LeaveQueue(),) if state.phase in _IN_QUEUE else ()
    state = replace(state, claim=None, told=False, tried=(*state.tried, event.claim.agent_id), only="")
    what = state.rules.then.get(event.failure, NextStep.NEXT_AGENT)
    if what is NextStep.OVERFLOW and (moved := _overflow(state, because)):
        return moved[0], (freed, *leave, *moved[1])
    if what is NextStep.NEXT_AGENT and len(state.tried) < state.rules.max_tries and state.outlook:
        choices = state.outlook.choices
        entering = EnterQueue(state.outlook, state.tried, choices, again=True, because=because)
        return replace(state, phase=Phase.ANNOUNCED), (freed, entering)
    offering, actions = _offer(state, state.rules.offers)
    return offering, (freed, *leave, *actions)


def _nobody_came(state: Handover, event: WaitedTooLong | QueueClosed) -> Result:
    if isinstance(event, WaitedTooLong) and state.only and state.outlook:
        # The one they were sent on to does not come; anybody else of the queue will do.
        choices = state.outlook.choices
        waiting_on = EnterQueue(state.outlook, state.tried, choices, again=True, because=Failure.NO_ANSWER)
        return replace(state, only=""), (waiting_on,)
    if isinstance(event, WaitedTooLong) and (moved := _overflow(state, Setback.TOO_LONG)):
        return moved[0], (LeaveQueue(), *moved[1])
    offering, actions = _offer(state, state.rules.offers)
    return offering, (LeaveQueue(), *actions)


def _chose_in_queue(state: Handover, event: CallerChose) -> Result:
    if event.choice is Choice.WAIT:
        return state, ()
    following, actions = _chosen(state, event)
    return following, (LeaveQueue(), *actions)


def _chose_while_ringing(state: Handover, event: CallerChose) -> Result:
    """The caller does not wait for the agent who is being rung."""
    if event.choice is Choice.WAIT or state.claim is None:
        return state, ()
    following, actions = _chosen(replace(state, claim=None), event)
    return following, (FreeAgent(state.claim, None, caller_left=True), LeaveQueue(), *actions)


def _chosen(state: Handover, event: CallerChose) -> Result:
    choice = event.choice
    if choice is Choice.WAIT:
        if state.outlook is None or state.outlook.standing is not Standing.OPEN:
            return _offer(state, _instead(state))
        return replace(state, phase=Phase.ANNOUNCED), (EnterQueue(state.outlook, state.tried, (), again=True),)
    if choice is Choice.OVERFLOW:
        return _overflow(state) or _offer(state, _instead(state))
    return replace(state, phase=Phase.ARRANGING), (Arrange(choice),)


def _nothing_chosen(state: Handover, _event: NothingChosen) -> Result:
    return _offer(state, _instead(state))


def _arranged(_state: Handover, event: Arranged) -> Result:
    return _done(_ENDINGS.get(event.choice, Ending.NOTED))


def _not_arranged(state: Handover, event: NotArranged) -> Result:
    return _offer(state, tuple(choice for choice in _instead(state) if choice is not event.choice))


def _held(state: Handover, event: AgentHeld) -> Result:
    phase = Phase.HELD if event.held else Phase.JOINED
    return replace(state, phase=phase), (Hold(event.claim, event.held),)


def _bot_asked_back(state: Handover, event: BotAskedBack) -> Result:
    if state.inviting or state.third:
        return state, ()  # a third party has come to talk, or is about to
    return replace(state, phase=Phase.WITH_BOT), (RunBot(event.claim, event.flow),)


def _bot_finished(state: Handover, _event: BotFinished) -> Result:
    if state.claim is None:
        # The agent left while the bot was at it.
        return _done(Ending.SURVEY if state.rules.survey else Ending.SERVED)
    return replace(state, phase=Phase.JOINED), (Hold(state.claim, held=False),)


def _bot_called_off(state: Handover, event: BotCalledOff) -> Result:
    return replace(state, phase=Phase.JOINED), (Hold(event.claim, held=False),)


def _agent_left_bot(state: Handover, event: AgentLeft) -> Result:
    return replace(state, claim=None), (FreeAgent(event.claim, None),)


def _sent_on(state: Handover, event: SentOn) -> Result:
    return _send_on(state, event.claim, event.queue, event.agent)


def _send_on(state: Handover, claim: Claim, queue: str, only: str = "") -> Result:
    dropped = _third_dropped(state)
    moved = replace(
        state,
        phase=Phase.NEW,
        claim=None,
        told=False,
        tried=(*state.tried, claim.agent_id),
        queues=(*state.queues, queue),
        packet_settled=False,
        only=only,
        inviting="",
        third=None,
    )
    return moved, (*dropped, FreeAgent(claim, None), SendPacket(), FindQueue(queue))


def _agent_left(state: Handover, event: AgentLeft) -> Result:
    """The caller goes on with who else is in the call, or to whom the agent was about to bring into it."""
    if state.third:
        return _promoted(state, state.third, FreeAgent(event.claim, None))
    if state.inviting:
        return _send_on(state, event.claim, state.inviting)
    done, actions = _done(Ending.SURVEY if event.survey or state.rules.survey else Ending.SERVED)
    return done, (FreeAgent(event.claim, None), *actions)


def _agent_lost(state: Handover, event: AgentFailed) -> Result:
    """Their line was lost, or they were gone before a word was said: the caller has not been served."""
    if state.third:
        return _promoted(state, state.third, FreeAgent(event.claim, event.failure))
    because = event.failure if event.failure is Failure.CLAIM_LOST else Setback.AGENT_GONE
    failed, actions = _without_agent(replace(state, inviting=""), event, because)
    return failed, (*_third_dropped(state), *actions)


def _promoted(state: Handover, third: Claim, freed: FreeAgent) -> Result:
    return replace(state, phase=Phase.JOINED, claim=third, third=None), (freed, Promote(third))


def _third_asked(state: Handover, event: ThirdAsked) -> Result:
    if state.inviting or state.third:
        return state, ()
    return replace(state, inviting=event.queue), (InviteThird(event.queue, event.agent),)


def _third_accepted(state: Handover, event: ThirdAccepted) -> Result:
    if not state.inviting:
        return state, () if state.third else (DropThird(),)  # they were called off meanwhile
    return replace(state, inviting="", third=event.third), (JoinThird(event.third),)


def _third_failed(state: Handover, _event: ThirdFailed) -> Result:
    return replace(state, inviting=""), ()


def _third_left(state: Handover, event: ThirdLeft) -> Result:
    if event.third != state.third:
        return state, ()
    return replace(state, third=None), (DropThird(),)


def _third_called_off(state: Handover, _event: ThirdCalledOff) -> Result:
    return replace(state, inviting="", third=None), _third_dropped(state)


def _third_dropped(state: Handover) -> tuple[Action, ...]:
    return (DropThird(),) if state.inviting or state.third else ()


def _caller_left(state: Handover, _event: CallerLeft) -> Result:
    freed = (FreeAgent(state.claim, None, caller_left=True),) if state.claim else ()
    left = (LeaveQueue(),) if state.phase in _IN_QUEUE else ()
    done, actions = _done(Ending.CALLER_LEFT)
    return done, (*_third_dropped(state), *freed, *left, *actions)


# --- what several rows do


def _overflow(state: Handover, because: Failure | Setback | None = None) -> Result | None:
    """Send the caller on to the queue below, if there is one that they have not been to."""
    queue = state.rules.overflow
    if not queue or queue in state.queues or len(state.queues) >= MOST_QUEUES:
        return None
    moved = replace(state, phase=Phase.NEW, queues=(*state.queues, queue), because=because)
    return moved, (FindQueue(queue),)


def _instead(state: Handover) -> tuple[Choice, ...]:
    """What a caller can have who gets no agent: after hours what holds then."""
    closed = state.outlook is not None and state.outlook.standing is Standing.CLOSED
    return state.outlook.choices if closed and state.outlook else state.rules.offers


def _offer(state: Handover, choices: tuple[Choice, ...]) -> Result:
    """Offer what there is; when it has been offered often enough, a callback is noted down without asking."""
    outlook = state.outlook
    if not choices or state.offered >= MOST_OFFERS or outlook is None:
        return _done(Ending.NOTED)
    state = replace(state, phase=Phase.CHOOSING, offered=state.offered + 1)
    return state, (Offer(choices, outlook.standing, outlook.wait_s),)


def _done(ending: Ending) -> Result:
    return Handover(phase=Phase.DONE), (Finish(ending),)


_ENDINGS = {Choice.CALLBACK: Ending.CALLBACK, Choice.MESSAGE: Ending.MESSAGE, Choice.NUMBER: Ending.NUMBER}
#: Phases in which the caller has a place in the queue.
_IN_QUEUE = frozenset({Phase.ANNOUNCED, Phase.DIALLING, Phase.BRIEFING})
_WITH_AGENT = (Phase.JOINED, Phase.HELD)
_SENT = (Phase.SENDING, Phase.ELSEWHERE)

_BEFORE_ACCEPTED = (*sorted(_IN_QUEUE), Phase.NEW, Phase.CHOOSING, Phase.ARRANGING)

#: Every change of a hand-over, by where it stands and what happened.
TRANSITIONS: Mapping[tuple[Phase, type], Callable[[Handover, Any], Result]] = {
    (Phase.NEW, QueueFound): _queue_found,
    (Phase.SENDING, PacketSettled): _packet_settled_first,
    (Phase.SENDING, ElsewhereAnswered): _elsewhere_answered,
    **{(phase, ElsewhereFailed): _elsewhere_failed for phase in _SENT},
    **{(phase, ElsewhereEnded): _elsewhere_ended for phase in _SENT},
    **{(phase, ElsewhereGone): _elsewhere_gone for phase in _SENT},
    (Phase.ANNOUNCED, AgentClaimed): _agent_claimed,
    (Phase.ANNOUNCED, WaitedTooLong): _nobody_came,
    (Phase.ANNOUNCED, QueueClosed): _nobody_came,
    (Phase.ANNOUNCED, CallerChose): _chose_in_queue,
    (Phase.DIALLING, AgentAnswered): _agent_answered,
    (Phase.DIALLING, AgentFailed): _agent_failed,
    (Phase.DIALLING, CallerChose): _chose_while_ringing,
    (Phase.BRIEFING, AgentAccepted): _agent_accepted,
    (Phase.BRIEFING, AgentFailed): _agent_failed,
    (Phase.BRIEFING, CallerChose): _chose_while_ringing,
    (Phase.ACCEPTED, CallerTold): _caller_told,
    (Phase.ACCEPTED, PacketSettled): _packet_settled_last,
    (Phase.ACCEPTED, AgentFailed): _agent_failed,
    (Phase.JOINED, AgentFailed): _agent_lost,
    **{(phase, PacketSettled): _packet_settled for phase in _BEFORE_ACCEPTED},
    **{(phase, AgentHeld): _held for phase in _WITH_AGENT},
    **{(phase, BotAskedBack): _bot_asked_back for phase in _WITH_AGENT},
    **{(phase, SentOn): _sent_on for phase in _WITH_AGENT},
    **{(phase, AgentLeft): _agent_left for phase in _WITH_AGENT},
    **{(phase, ThirdAsked): _third_asked for phase in _WITH_AGENT},
    **{(phase, ThirdAccepted): _third_accepted for phase in _WITH_AGENT},
    **{(phase, ThirdFailed): _third_failed for phase in _WITH_AGENT},
    **{(phase, ThirdLeft): _third_left for phase in _WITH_AGENT},
    **{(phase, ThirdCalledOff): _third_called_off for phase in _WITH_AGENT},
    (Phase.WITH_BOT, BotFinished): _bot_finished,
    (Phase.WITH_BOT, BotCalledOff): _bot_called_off,
    (Phase.WITH_BOT, AgentLeft): _agent_left_bot,
    (Phase.CHOOSING, CallerChose): _chosen,
    (Phase.CHOOSING, NothingChosen): _nothing_chosen,
    (Phase.ARRANGING, Arranged): _arranged,
    (Phase.ARRANGING, NotArranged): _not_arranged,
    **{(phase, CallerLeft): _caller_left for phase in Phase if phase is not Phase.DONE},
}
