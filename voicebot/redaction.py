"""Finds what must not be kept in what was said: numbers of cards and accounts, security codes, PINs. Pure.

A number is a run of words that say digits ("four one one one", "double seven", "forty-one eleven", "4111 1111"),
whatever hesitation or correction lies between. What it is follows from three things: who asked for it, by the slot or
the words of the question; the words around it; and its shape, any nine digits being taken for a card's, since those of
a recognised card do not satisfy Luhn's formula. A number that may go on in the caller's next turn is found there too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

from voicebot import public_numbers
from voicebot.numerals import TEENS, TENS, UNITS, ZERO


class Sensitive(StrEnum):
    CARD = "card"
    CVV = "cvv"
    PIN = "pin"
    SSN = "ssn"
    ACCOUNT = "account"
    #: May yet turn out to be one, if the caller goes on with it.
    NUMBER = "number"
    #: Nobody asked for it and nothing took it: what it is was not heard, or not understood.
    UNNAMED = "unnamed"

    @property
    def mark(self) -> str:
        """What stands in a text instead."""
        return _MARKS[self]


_MARKS: Mapping[Sensitive, str] = {
    Sensitive.CARD: "[card number]",
    Sensitive.CVV: "[security code]",
    Sensitive.PIN: "[pin]",
    Sensitive.SSN: "[social security number]",
    Sensitive.ACCOUNT: "[account number]",
    Sensitive.NUMBER: "[number]",
    Sensitive.UNNAMED: "[number]",
}

#: Digits that are a card's whatever was asked.
_CARD_SHAPE = 9
#: Digits of a card's number (ISO/IEC 7812, and the shortest that are in use), whatever else was asked for.
_CARD_LENGTHS = range(13, 20)
#: Other words in a row at which a caller who reads out a card goes on with it ("please", "got that").
_MOST_WITHIN_CARD = 2
#: Digits with which a number that is more may begin; fewer are house numbers and counts.
_BEGINNING = 2
#: A number that was not asked for may begin with a single one, and is kept from so many digits on only if it is named.
_UNASKED_BEGINNING = 1
_UNNAMED = 3
#: Of a number that was found, so many digits may not be repeated elsewhere.
_REPEATED = 3
#: With a word that names it, so few digits are enough.
_FEWEST = {Sensitive.CARD: 4, Sensitive.CVV: 3, Sensitive.PIN: 3, Sensitive.SSN: 3, Sensitive.ACCOUNT: 4}
#: A word that names a number stands at most so many words before it, or fewer after it.
_NAMED_BEFORE, _NAMED_AFTER = 9, 4
#: Words in a row that are no digits and yet do not end a number, as when a caller hesitates.
_MOST_BETWEEN = 8

_TIMES = {"double": 2, "triple": 3, "treble": 3, "quadruple": 4}
_SCALES = {"hundred": 2, "thousand": 3}
#: What recognisers write for a digit; it counts between digits only.
_LIKE_DIGITS = frozenset("to too for fore won ate tree free fife sicks nein owe o row".split())
#: Said in any talk, and hardly ever as a number by itself.
_NO_DIGITS_ALONE = frozenset({"one", "oh", "o"})
_BETWEEN = frozenset(
    "um umm uh uhh uhm er erm ah hmm hm mm eh and then dash hyphen space point comma minus pause no sorry wait i mean"
    " scratch that hang on let me see okay ok so it's its is the next one's rather actually hold yeah yes right".split()
)
#: After these a number is another's: "ending in 1234" is how a card is told from its neighbours, and may be kept.
_HARMLESS_BEFORE = frozenset({"ending", "ends", "order", "reference", "ticket", "zip", "dollars", "phone", "born"})
#: Between two numbers, these say that the second is another one.
_OTHERS_BEFORE = _HARMLESS_BEFORE | {"number", "code", "postcode", "telephone", "mobile", "date", "birthday"}
#: Right before a number that nobody asked for, these say that it is a time, a place or a number to call.
_PLACES_BEFORE = frozenset(
    "at in since until by from room page flight gate item call january february march april may june july august"
    " september october november december".split()
)
#: Units that follow a number which is none of these.
_HARMLESS_AFTER = frozenset("dollars dollar cents euros pounds percent days weeks months years oak street".split())

_NAMES: tuple[tuple[Sensitive, re.Pattern[str]], ...] = (
    (Sensitive.CVV, re.compile(r"\b(?:cvv|cvc|cvv2|c v v|c v c|security code|(?:digits|number|code) on the back)\b")),
    (Sensitive.SSN, re.compile(r"\b(?:ssn|s s n|social security|social)\b")),
    (Sensitive.PIN, re.compile(r"\b(?:pin|pins|pin code|passcode|pass code|access code)\b")),
    (Sensitive.ACCOUNT, re.compile(r"\b(?:account|iban|routing|sort code)\b")),
    (Sensitive.CARD, re.compile(r"\b(?:cards?|visa|mastercard|master card|amex|american express|discover)\b")),
)
_SLOT_PARTS: Mapping[str, Sensitive] = {
    "card": Sensitive.CARD,
    "cvv": Sensitive.CVV,
    "cvc": Sensitive.CVV,
    "pin": Sensitive.PIN,
    "passcode": Sensitive.PIN,
    "ssn": Sensitive.SSN,
    "social": Sensitive.SSN,
    "account": Sensitive.ACCOUNT,
    "iban": Sensitive.ACCOUNT,
    "routing": Sensitive.ACCOUNT,
}
_QUESTION = re.compile(r"\b(?:number|code|pin|digits|cvv|cvc|ssn|social|iban|passcode)\b")
#: In a question or its name: it asks for some number, be it one that may be kept.
_ASKS_FOR_NUMBER = re.compile(
    r"(?<![a-z])(?:number|code|pin|digits|order|reference|zip|postcode|phone|telephone|date|born|birth|birthday|day|time"
    r"|when|year|month|amount|many|much|reading|quantity|age|old|slot|until)(?![a-z])"
)
_TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{4}){2,7}(?:[ ]?[A-Z0-9]{1,4})?\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Finding:
    """Characters `start:end` of a text, and what they are."""

    kind: Sensitive
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    start: int
    end: int
    digits: int


@dataclass(frozen=True, slots=True)
class _Run:
    """Tokens `first:last` say `digits` digits."""

    first: int
    last: int
    digits: int


def asked_by(slot: str) -> Sensitive | None:
    """Return what a slot or a question of that name asks for (``"authenticate.ask_account_number"``), if it is kept."""
    parts = re.split(r"[^a-z]+", slot.lower())
    if "security" in parts and "code" in parts:
        return Sensitive.CVV
    return next((_SLOT_PARTS[part] for part in reversed(parts) if part in _SLOT_PARTS), None)


def asked_in(question: str) -> Sensitive | None:
    """Return what the words of a question ask for, if it must not be kept."""
    text = question.lower()
    if _QUESTION.search(text) is None:
        return None
    return next((kind for kind, name in _NAMES if name.search(text)), None)


def find(
    text: str,
    *,
    asked: Sensitive | None = None,
    begun: int = 0,
    ends: bool = True,
    unasked: bool = False,
    phone: bool = False,
) -> tuple[Finding, ...]:
    """Find what must not be kept in one turn or sentence, in order, nothing twice.

    `asked` is what was asked for just before. `begun` digits of a number were said at the end of the turn before.
    Unless the text `ends` for good, a number at its end that may go on is found as `Sensitive.NUMBER`. While numbers
    are `unasked`, one that nothing names is found as `Sensitive.UNNAMED`: its name may have been misheard. Where the
    question is for a telephone number (`phone`), or the words before it name one, a number that is short of a card's
    stays.
    """
    tokens = _tokens(text)
    found = [Finding(Sensitive.ACCOUNT, match.start(), match.end()) for match in _IBAN.finditer(text)]
    for run in _runs(tokens):
        kind = _kind(text, tokens, run, asked, begun, ends=ends, unasked=unasked, phone=phone)
        if kind is not None:
            start, end = tokens[run.first].start, tokens[run.last - 1].end
            if not any(each.start < end and start < each.end for each in found):
                found.append(Finding(kind, start, end))
    return tuple(sorted(found, key=lambda each: each.start))


def says_card(text: str) -> bool:
    """Say whether as many digits were said in one go as a card has, or more, with small words between them or not."""
    tokens = _tokens(text)
    digits, last = 0, 0
    for run in _runs(tokens):
        between = tokens[last : run.first]
        goes_on = digits and sum(token.text not in _BETWEEN for token in between) <= _MOST_WITHIN_CARD
        said = " ".join(token.text for token in between)
        is_named = any(name.search(said) for _, name in _NAMES)
        is_other = is_named or any(token.text in _OTHERS_BEFORE for token in between)
        digits = digits + run.digits if goes_on and not is_other else run.digits
        last = run.last
        if digits >= _CARD_LENGTHS.start:
            return True
    return False


def holds_digits(text: str) -> bool:
    """Say whether any digit may have been said, be it one alone; "one" counts where a number may begin or end.

    For words that nothing is known of, from an engine that may have taken a digit for a word like it.
    """
    tokens = _tokens(text)
    words = [token.text for token in tokens]
    digits = [index for index, token in enumerate(tokens) if token.digits and token.text not in _NO_DIGITS_ALONE]
    ones = [index for index, word in enumerate(words) if word == "one"]
    alike = any(set(pair) <= _LIKE_DIGITS | ZERO | {"one", *_TIMES} for pair in pairwise(words))
    at_edge = any(index in {0, len(words) - 1} for index in ones)
    return bool(digits) or len(ones) > 1 or at_edge or alike or any(char.isdigit() for char in text)


def names_number(text: str) -> bool:
    """Say whether the words name something whose number must not be kept, be the number there or not."""
    return any(name.search(text.lower()) for _, name in _NAMES)


def redact(text: str, findings: Sequence[Finding] | None = None) -> str:
    """Return `text` with marks in place of what must not be kept; `findings` are found if not given."""
    found = find(text) if findings is None else findings
    for each in reversed(found):
        text = text[: each.start] + each.kind.mark + text[each.end :]
    return text


def without_numbers(text: str) -> str:
    """Return `text` with marks in place of every number of three digits or more, for what repeats a found one."""
    tokens = _tokens(text)
    runs = [run for run in _runs(tokens) if run.digits >= _REPEATED]
    return redact(text, [Finding(Sensitive.NUMBER, tokens[run.first].start, tokens[run.last - 1].end) for run in runs])


@dataclass(frozen=True, slots=True)
class Context:
    """What the turns so far say of the next one: what was asked, and how much of a number was begun.

    `number_asked` is whether the question is for any number, such as an order's, which may be kept; `phone_asked`
    whether it is for a telephone number.
    """

    asked: Sensitive | None = None
    begun: int = 0
    number_asked: bool = False
    phone_asked: bool = False

    def after_question(self, text: str, prompt: str | None = None) -> Context:
        """Take a turn of the bot's or an agent's; "go on" asks for nothing new."""
        asked = (asked_by(prompt) if prompt else None) or asked_in(text)
        if asked is None and self.begun:
            return self
        number_asked = _ASKS_FOR_NUMBER.search(f"{text} {prompt or ''}".lower().replace("_", " ")) is not None
        phone_asked = asked is None and public_numbers.asked_for(text, prompt)
        return Context(asked, 0 if asked else self.begun, number_asked or phone_asked, phone_asked)

    def after_answer(self, text: str, *, aside: bool = False) -> Context:
        """Take a turn of the caller's. One without a number that is an `aside` leaves what was begun as it was."""
        tokens = _tokens(text)
        run = next(iter(_runs(tokens)[-1:]), None)
        if run is None and aside:
            return self
        if run is None or not _is_at_end(tokens, run):
            return replace(self, asked=None, begun=0)
        begun = run.digits + (self.begun if _goes_on_from(tokens, run) else 0)
        return replace(self, asked=_named(text, tokens, run) or self.asked, begun=begun)


