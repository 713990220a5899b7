"""The menu of a coffee bar, as its bot's author would write it: what callers may say, and what is in what they said."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence

from voicebot.speech.recognition.known import words_of

DRINKS = (
    "iced coffee", "iced mocha", "drip coffee", "house coffee", "coffee", "mocha", "espresso", "americano",
    "cappuccino", "latte",
)  # fmt: skip
SIZES = ("small", "medium", "large", "eight ounce", "twelve ounce", "sixteen ounce", "twenty ounce")
ROASTS = ("light roast", "medium roast", "dark roast")
SHOTS = ("single shot", "double shot", "triple shot")
_AMOUNTS = ("", "some ", "a bit of ", "a little bit of ", "a lot of ", "lots of ")
MILKS = tuple(
    amount + milk
    for amount in _AMOUNTS
    for milk in ("skim milk", "whole milk", "soy milk", "almond milk", "milk", "cream")
)
SUGARS = tuple(amount + sugar for amount in _AMOUNTS for sugar in ("brown sugar", "sugar", "sweetener"))
_ASKING = (
    "can i get", "can i have", "may i have", "could i get", "i want", "i'd like", "i'll have", "give me", "get me",
    "make me", "brew", "please make me",
)  # fmt: skip
_BEFORE = {"size": SIZES, "roast": ROASTS, "numberOfShots": SHOTS}
_WITH = {"milkAmount": MILKS, "sugarAmount": SUGARS}
_SAMPLES = 6000


def requests() -> tuple[str, ...]:
    """Return example orders drawn from the menu, every part as likely as its neighbours; the same ones each time."""
    chance = random.Random(1)  # noqa: S311 - nothing secret
    return tuple(dict.fromkeys(_order(chance) for _ in range(_SAMPLES)))


def _order(chance: random.Random) -> str:
    before = [chance.choice(_BEFORE[name]) for name in chance.sample(sorted(_BEFORE), chance.randint(0, 3))]
    drink = [*before, chance.choice(DRINKS)]
    # A list, not a comprehension in the call: the draws must come in this order on every version of Python.
    additions = [chance.choice(_WITH[name]) for name in chance.sample(sorted(_WITH), chance.randint(0, 2))]
    article = "an" if drink[0][0] in "aeiou" else "a"
    words = [chance.choice(_ASKING), article, *drink]
    if additions:
        words += ["with", " and ".join(additions)]
    return " ".join(words)


def slots_of(text: str) -> Mapping[str, str]:
    """Return what was ordered, by the label's names; of two drinks the last counts, as the listener would take it."""
    text = " ".join(words_of(text))
    found: dict[str, str] = {}
    lists: Mapping[str, Sequence[str]] = {
        "milkAmount": MILKS, "sugarAmount": SUGARS, "roast": ROASTS, "numberOfShots": SHOTS, "size": SIZES,
        "coffeeDrink": DRINKS,
    }  # fmt: skip
    for name, values in lists.items():
        # Longest first, and each taken out once found: "medium roast" holds no size.
        pattern = "|".join(sorted(map(re.escape, values), key=len, reverse=True))
        hits = re.findall(rf"\b(?:{pattern})\b", text)
        if hits:
            found[name] = hits[-1]
            text = re.sub(rf"\b(?:{pattern})\b", "|", text)
    return found
