"""Grammars for closed answers: each function adds the ways of saying one kind of answer between two states."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import assert_never

from voicebot.dialog.expectation import AnswerKind
from voicebot.speech.recognition.sphinx import spoken
from voicebot.speech.recognition.sphinx.automaton import Automaton
from voicebot.speech.recognition.sphinx.phrases import NO, YES

_ANY_LENGTHS = tuple(range(1, 17))


def add_answer(
    grammar: Automaton, source: int, target: int, kind: AnswerKind, *, phrases: Iterable[str], lengths: tuple[int, ...]
) -> None:
    """Add what `kind` sounds like; an open request has no grammar and adds nothing."""
    match kind:
        case AnswerKind.DIGITS:
            add_digits(grammar, source, target, lengths)
        case AnswerKind.ALPHANUMERIC:
            add_code(grammar, source, target, lengths)
        case AnswerKind.YES_NO:
            add_yes_no(grammar, source, target)
        case AnswerKind.DATE:
            add_date(grammar, source, target)
        case AnswerKind.TIME:
            add_time(grammar, source, target)
        case AnswerKind.MONEY:
            add_money(grammar, source, target)
        case AnswerKind.NAME:
            add_name(grammar, source, target, phrases)
        case AnswerKind.CHOICE:
            grammar.one_of(source, target, phrases)
        case AnswerKind.OPEN:
            return
        case _:
            assert_never(kind)


def add_digits(grammar: Automaton, source: int, target: int, lengths: tuple[int, ...]) -> None:
    """Add strings of as many digits as `lengths` allow, one by one, repeated, in pairs and in hundreds.

    Every state stands for how many digits were said.
    """
    lengths = lengths or _ANY_LENGTHS
    said = [source, *(grammar.state() for _ in range(max(lengths)))]
    for count in range(max(lengths)):
        here, left = said[count], max(lengths) - count
        _add_digit(grammar, here, said[count + 1], weight=1.0)
        if left >= 2:
            _add_repeated(grammar, here, said[count + 2], "double", weight=0.03)
            _add_pair(grammar, here, said[count + 2], weight=0.12)
        if left >= 3:
            _add_repeated(grammar, here, said[count + 3], "triple", weight=0.015)
            _add_hundreds(grammar, here, said[count + 3], weight=0.015)
    for length in lengths:
        grammar.skip(said[length], target)


def add_code(grammar: Automaton, source: int, target: int, lengths: tuple[int, ...]) -> None:
    """Add strings of letters and digits; a letter may be spelled ("b as in bravo", "bravo")."""
    lengths = lengths or _ANY_LENGTHS
    said = [source, *(grammar.state() for _ in range(max(lengths)))]
    for here, there in pairwise(said):
        _add_digit(grammar, here, there, weight=1.0)
        grammar.one_of(here, there, (f"{letter}." for letter in spoken.LETTERS), weight=1.0)
        grammar.one_of(here, there, spoken.SPELLING, weight=0.2)
        likened = [
            f"{letter}. {likening} {word}"
            for letter, word in zip(spoken.LETTERS, spoken.SPELLING, strict=True)
            for likening in ("as in", "for", "like")
        ]
        grammar.one_of(here, there, likened, weight=0.1)
    for length in lengths:
        grammar.skip(said[length], target)


def add_yes_no(grammar: Automaton, source: int, target: int) -> None:
    """Add yes and no in their many forms."""
    grammar.one_of(source, target, YES)
    grammar.one_of(source, target, NO)


def add_date(grammar: Automaton, source: int, target: int) -> None:
    """Add days by weekday, by day of the month, relative to today, and with a year."""
    days, years = grammar.state(), grammar.state()
    _add_weekday(grammar, source, target, days)
    ordinals = spoken.ordinals_to_31()
    grammar.one_of(source, target, (f"the {ordinal}" for ordinal in ordinals), weight=1.0)
    grammar.one_of(source, target, ordinals, weight=0.4)
    grammar.one_of(days, target, (f"the {ordinal}" for ordinal in ordinals))
    month = grammar.state()
    grammar.one_of(source, month, spoken.MONTHS, weight=1.0)
    grammar.one_of(days, month, spoken.MONTHS)
    grammar.one_of(month, years, ordinals, weight=1.0)
    grammar.one_of(month, years, (f"the {ordinal}" for ordinal in ordinals), weight=0.5)
    grammar.one_of(month, years, spoken.cardinals_below_hundred()[:31], weight=0.5)
    of_month = grammar.state()
    grammar.one_of(source, of_month, (f"the {ordinal} of" for ordinal in ordinals), weight=0.4)
    grammar.one_of(source, of_month, (f"{ordinal} of" for ordinal in ordinals), weight=0.2)
    grammar.one_of(of_month, years, spoken.MONTHS)
    grammar.skip(years, target, weight=0.8)
    _add_year(grammar, years, target, weight=0.2)
    relative = ["today", "tomorrow", "the day after tomorrow", "next week", "this week"]
    relative += [f"in {number} {unit}" for number in spoken.DIGITS[2:] for unit in ("days", "weeks")]
    relative += ["in a week", "in a couple of days", "a week from today", "a week from tomorrow"]
    grammar.one_of(source, target, relative, weight=0.6)


def add_time(grammar: Automaton, source: int, target: int) -> None:
    """Add times of day by the clock and by name."""
    clock, half = grammar.state(), grammar.state()
    hours = spoken.cardinals_below_hundred()[:12]
    minutes = [
        *(f"oh {digit}" for digit in spoken.DIGITS[1:]),
        *spoken.cardinals_below_hundred()[9:59],
    ]
    grammar.skip(source, clock, weight=0.6)
    grammar.one_of(source, clock, ("at", "around", "about", "at about", "at around"), weight=0.4)
    hour = grammar.state()
    grammar.one_of(clock, hour, hours, weight=1.0)
    grammar.skip(hour, half, weight=1.0)
    grammar.word(hour, half, "o'clock", weight=0.3)
    # Quarters of an hour are what people say; the rest stays possible.
    grammar.one_of(hour, half, ("thirty", "fifteen", "forty five"), weight=0.4)
    grammar.one_of(hour, half, minutes, weight=0.2)
    grammar.one_of(clock, half, (f"{before} {hour}" for before in _BEFORE_HOUR for hour in hours), weight=0.3)
    grammar.skip(half, target, weight=1.0)
    grammar.one_of(half, target, ("am", "pm"), weight=0.8)
    grammar.one_of(half, target, ("in the morning", "in the afternoon", "in the evening", "at night"), weight=0.3)
    named = ("noon", "midday", "midnight", "in the morning", "in the afternoon", "in the evening", "morning")
    grammar.one_of(source, target, (*named, "afternoon", "evening", "at noon", "lunchtime"), weight=0.2)


_BEFORE_HOUR = ("half past", "quarter past", "a quarter past", "quarter to", "a quarter to", "ten past", "ten to")


def add_money(grammar: Automaton, source: int, target: int) -> None:
    """Add amounts up to the thousands, with cents."""
    below_hundred = spoken.cardinals_below_hundred()
    dollars, hundreds, rest, cents = (grammar.state() for _ in range(4))
    grammar.skip(source, hundreds, weight=1.0)
    grammar.one_of(source, hundreds, (f"{digit} thousand" for digit in spoken.DIGITS[1:]), weight=0.2)
    grammar.word(hundreds, dollars, "zero", weight=0.01)
    grammar.one_of(hundreds, dollars, below_hundred, weight=1.0)
    grammar.one_of(hundreds, rest, (f"{head} hundred" for head in ("a", *spoken.DIGITS[1:])), weight=0.7)
    grammar.skip(rest, dollars, weight=0.5)
    grammar.one_of(rest, dollars, below_hundred, weight=0.7)
    grammar.one_of(rest, dollars, (f"and {number}" for number in below_hundred), weight=0.4)
    grammar.one_of(dollars, target, ("dollars", "dollar", "bucks"), weight=1.0)
    grammar.one_of(dollars, cents, ("dollars", "dollar", "dollars and"), weight=0.5)
    grammar.skip(dollars, target, weight=0.2)
    grammar.one_of(dollars, target, below_hundred[9:], weight=0.3)
    cent_words = grammar.state()
    grammar.one_of(cents, cent_words, below_hundred)
    grammar.one_of(cent_words, target, ("cents", "cent"), weight=1.0)
    grammar.skip(cent_words, target, weight=0.5)


def add_name(grammar: Automaton, source: int, target: int, names: Iterable[str]) -> None:
    """Add known names, and any name spelled letter by letter."""
    names = tuple(names)
    if names:
        grammar.one_of(source, target, names, weight=1.0)
        spelled = grammar.state()
        grammar.one_of(source, spelled, (f"{name} that's" for name in names), weight=0.05)
        _add_letters(grammar, spelled, target)
    letters = grammar.state()
    grammar.skip(source, letters, weight=0.1)
    _add_letters(grammar, letters, target)


def _add_letters(grammar: Automaton, source: int, target: int) -> None:
    loop = grammar.state()
    grammar.one_of(source, loop, (f"{letter}." for letter in spoken.LETTERS))
    grammar.one_of(loop, loop, (f"{letter}." for letter in spoken.LETTERS), weight=0.8)
    grammar.skip(loop, target, weight=0.2)


def _add_digit(grammar: Automaton, source: int, target: int, weight: float) -> None:
    grammar.one_of(source, target, spoken.DIGITS, weight=weight)
    grammar.word(source, target, "oh", weight=weight * 0.06)


def _add_repeated(grammar: Automaton, source: int, target: int, how: str, weight: float) -> None:
    said = grammar.state()
    grammar.word(source, said, how, weight)
    _add_digit(grammar, said, target, 1.0)


def _add_pair(grammar: Automaton, source: int, target: int, weight: float) -> None:
    grammar.one_of(source, target, spoken.cardinals_below_hundred()[9:], weight)


def _add_hundreds(grammar: Automaton, source: int, target: int, weight: float) -> None:
    """Add "four hundred", three digits at once."""
    grammar.one_of(source, target, (f"{digit} hundred" for digit in spoken.DIGITS[1:]), weight)


def _add_weekday(grammar: Automaton, source: int, target: int, days: int) -> None:
    which = ("next", "this", "this coming", "on")
    forms = [*spoken.WEEKDAYS, *(f"{word} {day}" for word in which for day in spoken.WEEKDAYS)]
    grammar.one_of(source, target, forms, weight=1.5)
    grammar.one_of(source, days, spoken.WEEKDAYS, weight=0.5)
    later = [f"{day} {after}" for day in spoken.WEEKDAYS for after in ("next week", "after next")]
    later += [f"a week from {day}" for day in spoken.WEEKDAYS]
    grammar.one_of(source, target, later, weight=0.1)


def _add_year(grammar: Automaton, source: int, target: int, weight: float) -> None:
    below_hundred = spoken.cardinals_below_hundred()
    two_thousands = [f"two thousand {link}{number}" for number in below_hundred[:29] for link in ("", "and ")]
    grammar.one_of(source, target, (f"nineteen {number}" for number in below_hundred[9:]), weight * 0.5)
    grammar.one_of(source, target, (f"twenty {number}" for number in below_hundred[9:40]), weight * 0.3)
    grammar.one_of(source, target, ("two thousand", *two_thousands), weight * 0.2)
