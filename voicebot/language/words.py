"""One spelling of what was heard: lower case, words apart by single spaces, no punctuation but what carries meaning."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

#: Sounds that carry no meaning, as recognisers write them.
FILLERS = frozenset({"um", "umm", "uh", "uhh", "uhm", "er", "erm", "ah", "hmm", "hm", "mm", "eh"})

#: No turn of a caller is longer; what a chat sends beyond it is not read.
_LONGEST = 2000
_MERIDIEM = re.compile(r"\b([ap])\.\s?m\b\.?", re.IGNORECASE)
_SPELLED_MERIDIEM = re.compile(r"\b([ap]) m\b")
_BRACKETED = re.compile(r"<[^>]*>|\[[^\]]*\]|\([^)\d]*\)")
# A hyphen or dot between letters or single digits separates; inside 45.20, 10:30, 3/15, 2026-03-15 it carries meaning.
# "ORD-48213" is one code; "twenty-one" and "4-5-1-2" are several words.
_HYPHENATED_CODE = re.compile(r"\b([a-z]{1,4})-(?=\d)")
_ISO_DATE = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
#: "B.7.K.4.2." is spelled, with a letter in it; "1.5." is a number at a sentence's end.
_SPELLED = re.compile(r"\b(?=[0-9.]*[a-z])(?:[a-z0-9]\.){3,}")
_LITERAL = re.compile(
    r"\d{4}/\d{2}/\d{2}"  # an ISO date, after _ISO_DATE gave it slashes
    r"|\d{1,2}/\d{1,2}(?:/\d{2,4})?"
    r"|\d{1,2}:\d{2}(?:[ap]m)?"
    r"|[$£€]\d+(?:,\d{3})*(?:\.\d+)?"
    r"|\d+(?:,\d{3})+(?:\.\d+)?"
    r"|\d+\.\d+"
    r"|\d+(?:st|nd|rd|th|am|pm|k|%)\b"
    r"|[^\W_]+(?:'[^\W_]+)*'?",
)


Meaning = TypeVar("Meaning")


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a normalised text and its characters `start:end` there."""

    text: str
    start: int
    end: int


def normalise(heard: str) -> str:
    """Return `heard` in the one spelling that everything in this room reads.

    Keeps what carries meaning in a written or recognised number (``$45.20``, ``10:30``, ``3/15``); drops the marks
    some recognisers write for noise (``<sil>``, ``[noise]``).
    """
    text = unicodedata.normalize("NFKC", heard[:_LONGEST]).lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    text = _BRACKETED.sub(" ", text)
    text = _MERIDIEM.sub(r"\1m", text)
    text = _SPELLED.sub(lambda spelled: spelled.group().replace(".", " "), text)
    text = text.replace("+", " plus ")
    text = _HYPHENATED_CODE.sub(r"\1", text)
    text = _ISO_DATE.sub(r"\1/\2/\3", text)
    text = " ".join(match.group().strip("'") for match in _LITERAL.finditer(text))
    return _SPELLED_MERIDIEM.sub(r"\1m", text)


def split(text: str) -> tuple[Word, ...]:
    """Return the words of a normalised text."""
    return tuple(Word(match.group(), match.start(), match.end()) for match in re.finditer(r"\S+", text))


def matches(words: Sequence[Word], index: int, phrase: Sequence[str]) -> bool:
    """Say whether the words from `index` on are exactly `phrase`."""
    if index + len(phrase) > len(words) or words[index].text != phrase[0]:  # nearly always; asked tens of times a word
        return False
    return all(words[index + n].text == part for n, part in enumerate(phrase))


class Phrases(Generic[Meaning]):
    """Fixed phrases and what each means, found by their first word."""

    def __init__(self, meanings: Mapping[str, Meaning]) -> None:
        """Take phrases of normalised words."""
        by_first: dict[str, list[tuple[tuple[str, ...], Meaning]]] = {}
        for phrase, meaning in meanings.items():
            parts = tuple(phrase.split())
            by_first.setdefault(parts[0], []).append((parts, meaning))
        self._by_first = {first: sorted(found, key=lambda each: -len(each[0])) for first, found in by_first.items()}

    @classmethod
    def of(cls, phrases: Iterable[str], meaning: Meaning) -> Phrases[Meaning]:
        """Make a table whose phrases all mean the same."""
        return cls(dict.fromkeys(phrases, meaning))

    def at(self, words: Sequence[Word], index: int) -> tuple[Meaning, int] | None:
        """Return the meaning of the longest phrase at `index` and the index after it."""
        if not 0 <= index < len(words):
            return None
        for parts, meaning in self._by_first.get(words[index].text, ()):
            if matches(words, index, parts):
                return meaning, index + len(parts)
        return None
