"""Measures the signals of written calls with the same parts that measure those of real ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from voicebot.dialog.escalation.signals import Signals
from voicebot.dialog.escalation.tally import Observed, Tally, count
from voicebot.dialog.events import Interpretation
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.dialog.flow import Bot
from voicebot.language.understanding import Understanding
from voicebot.simulation.labelled_calls import Happened, LabelledCall

_NOW = datetime(2026, 3, 4, 10, 0, tzinfo=UTC)
_OPEN = Expectation("written", (AnswerKind.OPEN,))
#: How long a turn and its answer last.
_TURN_S = 8.0
_LED_NOWHERE = frozenset({Happened.MISS, Happened.UNSURE, Happened.SILENT, Happened.AGAIN})


def measure(call: LabelledCall, bot: Bot, understanding: Understanding) -> tuple[Signals, ...]:
    """Return the signals of every turn of a call."""
    tally, found, said = Tally(), [], list[str]()
    for number, turn in enumerate(call.turns):
        seen = _observed(call, number, said, bot, understanding)
        tally, signals = count(tally, seen)
        found.append(signals)
        if turn.text:
            said.append(turn.text)
    return tuple(found)


def _observed(
    call: LabelledCall, number: int, earlier: Sequence[str], bot: Bot, understanding: Understanding
) -> Observed:
    turn = call.turns[number]
    readings = understanding.interpret([(turn.text, 1.0)], _OPEN, _NOW) if turn.text else ()
    reading = readings[0] if readings else Interpretation("", 0.0)
    again = understanding.rephrasing(turn.text, earlier) if turn.text else None
    person = bot.commands.person
    asked = any(one.intent == person and one.confidence >= bot.understanding.accept for one in reading.intents[:1])
    amounts = [one.amount for one in call.turns[: number + 1] if one.amount is not None]
    return Observed(
        at_s=number * _TURN_S,
        about=call.about,
        mood=reading.mood,
        topics=reading.topics,
        asked_for_person=asked and not reading.refuses_person,
        refuses_person=reading.refuses_person,
        intent_scores=tuple(one.confidence for one in reading.intents),
        rephrased=again.similarity if again else 0.0,
        moved_on=not turn.happened & _LED_NOWHERE,
        missed=Happened.MISS in turn.happened,
        unsure=Happened.UNSURE in turn.happened,
        silent=Happened.SILENT in turn.happened,
        repeat=Happened.AGAIN in turn.happened,
        barge_in=Happened.OVER in turn.happened,
        authentication_failed=Happened.AUTH in turn.happened,
        backend_failed=Happened.DOWN in turn.happened,
        unsolved=Happened.NO in turn.happened,
        value_at_stake=float(amounts[-1]) if amounts else 0.0,
        tier=call.tier,
        earlier_calls=call.earlier_calls,
    )
