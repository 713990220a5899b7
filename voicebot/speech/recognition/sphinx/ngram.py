"""Trigram language models from weighted sentences, in ARPA form.

Interpolated Witten-Bell smoothing (Witten and Bell 1991; Chen and Goodman 1998, section 2.5): what a history was not
seen with gets a share that grows with how many different words followed it. It needs no held-out data and keeps well
with the few hundred sentences that a bot's flows give.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_BEGIN = "<s>"
_END = "</s>"
_NEVER = -99.0
"""log10 of the probability that ARPA files give to what cannot follow, here the beginning of a sentence."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words and how often they count; weights need not be whole."""

    words: tuple[str, ...]
    weight: float = 1.0


_History = tuple[str, ...]
_Counts = dict[_History, dict[str, float]]


def arpa(sentences: Iterable[Sentence], *, novelty: float = 1.0) -> str:
    """Return a trigram model in ARPA form.

    `novelty` scales the share kept for words not seen after a history: higher trusts the sentences less.
    """
    counts, followers = _count(sentences)
    vocabulary = sorted(set(counts[()]) | {_END})
    uniform = 1.0 / len(vocabulary)
    probability: dict[_History, float] = {}
    back_off: dict[_History, float] = {}
    for order in range(3):
        for history in sorted(history for history in counts if len(history) == order):
            seen = counts[history]
            total = sum(seen.values())
            unseen = novelty * followers[history]
            back_off[history] = unseen / (total + unseen)
            words: Iterable[str] = seen if history else vocabulary
            for word in words:
                shorter = probability[*history[1:], word] if history else uniform
                probability[*history, word] = (seen.get(word, 0.0) + unseen * shorter) / (total + unseen)
    return _write(probability, back_off)


def _count(sentences: Iterable[Sentence]) -> tuple[_Counts, Mapping[_History, float]]:
    """Count words after histories of up to two words, and the different words after each."""
    counts: _Counts = defaultdict(lambda: defaultdict(float))
    weights: dict[_History, dict[str, float]] = defaultdict(dict)
    for sentence in sentences:
        words = (_BEGIN, *sentence.words, _END)
        for index in range(1, len(words)):
            for order in range(min(index, 2) + 1):
                history = words[index - order : index]
                counts[history][words[index]] += sentence.weight
                # A word seen with weight 0.2 only is a fifth of a new word, so that scaling all weights changes nothing
                # between rare and frequent histories.
                heaviest = weights[history].get(words[index], 0.0)
                weights[history][words[index]] = max(heaviest, min(1.0, sentence.weight))
    return counts, {history: sum(seen.values()) for history, seen in weights.items()}


def _write(probability: Mapping[_History, float], back_off: Mapping[_History, float]) -> str:
    lines = {order: list[str]() for order in (1, 2, 3)}
    lines[1].append(f"{_NEVER:.4f}\t{_BEGIN}\t{math.log10(back_off[_BEGIN,]):.4f}")
    for ngram, chance in sorted(probability.items()):
        entry = f"{math.log10(chance):.4f}\t{' '.join(ngram)}"
        if ngram in back_off and len(ngram) < 3:
            entry += f"\t{math.log10(back_off[ngram]):.4f}"
        lines[len(ngram)].append(entry)
    parts = ["\\data\\", *(f"ngram {order}={len(entries)}" for order, entries in lines.items()), ""]
    for order, entries in lines.items():
        parts += [f"\\{order}-grams:", *entries, ""]
    return "\n".join([*parts, "\\end\\", ""])
