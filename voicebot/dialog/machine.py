"""The dialog machine: a bot, a state and an event give the next state and what to do. No clock, no I/O, no chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

from voicebot.dialog.actions import Action
from voicebot.dialog.continuing import take_up
from voicebot.dialog.escalation.supervision import begin, supervise
from voicebot.dialog.events import (
    BackendAnswered,
    BackendFailed,
    CallerHungUp,
    CallerPressed,
    CallerSilent,
    CallerSpoke,
    CallerTalkedTooLong,
    CallMustEnd,
    CallStarted,
    Continuation,
    Entity,
    Event,
    HearingFailed,
    Interpretation,
    PausesChanged,
    SlotValue,
)
from voicebot.dialog.flow import Bot
from voicebot.dialog.keyed import read_keys
from voicebot.dialog.ladder import missed, walk_on
from voicebot.dialog.outcome import Outcome
from voicebot.dialog.prompt import Prompt
from voicebot.dialog.reading import (
    Answered,
    Asked,
    ChoseFlow,
    Corrected,
    Meaning,
    Reading,
    Refused,
    SaidNo,
    SaidYes,
    Unsure,
    read_turn,
)
from voicebot.dialog.recorded import announce, ask_first, changes
from voicebot.dialog.requests import asked, clarify, go_to_first_request, intent_of, queue, start_flow
from voicebot.dialog.state import Origin, Phase, State
from voicebot.dialog.steps import AskStep, ConfirmStep, QuestionStep, RequestStep
from voicebot.dialog.systems import backend_answered, backend_failed
from voicebot.dialog.turn import Turn

#: Fewer words than this are no question for the knowledge base, but a noise or a fragment.
_WORDS_OF_A_QUESTION = 3


def new_state(bot: Bot) -> State:
    """The state before the call; its first event is `CallStarted`."""
    return State(version=bot.version)


def step(bot: Bot, state: State, event: Event) -> tuple[State, tuple[Action, ...]]:
    """Take in one event. Never raises, whatever the event; one that does not fit the state is recorded and ignored."""
    following, actions, _ = trace(bot, state, event)
    return following, actions


def trace(bot: Bot, state: State, event: Event) -> tuple[State, tuple[Action, ...], tuple[tuple[str, str], ...]]:
    """Do what `step` does and tell which steps were walked, as (flow, step), for coverage and for `flows chat`."""
    if state.phase is Phase.ENDED:
        return state, (), ()
    if state.phase is Phase.NEW:
        if not isinstance(event, CallStarted):
            return state, (), ()
        turn = _start(bot, state, event)
    else:
        turn = Turn(bot, state, event.at)
        _take(turn, event)
        supervise(state, event, turn)
    following, actions = turn.result()
    if not turn.is_written:
        actions = (*actions, *changes(bot, state, following))
    return following, actions, tuple(turn.walked)


def _take(turn: Turn, event: Event) -> None:
    turn.is_to_be_heard = _is_noise(event)
    match event:
        case CallStarted():
            turn.record("ignored", detail="started twice")
        case CallerSpoke() | CallerPressed():
            _caller_answered(turn, event)
        case CallerSilent():
            missed(turn, "silence")
        case CallerTalkedTooLong():
            missed(turn, "no_match", turn.bot.patterns.talked_too_long)
        case HearingFailed():
            missed(turn, "hearing")
        case BackendAnswered(request_id=request_id, outcome=outcome, result=result):
            backend_answered(turn, request_id, outcome, result)
        case BackendFailed(request_id=request_id):
            backend_failed(turn, request_id)
        case CallerHungUp():
            turn.record("hung_up")
            turn.end(Outcome.CALLER_HUNG_UP)
        case CallMustEnd(why=why):
            _must_end(turn, why)
        case PausesChanged(paused=paused):
            turn.state = replace(turn.state, paused=paused)
        case _:
            assert_never(event)


def _is_noise(event: Event) -> bool:
    """Tell whether what was heard may come from beside the caller: it would break off the next words as well.

    Talk without an end, and sounds without words that stopped a prompt. Keys always interrupt.
    """
    match event:
        case CallerTalkedTooLong():
            return True
        case CallerSpoke(interpretations=(), over_prompt=over_prompt):
            return over_prompt
        case _:
            return False


def _start(bot: Bot, state: State, event: CallStarted) -> Turn:
    stamp = event.at.strftime("%Y%m%dT%H%M%S%f")
    begun = replace(
        state,
        zone=event.zone,
        seed=event.seed,
        call_id=event.call_id or f"{stamp}-{event.caller}-{event.seed}",
        caller=event.caller,
        channel=event.channel,
        paused=event.paused,
        escalating=begin(event),
    )
    turn = Turn(bot, begun, event.at)
    turn.push(bot.start, Origin.START)
    turn.record("started", detail=event.channel)
    announce(turn)
    if event.continues is not None:
        _continue(turn, event.continues)
    ask_first(turn)
    walk_on(turn)
    return turn


def _continue(turn: Turn, continuation: Continuation) -> None:
    """Greet whoever comes back by going on with what they were about, if that can be."""
    before = turn.state
    go_to_first_request(turn)
    if take_up(turn, continuation):
        turn.say(turn.bot.patterns.continuing, {"title": turn.flow.title})
    else:
        turn.state = before


# --- the caller


def _caller_answered(turn: Turn, event: CallerSpoke | CallerPressed) -> None:
    if turn.state.phase is Phase.WAITING:
        _spoke_while_waiting(turn, event)
        return
    step_ = turn.step
    if not isinstance(step_, QuestionStep):  # only questions are waited at; a state from elsewhere may differ
        turn.record("ignored")
        return
    turn.state = replace(turn.state, turn=turn.state.turn + 1)
    if turn.state.turn > turn.bot.limits.turns:
        _must_end(turn, "too_long")
        return
    scene = turn.scene(step_)
    if isinstance(event, CallerPressed):
        meaning, reading = read_keys(scene, event.keys), None
    else:
        reading = read_turn(scene, event.interpretations)
        meaning = reading.meaning if reading else None
        _remember_words(turn, step_, event.interpretations, reading)
    if meaning is not None:
        _act_on(turn, step_, meaning, reading)
    elif isinstance(event, CallerSpoke) and isinstance(step_, RequestStep) and _worth_trying(turn, step_):
        _try_unknown(turn, step_)
    else:
        missed(turn, "no_match")


def _remember_words(
    turn: Turn, step_: QuestionStep, interpretations: tuple[Interpretation, ...], reading: Reading | None
) -> None:
    """Keep the caller's words for operations that take them (``said``); never a secret's."""
    said = reading.said if reading else next(iter(interpretations), None)
    if said and not step_.question.expectation.secret:
        turn.state = replace(turn.state, said=said.text)


def _worth_trying(turn: Turn, step_: RequestStep) -> bool:
    running = any(frame.flow == step_.unknown for frame in turn.state.stack)
    return step_.unknown is not None and not running and len(turn.state.said.split()) >= _WORDS_OF_A_QUESTION


def _try_unknown(turn: Turn, step_: RequestStep) -> None:
    if step_.unknown is not None:
        turn.record("no_intent", detail=step_.unknown)
        turn.push(step_.unknown, Origin.UNKNOWN)
        walk_on(turn)


def _spoke_while_waiting(turn: Turn, event: CallerSpoke | CallerPressed) -> None:
    """The systems are busy. Only a wish for a person is kept; the rest would be answered too late."""
    if isinstance(event, CallerPressed):
        wants_person = event.keys == "0"
    else:
        needed = turn.bot.understanding.accept
        wants_person = any(
            score.intent == turn.bot.commands.person and score.confidence >= needed
            for said in event.interpretations[:1]
            for score in said.intents
        )
    turn.record("spoke_while_waiting", detail="person" if wants_person else "")
    turn.state = replace(turn.state, wants_person=turn.state.wants_person or wants_person)


def _act_on(turn: Turn, step_: QuestionStep, meaning: Meaning, reading: Reading | None) -> None:
    heard = reading.said.confidence if reading else None
    match meaning:
        case Answered() if isinstance(step_, AskStep):
            _answer(turn, step_, meaning, heard)
        case Corrected(changes, rest):
            _correct(turn, changes, rest, heard)
        case Asked(intent, confidence, entities):
            words = reading.said.text if reading else ""
            if reading:
                queue(turn, reading.said, intent)
            asked(turn, step_, intent, confidence, entities=entities, words=words)
        case ChoseFlow(flow):
            turn.record("menu", detail=flow)
            start_flow(turn, flow, intent_of(turn.bot, flow))
        case SaidYes() | SaidNo() if turn.state.clarifying:
            turn.record("declined" if isinstance(meaning, SaidNo) else "no_match", confidence=heard)
            turn.state = replace(turn.state, clarifying=())
            turn.say(turn.bot.patterns.clarify_again)
            turn.listen()
        case SaidYes():
            _said_yes(turn, step_, heard)
        case SaidNo():
            _said_no(turn, step_, heard)
        case Refused(slot, reason):
            _refused(turn, step_, slot, reason, heard)
        case Unsure(intents, confidence):
            clarify(turn, intents, confidence)
        case Answered():
            missed(turn, "no_match")
        case _:
            assert_never(meaning)


def _answer(turn: Turn, step_: AskStep, answer: Answered, heard: float | None) -> None:
    spelled = answer.spelled.after(turn.frame.spelled.get(step_.slot)) if answer.spelled else None
    if answer.spelled and spelled is None:
        missed(turn, "no_match")  # nothing was heard but what the caller, or a system, has said no to
        return
    turn.fill_asked(step_.slot, answer.value, answer.rest)
    if spelled:
        turn.take_spelled(step_.slot, spelled)
    turn.record("answered", confidence=heard, detail=step_.slot)
    turn.go_to(step_.next)
    walk_on(turn)


def _said_yes(turn: Turn, step_: QuestionStep, heard: float | None) -> None:
    if isinstance(step_, ConfirmStep):
        turn.record("confirmed", confidence=heard)
        turn.go_to(step_.next)
        walk_on(turn)
    elif isinstance(step_, RequestStep) and step_.yes:
        turn.record("said_yes", confidence=heard)
        turn.say(step_.yes)
        turn.listen()
    else:
        missed(turn, "no_match")


def _said_no(turn: Turn, step_: QuestionStep, heard: float | None) -> None:
    if step_.no is None:
        missed(turn, "no_match")
        return
    turn.record("declined", confidence=heard)
    if isinstance(step_, ConfirmStep) and len(step_.slots) == 1:  # of several it may be any that is wrong
        turn.deny_spelled(step_.slots)
    turn.go_to(step_.no)
    walk_on(turn)


def _correct(turn: Turn, changes: Mapping[str, SlotValue], rest: tuple[Entity, ...], heard: float | None) -> None:
    """Change what was filled before and walk again from behind the first question that is affected."""
    if turn.frame.committed:
        turn.record("correction_too_late", confidence=heard)
        turn.say(turn.bot.patterns.cannot_change_now)
        walk_on(turn)
        return
    questions = [turn.asking(name) for name in changes]
    for name, value in changes.items():
        turn.fill(name, value)
    turn.change_frame(replace(turn.frame, mentioned=rest))
    turn.record("corrected", confidence=heard, detail=", ".join(changes))
    first = min((question for question in questions if question), key=lambda one: one.line, default=None)
    here = turn.step
    if first is not None and not (isinstance(here, AskStep) and here.line < first.line):
        turn.go_to(first.id)  # filled now, so the question itself is skipped and what follows it is done anew
    walk_on(turn)


def _refused(turn: Turn, step_: QuestionStep, slot: str, reason: Prompt | None, heard: float | None) -> None:
    """Say why a value will not do, then ask for it again; counted, so that it cannot go on for ever."""
    turn.record("refused", confidence=heard, detail=slot)
    question = turn.asking(slot) if isinstance(step_, ConfirmStep) and not turn.frame.committed else None
    if question:
        if reason:
            turn.say(reason)
        turn.fill(slot, None)
        turn.go_to(question.id)
        walk_on(turn)
        return
    missed(turn, "no_match", reason)


# --- the end


def _must_end(turn: Turn, why: str) -> None:
    turn.record("must_end", detail=why)
    if why == "shutting_down":
        turn.say(turn.bot.patterns.shutting_down)
        turn.end(Outcome.SHUTTING_DOWN)
    else:
        turn.say(turn.bot.patterns.call_too_long)
        turn.end(Outcome.TOO_LONG)
