"""What follows when a question gets no answer: rung by rung, then a polite way out."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from voicebot.dialog.flow import Ladder
from voicebot.dialog.outcome import Outcome
from voicebot.dialog.prompt import Prompt
from voicebot.dialog.state import Phase
from voicebot.dialog.steps import AskStep, ConfirmStep, QuestionStep
from voicebot.dialog.turn import Turn
from voicebot.dialog.walk import walk

Miss = Literal["silence", "no_match", "hearing"]


def walk_on(turn: Turn) -> None:
    """Walk until the conversation waits or ends, counting a miss if that is what the walk came to."""
    walk(turn)
    if turn.is_unknown:
        turn.is_unknown = False
        turn.state = replace(turn.state, phase=Phase.ASKING)
        missed(turn, "no_match")


def missed(turn: Turn, kind: Miss, instead: Prompt | None = None) -> None:
    """The question got no answer: climb the ladder. `instead` is said in place of the rung's own words."""
    step_ = turn.step
    if turn.state.phase is not Phase.ASKING or not isinstance(step_, QuestionStep):
        turn.record("ignored", detail=kind)
        return
    before = turn.frame.misses
    match kind:
        case "silence":
            ladder, misses = turn.bot.ladders.silence, replace(before, silence=before.silence + 1)
            attempt = misses.silence
        case "no_match":
            ladder, misses = turn.bot.ladders.no_match, replace(before, no_match=before.no_match + 1)
            attempt = misses.no_match
        case "hearing":
            ladder, misses = turn.bot.ladders.hearing, replace(before, hearing=before.hearing + 1)
            attempt = misses.hearing
    turn.change_frame(replace(turn.frame, misses=misses))
    turn.state = replace(turn.state, clarifying=())
    turn.record(kind, detail=f"attempt {attempt}")
    if attempt > len(ladder.rungs) or misses.total > turn.bot.limits.misses:
        _give_up(turn, step_, ladder)
        return
    rung = ladder.rungs[attempt - 1]
    again = step_.question.again
    if instead is not None:
        turn.say(instead)
        say_question(turn, step_, with_keys=rung.offer_keys)
    elif again and kind != "hearing":
        turn.say(again[min(attempt, len(again)) - 1])
        _say_keys(turn, step_, offered=rung.offer_keys)
    else:
        if rung.say:
            turn.say(rung.say)
        say_question(turn, step_, with_keys=rung.offer_keys)
    turn.listen()


def say_question(turn: Turn, step_: QuestionStep, *, with_keys: bool) -> None:
    turn.say(step_.question.prompt)
    _say_keys(turn, step_, offered=with_keys)


def _say_keys(turn: Turn, step_: QuestionStep, *, offered: bool) -> None:
    if not offered or turn.is_written:  # who types has no keypad
        return
    keys = step_.question.keys
    slot = turn.slot_of(step_.slot) if isinstance(step_, AskStep) else None
    if keys is None and slot:
        keys = slot.type.keys
    if keys is None and isinstance(step_, ConfirmStep):
        keys = turn.bot.patterns.keys_yes_no
    if keys:
        turn.say(keys)


def _give_up(turn: Turn, step_: QuestionStep, ladder: Ladder) -> None:
    turn.record("gave_up")
    if step_.question.gives_up is not None:
        turn.go_to(step_.question.gives_up)
    elif turn.state.stack[0].flow == ladder.gives_up:  # even the way out got no answer
        turn.say(turn.bot.patterns.broken)
        turn.end(Outcome.NOT_UNDERSTOOD)
        return
    else:
        turn.replace_all(ladder.gives_up)
    walk_on(turn)
