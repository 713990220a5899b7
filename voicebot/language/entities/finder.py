"""All entities of an utterance, in the order in which the dialog should try them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from voicebot.dialog.events import Entity
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.language.corrections import correction_at
from voicebot.language.entities.births import find_birth_dates
from voicebot.language.entities.choices import find_choices
from voicebot.language.entities.codes import find_codes
from voicebot.language.entities.dates import find_dates
from voicebot.language.entities.digits import find_digits
from voicebot.language.entities.money import find_money
from voicebot.language.entities.names import find_names
from voicebot.language.entities.numbers import find_numbers, find_ordinals
from voicebot.language.entities.phones import find_phones
from voicebot.language.entities.postcodes import find_postcodes
from voicebot.language.entities.span import Span
from voicebot.language.entities.times import find_parts_of_day, find_times
from voicebot.language.words import Word, matches, split


@dataclass(frozen=True, slots=True)
class Found:
    """Entities, likeliest first within a kind, and whether the caller takes something back with them."""

    entities: tuple[Entity, ...]
    correction: bool


_DENIES = frozenset({"not", "isn't", "can't", "cannot", "won't", "couldn't", "except"})
_BEFORE_DENIED = frozenset({"the", "on", "at", "for", "do", "make", "manage", "come", "it", "this"})


def find_entities(text: str, expectation: Expectation, now: datetime) -> Found:
    """Find every typed value in a normalised text.

    Kinds beyond `AnswerKind`: "number", "ordinal", "phone", "postcode", "birth_date", "part_of_day". Those of the
    expected kinds come first, in the order the dialog expects them. A question for digits may be after a telephone
    number, one for a code after a postcode, one for a date after a birth date. After a correction cue ("friday, no,
    monday") the later value comes first.
    `now` is the caller's local time.
    """
    words = split(text)
    wanted = set(expectation.kinds)
    finders: dict[str, Callable[[], list[Span]]] = {
        AnswerKind.CHOICE: lambda: find_choices(words, expectation.phrases),
        AnswerKind.DIGITS: lambda: find_digits(
            words, expected=AnswerKind.DIGITS in wanted, lengths=expectation.lengths
        ),
        AnswerKind.ALPHANUMERIC: lambda: find_codes(
            words, expected=AnswerKind.ALPHANUMERIC in wanted, lengths=expectation.lengths
        ),
        AnswerKind.DATE: lambda: find_dates(words, now.date(), expected=AnswerKind.DATE in wanted),
        AnswerKind.TIME: lambda: find_times(words, expected=AnswerKind.TIME in wanted),
        AnswerKind.MONEY: lambda: find_money(words, expected=AnswerKind.MONEY in wanted),
        AnswerKind.NAME: lambda: find_names(
            words, expected=AnswerKind.NAME in wanted, known=expectation.phrases if AnswerKind.NAME in wanted else ()
        ),
        "part_of_day": lambda: find_parts_of_day(words),
        "ordinal": lambda: find_ordinals(words),
        "phone": lambda: find_phones(words, expected=AnswerKind.DIGITS in wanted),
        "postcode": lambda: find_postcodes(words, expected=AnswerKind.ALPHANUMERIC in wanted),
        "birth_date": lambda: find_birth_dates(words, now.date(), expected=AnswerKind.DATE in wanted),
        "number": lambda: find_numbers(words),
    }
    spans = {kind: finder() for kind, finder in finders.items()}
    spans[AnswerKind.DIGITS] = _not_inside(
        spans[AnswerKind.DIGITS],
        *(
            spans[kind]
            for kind in (AnswerKind.TIME, AnswerKind.DATE, AnswerKind.MONEY)
            if AnswerKind.DIGITS not in wanted
        ),
    )
    spans[AnswerKind.ALPHANUMERIC] = _not_inside(
        spans[AnswerKind.ALPHANUMERIC],
        *(spans[kind] for kind in (AnswerKind.TIME, AnswerKind.DATE) if AnswerKind.ALPHANUMERIC not in wanted),
    )
    longer = [
        span for group in spans.values() for span in group if span.last - span.first > 1 and span.kind != "number"
    ]
    spans["number"] = [span for span in spans["number"] if not any(_larger(other, span) for other in longer)]
    spans = {kind: [span for span in group if not _denied(words, span)] or group for kind, group in spans.items()}
    cue = correction_at(words)
    order = [kind.value for kind in expectation.kinds] + [kind for kind in finders if kind not in wanted]
    entities: list[Entity] = []
    corrected = False
    for kind in order:
        found = spans.get(kind, [])
        if cue is not None and any(span.first >= cue for span in found):
            corrected = True
            found = sorted(found, key=lambda span: span.first < cue)
        entities.extend(span.entity(words, text) for span in found)
    return Found(tuple(entities), corrected)


def _larger(other: Span, span: Span) -> bool:
    return other.covers(span) and other.last - other.first > span.last - span.first


def _denied(words: Sequence[Word], span: Span) -> bool:
    """Say whether the caller names the value only to reject it: "not friday", "i can't do the fifteenth"."""
    before = span.first - 1
    while before >= 0 and words[before].text in _BEFORE_DENIED:
        before -= 1
    return before >= 0 and (
        words[before].text in _DENIES or (before > 0 and matches(words, before - 1, ("anything", "but")))
    )


def _not_inside(spans: Sequence[Span], *others: Sequence[Span]) -> list[Span]:
    taken = [other for group in others for other in group]
    return [span for span in spans if not any(other.covers(span) for other in taken)]
