"""What a search weighed besides its best path: how well each word would have fitted in place of it.

A decoder's n-best list leaves out what is much less likely; its lattice does not. Read in HTK's standard lattice format
(Young et al., The HTK Book, section 20.2), which pocketsphinx writes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lattice:
    """A directed graph without circles: nodes are words, a link has the log likelihood of the word it comes from."""

    start: int
    end: int
    words: Mapping[int, str]
    links: Mapping[int, tuple[tuple[int, float], ...]]

    @classmethod
    def parse(cls, text: str) -> Lattice:
        """Read a lattice, passing over what is no node or link; ValueError or KeyError where the format is another."""
        words: dict[int, str] = {}
        links: dict[int, list[tuple[int, float]]] = defaultdict(list)
        ends: dict[str, int] = {}
        for line in text.splitlines():
            fields = dict(field.split("=", 1) for field in line.split() if "=" in field)
            if line.startswith("I="):
                words[int(fields["I"])] = fields["W"]
            elif line.startswith("J="):
                links[int(fields["S"])].append((int(fields["E"]), float(fields["a"])))
            else:
                ends |= {name: int(fields[name]) for name in ("start", "end") if name in fields}
        return cls(ends["start"], ends["end"], words, {node: tuple(out) for node, out in links.items()})

    def scores(self, words: Collection[str]) -> dict[str, float]:
        """Return, for each of `words`, the log likelihood of the best path with it as the only one of them."""
        best: dict[int, dict[str, float]] = defaultdict(dict)
        best[self.start][""] = 0.0
        for node in self._in_order():
            own = self.words[node]
            for said, score in best[node].items():
                if own in words and said:
                    continue
                so_far = own if own in words else said
                for target, link in self.links.get(node, ()):
                    if score + link > best[target].get(so_far, float("-inf")):
                        best[target][so_far] = score + link
        return {word: score for word, score in best[self.end].items() if word}

    def _in_order(self) -> list[int]:
        """Return the nodes from the start on, each before those it leads to."""
        finished: list[int] = []
        seen = {self.start}
        walk = [(self.start, iter(self.links.get(self.start, ())))]
        while walk:
            node, following = walk[-1]
            target = next((target for target, _ in following if target not in seen), None)
            if target is None:
                finished.append(node)
                walk.pop()
            else:
                seen.add(target)
                walk.append((target, iter(self.links.get(target, ()))))
        return finished[::-1]
