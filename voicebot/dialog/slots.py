"""From what was said or keyed to a slot's value, and whether that value will do."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, time, timedelta
from decimal import Decimal

from voicebot.dialog import check_digits
from voicebot.dialog.asking import LAST_OPTION_PHRASES, OPTION_PHRASES
from voicebot.dialog.condition import Lookup, holds
from voicebot.dialog.events import Entity, Interpretation, SlotValue
from voicebot.dialog.expectation import AnswerKind
from voicebot.dialog.flow import spoken_words
from voicebot.dialog.prompt import Prompt
from voicebot.dialog.steps import Rule, SlotType
from voicebot.dialog.values import SPELT, ValueKind
from voicebot.redaction import says_card

_MORNING = re.compile(r"\b(a\.? ?m\.?|morning)\b", re.IGNORECASE)
_NAME_WORDS_MOST = 4
_DAYS_MOST = 366
_KEYS_MOST = 40
_BIRTH_KEYS = 8
#: What the language room calls a telephone number found in what was said.
_PHONE = "phone"
_PHONE_NUMBER = re.compile(r"\+?[0-9]{7,15}")  # ITU-T E.164: at most 15 digits
_POSTCODE = re.compile(r"[A-Z0-9]{3,10}")
_OLDEST_YEARS = 120
_KEYED_MONEY = re.compile(r"[0-9]{1,9}(\*[0-9]{1,2})?")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A value someone may have meant, the entity it came from, and how many of the words said account for it.

    A free text is made of all words and accounts for none: it may as well be a request.
    """

    value: SlotValue
    entity: Entity | None = None
    words: int = 0


def spoken_candidates(
    said: Interpretation, slot_type: SlotType, options: Sequence[SlotValue] = ()
) -> Iterator[Candidate]:
    """Every value of this type that the reading may contain, the likeliest first. `options` were offered by number."""
    chosen = _chosen_option(said.text, options)
    if chosen is not None:
        yield chosen
    match slot_type.kind:
        case ValueKind.YES_NO:
            if said.affirmative is not None:
                yield Candidate(said.affirmative, words=len(said.text.split()))
        case ValueKind.CHOICE:
            choice = _choice(said.text, slot_type)
            if choice:
                yield choice
        case ValueKind.TEXT:
            if said.text.strip():
                yield Candidate(said.text.strip())
        case ValueKind.NAME:
            yield from _of_kind(said, {AnswerKind.NAME}, ValueKind.NAME)
            words = said.text.split()
            if 0 < len(words) <= _NAME_WORDS_MOST and not any(character.isdigit() for character in said.text):
                yield Candidate(" ".join(word.capitalize() for word in words))
        case ValueKind.DIGITS:
            yield from _codes(said, {AnswerKind.DIGITS})
        case ValueKind.ALPHANUMERIC:
            yield from _codes(said, {AnswerKind.ALPHANUMERIC, AnswerKind.DIGITS})
        case ValueKind.PHONE:
            yield from _of_kind(said, {_PHONE}, ValueKind.PHONE)
            yield from _codes(said, {AnswerKind.DIGITS})
        case ValueKind.POSTCODE:
            for candidate in _codes(said, {AnswerKind.ALPHANUMERIC, AnswerKind.DIGITS}):
                yield replace(candidate, value=str(candidate.value).upper().replace(" ", ""))
        case ValueKind.BIRTH_DATE:
            yield from _of_kind(said, {AnswerKind.DATE}, ValueKind.BIRTH_DATE)
        case ValueKind.TIME:
            for candidate in _of_kind(said, {AnswerKind.TIME}, ValueKind.TIME):
                yield from _both_halves_of_the_day(candidate)
        case _:
            answer = slot_type.kind.answer
            if answer is not None:
                yield from _of_kind(said, {answer}, slot_type.kind)


def mentioned_candidates(mentioned: Sequence[Entity], words: str, slot_type: SlotType) -> Iterator[Candidate]:
    """Values said before they were asked for; `words` are those of the request, where they may hold a choice.

    A free text or a yes was said for something else.
    """
    if slot_type.kind not in {ValueKind.TEXT, ValueKind.YES_NO, ValueKind.NAME}:
        yield from spoken_candidates(Interpretation(words, 1.0, entities=tuple(mentioned)), slot_type)


