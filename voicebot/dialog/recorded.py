"""What a conversation means for its recording: announced or asked for at its start, stopped and resumed later."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from voicebot.dialog.actions import Action, NoteConsent, ResumeRecording, StopRecording
from voicebot.dialog.flow import Bot
from voicebot.dialog.recording import Consent, RecordingHold, RecordingOrder, RecordingPolicy
from voicebot.dialog.state import Origin, State
from voicebot.dialog.turn import Turn


def announce(turn: Turn) -> None:
    """Tell a caller that the call is recorded, where the bot's rules say so; nobody records what is written."""
    rules = turn.bot.recording
    if rules.policy is RecordingPolicy.ANNOUNCE and rules.announcement and not turn.is_written:
        turn.say(rules.announcement)
        turn.record("recording_announced")
        turn.state = replace(turn.state, consent=Consent.ANNOUNCED)


def ask_first(turn: Turn) -> None:
    """Have the caller asked whether they may be recorded before anything else, where the bot's rules say so."""
    rules = turn.bot.recording
    if rules.policy is RecordingPolicy.ASK and not turn.is_written:
        turn.push(rules.asks, Origin.CONSENT)


def order(turn: Turn, given: RecordingOrder) -> None:
    """Carry out a flow's step."""
    turn.record("recording", detail=given.value)
    match given:
        case RecordingOrder.STOP:
            turn.change_frame(replace(turn.frame, unrecorded=True))
        case RecordingOrder.RESUME:
            turn.state = replace(
                turn.state, stack=tuple(replace(frame, unrecorded=False) for frame in turn.state.stack)
            )
        case RecordingOrder.AGREED:
            turn.state = replace(turn.state, consent=Consent.AGREED)
        case RecordingOrder.REFUSED:
            turn.state = replace(turn.state, consent=Consent.REFUSED)
        case _:
            assert_never(given)


def changes(bot: Bot, before: State, after: State) -> tuple[Action, ...]:
    """Return what is to be done about the recording when a conversation has gone from one state to another."""
    found: list[Action] = []
    if after.consent is not None and after.consent is not before.consent:
        found.append(NoteConsent(after.consent))
    hold = held_by(bot, after)
    if hold is not None and held_by(bot, before) is None:
        found.append(StopRecording(hold))
    elif hold is None and held_by(bot, before) is not None:
        found.append(ResumeRecording())
    return tuple(found)


def held_by(bot: Bot, state: State) -> RecordingHold | None:
    """Return what keeps a conversation from being recorded at this point, the gravest first; None if nothing does."""
    if not state.stack:  # before the call's first event
        return None
    rules = bot.recording
    asked = rules.policy is RecordingPolicy.ASK and state.consent is not Consent.AGREED
    if asked or state.consent is Consent.REFUSED:
        return RecordingHold.CONSENT
    if any(frame.flow in rules.pause_in for frame in state.stack):
        return RecordingHold.POLICY
    return RecordingHold.FLOW if any(frame.unrecorded for frame in state.stack) else None