def map_strings(value: object, change: Callable[[str], str]) -> object:
    """Return a JSON-like value with `change` made to every text in it, names of fields excepted."""
    match value:
        case str():
            return change(value)
        case Mapping():
            return {name: map_strings(part, change) for name, part in value.items()}
        case list() | tuple():
            return [map_strings(part, change) for part in value]
        case _:
            return value


def _tokens(text: str) -> list[_Token]:
    matches = list(_TOKEN.finditer(text.lower()))
    words = [match.group() for match in matches]
    out = []
    for index, match in enumerate(matches):
        before = next((word for word in reversed(words[:index]) if word not in _BETWEEN), "")
        after = next((word for word in words[index + 1 :] if word not in _BETWEEN), None)
        out.append(_Token(match.group(), match.start(), match.end(), _digits(match.group(), before, after)))
    # A word like a digit is one between two that are.
    for index, (left, right) in enumerate(pairwise(out)):
        if right.text in _LIKE_DIGITS and not right.digits and left.digits:
            beyond = out[index + 2] if index + 2 < len(out) else None
            if beyond is None or beyond.digits or beyond.text in _LIKE_DIGITS:
                out[index + 1] = replace(right, digits=1)
    return out


def _digits(word: str, before: str, after: str | None) -> int:
    """Return how many digits a word adds to a number; `after` is the next word that is no hesitation."""
    if word.isdigit():
        return len(word)
    if word in ZERO or word in UNITS:
        return 1
    if word in _TIMES:
        # "double", and then the turn ends: the digit comes with the next.
        return _TIMES[word] - 1 if after is None or after in UNITS or after in ZERO or after.isdigit() else 0
    if word in TEENS:
        return 2
    if word in TENS:
        return 1 if after in UNITS else 2
    if word in _SCALES and (before in UNITS or before in TEENS or before in TENS or before.isdigit()):
        return _SCALES[word]
    plural = word.removesuffix("es") if word == "sixes" else word.removesuffix("s")
    if plural != word and plural in UNITS and before in UNITS:
        return max(1, UNITS[before] - 1)
    return 0


