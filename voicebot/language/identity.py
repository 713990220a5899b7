"""Which customer a caller is, by what they said of their postcode, name and birth date.

The records are searched with everything the recogniser heard, instead of looking up the words it heard: a caller whose
postcode came out as "p o 5 x 2 p eh" and whose name as "Judith Western" may still be the only one that fits. What fits
many customers ("John Smith") or could be anything says little; what fits one closely says much; and "none of them" is
an answer too. This finds a record. Whether the caller may be told about it is for the flow to decide.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from voicebot.language.mishearing import DATES, LETTERS, MONTH_SYMBOLS, SOUNDS, Column, Costs, Pairs
from voicebot.language.spelt import code_writings, date_writings, sounded, spelled_name_writings, spoken_name_writings

#: One answer as the recogniser heard it: its alternatives, the likeliest first.
Alternatives = Sequence[str]

#: From this probability on a flow may take the best profile for the caller's without asking again. All figures here
#: were chosen on the half of EVI's speakers that docs/benchmarks.md does not measure: 1 of 200 strangers there comes to
#: between 0.63 and 0.97 where two items are asked, to 0.73 where three are.
SURE = 0.98

_WEIGHT = 4.0
#: No answer costs a profile more: a garbled one must not outweigh two that fit.
_UNINTELLIGIBLE = 4.2
#: How much an attempt that fits worse than the best one counts.
_FOR_AGAIN = 0.5
_FOR_RANK, _LAST_RANK = 0.1, 8
#: What it costs some other person's answer, on average, to be taken for a given one; and as if how many such people
#: were among the customers, which matters where customers are few.
_STRANGER, _STRANGERS = 3.0, 300
#: How often callers are no customers at all.
_NOBODY = 0.1
#: From the log odds above to those observed.
_SLOPE, _OFFSET = 0.84, 0.39

_LONGEST_CODE, _LONGEST_NAME, _LONGEST_DATE = 16, 28, 14
_MOST_NAME_WORDS = 5
_NAME_PART_MISSING, _DATE_PART_MISSING = 3.0, 2.5
_NAME_TURNED = 0.6
_SHORT_YEAR, _MONTH_OUT_OF_PLACE, _FIGURES_OUT_OF_PLACE = 0.3, 0.3, 0.5

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a customer; `key` is theirs in the customer's system. What is empty or None counts as unknown.

    `postcode` is of any country; a name's last word is its surname.
    """

    key: str
    postcode: str = ""
    name: str = ""
    birth_date: date | None = None


@dataclass(frozen=True, slots=True)
class SpokenIdentity:
    """What the caller said of themselves. Each item holds one entry an attempt, so asking again adds evidence."""

    postcode: tuple[Alternatives, ...] = ()
    name: tuple[Alternatives, ...] = ()
    birth_date: tuple[Alternatives, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """A profile and the calibrated probability (0 to 1) that it is the caller's."""

    profile: Profile
    probability: float


class ProfileSearch:
    """Profiles prepared for searching. Immutable once built, so any thread may use it.

    Built from 10,000 profiles in about 0.2 s, it takes about 30 ms for an answer to each of the three questions.
    """

    def __init__(self, profiles: Iterable[Profile], *, day_first: bool = False) -> None:
        """Take the profiles; `day_first` where 3/4 is the third of April, as it is outside the United States."""
        self._profiles = tuple(profiles)
        self._postcodes = _Item([_code(profile.postcode) for profile in self._profiles], _postcode_costs)
        self._names = _Item([_name(profile.name) for profile in self._profiles], _name_costs)
        dates = [profile.birth_date.isoformat() if profile.birth_date else "" for profile in self._profiles]
        self._dates = _Item(dates, lambda values: _date_costs(values, day_first=day_first))

    def find(self, said: SpokenIdentity, limit: int = 3) -> tuple[Match, ...]:
        """Return the likeliest profiles, best first, at most `limit`; what is missing to 1 is that it is none of them.

        Without anything heard, or without profiles, nothing is found.
        """
        given = ((self._postcodes, said.postcode), (self._names, said.name), (self._dates, said.birth_date))
        odds = [item.log_odds(attempts) for item, attempts in given if any(any(heard) for heard in attempts)]
        if not odds or not self._profiles:
            return ()
        # Before anything is heard each profile is as likely as the next.
        scores = np.sum(odds, axis=0) + np.log((1 - _NOBODY) / len(self._profiles))
        likeliest = np.argsort(-scores, kind="stable")[:limit]
        everything = np.logaddexp.reduce(np.append(scores, np.log(_NOBODY)))
        return tuple(Match(self._profiles[row], _calibrated(float(scores[row] - everything))) for row in likeliest)


def find_profile(profiles: Iterable[Profile], said: SpokenIdentity, *, day_first: bool = False) -> tuple[Match, ...]:
    """Return the likeliest of `profiles` as `ProfileSearch.find` does, for a set that is searched once."""
    return ProfileSearch(profiles, day_first=day_first).find(said)


def _calibrated(log_probability: float) -> float:
    probability = min(max(np.exp(log_probability), 1e-9), 1 - 1e-9)
    odds = _SLOPE * np.log(probability / (1 - probability)) + _OFFSET
    return float(1 / (1 + np.exp(-odds)))


#: What one writing of an answer costs each value, in the order of the values.
_Judge = Callable[[str], Iterator[Costs]]


class _Item:
    """One thing that is known of profiles: its different values, and which profile has which."""

    def __init__(self, values: Sequence[str], costs: Callable[[Sequence[str]], _Judge]) -> None:
        different, self._value_of = np.unique(np.array(values, dtype=np.str_), return_inverse=True)
        self._known = np.array([bool(value) for value in values], dtype=bool)
        self._others = max(int(self._known.sum()) - 1, 0)
        self._count = len(different)
        self._costs = costs([str(value) for value in different])

    def log_odds(self, attempts: Sequence[Alternatives]) -> Floats:
        """Return, for each profile, how much likelier the answers are from its customer than from somebody else."""
        tried = np.stack([self._attempt(heard) for heard in attempts if any(heard)]).astype(np.float64)
        best = tried.min(axis=0)
        cost = (best + _FOR_AGAIN * (tried.mean(axis=0) - best))[self._value_of]
        theirs = np.where(self._known, np.exp(-_WEIGHT * cost), 0.0)
        others = theirs.sum() - theirs + _STRANGERS * np.exp(-_WEIGHT * _STRANGER)
        anybody = others / (self._others + _STRANGERS)
        return np.where(self._known, -_WEIGHT * cost - np.log(anybody), 0.0)

    def _attempt(self, heard: Alternatives) -> Costs:
        best = np.full(self._count, _UNINTELLIGIBLE, np.float32)
        for rank, text in enumerate(heard[:_LAST_RANK]):
            for costs in self._costs(text):
                np.minimum(best, costs + np.float32(_FOR_RANK * rank), out=best)
        return best


def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text).lower()
    return "".join(character for character in decomposed if character.isascii())


