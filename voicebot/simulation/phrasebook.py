"""What a caller knows the bot may say: sentences with open slots, as examples and as a pattern. Pure."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
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
    """`sentences` are written as prompts are, values as ``{slot}``; `names` are words only the customer's data has."""

    sentences: tuple[str, ...]
    names: tuple[str, ...] = ()


_UNIT = "(?:one|two|three|four|five|six|seven|eight|nine)"
_TEEN = "(?:ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen)"
_TEN = "(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
_SMALL = f"(?:zero|{_TEEN}|{_TEN}(?: {_UNIT})?|{_UNIT})"
_HUNDREDS = f"(?:{_UNIT} hundred(?:(?: and)? {_SMALL})?|{_SMALL})"
_NUMBER = f"(?:{_HUNDREDS} thousand(?:(?: and)? {_HUNDREDS})?|{_HUNDREDS})"
_CENTS = f"(?:one cent|{_SMALL} cents)"
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = tuple("January February March April May June July August September October November December".split())
_WEEKDAY = f"(?:{'|'.join(_WEEKDAYS).lower()})"
_ORDINAL = "(?:(?:twenty |thirty )?(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)|\\w+th)"
_DAY = f"(?:{_WEEKDAY} )?(?:{'|'.join(_MONTHS).lower()}) {_ORDINAL}(?: twenty {_SMALL})?"
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

_Tokens = tuple[str | Slot, ...]


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
    sentences = _sentences(phrasebook)
    uses = {slot: sum(slot in tokens for tokens in sentences) for slot in Slot}
    examples: list[tuple[str, ...]] = []
    for tokens in sentences:
        slots = [token for token in tokens if isinstance(token, Slot)]
        rarest = min((uses[slot] for slot in slots), default=1)
        times = max(_EXAMPLES_OF_A_SENTENCE, _EXAMPLES_OF_A_SLOT // rarest if slots else 0)
        examples += [tuple(_filled(tokens, phrasebook.names, chance)) for _ in range(times)]
    chance.shuffle(examples)
    breaths = (tuple(chain.from_iterable(examples[at : at + 3])) for at in range(0, len(examples), 3))
    return (*examples, *breaths)


def pattern_of(phrasebook: Phrasebook) -> re.Pattern[str]:
    """Return a pattern that one or more whole sentences of the phrasebook match, in words as `words_of` gives them."""
    names = {" ".join(words_of(name)) for name in phrasebook.names}
    patterns = _PATTERNS | {Slot.NAME: f"(?:{'|'.join(sorted(names, key=len, reverse=True)) or '(?!)'})"}
    sentences = (
        " ".join(patterns[token] if isinstance(token, Slot) else re.escape(token) for token in tokens)
        for tokens in _sentences(phrasebook)
    )
    return re.compile(f"(?:(?:{'|'.join(sentences)})(?: |$))+")


def _sentences(phrasebook: Phrasebook) -> list[_Tokens]:
    """Return every distinct sentence as words and slots."""
    found: dict[_Tokens, None] = {}
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


def _filled(tokens: _Tokens, names: tuple[str, ...], chance: random.Random) -> Iterable[str]:
    for token in tokens:
        if isinstance(token, Slot):
            yield from words_of(_example(token, names, chance))
        else:
            yield token


def _example(slot: Slot, names: tuple[str, ...], chance: random.Random) -> str:
    match slot:
        case Slot.MONEY:
            dollars, cents = chance.randrange(10 ** chance.randrange(1, 6)), chance.randrange(100)
            return chance.choice((f"{dollars:,} dollars and {cents} cents", f"{dollars:,} dollars"))
        case Slot.NUMBER:
            return str(chance.randrange(100))
        case Slot.DIGITS:
            return " ".join(chance.choice("0123456789") for _ in range(chance.randrange(4, 7)))
        case Slot.DAY:
            return f"{chance.choice(_WEEKDAYS)}, {chance.choice(_MONTHS)} {_nth(chance.randrange(1, 32))}"
        case Slot.WHEN:
            day = f"on {_example(Slot.DAY, names, chance)}"
            return chance.choice((day, day, day, "today", "tomorrow", "yesterday"))
        case Slot.TIME:
            minutes = chance.choice(("", ":15", ":30", ":45"))
            return chance.choice((*(f"{chance.randrange(1, 13)}{minutes} {half}" for half in ("AM", "PM")), "noon"))
        case Slot.MOMENT:
            return f"{_example(Slot.DAY, names, chance)} at {_example(Slot.TIME, names, chance)}"
        case Slot.NAME:
            return chance.choice(names) if names else ""
        case _:
            assert_never(slot)


def _nth(day: int) -> str:
    suffix = "th" if 10 < day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{suffix}"