def _runs(tokens: Sequence[_Token]) -> list[_Run]:
    """Return the numbers said, each with the hesitation inside it."""
    runs: list[_Run] = []
    for index, token in enumerate(tokens):
        if not token.digits:
            continue
        last = runs[-1] if runs else None
        if last is not None and index - last.last <= _MOST_BETWEEN and _bridges(tokens[last.last : index]):
            runs[-1] = _Run(last.first, index + 1, last.digits + token.digits)
        else:
            runs.append(_Run(index, index + 1, token.digits))
    return runs


def _bridges(between: Sequence[_Token]) -> bool:
    return all(token.text in _BETWEEN for token in between)


def _is_at_end(tokens: Sequence[_Token], run: _Run) -> bool:
    return all(token.text in _BETWEEN for token in tokens[run.last :])


def _is_at_start(tokens: Sequence[_Token], run: _Run) -> bool:
    return all(token.text in _BETWEEN for token in tokens[: run.first])


def _goes_on_from(tokens: Sequence[_Token], run: _Run) -> bool:
    """Tell whether a number goes on from the turn before: so few words stand before it, and none makes it another's."""
    before = [token.text for token in tokens[: run.first]]
    others = [word for word in before if word not in _BETWEEN]
    return len(others) <= _MOST_WITHIN_CARD and _OTHERS_BEFORE.isdisjoint(before)


