"""Calls in which callers say numbers, made up with labels: which words must not be kept, and which must stay.

Written before the redaction that it measures. Even cases are for setting it, odd ones are held back.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = [*("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")]
FILLERS = ["um", "uh", "let me see", "and then", "hang on", "er", "okay"]
CORRECTIONS = ["no sorry", "no wait", "i mean", "sorry", "scratch that"]


@dataclass(frozen=True, slots=True)
class Said:
    """A turn: `secret` tells for each word whether it belongs to what must go. The bot's turns have none."""

    speaker: str
    words: tuple[str, ...]
    secret: tuple[bool, ...]
    prompt: str | None = None

    @property
    def text(self) -> str:
        return " ".join(self.words)


@dataclass(frozen=True, slots=True)
class Case:
    """One call's part. `kind` is what was said: a sensitive one, or what must stay ("order", "date", …)."""

    number: int
    kind: str
    form: str
    turns: tuple[Said, ...]

    @property
    def is_sensitive(self) -> bool:
        return any(any(turn.secret) for turn in self.turns)


def _singly(digits: str, rng: random.Random) -> list[str]:
    return [("oh" if digit == "0" and rng.random() < 0.5 else DIGITS[int(digit)]) for digit in digits]


def _doubled(digits: str, _rng: random.Random) -> list[str]:
    out: list[str] = []
    at = 0
    while at < len(digits):
        run = 1
        while run < 3 and at + run < len(digits) and digits[at + run] == digits[at]:
            run += 1
        name = DIGITS[int(digits[at])]
        out += [name] if run == 1 else [["double", "triple"][run - 2], name]
        at += run
    return out