def _code(postcode: str) -> str:
    return "".join(character for character in _plain(postcode) if character.isalnum())


def _name(name: str) -> str:
    words = ("".join(letter for letter in word if letter.isalpha()) for word in _plain(name).split())
    return " ".join(word for word in words if word)


def _halves(name: str) -> tuple[str, str]:
    *first, last = name.split() or [""]
    return "".join(first), last


def _postcode_costs(values: Sequence[str]) -> _Judge:
    column = Column(values, LETTERS)
    return lambda heard: (column.distances(writing[:_LONGEST_CODE])[-1] for writing in code_writings(heard))


def _name_costs(values: Sequence[str]) -> _Judge:
    halves = [_halves(value) for value in values]
    missing = _NAME_PART_MISSING
    sounds = Pairs(
        [(sounded(first), sounded(last)) for first, last in halves], SOUNDS, half_missing=missing, turned=_NAME_TURNED
    )
    letters = Pairs(halves, LETTERS, half_missing=missing)

    def judge(heard: str) -> Iterator[Costs]:
        for writing in spoken_name_writings(heard):
            words = writing.split()[:_MOST_NAME_WORDS]
            yield sounds.distances("".join(words)[:_LONGEST_NAME], _ends(words))
        for writing in spelled_name_writings(heard):
            parts = writing.split()
            spelled = "".join(parts)[:_LONGEST_NAME]
            anywhere = range(2, len(spelled) - 1)
            yield letters.distances(spelled, anywhere if len(parts) == 1 else _ends(parts))

    return judge


def _ends(parts: Sequence[str]) -> list[int]:
    """Return where each part but the last ends in their sum."""
    ends = np.cumsum([len(part) for part in parts])[:-1]
    return [int(end) for end in ends if end <= _LONGEST_NAME]


def _date_costs(values: Sequence[str], *, day_first: bool) -> _Judge:
    days = [date.fromisoformat(value) if value else None for value in values]

    def forms(first: Callable[[date], str]) -> Iterator[tuple[Pairs, float]]:
        for digits, cost in ((4, 0.0), (2, _SHORT_YEAR)):
            pairs = [(first(day), f"{day.year:04}"[-digits:]) if day else ("", "") for day in days]
            yield Pairs(pairs, DATES, half_missing=_DATE_PART_MISSING), cost

    def later(cost: float, way: Callable[[date], str]) -> list[tuple[Pairs, float]]:
        return [(pairs, cost + short) for pairs, short in forms(way)]

    month_named = later(0.0, lambda day: f"{day.day}{MONTH_SYMBOLS[day.month - 1]}")
    month_named += later(_MONTH_OUT_OF_PLACE, lambda day: f"{MONTH_SYMBOLS[day.month - 1]}{day.day}")
    day_month = later(0.0 if day_first else _FIGURES_OUT_OF_PLACE, lambda day: f"{day.day:02}{day.month:02}")
    month_day = later(_FIGURES_OUT_OF_PLACE if day_first else 0.0, lambda day: f"{day.month:02}{day.day:02}")

    def judge(heard: str) -> Iterator[Costs]:
        for writing in date_writings(heard):
            symbols = writing[:_LONGEST_DATE]
            named = any(symbol in MONTH_SYMBOLS for symbol in symbols)
            for pairs, cost in month_named if named else day_month + month_day:
                yield pairs.distances(symbols, range(len(symbols) + 1)) + np.float32(cost)

    return judge