def _kind(
    text: str,
    tokens: Sequence[_Token],
    run: _Run,
    asked: Sensitive | None,
    begun: int,
    *,
    ends: bool,
    unasked: bool,
    phone: bool,
) -> Sensitive | None:
    named = _named(text, tokens, run)
    at_start = _is_at_start(tokens, run)
    goes_on = bool(begun) and _goes_on_from(tokens, run)
    whole = run.digits + (begun if goes_on else 0)
    at_end = _is_at_end(tokens, run)
    if asked is None and whole <= public_numbers.MOST_DIGITS and _is_phone(text, tokens, run, asked_for=phone):
        return Sensitive.NUMBER if not ends and at_end else None
    if named is not None and (run.digits >= _FEWEST[named] or at_end):
        return named
    if run.digits in _CARD_LENGTHS:
        return named or Sensitive.CARD
    if run.digits >= _CARD_SHAPE:
        return asked or named or Sensitive.CARD
    if asked is not None and (run.digits >= 3 or at_start or at_end) and not _is_harmless(tokens, run):
        return asked
    if goes_on and whole >= _CARD_SHAPE:
        return asked or Sensitive.CARD
    if _is_harmless(tokens, run):
        return None
    if unasked and run.digits >= _UNNAMED and not _is_placed(tokens, run):
        return Sensitive.UNNAMED
    if not ends and at_end and run.digits >= (_UNASKED_BEGINNING if unasked else _BEGINNING):
        return Sensitive.NUMBER
    return None


def _named(text: str, tokens: Sequence[_Token], run: _Run) -> Sensitive | None:
    """Return what the words around a number call it; those before it go first, the nearest of them."""
    if _is_harmless(tokens, run):
        return None
    lowered = text.lower()
    before = lowered[tokens[max(0, run.first - _NAMED_BEFORE)].start : tokens[run.first].start]
    nearest = [
        (match.end(), -order, kind) for order, (kind, name) in enumerate(_NAMES) for match in name.finditer(before)
    ]
    if nearest:
        return max(nearest)[2]
    after = lowered[tokens[run.last - 1].end : tokens[min(len(tokens), run.last + _NAMED_AFTER) - 1].end]
    return next((kind for kind, name in _NAMES if name.search(after)), None)


def _is_phone(text: str, tokens: Sequence[_Token], run: _Run, *, asked_for: bool) -> bool:
    """Tell whether a number was asked for or named as a telephone's, and as nothing that must not be kept since."""
    before = text.lower()[tokens[max(0, run.first - _NAMED_BEFORE)].start : tokens[run.first].start]
    name_ends = public_numbers.named_at(before)
    if name_ends is None:
        return asked_for and _named(text, tokens, run) is None
    return not any(name.search(before, name_ends) for _, name in _NAMES)


def _is_placed(tokens: Sequence[_Token], run: _Run) -> bool:
    return any(token.text in _PLACES_BEFORE for token in tokens[max(0, run.first - 3) : run.first])


def _is_harmless(tokens: Sequence[_Token], run: _Run) -> bool:
    before = {token.text for token in tokens[max(0, run.first - 3) : run.first]}
    after = tokens[run.last].text if run.last < len(tokens) else ""
    return bool(before & _HARMLESS_BEFORE) or after in _HARMLESS_AFTER
