"""What follows when a caller asks for something: a command, small talk, a flow, or a question which of two it was."""

from __future__ import annotations

from dataclasses import replace

from voicebot.dialog.events import Entity, Interpretation
from voicebot.dialog.flow import Bot
from voicebot.dialog.ladder import missed, say_question, walk_on
from voicebot.dialog.state import Queued
from voicebot.dialog.steps import QuestionStep, RequestStep
from voicebot.dialog.turn import Turn
from voicebot.dialog.walk import flow_for, leave_request

#: How long a caller who asked us to wait may take.
_PATIENCE_S = 45.0
_SLOWER = 0.85
_SLOWEST = 0.6
#: Requests remembered from one sentence.
_QUEUED_MOST = 3


def asked(
    turn: Turn,
    step_: QuestionStep,
    intent: str,
    confidence: float,
    *,
    entities: tuple[Entity, ...],
    words: str,
) -> None:
    """Do what an intent asks for at this question; `entities` and `words` were said with it."""
    commands = turn.bot.commands
    turn.record("intent", intent=intent, confidence=confidence)
    if intent == commands.repeat:
        turn.actions += turn.state.last_said
        turn.listen()
    elif intent == commands.help:
        turn.say(turn.bot.patterns.help)
        say_question(turn, step_, with_keys=True)
        turn.listen()
    elif intent == commands.wait:
        turn.is_aside = True
        turn.say(turn.bot.patterns.wait)
        turn.listen(_PATIENCE_S)
    elif intent == commands.slower:
        pace = max(_SLOWEST, turn.state.pace * _SLOWER)
        turn.state = replace(turn.state, pace=pace)
        turn.actions += [replace(said, pace=pace) for said in turn.state.last_said]
        turn.listen()
    elif intent in turn.bot.replies:
        turn.say(turn.bot.replies[intent])
        say_question(turn, step_, with_keys=False)
        turn.listen()
    elif intent == commands.start_over:
        _start_over(turn)
    elif intent == commands.cancel:
        _cancel(turn, step_)
    else:
        flow = turn.bot.intents_by_name[intent].flow
        if flow:
            start_flow(turn, flow, intent, entities, words)


def queue(turn: Turn, said: Interpretation, first: str) -> None:
    """Remember what was asked for in the same breath, to be done after the first."""
    for score in said.further:
        intent = turn.bot.intents_by_name.get(score.intent)
        known = intent is not None and intent.flow is not None and score.confidence >= turn.bot.understanding.accept
        if known and score.intent not in {first, *(queued.intent for queued in turn.state.queued)}:
            queued = Queued(score.intent, said.entities, said.text)
            turn.state = replace(turn.state, queued=(*turn.state.queued, queued)[:_QUEUED_MOST])


def _start_over(turn: Turn) -> None:
    """Back to the bot's first open question; what the caller proved about themselves stays."""
    turn.say(turn.bot.patterns.start_over)
    turn.replace_all(turn.bot.start)
    go_to_first_request(turn)
    walk_on(turn)


def _cancel(turn: Turn, step_: QuestionStep) -> None:
    """Leave the request under way, or the call where there is none and the caller was asked what else."""
    if isinstance(step_, RequestStep) and step_.no is not None:
        turn.go_to(step_.no)
    else:
        turn.say(turn.bot.patterns.cancelled)
        if not isinstance(step_, RequestStep):
            leave_request(turn)
    walk_on(turn)


def go_to_first_request(turn: Turn) -> None:
    """Go to the first open question of the flow that a call begins with, past its greeting."""
    requests = [other for other in turn.flow.steps.values() if isinstance(other, RequestStep)]
    if requests:
        turn.go_to(min(requests, key=lambda other: other.line).id)


def intent_of(bot: Bot, flow: str) -> str | None:
    """Return the intent that starts a flow, the first where there are several."""
    return next((intent.name for intent in bot.intents_by_name.values() if intent.flow == flow), None)


def start_flow(
    turn: Turn, flow_name: str, intent: str | None, entities: tuple[Entity, ...] = (), words: str = ""
) -> None:
    """Begin a flow that was asked for, unless it runs already or too many wait below it.

    Whoever asks for what a supervisor has stopped goes to a person.
    """
    flow = flow_for(turn, turn.bot.flows[flow_name], intent)
    if flow.replaces:
        turn.replace_all(flow.name)
        walk_on(turn)
        return
    running = any(frame.flow == flow.name for frame in turn.state.stack)
    if running or len(turn.state.stack) > turn.bot.limits.stack * 2:
        missed(turn, "no_match")
        return
    turn.start_request(flow.name, intent, entities, words)
    walk_on(turn)


def clarify(turn: Turn, intents: tuple[str, ...], confidence: float) -> None:
    """Ask which of one or two intents it was, unless that question was just asked."""
    if turn.state.clarifying == intents:
        missed(turn, "no_match")
        return
    turn.record("unsure", intent=intents[0], confidence=confidence, detail=" or ".join(intents))
    titles = [_title(turn.bot, intent) for intent in intents]
    turn.state = replace(turn.state, clarifying=intents)
    if len(titles) == 1:
        turn.say(turn.bot.patterns.clarify_one, {"first": titles[0]})
    else:
        turn.say(turn.bot.patterns.clarify_two, {"first": titles[0], "second": titles[1]})
    turn.listen()


def _title(bot: Bot, intent: str) -> str:
    flow = bot.intents_by_name[intent].flow
    return bot.flows[flow].title if flow else intent
