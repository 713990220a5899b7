"""Order numbers of which few are in use: how a system that knows which ones picks the right one from what was heard."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from voicebot.dialog.check_digits import CheckDigit, fits
from voicebot.dialog.events import SlotValue
from voicebot.dialog.spelled import Spelled
from voicebot.speech.asr import Hypothesis
from voicebot.speech.recognition.known import words_of

_WORDS = {
    "zero": "0", "oh": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7",
    "eight": "8", "nine": "9",
}  # fmt: skip
_LENGTH = 6
_IN_USE = 10_000


class NumbersInUse:
    """Ten thousand numbers of six digits, the last of them a check digit by Luhn's rule (ISO/IEC 7812-1, annex B)."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        payloads = chance.sample(range(10 ** (_LENGTH - 1)), _IN_USE)
        self._numbers = [self._checked(f"{payload:0{_LENGTH - 1}}") for payload in payloads]
        self._set = frozenset(self._numbers)

    def __contains__(self, number: str) -> bool:
        return number in self._set

    def draw(self, count: int) -> list[str]:
        return self._chance.sample(self._numbers, count)

    def number_in(self, text: str) -> str:
        """Return the digits of a transcript, whatever else was said."""
        return "".join(_WORDS.get(word, word) for word in words_of(text) if word in _WORDS or word.isdecimal())

    @staticmethod
    def _checked(payload: str) -> str:
        total = 0
        for place, digit in enumerate(reversed(payload)):
            doubled = int(digit) * (2 if place % 2 == 0 else 1)
            total += doubled - 9 if doubled > 9 else doubled
        return payload + str(-total % 10)


@dataclass(frozen=True, slots=True)
class Tries:
    """A number that somebody said twice, and what was heard each time."""

    number: str
    heard: tuple[tuple[Hypothesis, ...], ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`taken` is the number in the end; None when the caller goes to a person. `denied` counts what they said no to."""

    taken: str | None
    denied: int


def outcome(in_use: NumbersInUse, tries: Tries) -> Outcome:
    """Do what a flow with `check_digit`, `no_such` and a confirmation of what was `guessed` does.

    The caller says no to what is wrong and is asked once more; what was heard first is taken without asking.
    """
    earlier: Spelled | None = None
    denied = 0
    for hypotheses in tries.heard:
        spelled = _spelled(in_use, hypotheses, earlier)
        while spelled is not None:
            if spelled.taken not in in_use:
                earlier, spelled = spelled.given_up(), spelled.next_try()
                continue
            number = str(spelled.taken)
            if not spelled.guessed or number == tries.number:
                return Outcome(number, denied)
            denied += 1
            earlier = spelled.without_taken()
            spelled = earlier.next_offer()
    return Outcome(None, denied)


def _spelled(in_use: NumbersInUse, hypotheses: Sequence[Hypothesis], earlier: Spelled | None) -> Spelled | None:
    """Return the alternatives that fit the check digit, as the dialog reads them, with those of the try before."""
    heard = [(in_use.number_in(each.text), each.confidence) for each in hypotheses]
    weights: dict[SlotValue, float] = {}
    for number, confidence in heard:
        if len(number) == _LENGTH and fits(number, CheckDigit.LUHN):
            weights.setdefault(number, min(1.0, confidence / heard[0][1]))
    if not weights:
        return None
    ranked = tuple(sorted(weights.items(), key=lambda reading: -reading[1]))
    return Spelled(heard[0][0], ranked[0][0], ranked[0][0], ranked).after(earlier)
