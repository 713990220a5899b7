"""A customer who comes back goes on where they were: what a conversation leaves behind, and taking it up again."""

from __future__ import annotations

from dataclasses import replace

from voicebot.dialog.events import Continuation, SlotValue
from voicebot.dialog.flow import Bot
from voicebot.dialog.state import Frame, Origin, State
from voicebot.dialog.steps import AskStep, Slot
from voicebot.dialog.turn import Turn
from voicebot.dialog.values import ValueKind


def continuation_of(bot: Bot, state: State) -> Continuation | None:
    """Return the request that a conversation broke off in; None when there is none, or when part of it is done.

    Only what the caller gave as answers is kept: not what systems said, since it may have changed; no agreement, no
    secret and nothing remembered for the whole call, since who they are has to be shown afresh.
    """
    frame = next((frame for frame in reversed(state.stack) if frame.origin is Origin.REQUEST), None)
    if frame is None or frame.committed:
        return None
    flow = bot.flows[frame.flow]
    intent = next((intent.name for intent in bot.intents_by_name.values() if intent.flow == flow.name), None)
    if intent is None or flow.replaces:
        return None
    given = dict(frame.asked)
    values = {name: value for name, value in frame.slots.items() if name in given and _is_kept(flow.slots.get(name))}
    return Continuation(flow.name, intent, values)


def _is_kept(slot: Slot | None) -> bool:
    return slot is not None and not slot.type.secret and slot.type.kind is not ValueKind.YES_NO


def take_up(turn: Turn, continuation: Continuation) -> bool:
    """Begin the request again with what was said already.

    False when this version of the bot has no such flow, or a supervisor has stopped it.
    """
    flow = turn.bot.flows.get(continuation.flow)
    if continuation.intent in turn.state.paused:
        return False
    if flow is None or continuation.intent not in turn.bot.intents_by_name or not flow.title:
        return False
    turn.start_request(flow.name, continuation.intent)
    asks = {step.slot: step.id for step in flow.steps.values() if isinstance(step, AskStep)}
    fitting = {name: value for name, value in continuation.slots.items() if _fits(turn, name, value) and name in asks}
    asked = tuple((name, asks[name]) for name in fitting)
    frame: Frame = replace(turn.frame, slots={**turn.frame.slots, **fitting}, asked=asked)
    turn.change_frame(frame)
    turn.record("continued", intent=continuation.intent, detail=", ".join(fitting))
    return True


def _fits(turn: Turn, name: str, value: SlotValue) -> bool:
    slot = turn.flow.slots.get(name)
    return slot is not None and slot.type.kind.accepts(value)
