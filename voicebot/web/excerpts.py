"""Shows where in a call the words of a search were said. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voicebot.records.record import Speaker
from voicebot.records.search import SearchRefused, Term, read_terms

#: Shown on either side of the words found.
_AROUND_CHARS = 60


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A turn's words around `found`; `number` is the turn's, counted from 0."""

    number: int
    speaker: str
    before: str
    found: str
    after: str


def excerpt(turns: Sequence[Mapping[str, Any]], words: str, said_by: Speaker | None = None) -> Excerpt | None:
    """Return where a call's turns say the longest of the words or phrases of a search; None where no turn does.

    The search itself knows more ways to write a word than this, so a call found need not have an excerpt.
    """
    try:
        terms = sorted(read_terms(words), key=lambda term: -len(" ".join(term.words)))
    except SearchRefused:
        return None
    spoken = [(number, turn) for number, turn in enumerate(turns) if said_by in {None, turn["speaker"]}]
    for term in terms:
        pattern = _pattern(term)
        for number, turn in spoken:
            text = unicodedata.normalize("NFC", turn["text"])
            if found := pattern.search(text):
                before, after = _end(text[: found.start()]), _start(text[found.end() :])
                return Excerpt(number, turn["speaker"], before, found[0], after)
    return None


def _pattern(term: Term) -> re.Pattern[str]:
    # Between the words of a phrase may stand whatever is no letter and no digit.
    body = r"[\W_]+".join(re.escape(word) for word in term.words)
    rest = r"[^\W_]*" if term.open else r"(?![^\W_])"
    return re.compile(rf"(?<![^\W_]){body}{rest}", re.IGNORECASE)


def _end(text: str) -> str:
    return text if len(text) <= _AROUND_CHARS else "…" + text[-_AROUND_CHARS:].partition(" ")[2]


def _start(text: str) -> str:
    return text if len(text) <= _AROUND_CHARS else text[:_AROUND_CHARS].rpartition(" ")[0] + "…"
