"""Random calls: any event in any order, biased towards what the bot has just asked for."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path

from hypothesis import strategies as st

from voicebot.dialog.actions import Action, CallBackend
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
    Entity,
    Event,
    HearingFailed,
    IntentScore,
    Interpretation,
    PausesChanged,
    SlotValue,
)
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.dialog.flow import Bot
from voicebot.dialog.loader import load_bot
from voicebot.dialog.values import ValueKind

FLOWS = Path(__file__).parents[2] / "flows"
START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)

numbers = st.floats(allow_nan=True, allow_infinity=True) | st.floats(0, 1)
dates = st.dates(date(2026, 1, 1), date(2027, 12, 31)) | st.dates()
digits = st.text("0123456789", max_size=12) | st.sampled_from(["400121", "4071", "48213", "0", "1", "2", "9"])


@cache
def shipped_bot() -> Bot:
    return load_bot(FLOWS)


def values() -> st.SearchStrategy[SlotValue]:
    return (
        digits
        | st.text(max_size=8)
        | st.integers()
        | st.booleans()
        | st.decimals(allow_nan=True)
        | dates
        | st.times()
        | st.datetimes()
    )


def typed(kind: ValueKind) -> st.SearchStrategy[SlotValue]:
    strategies: dict[ValueKind, st.SearchStrategy[SlotValue]] = {
        ValueKind.DATE: dates,
        ValueKind.TIME: st.times(),
        ValueKind.MONEY: st.decimals(0, 5000, places=2),
        ValueKind.NUMBER: st.integers(-5, 30),
        ValueKind.YES_NO: st.booleans(),
        ValueKind.MOMENT: st.datetimes(),
        ValueKind.DIGITS: digits,
    }
    return strategies.get(kind, st.sampled_from(["shipped", "delivered", "Maria Keller"]))


def entities() -> st.SearchStrategy[Entity]:
    sensible = st.one_of(
        st.builds(lambda day: Entity(AnswerKind.DATE, day, "tuesday", 0, 7), dates),
        st.builds(lambda at: Entity(AnswerKind.TIME, at, "at three", 0, 8), st.times()),
        st.builds(lambda code: Entity(AnswerKind.DIGITS, code, code, 0, len(code)), digits),
        st.builds(lambda sum_: Entity(AnswerKind.MONEY, sum_, "money", 0, 5), st.decimals(0, 900, places=2)),
    )
    senseless = st.builds(
        Entity, st.sampled_from([*AnswerKind, "number", "?"]), values(), st.text(max_size=5), st.just(0), st.just(3)
    )
    return sensible | senseless


def interpretations(bot: Bot) -> st.SearchStrategy[tuple[Interpretation, ...]]:
    intents = st.builds(IntentScore, st.sampled_from([*bot.intents, "unheard_of"]), numbers)
    one = st.builds(
        Interpretation,
        text=st.text(max_size=30) | st.sampled_from(["the first one", "no the fifteenth", "another day", "yes"]),
        confidence=numbers,
        intents=st.lists(intents, max_size=3).map(tuple),
        entities=st.lists(entities(), max_size=3).map(tuple),
        affirmative=st.sampled_from([None, True, False]),
        correction=st.booleans(),
        further=st.lists(intents, max_size=2).map(tuple),
    )
    return st.lists(one, max_size=3).map(tuple)


def answers(bot: Bot, call: CallBackend, at: datetime) -> st.SearchStrategy[Event]:
    """What the system that was just called may answer: as declared, or broken."""
    operation = bot.operations[call.operation]
    typed_result = st.fixed_dictionaries(
        {}, optional={name: st.none() | typed(kind) for name, kind in operation.results.items()}
    )
    full_result = st.fixed_dictionaries({name: typed(kind) for name, kind in operation.results.items()})
    broken_result = st.dictionaries(st.sampled_from([*operation.results, "else"]), values(), max_size=3)
    outcomes = st.sampled_from(["ok", "ok", *operation.failures, "never_declared"])
    answered = st.builds(
        BackendAnswered,
        at=st.just(at),
        request_id=st.just(call.request_id),
        outcome=outcomes,
        result=full_result | typed_result | broken_result,
    )
    return answered | answered | st.just(BackendFailed(at, call.request_id))


def caller_events(bot: Bot, at: datetime) -> st.SearchStrategy[Event]:
    spoke = st.builds(CallerSpoke, at=st.just(at), interpretations=interpretations(bot))
    pressed = st.builds(CallerPressed, at=st.just(at), keys=digits | st.text(max_size=4) | st.sampled_from(["*", "#"]))
    return st.one_of(
        spoke,
        spoke,
        spoke,
        pressed,
        st.just(CallerSilent(at)),
        st.just(CallerTalkedTooLong(at)),
        st.just(HearingFailed(at)),
    )


def good_answers(bot: Bot, expectation: Expectation, at: datetime) -> st.SearchStrategy[Event]:
    """What a helpful caller might say to this question, so that random calls get somewhere."""
    intents = st.sampled_from([intent for intent in bot.intents if intent not in {"person", "goodbye"}])
    soon = st.integers(0, 20).map(lambda days: START.date() + timedelta(days=days))
    hours = st.sampled_from([time(9), time(2), time(14, 30), time(16)])
    codes = st.sampled_from([("1234567890" * 2)[:length] for length in expectation.lengths or (4,)])
    by_kind: dict[AnswerKind, st.SearchStrategy[Interpretation]] = {
        AnswerKind.OPEN: intents.map(lambda intent: Interpretation(intent, 0.9, (IntentScore(intent, 0.9),))),
        AnswerKind.YES_NO: st.booleans().map(lambda yes: Interpretation("yes", 0.9, affirmative=yes)),
        AnswerKind.DATE: soon.map(lambda day: said(AnswerKind.DATE, day)),
        AnswerKind.TIME: hours.map(lambda hour: said(AnswerKind.TIME, hour)),
        AnswerKind.DIGITS: codes.map(lambda code: said(AnswerKind.DIGITS, code)),
        AnswerKind.ALPHANUMERIC: codes.map(lambda code: said(AnswerKind.ALPHANUMERIC, code)),
        AnswerKind.MONEY: st.decimals(1, 900, places=2).map(lambda amount: said(AnswerKind.MONEY, amount)),
        AnswerKind.NAME: st.just(said(AnswerKind.NAME, "Maria Keller")),
        AnswerKind.CHOICE: st.sampled_from(expectation.phrases or ("x",)).map(lambda text: Interpretation(text, 0.9)),
    }
    readings = st.one_of(
        [by_kind[kind] for kind in expectation.kinds[:1]] * 3 + [by_kind[k] for k in expectation.kinds]
    )
    return readings.map(lambda reading: CallerSpoke(at, (reading,)))


def said(kind: AnswerKind, value: SlotValue) -> Interpretation:
    return Interpretation(str(value), 0.9, entities=(Entity(kind, value, str(value), 0, len(str(value))),))


def any_event(
    bot: Bot, last: tuple[Action, ...], expectation: Expectation | None, at: datetime
) -> st.SearchStrategy[Event]:
    """Anything at all; mostly what could really come next."""
    calls = [action for action in last if isinstance(action, CallBackend)]
    if calls:
        likely = answers(bot, calls[-1], at)
    elif expectation:
        good = good_answers(bot, expectation, at)
        likely = st.one_of(good, good, good, good, caller_events(bot, at))
    else:
        likely = caller_events(bot, at)
    unlikely = st.one_of(
        st.just(CallerHungUp(at)),
        st.builds(CallMustEnd, at=st.just(at), why=st.sampled_from(["too_long", "shutting_down", "?"])),
        st.builds(PausesChanged, at=st.just(at), paused=st.frozensets(st.sampled_from(["balance", "order_status"]))),
        st.just(BackendFailed(at, "nobody#1")),
        st.just(BackendAnswered(at, "nobody#1", "ok", {})),
        starts(),
        caller_events(bot, at),
    )
    return st.one_of(*[likely] * 12, unlikely)


def starts() -> st.SearchStrategy[CallStarted]:
    return st.builds(
        CallStarted,
        at=st.just(START) | st.datetimes() | st.datetimes(timezones=st.just(UTC)),
        channel=st.sampled_from(["twilio", "browser"]),
        caller=st.text(max_size=5),
        called=st.just("100"),
        zone=st.sampled_from(["America/New_York", "Europe/Berlin", "Nowhere/Land", "", "../etc"]),
        seed=st.integers(),
    )


def later(at: datetime) -> datetime:
    return at + timedelta(seconds=7)
