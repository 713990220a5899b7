"""What a caller knows the bot may say: sentences with open slots, as a grammar and as examples. Pure."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from voicebot.speech.synthesis.normalize import normalize


class Slot(StrEnum):
    """A value's place in a sentence, written ``{money}``. `NAME` is any of the phrasebook's names."""

    MONEY = "money"
    NUMBER = "number"
    DIGITS = "digits"
    DATE = "date"
    TIME = "time"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Phrasebook:
    """`sentences` are written as prompts are, values as ``{slot}``; `names` are words only the customer's data has."""

    sentences: tuple[str, ...]
    names: tuple[str, ...] = ()


_UNIT = "one | two | three | four | five | six | seven | eight | nine"
_TEEN = "ten | eleven | twelve | thirteen | fourteen | fifteen | sixteen | seventeen | eighteen | nineteen"
_MONTH = "january | february | march | april | may | june | july | august | september | october | november | december"
_WEEKDAY = "monday | tuesday | wednesday | thursday | friday | saturday | sunday"
_ORDINAL = (
    "<small_ordinal> | tenth | eleventh | twelfth | thirteenth | fourteenth | fifteenth | sixteenth | seventeenth"
    " | eighteenth | nineteenth | twentieth | twenty <small_ordinal> | thirtieth | thirty first"
)
_SMALL_ORDINAL = "first | second | third | fourth | fifth | sixth | seventh | eighth | ninth"

#: Each rule's body in JSGF; every alternative is as likely as any other.
_RULES = {
    "unit": _UNIT,
    "ten": "twenty | thirty | forty | fifty | sixty | seventy | eighty | ninety",
    "small": f"zero | <unit> | {_TEEN} | <ten> [<unit>]",
    "hundreds": "<small> | <unit> hundred [and] [<small>]",
    "number": "<hundreds> | <hundreds> thousand [and] [<hundreds>]",
    "money": "[minus] (one dollar | <number> dollars) [and <cents>] | <cents>",
    "cents": "one cent | <small> cents",
    "digit": "zero | oh | <unit>",
    "symbol": f"<digit> | {' | '.join('abcdefghijklmnopqrstuvwxyz')}",
    "digits": "<symbol> <symbol>+",
    "small_ordinal": _SMALL_ORDINAL,
    "ordinal": _ORDINAL,
    "year": "twenty <small> | two thousand [and] [<small>]",
    "weekday": _WEEKDAY,
    "month": _MONTH,
    "date": "[on] [<weekday>] <month> <ordinal> [<year>] | [on] <weekday> | today | tomorrow | yesterday",
    "hour": "<unit> | ten | eleven | twelve",
    "minute": "oh <unit> | fifteen | thirty | forty five | o'clock | <small>",
    "time": "<hour> [<minute>] (a m | p m) | noon | midnight",
}

_FIELD = re.compile(r"\{(\w+)\}")
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+")
_EXAMPLES_PER_SENTENCE = 30


def words_of(text: str) -> tuple[str, ...]:
    """Return `text` as the bot speaks it: lower-case words without punctuation, numbers in words."""
    spoken = normalize(text).lower().replace("-", " ")
    # The letter A alone is respelled for the voices; a listener hears the letter.
    return tuple("a" if word in {"eigh", "ay"} else word for word in re.findall(r"[a-z']+", spoken))


def grammar_of(phrasebook: Phrasebook, vocabulary: frozenset[str]) -> str:
    """Return a JSGF grammar of one or more sentences, leaving out those with a word outside `vocabulary`."""
    sentences = _tokens_of(phrasebook, vocabulary)
    rules = dict(_RULES) | {"name": " | ".join(_known_names(phrasebook, vocabulary)) or "<NULL>"}
    body = " | ".join(" ".join(f"<{t}>" if isinstance(t, Slot) else t for t in sentence) for sentence in sentences)
    lines = [f"<{name}> = {rule};" for name, rule in rules.items()]
    return "\n".join(
        ["#JSGF V1.0;", "grammar bot;", *lines, f"<sentence> = {body};", "public <bot> = <sentence>+;", ""]
    )


def sentences_of(phrasebook: Phrasebook, vocabulary: frozenset[str]) -> tuple[str, ...]:
    """Return example sentences, every slot filled at random (always the same way), for a word model."""
    chance = random.Random(0)  # noqa: S311 # examples, no secrets
    names = _known_names(phrasebook, vocabulary) or ("it",)
    examples: list[str] = []
    for sentence in _tokens_of(phrasebook, vocabulary):
        slots = any(isinstance(token, Slot) for token in sentence)
        for _ in range(_EXAMPLES_PER_SENTENCE if slots else 3):
            filled = (_example(token, names, chance) if isinstance(token, Slot) else token for token in sentence)
            examples.append(" ".join(filled))
    return tuple(examples)


def _known_names(phrasebook: Phrasebook, vocabulary: frozenset[str]) -> tuple[str, ...]:
    spoken = (words_of(name) for name in phrasebook.names)
    return tuple(dict.fromkeys(" ".join(words) for words in spoken if words and vocabulary.issuperset(words)))


def _tokens_of(phrasebook: Phrasebook, vocabulary: frozenset[str]) -> list[tuple[str | Slot, ...]]:
    """Return every distinct sentence as words and slots. A prompt with a value may be two sentences or a half one."""
    found: dict[tuple[str | Slot, ...], None] = {}
    for prompt in phrasebook.sentences:
        for sentence in _SENTENCE_END.split(prompt):
            tokens = tuple(_tokens(sentence))
            if tokens and vocabulary.issuperset(token for token in tokens if not isinstance(token, Slot)):
                found[tokens] = None
    return list(found)


def _tokens(sentence: str) -> Iterable[str | Slot]:
    last = 0
    for field in _FIELD.finditer(sentence):
        yield from words_of(sentence[last : field.start()])
        yield Slot(field.group(1))
        last = field.end()
    yield from words_of(sentence[last:])


def _nth(day: int) -> str:
    suffix = "th" if 10 < day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{suffix}"


def _example(slot: Slot, names: tuple[str, ...], chance: random.Random) -> str:
    match slot:
        case Slot.MONEY:
            text = f"{chance.randrange(10_000):,} dollars and {chance.randrange(100)} cents"
        case Slot.NUMBER:
            text = str(chance.randrange(100))
        case Slot.DIGITS:
            text = " ".join(chance.choice("0123456789") for _ in range(6))
        case Slot.DATE:
            weekday, month = (chance.choice(rule.split(" | ")) for rule in (_WEEKDAY, _MONTH))
            text = f"{weekday} {month} {_nth(chance.randrange(1, 32))}"
        case Slot.TIME:
            text = f"{chance.randrange(1, 13)}:{chance.choice(('00', '15', '30', '45'))} {chance.choice(('AM', 'PM'))}"
        case Slot.NAME:
            text = chance.choice(names)
    return " ".join(words_of(text))