def _of_kind(said: Interpretation, kinds: Collection[str], value_kind: ValueKind) -> Iterator[Candidate]:
    for entity in said.entities:
        if entity.kind in kinds and value_kind.accepts(entity.value):
            yield Candidate(entity.value, entity, len(entity.text.split()))


def _codes(said: Interpretation, kinds: Collection[str]) -> Iterator[Candidate]:
    found = list(_of_kind(said, kinds, ValueKind.DIGITS))
    if (card := _card(said, found)) is not None:
        yield card
        return
    for candidate in found:  # said twice, it accounts for the words of both
        same = [other.words for other in found if other.value == candidate.value]
        yield replace(candidate, words=sum(same))
    if len(found) > 1:  # a number said in pieces, with a breath between them
        yield Candidate(
            "".join(str(candidate.value) for candidate in found), words=sum(candidate.words for candidate in found)
        )


def _card(said: Interpretation, found: Sequence[Candidate]) -> Candidate | None:
    """Return a card's number that was said, whole: six of its sixteen digits are no account number."""
    pieces: list[Candidate] = []
    for candidate in sorted(found, key=_place):
        if not pieces or _place(candidate)[0] >= _end(pieces[-1]):
            pieces.append(candidate)
    if len(pieces) < 2 or len({piece.value for piece in pieces}) == 1 or not says_card(said.text):
        return None
    return Candidate("".join(str(piece.value) for piece in pieces), words=len(said.text.split()))


def _place(candidate: Candidate) -> tuple[int, int]:
    """Where in the words a value was found, the longer of two that begin there first."""
    return (candidate.entity.start, -candidate.entity.end) if candidate.entity else (0, 0)


def _end(candidate: Candidate) -> int:
    return candidate.entity.end if candidate.entity else 0


def _both_halves_of_the_day(candidate: Candidate) -> Iterator[Candidate]:
    """Read "at four" as the afternoon too: offered second, so that a rule such as opening hours decides."""
    yield candidate
    value, entity = candidate.value, candidate.entity
    if isinstance(value, time) and value.hour < 12 and not (entity and _MORNING.search(entity.text)):
        yield Candidate(value.replace(hour=value.hour + 12), entity, candidate.words)


def _contains(text: str, phrase: str) -> bool:
    return f" {phrase} " in f" {text} "


def _choice(text: str, slot_type: SlotType) -> Candidate | None:
    return _longest(text, ((phrase, choice.value) for choice in slot_type.choices for phrase in choice.phrases))


def _chosen_option(text: str, options: Sequence[SlotValue]) -> Candidate | None:
    numbered = zip(OPTION_PHRASES, options, strict=False)
    phrases = [(phrase, option) for phrases, option in numbered for phrase in phrases]
    if len(options) > 1:
        phrases += [(phrase, options[-1]) for phrase in LAST_OPTION_PHRASES]
    return _longest(text, phrases)


def _longest(text: str, phrases: Iterable[tuple[str, SlotValue]]) -> Candidate | None:
    """The value whose longest phrase is contained in the text."""
    words = spoken_words(text)
    found = [(len(phrase.split()), value) for phrase, value in phrases if _contains(words, phrase)]
    most = max(found, key=lambda match: match[0], default=None)
    return Candidate(most[1], words=most[0]) if most else None


