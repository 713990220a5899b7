"""Order numbers of which few are in use: how a system that knows which ones picks the right one from what was heard."""

from __future__ import annotations

import itertools
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
_MOST_WRONG = 0.01


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
    """Takes the likeliest alternative in use if it is likely enough; else asks once more, and adds up both tries.

    `near` is how likely it must be beside the likeliest string of all, used or not; `lead` is how many times likelier
    it must be than the next one in use. What was among the alternatives of both tries needs the lead alone.
    """

    in_use: NumbersInUse
    near: float
    lead: float

    @classmethod
    def tuned(cls, in_use: NumbersInUse, tries: Sequence[Tries]) -> Guesser:
        """Return the guesser that finds most and takes a wrong one in at most one percent of these tries."""
        best, most = cls(in_use, 2.0, 1e9), -1
        for near, lead in itertools.product(
            (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0), (1.0, 1.1, 1.5, 2.0, 4.0, 8.0, 30.0)
        ):
            guesser = cls(in_use, near, lead)
            outcomes = [(guesser.outcome(each), each.number) for each in tries]
            right = sum(found == number for found, number in outcomes)
            wrong = sum(found not in (None, number) for found, number in outcomes)
            if wrong <= _MOST_WRONG * len(tries) and right > most:
                best, most = guesser, right
        return best

    def outcome(self, tries: Tries) -> str | None:
        """Return the number that is taken in the end; None when the caller goes to a person."""
        likelihood: dict[str, float] = {}
        nearest: dict[str, float] = {}
        for hypotheses in tries.heard:
            again = set(likelihood)
            for number, share in self._candidates(hypotheses).items():
                likelihood[number] = likelihood.get(number, 0.0) + share
                nearest[number] = max(share, nearest.get(number, 0.0), 1.0 if number in again else 0.0)
            ranked = sorted(likelihood.items(), key=lambda each: -each[1])
            if (
                ranked
                and nearest[ranked[0][0]] >= self.near
                and (len(ranked) == 1 or ranked[0][1] >= self.lead * ranked[1][1])
            ):
                return ranked[0][0]
        return None

    def _candidates(self, hypotheses: Sequence[Hypothesis]) -> dict[str, float]:
        """Return the numbers in use among the alternatives, each as a share of the likeliest string's confidence."""
        found: dict[str, float] = {}
        for hypothesis in hypotheses:
            number = self.in_use.number_in(hypothesis.text)
            if number in self.in_use:
                found[number] = max(found.get(number, 0.0), hypothesis.confidence / hypotheses[0].confidence)
        return found
