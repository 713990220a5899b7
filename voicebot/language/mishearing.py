"""How far what was heard is from what may have been said, for many candidates at once.

A heard sequence of symbols (letters, digits, months) is compared with every value of a column by an edit distance whose
costs are those of the telephone: "B" is close to "D", "M" to "N", "five" to "nine". A cost is about a negative natural
logarithm, so 1 makes something a third as likely.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Costs = NDArray[np.float32]

#: The months as symbols beside letters and digits, so that "march" is one symbol and no letter.
MONTH_SYMBOLS = "ABCDEFGHIJKL"
_SYMBOLS = "abcdefghijklmnopqrstuvwxyz0123456789" + MONTH_SYMBOLS
_NUMBER = {symbol: number for number, symbol in enumerate(_SYMBOLS)}
_PADDING = len(_SYMBOLS)


class Channel:
    """What each mishearing costs. Symbols it says nothing about cost `other` to replace and `missed` to leave out."""

    def __init__(
        self,
        alike: Mapping[str, float],
        *,
        other: float,
        missed: float,
        added: float,
        missed_symbols: Mapping[str, float] | None = None,
        added_symbols: Mapping[str, float] | None = None,
    ) -> None:
        """Take groups of symbols ("bdpt") with the cost of hearing one of a group for another."""
        count = len(_SYMBOLS)
        # The last column and row stand for the padding behind short values and are never read.
        self.replaced = np.full((count + 1, count + 1), other, np.float32)
        for group, cost in alike.items():
            rows = [_NUMBER[symbol] for symbol in group]
            block = np.ix_(rows, rows)
            self.replaced[block] = np.minimum(self.replaced[block], cost)
        np.fill_diagonal(self.replaced, 0)
        self.missed = _per_symbol(missed, missed_symbols)
        self.added = _per_symbol(added, added_symbols)


def _per_symbol(usual: float, special: Mapping[str, float] | None) -> Costs:
    costs = np.full(len(_SYMBOLS) + 1, usual, np.float32)
    for symbols, cost in (special or {}).items():
        costs[[_NUMBER[symbol] for symbol in symbols]] = cost
    return costs


#: Letters and digits by their names over a telephone, which lacks what tells F from S and B from D.
LETTERS = Channel(
    {
        "bdptevgczk3": 0.8,
        "bdptevgc3": 0.6,
        "bdev": 0.45,
        "bp": 0.4,
        "pt": 0.4,
        "dt": 0.5,
        "cz3": 0.6,
        "zv": 0.5,
        "mn": 0.35,
        "fsx": 0.5,
        "sf": 0.3,
        "x6s": 0.6,
        "ajkh8": 0.6,
        "a8": 0.5,
        "jk": 0.5,
        "iy59": 0.6,
        "59": 0.35,
        "5v": 0.35,
        "9n": 0.6,
        "qu2": 0.4,
        "o0": 0.05,
        "ol4": 0.8,
        "ar": 0.4,
        "r4": 0.6,
        "1n": 0.9,
        "i1": 0.6,
        "f5": 0.7,
        "wu": 0.6,
        "gj": 0.5,
        "23": 0.9,
        "2t": 0.5,
        "24": 1.0,
        "sz": 0.8,
        "tv": 0.7,
    },
    other=1.3,
    missed=0.8,
    added=0.9,
    added_symbols={"aeio0": 0.7},
)
#: Words by their sound, after `sounded` took the oddities of English spelling out of them.
SOUNDS = Channel(
    {
        "aeiou": 0.35,
        "iy": 0.2,
        "bpv": 0.6,
        "dt": 0.5,
        "kg": 0.6,
        "sz": 0.2,
        "fv": 0.5,
        "mn": 0.6,
        "gj": 0.5,
        "lr": 0.7,
        "jc": 0.7,
        "wv": 0.6,
        "sc": 0.6,
        "ck": 0.2,
    },
    other=1.1,
    missed=0.8,
    added=0.8,
    missed_symbols={"aeiouhwy": 0.45},
    added_symbols={"aeiouhwy": 0.45},
)
#: Figures and months; a zero in front is as often left out as said.
DATES = Channel(
    {
        "0123456789": 0.9,
        "59": 0.5,
        "23": 0.7,
        MONTH_SYMBOLS: 0.8,
        "FG": 0.5,
        "CE": 0.7,
        "AB": 0.7,
        "IKL": 0.6,
    },
    other=1.3,
    missed=0.9,
    added=0.8,
    missed_symbols={"0": 0.25},
    added_symbols={"0": 0.4},
)


class Column:
    """Values to compare with, each a string of symbols."""

    def __init__(self, values: Sequence[str], channel: Channel) -> None:
        self._channel = channel
        self._lengths = np.array([len(value) for value in values], np.int64)
        longest = int(self._lengths.max(initial=0))
        numbers = [[_NUMBER[symbol] for symbol in value] + [_PADDING] * (longest - len(value)) for value in values]
        # A row a place in the values: the distance works through places, all values side by side.
        self._places = np.array(numbers, np.int64).reshape(len(values), longest).T
        self._missed = channel.missed[self._places]

    def distances(self, heard: str) -> Costs:
        """Return what it costs each value to have been heard as each beginning of `heard`.

        Shape ``(len(heard) + 1, values)``; the last row is for all of it. Unknown symbols are refused.
        """
        longest, count = self._places.shape
        table = np.zeros((longest + 1, count), np.float32)
        np.cumsum(self._missed, axis=0, out=table[1:])
        columns = np.arange(count)
        rows = [table[self._lengths, columns]]
        for symbol in heard:
            number = _NUMBER[symbol]
            added = self._channel.added[number]
            replaced = table[:-1] + self._channel.replaced[number][self._places]
            following = table + added
            np.minimum(following[1:], replaced, out=following[1:])
            for place in range(longest):
                np.minimum(following[place + 1], following[place] + self._missed[place], out=following[place + 1])
            table = following
            rows.append(table[self._lengths, columns])
        return np.stack(rows)


class Pairs:
    """Values of two parts, one after the other: first and last name, day and year. Parts repeat among the values."""

    def __init__(
        self, pairs: Sequence[tuple[str, str]], channel: Channel, *, half_missing: float, turned: float | None = None
    ) -> None:
        """Take `pairs` of symbols; leaving out a whole part costs `half_missing`, saying the second first `turned`."""
        self._firsts, self._first_of = np.unique([first for first, _ in pairs], return_inverse=True)
        self._lasts, self._last_of = np.unique([last for _, last in pairs], return_inverse=True)
        self._half_missing = half_missing
        self._turned = turned
        self._first = Column([str(value) for value in self._firsts], channel)
        self._last = Column([str(value) for value in self._lasts], channel)
        self._first_backwards = Column([str(value)[::-1] for value in self._firsts], channel)
        self._last_backwards = Column([str(value)[::-1] for value in self._lasts], channel)

    def distances(self, heard: str, splits: Sequence[int]) -> Costs:
        """Return the cost of each pair being heard as `heard`, its second part beginning at one of `splits`."""
        before, after = self._first.distances(heard), self._last_backwards.distances(heard[::-1])[::-1]
        whole_first, whole_last = before[-1][self._first_of], after[0][self._last_of]
        best: Costs = np.minimum(whole_first, whole_last) + np.float32(self._half_missing)
        for split in splits:
            np.minimum(best, before[split][self._first_of] + after[split][self._last_of], out=best)
        if self._turned is not None:
            before = self._last.distances(heard)
            after = self._first_backwards.distances(heard[::-1])[::-1]
            for split in splits:
                turned = before[split][self._last_of] + after[split][self._first_of] + np.float32(self._turned)
                np.minimum(best, turned, out=best)
        return best
