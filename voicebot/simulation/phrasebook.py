"""What a caller knows the bot may say: sentences with open slots, as examples and as a pattern. Pure."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import chain
from typing import assert_never

from voicebot.speech.synthesis.normalize import normalize


class Slot(StrEnum):
    """A value's place in a sentence, written ``{money}``.

    `DAY` is a date by its name, `WHEN` one as it is said after a verb (``on Friday``, ``tomorrow``), `NAME` any of the
    phrasebook's names.
    """

    MONEY = "money"
    NUMBER = "number"
    DIGITS = "digits"
    DAY = "day"
    WHEN = "when"
    TIME = "time"
    MOMENT = "moment"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Phrasebook:
    """`sentences` are written as prompts are, values as ``{slot}``; `names` are words only the customer's data has.

    `days` are those that may be spoken of: who knows the calendar does not hear "Monday the third" of a Tuesday.
    Without them any weekday goes with any date.
    """

    sentences: tuple[str, ...]
    names: tuple[str, ...] = ()
    days: tuple[date, ...] = ()


_UNIT = "(?:one|two|three|four|five|six|seven|eight|nine)"
_TEEN = "(?:ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen)"
_TEN = "(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
_SMALL = f"(?:zero|{_TEEN}|{_TEN}(?: {_UNIT})?|{_UNIT})"
_HUNDREDS = f"(?:{_UNIT} hundred(?:(?: and)? {_SMALL})?|{_SMALL})"
_NUMBER = f"(?:{_HUNDREDS} thousand(?:(?: and)? {_HUNDREDS})?|{_HUNDREDS})"
_CENTS = f"(?:one cent|{_SMALL} cents)"
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = tuple("January February March April May June July August September October November December".split())
_WEEKDAY = f"(?:{'|'.join(WEEKDAYS).lower()})"
_ORDINAL = "(?:(?:twenty |thirty )?(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)|\\w+th)"
_DAY = f"(?:{_WEEKDAY} )?(?:{'|'.join(MONTHS).lower()}) {_ORDINAL}(?: twenty {_SMALL})?"
_TIME = f"(?:noon|midnight|{_SMALL}(?: (?:oh )?{_SMALL})? [ap]m)"
_SYMBOL = f"(?:zero|oh|{_UNIT}|[a-z])"

#: What a recogniser may have heard in each slot; `NAME` is made from the names.
_PATTERNS = {
    Slot.MONEY: f"(?:minus )?(?:(?:one dollar|{_NUMBER} dollars)(?: and {_CENTS})?|{_CENTS})",
    Slot.NUMBER: _NUMBER,
    Slot.DIGITS: f"{_SYMBOL}(?: {_SYMBOL})+",
    Slot.DAY: _DAY,
    Slot.WHEN: f"(?:on {_DAY}|today|tomorrow|yesterday)",
    Slot.TIME: _TIME,
    Slot.MOMENT: f"{_DAY} at {_TIME}",
}

_HALF_OF_DAY = re.compile(r"\b([ap]) m\b")
_FIELD = re.compile(r"\{(\w+)\}")
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+")
#: How often each kind of slot is filled, over all sentences that have one: enough for every pair of number words.
_EXAMPLES_OF_A_SLOT = 400
_EXAMPLES_OF_A_SENTENCE = 8

Tokens = tuple[str | Slot, ...]


def words_of(text: str) -> tuple[str, ...]:
    """Return `text` as the bot speaks it: lower-case words without punctuation, numbers in words."""
    spoken = normalize(text).lower().replace("-", " ")
    # The letter A alone is respelled for the voices; a listener hears the letter, and the hours' halves as one word.
    heard = " ".join("a" if word in {"eigh", "ay"} else word for word in re.findall(r"[a-z']+", spoken))
    return tuple(_HALF_OF_DAY.sub(r"\1m", heard).split())


def examples_of(phrasebook: Phrasebook) -> tuple[tuple[str, ...], ...]:
    """Return examples of what is said in one breath, as words, for a word model: single sentences and any three.

    Slots are filled at random but always the same way. Values are drawn evenly: the model must not know which balance
    is likelier.
    """
    chance = random.Random(0)  # noqa: S311 # examples, no secrets
    sentences = sentences_of(phrasebook)
    uses = {slot: sum(slot in tokens for tokens in sentences) for slot in Slot}
    examples: list[tuple[str, ...]] = []
    for tokens in sentences:
        slots = [token for token in tokens if isinstance(token, Slot)]
        rarest = min((uses[slot] for slot in slots), default=1)
        times = max(_EXAMPLES_OF_A_SENTENCE, _EXAMPLES_OF_A_SLOT // rarest if slots else 0)
        examples += [tuple(_filled(tokens, phrasebook, chance)) for _ in range(times)]
    chance.shuffle(examples)
    breaths = (tuple(chain.from_iterable(examples[at : at + 3])) for at in range(0, len(examples), 3))
    return (*examples, *breaths)


def pattern_of(phrasebook: Phrasebook) -> re.Pattern[str]:
    """Return a pattern that one or more whole sentences of the phrasebook match, in words as `words_of` gives them."""
    names = {" ".join(words_of(name)) for name in phrasebook.names}
    patterns = _PATTERNS | {Slot.NAME: f"(?:{'|'.join(sorted(names, key=len, reverse=True)) or '(?!)'})"}
    sentences = (
        " ".join(patterns[token] if isinstance(token, Slot) else re.escape(token) for token in tokens)
        for tokens in sentences_of(phrasebook)
    )
    return re.compile(f"(?:(?:{'|'.join(sentences)})(?: |$))+")


def sentences_of(phrasebook: Phrasebook) -> list[Tokens]:
    """Return every distinct sentence as words and slots."""
    found: dict[Tokens, None] = {}
    for prompt in phrasebook.sentences:
        for sentence in _SENTENCE_END.split(prompt):
            if tokens := tuple(_tokens(sentence)):
                found[tokens] = None
    return list(found)


def _tokens(sentence: str) -> Iterator[str | Slot]:
    last = 0
    for field in _FIELD.finditer(sentence):
        yield from words_of(sentence[last : field.start()])
        yield Slot(field.group(1))
        last = field.end()
    yield from words_of(sentence[last:])


def _filled(tokens: Tokens, phrasebook: Phrasebook, chance: random.Random) -> Iterable[str]:
    for token in tokens:
        if isinstance(token, Slot):
            yield from words_of(_example(token, phrasebook, chance))
        else:
            yield token


def _example(slot: Slot, phrasebook: Phrasebook, chance: random.Random) -> str:
    match slot:
        case Slot.MONEY:
            dollars, cents = chance.randrange(10 ** chance.randrange(1, 6)), chance.randrange(100)
            return chance.choice((f"{dollars:,} dollars and {cents} cents", f"{dollars:,} dollars"))
        case Slot.NUMBER:
            return str(chance.randrange(100))
        case Slot.DIGITS:
            return " ".join(chance.choice("0123456789") for _ in range(chance.randrange(4, 7)))
        case Slot.DAY:
            if phrasebook.days:
                day = chance.choice(phrasebook.days)
                return f"{WEEKDAYS[day.weekday()]}, {MONTHS[day.month - 1]} {nth(day.day)}"
            return f"{chance.choice(WEEKDAYS)}, {chance.choice(MONTHS)} {nth(chance.randrange(1, 32))}"
        case Slot.WHEN:
            on_day = f"on {_example(Slot.DAY, phrasebook, chance)}"
            return chance.choice((on_day, on_day, on_day, "today", "tomorrow", "yesterday"))
        case Slot.TIME:
            minutes = chance.choice(("", ":15", ":30", ":45"))
            return chance.choice((*(f"{chance.randrange(1, 13)}{minutes} {half}" for half in ("AM", "PM")), "noon"))
        case Slot.MOMENT:
            return f"{_example(Slot.DAY, phrasebook, chance)} at {_example(Slot.TIME, phrasebook, chance)}"
        case Slot.NAME:
            return chance.choice(phrasebook.names) if phrasebook.names else ""
        case _:
            assert_never(slot)


def nth(day: int) -> str:
    """Return a day of the month as it is written, ``3rd``."""
    suffix = "th" if 10 < day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{suffix}"
