"""Order numbers of which few are in use: how a system that knows which ones picks the right one from what was heard."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from voicebot.speech.asr import Hypothesis

_WORDS = {
    "zero": "0", "oh": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7",
    "eight": "8", "nine": "9",
}  # fmt: skip
_LENGTH = 6
_IN_USE = 10_000
_MOST_WRONG = 0.005
"""The threshold is set for half of what is allowed, since it is tried on a speaker it was not set on."""


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
        return "".join(_WORDS[word] for word in text.split() if word in _WORDS)

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
class Guesser:
    """Takes the likeliest alternative in use; asks again where the next one in use is nearly as likely.

    `lead` is how many times likelier the first must be; a number heard in both tries counts twice.
    """

    in_use: NumbersInUse
    lead: float

    @classmethod
    def tuned(cls, in_use: NumbersInUse, tries: Sequence[Tries]) -> Guesser:
        """Return the guesser that finds most and takes a wrong one in at most half a percent of these tries."""
        best, most = cls(in_use, 1e9), -1
        for lead in (1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 40.0, 100.0):
            guesser = cls(in_use, lead)
            outcomes = [(guesser.outcome(each), each.number) for each in tries]
            right = sum(found == number for found, number in outcomes)
            wrong = sum(found not in (None, number) for found, number in outcomes)
            if wrong <= _MOST_WRONG * len(tries) and right > most:
                best, most = guesser, right
        return best

    def outcome(self, tries: Tries) -> str | None:
        """Return the number that is taken in the end; None when the caller goes to a person."""
        likelihood: dict[str, float] = {}
        for hypotheses in tries.heard:
            seen: dict[str, float] = {}
            for hypothesis in hypotheses:
                number = self.in_use.number_in(hypothesis.text)
                if number in self.in_use:
                    seen[number] = max(seen.get(number, 0.0), hypothesis.confidence)
            for number, confidence in seen.items():
                likelihood[number] = likelihood.get(number, 0.0) + confidence
            ranked = sorted(likelihood.items(), key=lambda each: -each[1])
            if ranked and (len(ranked) == 1 or ranked[0][1] >= self.lead * ranked[1][1]):
                return ranked[0][0]
        return None