def _pair(two: str) -> list[str]:
    value = int(two)
    if two[0] == "0":
        return ["oh", DIGITS[int(two[1])]]
    if value < 20:
        return [TEENS[value - 10]]
    return [TENS[value // 10]] + ([DIGITS[value % 10]] if value % 10 else [])


def _pairs(digits: str, _rng: random.Random) -> list[str]:
    out: list[str] = []
    for at in range(0, len(digits), 2):
        part = digits[at : at + 2]
        out += _pair(part) if len(part) == 2 else [DIGITS[int(part)]]
    return out


def _hundreds(digits: str, rng: random.Random) -> list[str]:
    """Groups of four; those that end in two zeros as hundreds or thousands."""
    out: list[str] = []
    for at in range(0, len(digits), 4):
        part = digits[at : at + 4]
        if len(part) == 4 and part[1:] == "000" and part[0] != "0":
            out += [DIGITS[int(part[0])], "thousand"]
        elif len(part) == 4 and part[2:] == "00" and part[0] != "0":
            out += [*_pair(part[:2]), "hundred"]
        else:
            out += _singly(part, rng)
    return out


def _written(digits: str, rng: random.Random) -> list[str]:
    size = rng.choice([4, 4, 3, len(digits)])
    return [digits[at : at + size] for at in range(0, len(digits), size)]


def _mixed(digits: str, rng: random.Random) -> list[str]:
    out: list[str] = []
    at = 0
    while at < len(digits):
        size = rng.choice([2, 3, 4])
        out += rng.choice([_singly, _pairs, _written])(digits[at : at + size], rng)
        at += size
    return out


FORMS: dict[str, Callable[[str, random.Random], list[str]]] = {
    "singly": _singly,
    "doubled": _doubled,
    "pairs": _pairs,
    "hundreds": _hundreds,
    "written": _written,
    "mixed": _mixed,
}


def _digits(count: int, rng: random.Random) -> str:
    out = str(rng.randrange(1, 10))
    while len(out) < count:
        again = rng.random() < 0.25
        out += out[-1] if again else rng.choice("0012345678901")
    return out


_ASKED = {
    "card": ("billing.ask_card", "please tell me your card number", (16, 16, 16, 15)),
    "cvv": ("billing.ask_cvv", "and the security code on the back", (3, 3, 4)),
    "pin": ("login.ask_pin", "what is your pin", (4, 4, 6)),
    "ssn": ("login.ask_ssn", "what is your social security number", (9, 9, 4)),
    "account": ("balance.ask_account_number", "what is your account number", (6, 8, 10, 12)),
}
_VOLUNTEERED = {
    "card": ["my card number is", "you can charge it to my credit card", "the visa is", "i want to pay with"],
    "cvv": ["the security code is", "and the cvv is", "the three digits on the back are"],
    "pin": ["my pin is", "the pin should be", "my passcode is"],
    "ssn": ["my social is", "my social security number is", "the ssn is"],
    "account": ["my account number is", "the account is", "it is for account number"],
}
_BEFORE = ["", "", "sure", "yes it is", "okay", "right it's"]
_AFTER = ["", "", "", "did you get that", "and i want to pay today", "is that right"]


def _plain(words: list[str]) -> list[tuple[str, bool]]:
    return [(word, False) for word in words]


def _spoken_secret(digits: str, form: str, manner: str, rng: random.Random) -> list[tuple[str, bool]]:
    """The number as words; `manner` puts fillers or a correction into it."""
    words = [(word, True) for word in FORMS[form](digits, rng)]
    if manner == "fillers":
        for _ in range(rng.choice([1, 2, 3])):
            at = rng.randrange(1, len(words)) if len(words) > 1 else 0
            if at:
                words[at:at] = _plain(rng.choice(FILLERS).split())
    elif manner == "corrected" and len(words) > 2:
        at = rng.randrange(2, len(words))
        wrong = [(DIGITS[rng.randrange(10)], True)]
        words[at:at] = [*wrong, *_plain(rng.choice(CORRECTIONS).split())]
    return words


def _turn(words: list[tuple[str, bool]]) -> Said:
    return Said("caller", tuple(word for word, _ in words), tuple(secret for _, secret in words))


def _bot(text: str, prompt: str | None = None) -> Said:
    words = tuple(text.split())
    return Said("bot", words, (False,) * len(words), prompt)


def _sensitive(number: int, rng: random.Random) -> Case:
    kind = rng.choice(list(_ASKED))
    prompt, question, lengths = _ASKED[kind]
    digits = _digits(rng.choice(lengths), rng)
    form = rng.choice(list(FORMS))
    manner = rng.choice(["plain", "plain", "fillers", "corrected", "split"])
    asked = rng.random() < 0.5
    spoken = _spoken_secret(digits, form, manner, rng)
    before = _plain((rng.choice(_BEFORE) if asked else rng.choice(_VOLUNTEERED[kind])).split())
    after = _plain(rng.choice(_AFTER).split())
    turns = [_bot(question, prompt) if asked else _bot("how can i help you", "welcome.first")]
    if manner == "split" and len(spoken) > 3:
        middle = rng.randrange(1, len(spoken) - 1)
        turns += [_turn([*before, *spoken[:middle]]), _bot("go on", "pattern.go_on"), _turn([*spoken[middle:], *after])]
    else:
        turns.append(_turn([*before, *spoken, *after]))
    return Case(number, kind, f"{form}, {manner}", tuple(turns))


_MONTHS = ["january", "march", "may", "july", "october"]


def _harmless_words(kind: str, rng: random.Random) -> str:
    match kind:
        case "order":
            form = rng.choice(["singly", "pairs", "written", "doubled"])
            number = " ".join(FORMS[form](_digits(rng.choice([5, 6]), rng), rng))
            return f"{rng.choice(['where is my order', 'the order number is', 'it is order'])} {number}"
        case "date":
            year = " ".join(_pair("19") + _pair(str(rng.randrange(50, 99))))
            return f"i was born on {rng.choice(_MONTHS)} {rng.choice(['third', 'twenty first', 'ninth'])} {year}"
        case "amount":
            dollars = " ".join([*_pair(str(rng.randrange(20, 99))), "hundred"])
            return f"i paid {dollars} dollars and {' '.join(_pair(str(rng.randrange(20, 99))))} cents last month"
        case "time":
            return f"can i come at {' '.join(_pair(str(rng.randrange(10, 12))))} {rng.choice(['thirty', 'fifteen'])}"
        case "address":
            house = " ".join(FORMS[rng.choice(["pairs", "written"])](_digits(4, rng), rng))
            return f"i live at {house} oak street zip code {' '.join(_singly(_digits(5, rng), rng))}"
        case "phone":  # without its area code; see `telephones`
            return f"call me at {' '.join(_singly(_digits(7, rng), rng))}"
        case "last_four":
            return f"the card ending in {' '.join(_singly(_digits(4, rng), rng))}"
        case "counts":
            return "i have two cards and three orders and one of them was for four people at six"
        case _:
            return (
                "i want to know for how long my card was blocked and why it took two or three days to open the account"
            )


_HARMLESS = ["order", "date", "amount", "time", "address", "phone", "last_four", "counts", "talk"]


def _harmless(number: int, rng: random.Random) -> Case:
    kind = rng.choice(_HARMLESS)
    words = _harmless_words(kind, rng)
    turns = (_bot("how can i help you", "welcome.first"), _turn(_plain(words.split())))
    return Case(number, kind, "harmless", turns)


def cases(count: int, *, seed: int = 20261121, harmless_share: float = 0.4) -> Iterator[Case]:
    """Yield `count` cases; the same seed gives the same ones."""
    for number in range(count):
        rng = random.Random(seed * 1_000_003 + number)  # noqa: S311  # made-up numbers, no secrets
        yield _harmless(number, rng) if rng.random() < harmless_share else _sensitive(number, rng)


_PHONE_ASKED = ["what number can we call you back at", "what is your phone number"]
_PHONE_VOLUNTEERED = ["my phone number is", "call me back at", "you can reach me at", "the mobile number is"]
_PHONE_AFTER = ["", "", "thanks", "that's my sister's", "call any time"]


def telephones(count: int, *, seed: int = 20261122) -> Iterator[Case]:
    """Yield calls in which a telephone number with its area code is said, asked for or named; all of it may stay."""
    for number in range(count):
        rng = random.Random(seed * 1_000_003 + number)  # noqa: S311  # made-up numbers, no secrets
        form, asked = rng.choice(list(FORMS)), rng.random() < 0.5
        digits = "".join([str(rng.randrange(2, 10)), _digits(2, rng), str(rng.randrange(2, 10)), _digits(6, rng)])
        before = rng.choice(_BEFORE) if asked else rng.choice(_PHONE_VOLUNTEERED)
        words = [*before.split(), *FORMS[form](digits, rng), *rng.choice(_PHONE_AFTER).split()]
        question = _bot(rng.choice(_PHONE_ASKED)) if asked else _bot("how can i help you", "welcome.first")
        yield Case(number, "telephone", form, (question, _turn(_plain(words))))


_ASIDES = ["hang on i have to turn it round", "can you still hear me", "uh", "it is hard to read"]
_LEADS = ["", "", "and after that", "then comes", "the next are", "okay then"]


def cards_in_pieces(count: int, *, seed: int = 20261123) -> Iterator[Case]:
    """Yield calls in which a card's number is said in pieces over several turns, at a question for an order's."""
    for number in range(count):
        rng = random.Random(seed * 1_000_003 + number)  # noqa: S311  # made-up numbers, no secrets
        form, digits = rng.choice(list(FORMS)), _digits(rng.choice([15, 16, 16]), rng)
        turns, at = [_bot("what is the number of your order", "order_status.ask_order_number")], 0
        while at < len(digits):
            size = rng.choice([3, 4, 4, 5])
            piece = [(word, True) for word in FORMS[form](digits[at : at + size], rng)]
            turns.append(_turn([*_plain(rng.choice(_LEADS).split() if at else []), *piece]))
            if rng.random() < 0.3:
                turns.append(_turn(_plain(rng.choice(_ASIDES).split())))
            if rng.random() < 0.5:
                turns.append(_bot("go on", "pattern.go_on"))
            at += size
        yield Case(number, "card", f"{form}, pieces", tuple(turns))
