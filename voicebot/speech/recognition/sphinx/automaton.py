"""Weighted finite-state grammars, built by hand and written in the format that pocketsphinx reads.

A digit string of a given length in natural groups ("forty two seventeen", "double five one oh") needs states that
count digits. JSGF cannot say that without writing every path out, so the grammars are automata from the start.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Arc:
    """From `source` to `target` by saying `word` (None: nothing); `weight` is relative to the source's other arcs."""

    source: int
    target: int
    word: str | None
    weight: float


class Automaton:
    """A grammar under construction: states are numbers, `start` and `end` are the first two."""

    start = 0
    end = 1

    def __init__(self) -> None:
        self._arcs: list[Arc] = []
        self._states = 2

    @property
    def arcs(self) -> Sequence[Arc]:
        return self._arcs

    def state(self) -> int:
        """Return a new state."""
        self._states += 1
        return self._states - 1

    def word(self, source: int, target: int, word: str, weight: float = 1.0) -> None:
        self._arcs.append(Arc(source, target, word, weight))

    def skip(self, source: int, target: int, weight: float = 1.0) -> None:
        self._arcs.append(Arc(source, target, None, weight))

    def phrase(self, source: int, target: int, text: str, weight: float = 1.0) -> None:
        """Add the words of `text` one after the other."""
        *first, last = text.split()
        for word in first:
            middle = self.state()
            self.word(source, middle, word, weight)
            source, weight = middle, 1.0
        self.word(source, target, last, weight)

    def one_of(self, source: int, target: int, texts: Iterable[str], weight: float = 1.0) -> None:
        """Add each of `texts` as a path; together they weigh `weight`."""
        texts = tuple(dict.fromkeys(texts))
        for text in texts:
            self.phrase(source, target, text, weight / len(texts))

    def words(self) -> frozenset[str]:
        return frozenset(arc.word for arc in self._arcs if arc.word is not None)

    def to_fsg(self, name: str) -> str:
        """Return the grammar in Sphinx FSG text form, the weights of each state's arcs summing to one."""
        totals: dict[int, float] = defaultdict(float)
        for arc in self._arcs:
            totals[arc.source] += arc.weight
        lines = [
            f"FSG_BEGIN {name}",
            f"NUM_STATES {self._states}",
            f"START_STATE {self.start}",
            f"FINAL_STATE {self.end}",
        ]
        lines += [
            f"TRANSITION {arc.source} {arc.target} {arc.weight / totals[arc.source]:.6g} {arc.word or ''}".rstrip()
            for arc in self._arcs
        ]
        return "\n".join([*lines, "FSG_END", ""])

    def sample(self, chance: random.Random) -> tuple[str, ...]:
        """Return the words of one path from start to end, drawn by weight."""
        leaving: dict[int, list[Arc]] = defaultdict(list)
        for arc in self._arcs:
            leaving[arc.source].append(arc)
        words: list[str] = []
        state = self.start
        while state != self.end:
            arcs = leaving[state]
            arc = chance.choices(arcs, [arc.weight for arc in arcs])[0]
            if arc.word is not None:
                words.append(arc.word)
            state = arc.target
        return tuple(words)
