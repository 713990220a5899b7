"""Watches a conversation for the policy: measures what an event brought, decides, and climbs the ladder if it must."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import assert_never

from voicebot.dialog.actions import Action, Listen, RecordDecision, RecordEscalation, Say, TransferTo
from voicebot.dialog.escalation.deciding import decide
from voicebot.dialog.escalation.decision import ASKED, Decision
from voicebot.dialog.escalation.policy import EscalationPolicy
from voicebot.dialog.escalation.rung import EscalationRung
from voicebot.dialog.escalation.signals import Signals
from voicebot.dialog.escalation.tally import Observed, Tally, count
from voicebot.dialog.events import (
    BackendAnswered,
    BackendFailed,
    CallerPressed,
    CallerSilent,
    CallerSpoke,
    CallerTalkedTooLong,
    CallStarted,
    Event,
    HearingFailed,
    Interpretation,
)
from voicebot.dialog.flow import Bot
from voicebot.dialog.ladder import say_question, walk_on
from voicebot.dialog.prompt import Prompt
from voicebot.dialog.slots import spoken_candidates
from voicebot.dialog.state import Escalating, Origin, Phase, State
from voicebot.dialog.steps import AskStep, QuestionStep
from voicebot.dialog.turn import Turn
from voicebot.dialog.values import ValueKind

#: Rules of the machine's own record that mean that the caller got on.
_GOT_ON = frozenset({"answered", "corrected", "confirmed", "menu", "said_yes", "declined"})
_CALLER_EVENTS = CallerSpoke | CallerPressed | CallerSilent | CallerTalkedTooLong | HearingFailed
_WATCHED = _CALLER_EVENTS | BackendAnswered | BackendFailed


def begin(event: CallStarted) -> Escalating:
    """Return how a call stands with its policy when it begins."""
    return Escalating(event.earlier_calls, event.at, Tally(tier=event.tier))


def supervise(before: State, event: Event, turn: Turn) -> None:
    """Look at a turn that was just worked out, and change what it does where the policy says so."""
    policy = turn.bot.policy
    if policy is None or not isinstance(event, _WATCHED):
        return
    named = _named(before, event, turn)
    seen = _observe(policy, before, event, turn, named)
    standing = replace(turn.state.escalating, named=turn.state.escalating.named | named)
    turn.state = replace(turn.state, escalating=standing)
    if not (seen.is_turn or seen.missed or seen.authentication_failed or seen.backend_failed or standing.due):
        return
    tally, signals = count(standing.tally, seen)
    decision, reached = decide(policy, signals, standing.standing, turn.state.goal)
    turn.state = replace(turn.state, escalating=replace(standing, tally=tally, standing=reached))
    # Before all else, since nothing may follow the end of the call.
    turn.actions.insert(0, RecordEscalation(signals, decision))
    _act_on(policy, before, turn, decision, signals, missed=seen.missed or seen.silent)
    turn.actions = [_with_reasons(action, turn.state) for action in turn.actions]


def _act_on(
    policy: EscalationPolicy, before: State, turn: Turn, decision: Decision, signals: Signals, *, missed: bool
) -> None:
    asked_first = decision.rule == ASKED and decision.rung is policy.asked.offer
    if asked_first and before.phase is Phase.ASKING and any(isinstance(action, TransferTo) for action in turn.actions):
        # The request would have been honoured; the policy has something to offer before.
        _take_back(turn, before)
    rungs = [rung for rung in (turn.state.escalating.due, decision.rung) if rung]
    rung = max(rungs, key=lambda one: one.height, default=None)
    is_settled = turn.state.phase is Phase.ENDED or any(isinstance(action, TransferTo) for action in turn.actions)
    if rung is None or is_settled:
        return
    if turn.state.phase is Phase.WAITING and _only_guesses(turn, before) and rung.is_takeover:
        _take_back(turn, before)
    if turn.state.phase is Phase.WAITING:  # what is under way is finished first
        turn.state = replace(turn.state, escalating=replace(turn.state.escalating, due=rung))
        return
    turn.state = replace(turn.state, escalating=replace(turn.state.escalating, due=None))
    _climb(policy, turn, rung, signals, missed=missed)


def _take_back(turn: Turn, before: State) -> None:
    """Let what was worked out on this event not have happened, apart from what was noted of it."""
    kept = turn.state
    turn.state = replace(before, at=kept.at, turn=kept.turn, said=kept.said, escalating=kept.escalating)
    turn.actions = [action for action in turn.actions if isinstance(action, RecordDecision | RecordEscalation)]


def _only_guesses(turn: Turn, before: State) -> bool:
    """Whether the bot has just begun to look for an answer to words that no intent fits."""
    return before.phase is Phase.ASKING and turn.frame.origin is Origin.UNKNOWN


def _climb(policy: EscalationPolicy, turn: Turn, rung: EscalationRung, signals: Signals, *, missed: bool) -> None:
    """Say or do what the policy has at a rung, in place of the question that was about to be asked."""
    words = policy.rungs[rung]
    prompt = words.said_to(signals)
    step = turn.step
    if not isinstance(step, QuestionStep) or any(frame.flow == words.flow for frame in turn.state.stack):
        return
    if not missed and prompt is not words.prompt:
        return  # a caller who is calm and was understood hears what they would have heard anyway
    if missed and prompt and rung is not EscalationRung.KEYS:
        _say_instead(turn, prompt)
        return
    turn.actions = [action for action in turn.actions if not _belongs_to(action, turn, step, missed=missed)]
    turn.state = replace(turn.state, clarifying=())
    turn.record("escalated", detail=rung.value)
    match rung:
        case EscalationRung.CLARIFY | EscalationRung.OTHER_WAY | EscalationRung.KEYS:
            if prompt:
                turn.say(prompt)
            if rung is EscalationRung.OTHER_WAY and step.question.again:
                turn.say(step.question.again[0])
            else:
                say_question(turn, step, with_keys=rung is EscalationRung.KEYS)
            turn.listen()
        case EscalationRung.CALLBACK:
            turn.push(words.flow, Origin.OFFER)
            walk_on(turn)
        case EscalationRung.WARM_TRANSFER | EscalationRung.DIRECT_LINE:
            turn.replace_all(words.flow)
            walk_on(turn)
        case _:
            assert_never(rung)


def _say_instead(turn: Turn, prompt: Prompt) -> None:
    """Put `prompt` in place of the words that something was not understood; how it is asked again stays."""
    turn.say(prompt)
    said = turn.actions.pop()
    rest = [action for action in turn.actions if not _is_apology(action)]
    place = next((place for place, action in enumerate(rest) if isinstance(action, Say | Listen)), len(rest))
    turn.actions = [*rest[:place], said, *rest[place:]]


def _is_apology(action: Action) -> bool:
    return isinstance(action, Say) and action.prompt.startswith("ladders.")


def _belongs_to(action: Action, turn: Turn, step: QuestionStep, *, missed: bool) -> bool:
    """Whether an action asks the question that waits now, or says that it was not answered."""
    if not isinstance(action, Say):
        return isinstance(action, Listen)
    question = step.question
    slot = turn.slot_of(step.slot) if isinstance(step, AskStep) else None
    asking = [question.prompt, *question.again, question.keys, slot.type.keys if slot else None]
    asking += [turn.bot.patterns.keys_yes_no, turn.bot.patterns.clarify_one, turn.bot.patterns.clarify_two]
    return action.prompt in {prompt.name for prompt in asking if prompt} or (missed and _is_apology(action))


def _with_reasons(action: Action, state: State) -> Action:
    """Tell whoever carries out a transfer what the policy knows."""
    if not isinstance(action, TransferTo) or action.rule:
        return action
    standing = state.escalating.standing
    topic = standing.topic or action.topic
    return replace(action, topic=topic, urgency=standing.urgency, rule=standing.rule)


def _named(before: State, event: Event, turn: Turn) -> frozenset[str]:
    """Return what a turn is about besides its request: days, sums, numbers, and what flows let callers choose from."""
    if not isinstance(event, CallerSpoke) or not event.interpretations or _asks_a_secret(turn.bot, before):
        return frozenset()
    said = event.interpretations[0]
    slots = (slot for flow in turn.bot.flows.values() for slot in flow.slots.values())
    types = {slot.type.name: slot.type for slot in slots if slot.type.kind is ValueKind.CHOICE}
    chosen = {str(candidate.value) for kind in types.values() for candidate in spoken_candidates(said, kind)}
    return frozenset(chosen | {str(entity.value) for entity in said.entities})


def _asks_a_secret(bot: Bot, state: State) -> bool:
    frame = state.stack[-1] if state.stack else None
    step = bot.flows[frame.flow].steps[frame.step] if frame else None
    return isinstance(step, QuestionStep) and step.question.expectation.secret


def _observe(policy: EscalationPolicy, before: State, event: Event, turn: Turn, named: frozenset[str]) -> Observed:
    notes = [action for action in turn.actions if isinstance(action, RecordDecision)]
    rules = {note.rule for note in notes}
    commands = turn.bot.commands
    intents = {note.intent for note in notes if note.rule == "intent"}
    aside = intents & {commands.repeat, commands.slower, commands.help, commands.wait}
    reading = Interpretation("", 0.0)
    if isinstance(event, CallerSpoke) and event.interpretations:
        reading = event.interpretations[0]
    sources = policy.sources
    refused_by = ""
    if isinstance(event, BackendAnswered) and event.request_id == before.waiting_for and event.outcome != "ok":
        refused_by = event.request_id.rpartition("#")[0]
    missed = any(note.rule in {"no_match", "hearing"} and note.detail.startswith("attempt") for note in notes)
    return Observed(
        at_s=_seconds(before.escalating.began, event),
        about=turn.state.goal,
        is_turn=isinstance(event, _CALLER_EVENTS),
        mood=reading.mood,
        topics=reading.topics,
        asked_for_person=commands.person in intents or _asked_while_waiting(notes),
        refuses_person=reading.refuses_person,
        intent_scores=tuple(_share(score.confidence) for score in reading.intents),
        # "Is the jacket there" after "do you have the blanket" asks for something else in much the same words.
        rephrased=_share(event.rephrased)
        if isinstance(event, CallerSpoke) and named <= before.escalating.named
        else 0.0,
        moved_on=bool(rules & _GOT_ON) or bool(intents - aside),
        missed=missed,
        unsure="unsure" in rules,
        silent="silence" in rules,
        repeat=bool(intents & {commands.repeat, commands.slower}),
        barge_in=isinstance(event, CallerSpoke) and event.over_prompt,
        authentication_failed=refused_by in sources.authentication,
        backend_failed="backend_unavailable" in rules,
        unsolved=any(
            note.rule == "answered" and note.detail in sources.solved and note.slots.get(note.detail) is False
            for note in notes
        ),
        value_at_stake=_at_stake(policy, turn.state),
        earlier_calls=turn.state.escalating.earlier_calls.get(turn.state.goal, 0),
        tier=str(turn.state.slots.get(sources.tier) or ""),
    )


def _asked_while_waiting(notes: list[RecordDecision]) -> bool:
    return any(note.rule == "spoke_while_waiting" and note.detail == "person" for note in notes)


def _share(value: float) -> float:
    """Return a confidence as a number from 0 to 1, whatever came."""
    return value if 0 <= value <= 1 else 0.0


def _at_stake(policy: EscalationPolicy, state: State) -> float:
    """Return the largest sum that is asked for now."""
    held = [state.slots, *(frame.slots for frame in state.stack)]
    sums = [slots.get(name) for slots in held for name in policy.sources.value]
    return max((float(one) for one in sums if isinstance(one, Decimal) and one.is_finite()), default=0.0)


def _seconds(began: datetime | None, event: Event) -> float:
    if began is None or (began.tzinfo is None) != (event.at.tzinfo is None):
        return 0.0
    return max(0.0, (event.at - began).total_seconds())