def keyed_candidates(
    keys: str, slot_type: SlotType, today: date, options: Sequence[SlotValue] = ()
) -> Iterator[Candidate]:
    """Every value of this type that the keys may mean."""
    if options and len(keys) == 1 and _is_number(keys) and 1 <= int(keys) <= len(options):
        yield Candidate(options[int(keys) - 1])
    match slot_type.kind:
        case ValueKind.YES_NO if keys in {"1", "2"}:
            yield Candidate(keys == "1")
        case ValueKind.CHOICE if _is_number(keys) and 1 <= int(keys) <= len(slot_type.choices):
            yield Candidate(slot_type.choices[int(keys) - 1].value)
        case ValueKind.DIGITS | ValueKind.ALPHANUMERIC if _is_number(keys):
            yield Candidate(keys)
        case ValueKind.PHONE | ValueKind.POSTCODE if _is_number(keys):
            yield Candidate(keys)
        case ValueKind.BIRTH_DATE if _is_number(keys) and len(keys) == _BIRTH_KEYS:
            yield from _keyed_birth(int(keys[:2]), int(keys[2:4]), int(keys[4:]))
        case ValueKind.DATE if _is_number(keys) and len(keys) == 4:
            yield from _keyed_day(int(keys[:2]), int(keys[2:]), today)
        case ValueKind.TIME if _is_number(keys) and len(keys) in {3, 4}:
            hour, minute = int(keys[:-2]), int(keys[-2:])
            if hour < 24 and minute < 60:
                yield from _both_halves_of_the_day(Candidate(time(hour, minute)))
        case ValueKind.MONEY if _KEYED_MONEY.fullmatch(keys):
            yield Candidate(Decimal(keys.replace("*", ".")))


def _is_number(keys: str) -> bool:
    return keys.isascii() and keys.isdecimal() and len(keys) <= _KEYS_MOST


def _keyed_birth(month: int, day: int, year: int) -> Iterator[Candidate]:
    """Month, day and year in full: 03151981."""
    try:
        yield Candidate(date(year, month, day))
    except ValueError:
        return


def _keyed_day(month: int, day: int, today: date) -> Iterator[Candidate]:
    """The next such day, today included."""
    for year in (today.year, today.year + 1):
        try:
            value = date(year, month, day)
        except ValueError:
            continue
        if today <= value <= today + timedelta(days=_DAYS_MOST):
            yield Candidate(value)
            return


@dataclass(frozen=True, slots=True)
class Verdict:
    """`candidate` when one will do; else `reason`, when something was understood that will not do.

    `refused_words` is how many of the words said account for what was refused.
    """

    candidate: Candidate | None = None
    reason: Prompt | None = None
    refused: SlotValue | None = None
    refused_words: int = 0


def judge(
    candidates: Iterator[Candidate],
    slot_type: SlotType,
    rules: Sequence[Rule],
    lookup_with: Callable[[SlotValue], Lookup],
    today: date,
) -> Verdict:
    """Take the first candidate that satisfies type and rules, or say why the first one does not."""
    refusal = Verdict()
    for candidate in candidates:
        reason = _objection(candidate.value, slot_type, rules, lookup_with(candidate.value), today)
        if reason is None:
            return Verdict(candidate)
        if refusal.refused is None:
            refusal = Verdict(reason=reason.prompt, refused=candidate.value, refused_words=candidate.words)
    return refusal


@dataclass(frozen=True, slots=True)
class _Objection:
    prompt: Prompt | None


def _objection(
    value: SlotValue, slot_type: SlotType, rules: Sequence[Rule], lookup: Lookup, today: date
) -> _Objection | None:
    if not _is_of_its_kind(value, slot_type.kind, today):
        return _Objection(slot_type.invalid)
    if slot_type.kind in SPELT and slot_type.lengths and len(str(value)) not in slot_type.lengths:
        return _Objection(slot_type.invalid)
    if slot_type.pattern and not re.fullmatch(slot_type.pattern, str(value)):
        return _Objection(slot_type.invalid)
    if slot_type.check_digit and not check_digits.fits(str(value), slot_type.check_digit):
        return _Objection(slot_type.invalid)
    for rule in (*slot_type.rules, *rules):
        if not holds(rule.condition, lookup, today):
            return _Objection(rule.reason)
    return None


def _is_of_its_kind(value: SlotValue, kind: ValueKind, today: date) -> bool:
    """What a kind demands of itself, before its type's own rules: nobody is born tomorrow."""
    match kind:
        case ValueKind.PHONE:
            return _PHONE_NUMBER.fullmatch(str(value)) is not None
        case ValueKind.POSTCODE:
            return _POSTCODE.fullmatch(str(value)) is not None
        case ValueKind.BIRTH_DATE:
            return isinstance(value, date) and value <= today and value.year >= today.year - _OLDEST_YEARS
        case _:
            return True
