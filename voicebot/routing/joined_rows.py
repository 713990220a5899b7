"""Rows of a hand-over whose caller has an agent: hold, the bot's step, somebody asked in, left to somebody, ended."""

from __future__ import annotations

from dataclasses import replace

from voicebot.routing.actions import (
    Action,
    DropThird,
    Ending,
    FindQueue,
    FreeAgent,
    Hold,
    InviteThird,
    JoinThird,
    Promote,
    RunBot,
    SendPacket,
    Setback,
)
from voicebot.routing.events import (
    AgentFailed,
    AgentHeld,
    AgentLeft,
    BotAskedBack,
    BotCalledOff,
    BotFinished,
    Claim,
    SentOn,
    ThirdAccepted,
    ThirdAsked,
    ThirdCalledOff,
    ThirdFailed,
    ThirdLeft,
)
from voicebot.routing.handover_state import Handover, Phase, Result, finish
from voicebot.routing.queues import Failure
from voicebot.routing.waiting_rows import without_agent


def held(state: Handover, event: AgentHeld) -> Result:
    phase = Phase.HELD if event.held else Phase.JOINED
    return replace(state, phase=phase), (Hold(event.claim, event.held),)


def bot_asked_back(state: Handover, event: BotAskedBack) -> Result:
    if state.inviting or state.third:
        return state, ()  # a third party has come to talk, or is about to
    return replace(state, phase=Phase.WITH_BOT), (RunBot(event.claim, event.flow),)


def bot_finished(state: Handover, _event: BotFinished) -> Result:
    if state.claim is None:
        # The agent left while the bot was at it.
        return finish(Ending.SURVEY if state.rules.survey else Ending.SERVED)
    return replace(state, phase=Phase.JOINED), (Hold(state.claim, held=False),)


def bot_called_off(state: Handover, event: BotCalledOff) -> Result:
    return replace(state, phase=Phase.JOINED), (Hold(event.claim, held=False),)


def agent_left_bot(state: Handover, event: AgentLeft) -> Result:
    return replace(state, claim=None), (FreeAgent(event.claim, None),)


def sent_on(state: Handover, event: SentOn) -> Result:
    return _send_on(state, event.claim, event.queue, event.agent)


def _send_on(state: Handover, claim: Claim, queue: str, only: str = "") -> Result:
    dropped = third_dropped(state)
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


def agent_left(state: Handover, event: AgentLeft) -> Result:
    """The caller goes on with who else is in the call, or to whom the agent was about to bring into it."""
    if state.third:
        return _promoted(state, state.third, FreeAgent(event.claim, None))
    if state.inviting:
        return _send_on(state, event.claim, state.inviting)
    done, actions = finish(Ending.SURVEY if event.survey or state.rules.survey else Ending.SERVED)
    return done, (FreeAgent(event.claim, None), *actions)


def agent_lost(state: Handover, event: AgentFailed) -> Result:
    """Their line was lost, or they were gone before a word was said: the caller has not been served."""
    if state.third:
        return _promoted(state, state.third, FreeAgent(event.claim, event.failure))
    because = event.failure if event.failure is Failure.CLAIM_LOST else Setback.AGENT_GONE
    failed, actions = without_agent(replace(state, inviting=""), event, because)
    return failed, (*third_dropped(state), *actions)


def _promoted(state: Handover, third: Claim, freed: FreeAgent) -> Result:
    return replace(state, phase=Phase.JOINED, claim=third, third=None), (freed, Promote(third))


def third_asked(state: Handover, event: ThirdAsked) -> Result:
    if state.inviting or state.third:
        return state, ()
    return replace(state, inviting=event.queue), (InviteThird(event.queue, event.agent),)


def third_accepted(state: Handover, event: ThirdAccepted) -> Result:
    if not state.inviting:
        return state, () if state.third else (DropThird(),)  # they were called off meanwhile
    return replace(state, inviting="", third=event.third), (JoinThird(event.third),)


def third_failed(state: Handover, _event: ThirdFailed) -> Result:
    return replace(state, inviting=""), ()


def third_left(state: Handover, event: ThirdLeft) -> Result:
    if event.third != state.third:
        return state, ()
    return replace(state, third=None), (DropThird(),)


def third_called_off(state: Handover, _event: ThirdCalledOff) -> Result:
    return replace(state, inviting="", third=None), third_dropped(state)


def third_dropped(state: Handover) -> tuple[Action, ...]:
    return (DropThird(),) if state.inviting or state.third else ()
