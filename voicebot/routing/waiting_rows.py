"""Rows of a hand-over until the caller has somebody: queue, ringing agents, agents elsewhere, what there is instead."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from voicebot.routing.actions import (
    AnnounceElsewhere,
    Arrange,
    BriefAgent,
    Ending,
    EnterQueue,
    FreeAgent,
    Join,
    LeaveQueue,
    RingAgent,
    SendElsewhere,
    Setback,
    TellCaller,
)
from voicebot.routing.events import (
    AgentAccepted,
    AgentAnswered,
    AgentClaimed,
    AgentFailed,
    Arranged,
    CallerChose,
    CallerTold,
    Claim,
    ElsewhereAnswered,
    ElsewhereEnded,
    ElsewhereFailed,
    ElsewhereGone,
    NotArranged,
    NothingChosen,
    PacketSettled,
    QueueClosed,
    QueueFound,
    WaitedTooLong,
)
from voicebot.routing.handover_state import IN_QUEUE, Handover, Phase, Result, finish, instead, offer, overflow
from voicebot.routing.queues import Choice, Failure, NextStep
from voicebot.routing.waiting import Outlook, Standing


def queue_found(state: Handover, event: QueueFound) -> Result:
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
            moved = overflow(state, Setback.FULL)
        case Standing.UNSTAFFED:
            moved = overflow(state, Setback.NOBODY)
        case Standing.CLOSED:
            moved = None
        case _:
            assert_never(outlook.standing)
    return moved or offer(state, outlook.choices)


def _send_elsewhere(state: Handover) -> Result:
    """Send the caller on, unless the packet has not gone out yet: nobody takes a caller of whom they know nothing."""
    if not state.packet_settled:
        return state, ()
    return state, (SendElsewhere(state.rules.elsewhere[state.sent]),)


def packet_settled_first(state: Handover, event: PacketSettled) -> Result:
    if state.packet_settled:
        return state, ()
    return _send_elsewhere(replace(state, packet_settled=True, late=event.late))


def elsewhere_answered(state: Handover, _event: ElsewhereAnswered) -> Result:
    if not state.packet_settled:
        return state, ()  # nobody was sent anywhere yet
    return replace(state, phase=Phase.ELSEWHERE), ()


def elsewhere_failed(state: Handover, event: ElsewhereFailed) -> Result:
    """Try the next destination, then what policy says of this failure: agents of ours, another queue, an offer."""
    state = replace(state, phase=Phase.SENDING, sent=state.sent + 1)
    if state.sent < len(state.rules.elsewhere):
        return _send_elsewhere(state)
    what = state.rules.then.get(event.failure, NextStep.NEXT_AGENT)
    if what is NextStep.NEXT_AGENT and state.outlook and state.outlook.standing is Standing.OPEN:
        choices = state.outlook.choices
        entering = EnterQueue(state.outlook, state.tried, choices, again=True, because=event.failure)
        return replace(state, phase=Phase.ANNOUNCED), (entering,)
    if what is not NextStep.OFFER and (moved := overflow(state, event.failure)):
        return moved
    return offer(state, state.rules.offers)


def elsewhere_ended(state: Handover, _event: ElsewhereEnded) -> Result:
    return finish(Ending.SURVEY if state.rules.survey else Ending.SERVED)


def elsewhere_gone(_state: Handover, _event: ElsewhereGone) -> Result:
    return finish(Ending.ELSEWHERE)


def agent_claimed(state: Handover, event: AgentClaimed) -> Result:
    return replace(state, phase=Phase.DIALLING, claim=event.claim), (RingAgent(event.claim),)


def agent_answered(state: Handover, event: AgentAnswered) -> Result:
    if event.accepted:
        return _accepted(state, event.claim)
    return replace(state, phase=Phase.BRIEFING), (BriefAgent(event.claim),)


def agent_accepted(state: Handover, event: AgentAccepted) -> Result:
    return _accepted(state, event.claim)


def _accepted(state: Handover, claim: Claim) -> Result:
    return replace(state, phase=Phase.ACCEPTED, told=False), (LeaveQueue(), TellCaller(claim))


def caller_told(state: Handover, _event: CallerTold) -> Result:
    return _join_when_ready(replace(state, told=True))


def packet_settled(state: Handover, event: PacketSettled) -> Result:
    return replace(state, packet_settled=True, late=event.late), ()


def packet_settled_last(state: Handover, event: PacketSettled) -> Result:
    return _join_when_ready(replace(state, packet_settled=True, late=event.late))


def _join_when_ready(state: Handover) -> Result:
    if not (state.told and state.packet_settled and state.claim):
        return state, ()
    return replace(state, phase=Phase.JOINED), (Join(state.claim),)


def agent_failed(state: Handover, event: AgentFailed) -> Result:
    return without_agent(state, event, event.failure)


def without_agent(state: Handover, event: AgentFailed, because: Failure | Setback) -> Result:
    """Let the agent go, and do what policy says of this failure; nobody is rung twice for the same caller."""
    freed = FreeAgent(event.claim, event.failure)
    leave = (LeaveQueue(),) if state.phase in IN_QUEUE else ()
    state = replace(state, claim=None, told=False, tried=(*state.tried, event.claim.agent_id), only="")
    what = state.rules.then.get(event.failure, NextStep.NEXT_AGENT)
    if what is NextStep.OVERFLOW and (moved := overflow(state, because)):
        return moved[0], (freed, *leave, *moved[1])
    if what is NextStep.NEXT_AGENT and len(state.tried) < state.rules.max_tries and state.outlook:
        choices = state.outlook.choices
        entering = EnterQueue(state.outlook, state.tried, choices, again=True, because=because)
        return replace(state, phase=Phase.ANNOUNCED), (freed, entering)
    offering, actions = offer(state, state.rules.offers)
    return offering, (freed, *leave, *actions)


def nobody_came(state: Handover, event: WaitedTooLong | QueueClosed) -> Result:
    if isinstance(event, WaitedTooLong) and state.only and state.outlook:
        # The one they were sent on to does not come; anybody else of the queue will do.
        choices = state.outlook.choices
        waiting_on = EnterQueue(state.outlook, state.tried, choices, again=True, because=Failure.NO_ANSWER)
        return replace(state, only=""), (waiting_on,)
    if isinstance(event, WaitedTooLong) and (moved := overflow(state, Setback.TOO_LONG)):
        return moved[0], (LeaveQueue(), *moved[1])
    offering, actions = offer(state, state.rules.offers)
    return offering, (LeaveQueue(), *actions)


def chose_in_queue(state: Handover, event: CallerChose) -> Result:
    if event.choice is Choice.WAIT:
        return state, ()
    following, actions = chosen(state, event)
    return following, (LeaveQueue(), *actions)


def chose_while_ringing(state: Handover, event: CallerChose) -> Result:
    """The caller does not wait for the agent who is being rung."""
    if event.choice is Choice.WAIT or state.claim is None:
        return state, ()
    following, actions = chosen(replace(state, claim=None), event)
    return following, (FreeAgent(state.claim, None, caller_left=True), LeaveQueue(), *actions)


def chosen(state: Handover, event: CallerChose) -> Result:
    choice = event.choice
    if choice is Choice.WAIT:
        if state.outlook is None or state.outlook.standing is not Standing.OPEN:
            return offer(state, instead(state))
        return replace(state, phase=Phase.ANNOUNCED), (EnterQueue(state.outlook, state.tried, (), again=True),)
    if choice is Choice.OVERFLOW:
        return overflow(state) or offer(state, instead(state))
    return replace(state, phase=Phase.ARRANGING), (Arrange(choice),)


def nothing_chosen(state: Handover, _event: NothingChosen) -> Result:
    return offer(state, instead(state))


def arranged(_state: Handover, event: Arranged) -> Result:
    return finish(_ENDINGS.get(event.choice, Ending.NOTED))


def not_arranged(state: Handover, event: NotArranged) -> Result:
    return offer(state, tuple(choice for choice in instead(state) if choice is not event.choice))


_ENDINGS = {Choice.CALLBACK: Ending.CALLBACK, Choice.MESSAGE: Ending.MESSAGE, Choice.NUMBER: Ending.NUMBER}
