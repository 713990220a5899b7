"""Sentences that a caller expects, as a grammar: whole ones in any order, their values open. Pure.

Within a kind of value all are about as likely, so that a balance that was heard is evidence of one that was spoken.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from typing import assert_never

from voicebot.simulation.phrasebook import MONTHS, WEEKDAYS, Phrasebook, Slot, Tokens, nth, words_of
from voicebot.speech.recognition.sphinx.automaton import Automaton

_UNITS = tuple("one two three four five six seven eight nine".split())
_TEENS = tuple("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split())
_TENS = tuple("twenty thirty forty fifty sixty seventy eighty ninety".split())
_QUARTERS = ("fifteen", "thirty", "forty five")
#: Of breaking off after any word, against going on: what was cut short must not be heard as whole sentences.
_CUT_OFF = 1e-4


def grammar_of(sentences: Iterable[Tokens], phrasebook: Phrasebook) -> Automaton:
    """Return a grammar of one or more of `sentences` in a row, the last of which may be cut off after any word."""
    return _Grammar(phrasebook).of(tuple(sentences))


class _Grammar:
    def __init__(self, phrasebook: Phrasebook) -> None:
        self._automaton = Automaton()
        self._names = [" ".join(words_of(name)) for name in phrasebook.names]
        self._days: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for day in phrasebook.days:
            self._add_day(day)

    def of(self, sentences: tuple[Tokens, ...]) -> Automaton:
        automaton = self._automaton
        begin, end = automaton.state(), automaton.state()
        automaton.skip(automaton.start, begin)
        automaton.skip(end, automaton.end)
        automaton.skip(end, begin)
        for tokens in sentences:
            state = automaton.state()
            automaton.skip(begin, state)
            for place, token in enumerate(tokens, start=1):
                following = end if place == len(tokens) else automaton.state()
                if isinstance(token, Slot):
                    self._value(token, state, following)
                else:
                    automaton.word(state, following, token)
                if following != end:
                    automaton.skip(following, automaton.end, _CUT_OFF)
                state = following
        return automaton

    def _add_day(self, day: date) -> None:
        weekday, month, ordinal = WEEKDAYS[day.weekday()], MONTHS[day.month - 1], " ".join(words_of(nth(day.day)))
        self._days[weekday.lower()][month.lower()].append(ordinal)

    def _value(self, slot: Slot, source: int, target: int) -> None:
        automaton = self._automaton
        match slot:
            case Slot.MONEY:
                self._money(source, target)
            case Slot.NUMBER:
                self._below_100(source, target, 1.0)
            case Slot.DIGITS:
                said = automaton.state()
                automaton.one_of(source, said, ("zero", *_UNITS))
                automaton.skip(said, source, 0.8)
                automaton.skip(said, target, 0.2)
            case Slot.DAY:
                self._day(source, target)
            case Slot.WHEN:
                on = automaton.state()
                automaton.word(source, on, "on", 0.7)
                self._day(on, target)
                automaton.one_of(source, target, ("today", "tomorrow", "yesterday"), 0.3)
            case Slot.TIME:
                self._time(source, target)
            case Slot.MOMENT:
                day, at = automaton.state(), automaton.state()
                self._day(source, day)
                automaton.word(day, at, "at")
                self._time(at, target)
            case Slot.NAME:
                automaton.one_of(source, target, self._names)
            case _:
                assert_never(slot)

    def _below_100(self, source: int, target: int, weight: float) -> None:
        automaton = self._automaton
        automaton.one_of(source, target, ("zero", *_UNITS, *_TEENS), weight * 0.2)
        ten = automaton.state()
        automaton.one_of(source, ten, _TENS, weight * 0.8)
        automaton.skip(ten, target, 0.1)
        automaton.one_of(ten, target, _UNITS, 0.9)

    def _below_1000(self, source: int, target: int, weight: float) -> None:
        automaton = self._automaton
        self._below_100(source, target, weight * 0.5)
        digit, hundred = automaton.state(), automaton.state()
        automaton.one_of(source, digit, _UNITS, weight * 0.5)
        automaton.word(digit, hundred, "hundred")
        automaton.skip(hundred, target, 0.2)
        self._below_100(hundred, target, 0.8)

    def _money(self, source: int, target: int) -> None:
        automaton = self._automaton
        amount, dollars, and_, cents = (automaton.state() for _ in range(4))
        automaton.word(source, amount, "minus", 0.05)
        automaton.skip(source, amount, 0.95)
        thousands, thousand, whole = (automaton.state() for _ in range(3))
        self._below_1000(amount, whole, 0.5)
        self._below_1000(amount, thousands, 0.4)
        automaton.word(thousands, thousand, "thousand")
        automaton.skip(thousand, whole, 0.2)
        self._below_1000(thousand, whole, 0.8)
        automaton.word(whole, dollars, "dollars")
        automaton.phrase(amount, dollars, "one dollar", 0.02)
        automaton.skip(dollars, target, 0.4)
        automaton.word(dollars, and_, "and", 0.6)
        self._below_100(and_, cents, 1.0)
        self._below_100(amount, cents, 0.08)
        automaton.word(cents, target, "cents")

    def _day(self, source: int, target: int) -> None:
        automaton = self._automaton
        if not self._days:
            named, in_month = automaton.state(), automaton.state()
            automaton.one_of(source, named, (weekday.lower() for weekday in WEEKDAYS))
            automaton.one_of(named, in_month, (month.lower() for month in MONTHS))
            automaton.one_of(in_month, target, (" ".join(words_of(nth(day))) for day in range(1, 32)))
            return
        for weekday, months in self._days.items():
            named = automaton.state()
            automaton.word(source, named, weekday)
            for month, ordinals in months.items():
                in_month = automaton.state()
                automaton.word(named, in_month, month, len(ordinals))
                automaton.one_of(in_month, target, ordinals)

    def _time(self, source: int, target: int) -> None:
        automaton = self._automaton
        hour, minute = automaton.state(), automaton.state()
        automaton.one_of(source, hour, (*_UNITS, *_TEENS[:3]), 0.95)
        automaton.one_of(source, target, ("noon", "midnight"), 0.05)
        automaton.skip(hour, minute, 0.4)
        automaton.one_of(hour, minute, _QUARTERS, 0.4)
        self._below_100(hour, minute, 0.2)
        automaton.one_of(minute, target, ("am", "pm"))
