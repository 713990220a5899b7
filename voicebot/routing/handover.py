"""The hand-over of one caller to a person: a state and an event give the next state and what to do.

Everything that changes a hand-over stands in `TRANSITIONS`. What is not in it is ignored, except that an agent who was
claimed for nobody is always let go. A claim bears a number that grows with every claim on that agent (a fencing token),
so that whatever comes late from an earlier claim is known for what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from voicebot.routing import joined_rows, waiting_rows
from voicebot.routing.actions import (
    Arrange,
    Ending,
    FindQueue,
    FreeAgent,
    LeaveQueue,
    SendPacket,
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
    SentOn,
    ThirdAccepted,
    ThirdAsked,
    ThirdCalledOff,
    ThirdFailed,
    ThirdLeft,
    WaitedTooLong,
)
from voicebot.routing.handover_state import IN_QUEUE, Handover, Phase, Result, finish
from voicebot.routing.queues import Choice


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


def _caller_left(state: Handover, _event: CallerLeft) -> Result:
    freed = (FreeAgent(state.claim, None, caller_left=True),) if state.claim else ()
    left = (LeaveQueue(),) if state.phase in IN_QUEUE else ()
    done, actions = finish(Ending.CALLER_LEFT)
    return done, (*joined_rows.third_dropped(state), *freed, *left, *actions)


_WITH_AGENT = (Phase.JOINED, Phase.HELD)
_SENT = (Phase.SENDING, Phase.ELSEWHERE)
_BEFORE_ACCEPTED = (*sorted(IN_QUEUE), Phase.NEW, Phase.CHOOSING, Phase.ARRANGING)

#: Every change of a hand-over, by where it stands and what happened.
TRANSITIONS: Mapping[tuple[Phase, type], Callable[[Handover, Any], Result]] = {
    (Phase.NEW, QueueFound): waiting_rows.queue_found,
    (Phase.SENDING, PacketSettled): waiting_rows.packet_settled_first,
    (Phase.SENDING, ElsewhereAnswered): waiting_rows.elsewhere_answered,
    **{(phase, ElsewhereFailed): waiting_rows.elsewhere_failed for phase in _SENT},
    **{(phase, ElsewhereEnded): waiting_rows.elsewhere_ended for phase in _SENT},
    **{(phase, ElsewhereGone): waiting_rows.elsewhere_gone for phase in _SENT},
    (Phase.ANNOUNCED, AgentClaimed): waiting_rows.agent_claimed,
    (Phase.ANNOUNCED, WaitedTooLong): waiting_rows.nobody_came,
    (Phase.ANNOUNCED, QueueClosed): waiting_rows.nobody_came,
    (Phase.ANNOUNCED, CallerChose): waiting_rows.chose_in_queue,
    (Phase.DIALLING, AgentAnswered): waiting_rows.agent_answered,
    (Phase.DIALLING, AgentFailed): waiting_rows.agent_failed,
    (Phase.DIALLING, CallerChose): waiting_rows.chose_while_ringing,
    (Phase.BRIEFING, AgentAccepted): waiting_rows.agent_accepted,
    (Phase.BRIEFING, AgentFailed): waiting_rows.agent_failed,
    (Phase.BRIEFING, CallerChose): waiting_rows.chose_while_ringing,
    (Phase.ACCEPTED, CallerTold): waiting_rows.caller_told,
    (Phase.ACCEPTED, PacketSettled): waiting_rows.packet_settled_last,
    (Phase.ACCEPTED, AgentFailed): waiting_rows.agent_failed,
    (Phase.JOINED, AgentFailed): joined_rows.agent_lost,
    **{(phase, PacketSettled): waiting_rows.packet_settled for phase in _BEFORE_ACCEPTED},
    **{(phase, AgentHeld): joined_rows.held for phase in _WITH_AGENT},
    **{(phase, BotAskedBack): joined_rows.bot_asked_back for phase in _WITH_AGENT},
    **{(phase, SentOn): joined_rows.sent_on for phase in _WITH_AGENT},
    **{(phase, AgentLeft): joined_rows.agent_left for phase in _WITH_AGENT},
    **{(phase, ThirdAsked): joined_rows.third_asked for phase in _WITH_AGENT},
    **{(phase, ThirdAccepted): joined_rows.third_accepted for phase in _WITH_AGENT},
    **{(phase, ThirdFailed): joined_rows.third_failed for phase in _WITH_AGENT},
    **{(phase, ThirdLeft): joined_rows.third_left for phase in _WITH_AGENT},
    **{(phase, ThirdCalledOff): joined_rows.third_called_off for phase in _WITH_AGENT},
    (Phase.WITH_BOT, BotFinished): joined_rows.bot_finished,
    (Phase.WITH_BOT, BotCalledOff): joined_rows.bot_called_off,
    (Phase.WITH_BOT, AgentLeft): joined_rows.agent_left_bot,
    (Phase.CHOOSING, CallerChose): waiting_rows.chosen,
    (Phase.CHOOSING, NothingChosen): waiting_rows.nothing_chosen,
    (Phase.ARRANGING, Arranged): waiting_rows.arranged,
    (Phase.ARRANGING, NotArranged): waiting_rows.not_arranged,
    **{(phase, CallerLeft): _caller_left for phase in Phase if phase is not Phase.DONE},
}
