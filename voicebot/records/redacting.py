"""Takes out of a call's turns what must not be kept, before anything of them is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from voicebot import public_numbers
from voicebot.records.record import HeardWord, Redaction, Speaker, TurnRecord
from voicebot.records.silent_words import TimedWord, silent_spans
from voicebot.redaction import (
    Context,
    Finding,
    Sensitive,
    asked_by,
    find,
    map_strings,
    redact,
    without_numbers,
)

#: Silence reaches so far beyond the words, whose times a recogniser only estimates.
_PADDING_MS = 200
#: And so much farther around a number: Whisper tells its first word up to 400 ms late and the end of its last as early.
_OFF_MS = 200
#: A key is noted while it is held or after it: its tone may be on the line so long before, and so long after.
_KEYED_BEFORE_MS, _KEYED_AFTER_MS = 2_000, 1_000
_KEYS = "keys"
#: So many turns in a row of digits that nobody asked for tell nothing of a number.
_MOST_PIECES = 2
#: Three digits or more, however they are grouped.
_DIGITS = re.compile(r"\d(?:[ -]?\d){2,}")


@dataclass(frozen=True, slots=True)
class Numbered:
    """A turn as it may be written, with its number in the call."""

    number: int
    turn: TurnRecord


class TurnRedactor:
    """The turns of one call, in order.

    A number that a caller may go on with in their next turn is kept back: the turn is written without it, and once
    more, whole, when it turns out to be none of those that must not be kept. It may come digit by digit, as keys do
    where only one was asked for.
    """

    def __init__(self) -> None:
        self._context = Context()
        self._count = 0
        #: Turns in a row that were written without a number which may be kept after all.
        self._kept_back: list[Numbered] = []
        self._kept_unasked = False

    def add(self, turn: TurnRecord) -> list[Numbered]:
        """Return what may be written now: the turn, and before it an earlier one that may be written whole."""
        number = self._count
        self._count += 1
        if turn.secret:
            self._context = Context()
            return [*self.end(), Numbered(number, turn)]
        if turn.speaker is not Speaker.CALLER:
            self._context = self._context.after_question(turn.text, turn.prompt)
            return [Numbered(number, _redacted(turn, Context(number_asked=True), find(turn.text)))]
        context, answered = self._context, _is_answered(turn)
        if answered:
            context = replace(context, number_asked=True)
        found = find(
            turn.text,
            asked=context.asked,
            begun=context.begun,
            ends=answered,
            unasked=not context.number_asked,
            phone=context.phone_asked,
        )
        aside = turn.intent is None and not turn.slots
        self._context = after = context.after_answer(turn.text, aside=aside)
        is_open = any(finding.kind is Sensitive.NUMBER for finding in found)
        released: list[Numbered] = []
        if _goes_on(turn.text, context, found):
            self._kept_back = []
        elif not (is_open and 0 < context.begun < after.begun) and not (aside and after is context):
            released = self.end()
        if is_open:
            certain = tuple(finding for finding in found if finding.kind is not Sensitive.NUMBER)
            self._kept_back.append(Numbered(number, _redacted(turn, context, certain)))
            self._kept_unasked = not context.number_asked
        return [*released, Numbered(number, _redacted(turn, context, found))]

    def end(self) -> list[Numbered]:
        """Return the turns that were kept back, since nothing went on; nothing if none were.

        What nobody asked for and came in three pieces or more stays away, as it would have if said at once.
        """
        kept, self._kept_back = self._kept_back, []
        return [] if self._kept_unasked and len(kept) > _MOST_PIECES else kept


def _is_answered(turn: TurnRecord) -> bool:
    """The dialog took the number, or the key that chose something, for something: it is whole."""
    chose = turn.engine == _KEYS and (turn.intent is not None or bool(turn.slots))
    return chose or any(_DIGITS.search(value) for value in turn.slots.values())


def _goes_on(text: str, context: Context, found: Sequence[Finding]) -> bool:
    """Tell whether the number that the turn before ended with went on here to one that must not be kept."""
    if not context.begun or not found or found[0].kind is Sensitive.NUMBER:
        return False
    alone = find(text, asked=context.asked)
    return tuple(found[:1]) != alone[:1] or found[0].start <= len(text) // 2


def _redacted(turn: TurnRecord, context: Context, found: tuple[Finding, ...]) -> TurnRecord:
    alternatives = tuple(_alternative(text, context, found) for text in turn.alternatives)
    words = [TimedWord(word.text, word.start_ms, word.end_ms) for word in turn.words]
    spans, hidden = silent_spans(
        words,
        asked=context.asked,
        begun=context.begun,
        unasked=not context.number_asked,
        phone=context.phone_asked,
    )
    if context.asked is not None and not turn.text and turn.speaker is Speaker.CALLER and turn.engine != _KEYS:
        # Something was said, and nobody knows what: it may be what was asked for.
        return replace(turn, redactions=_redactions(turn, context, [context.asked], ()))
    kinds = [finding.kind for finding in found] or [span.kind for span in spans]
    slots = {name: _slot(name, value, found) for name, value in turn.slots.items()}
    if not kinds and slots == turn.slots and alternatives == turn.alternatives:
        return turn
    digits_gone = without_numbers if kinds else _as_it_is
    text = turn.text if not found else _marks(found) if turn.engine == _KEYS else redact(turn.text, found)
    if found and not hidden:
        hidden = frozenset(range(len(words)))  # no word matches: none is to be trusted
    return replace(
        turn,
        text=text,
        heard_text=None if turn.heard_text is None else redact(turn.heard_text),
        alternatives=alternatives,
        slots=slots,
        decision=None if turn.decision is None else digits_gone(turn.decision),
        signals=_signals(turn, digits_gone),
        words=_words(turn.words, hidden, kinds),
        redactions=_redactions(turn, context, kinds, [(span.start_ms, span.end_ms) for span in spans]) if kinds else (),
    )


def _alternative(text: str, context: Context, found: Sequence[Finding]) -> str:
    text = redact(text, find(text, asked=context.asked, begun=context.begun, phone=context.phone_asked))
    return without_numbers(text) if found else text


def redact_slot(name: str, value: str) -> str:
    """Return the value of a slot of that name as it may be kept: a number of an account is told as what it is."""
    kind = asked_by(name)
    if kind is None and public_numbers.is_slot(name) and public_numbers.is_number(value):
        return value
    return kind.mark if kind is not None and _DIGITS.search(value) else redact(value)


def _slot(name: str, value: str, found: Sequence[Finding]) -> str:
    kept = redact_slot(name, value)
    return without_numbers(kept) if found else kept


def _as_it_is(text: str) -> str:
    return text


def _signals(turn: TurnRecord, change: Callable[[str], str]) -> dict[str, Any]:
    changed = map_strings(turn.signals, change)
    return changed if isinstance(changed, dict) else {}


def _marks(found: Sequence[Finding]) -> str:
    return " ".join(finding.kind.mark for finding in found)


def _words(words: Sequence[HeardWord], hidden: frozenset[int], kinds: Sequence[Sensitive]) -> tuple[HeardWord, ...]:
    mark = kinds[0].mark if kinds else Sensitive.NUMBER.mark
    return tuple(replace(word, text=mark) if index in hidden else word for index, word in enumerate(words))


def _redactions(
    turn: TurnRecord, context: Context, kinds: Sequence[Sensitive], spans: Sequence[tuple[int, int]]
) -> tuple[Redaction, ...]:
    if turn.engine == _KEYS:
        spans = [(turn.at_ms - _KEYED_BEFORE_MS, turn.at_ms + turn.heard_ms + _KEYED_AFTER_MS)]
    elif context.asked is not None or not spans:
        # An answer is silent as a whole: its first and last words are those that recognisers get wrong.
        spans = [(turn.at_ms, turn.at_ms + turn.heard_ms)]
    else:
        # Behind the last word that was made out the number may go on: Whisper loses the ends of long ones.
        heard_until, over = max((word.end_ms for word in turn.words), default=0), turn.at_ms + turn.heard_ms
        spans = [(start - _OFF_MS, max(end, over) if end >= heard_until else end + _OFF_MS) for start, end in spans]
    return tuple(
        Redaction(
            (kinds[index] if index < len(kinds) else kinds[-1]).value, max(0, start - _PADDING_MS), end + _PADDING_MS
        )
        for index, (start, end) in enumerate(spans)
    )
