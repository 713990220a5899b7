"""From a slot's type to what the recogniser listens for and which keys answer."""

from __future__ import annotations

from voicebot.dialog.expectation import AnswerKind, Expectation, KeyEntry
from voicebot.dialog.steps import SlotType
from voicebot.dialog.values import SPELT, ValueKind

#: What callers say to take an offered alternative, by its number.
OPTION_PHRASES: tuple[tuple[str, ...], ...] = (
    ("the first one", "the first", "first", "the earlier one", "the earlier", "option one"),
    ("the second one", "the second", "second", "option two"),
    ("the third one", "the third", "third", "option three"),
)
LAST_OPTION_PHRASES = ("the last one", "the last", "the later one", "the later", "the latest")

_DIGIT_WAIT_S = 8.0
_OPEN_ALSO = {ValueKind.DATE, ValueKind.TIME, ValueKind.YES_NO, ValueKind.CHOICE, ValueKind.MONEY, ValueKind.NAME}


def keys_for(slot_type: SlotType, options: int) -> KeyEntry:
    """How a value of this type is keyed: dates as MMDD, times as HHMM, money in dollars with * as the point."""
    match slot_type.kind:
        case ValueKind.DIGITS | ValueKind.ALPHANUMERIC if slot_type.lengths:
            return KeyEntry(min(slot_type.lengths), max(slot_type.lengths))
        case ValueKind.DIGITS | ValueKind.ALPHANUMERIC:
            return KeyEntry(1, 20)
        case ValueKind.PHONE:
            return KeyEntry(7, 15)
        case ValueKind.POSTCODE:
            return KeyEntry(min(slot_type.lengths), max(slot_type.lengths)) if slot_type.lengths else KeyEntry(3, 10)
        case ValueKind.BIRTH_DATE:
            return KeyEntry(8, 8)
        case ValueKind.DATE:
            return KeyEntry(1 if options else 4, 4)
        case ValueKind.TIME:
            return KeyEntry(1 if options else 3, 4)
        case ValueKind.MONEY:
            return KeyEntry(1, 9)
        case ValueKind.CHOICE:
            return KeyEntry(1, len(str(len(slot_type.choices))))
        case _:
            return KeyEntry(1, 1)


def expectation_for(
    name: str,
    slot_type: SlotType,
    *,
    options: int,
    commands: tuple[str, ...],
    barge_in: bool,
    listen_open: bool | None,
    wait_s: float | None,
) -> Expectation:
    """Shape the listening for one question.

    Codes are heard without open requests beside them, because every further word costs them accuracy; the commands
    ("I want a person") are heard everywhere. `listen_open` overrides that, `wait_s` is the time to the first word.
    """
    kind = slot_type.kind.answer or AnswerKind.OPEN
    also_open = slot_type.kind in _OPEN_ALSO if listen_open is None else listen_open
    kinds = (kind, AnswerKind.OPEN) if also_open and kind is not AnswerKind.OPEN else (kind,)
    choices = tuple(phrase for choice in slot_type.choices for phrase in choice.phrases)
    offered = tuple(phrase for phrases in OPTION_PHRASES[:options] for phrase in phrases)
    coded = slot_type.kind in SPELT
    return Expectation(
        name=name,
        kinds=kinds,
        phrases=(*choices, *offered, *(LAST_OPTION_PHRASES if options > 1 else ()), *commands),
        lengths=slot_type.lengths,
        check_digit=slot_type.check_digit,
        keys=keys_for(slot_type, options),
        secret=slot_type.secret,
        barge_in=barge_in,
        no_input_s=wait_s if wait_s is not None else (_DIGIT_WAIT_S if coded else 6.0),
    )


def confirmation_expectation(
    name: str, kinds: tuple[AnswerKind, ...], lengths: tuple[int, ...], commands: tuple[str, ...], *, barge_in: bool
) -> Expectation:
    """Yes or no, or a new value for one of the things read back."""
    ordered = tuple(dict.fromkeys((AnswerKind.YES_NO, *kinds, AnswerKind.OPEN)))
    return Expectation(
        name=name, kinds=ordered, phrases=commands, lengths=lengths, keys=KeyEntry(1, 1), barge_in=barge_in
    )


def request_expectation(name: str, commands: tuple[str, ...], *, yes_no: bool, barge_in: bool) -> Expectation:
    """A request in the caller's own words, with a menu on the keys."""
    kinds = (AnswerKind.OPEN, AnswerKind.YES_NO) if yes_no else (AnswerKind.OPEN,)
    return Expectation(name=name, kinds=kinds, phrases=commands, keys=KeyEntry(1, 1), barge_in=barge_in)
