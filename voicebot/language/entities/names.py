"""Names of people, said or spelled: "my name is Anna Lee", "it's Smith, S M I T H"."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from voicebot.language.entities.codes import letter_at
from voicebot.language.entities.digits import REPEATS
from voicebot.language.entities.span import Span
from voicebot.language.words import FILLERS, Phrases, Word

_LEAD_INS = (
    "my name is",
    "my name's",
    "my full name is",
    "my first name is",
    "my last name is",
    "my surname is",
    "the name is",
    "the name's",
    "the name on the account is",
    "the account is under",
    "the account holder is",
    "account holder is",
    "the last name is",
    "the surname is",
    "first name is",
    "first name",
    "last name is",
    "last name",
    "surname is",
    "surname",
    "name is",
    "i am called",
    "i'm called",
    "you can call me",
    "call me",
    "it's under",
    "under the name of",
    "under the name",
    "under",
)
#: Lead-ins that also begin other sentences ("this is ridiculous"); trusted only where a name is expected.
_WEAK_LEAD_INS = ("this is", "i am", "i'm", "it is", "it's", "that's", "for")
_STRONG = Phrases.of(_LEAD_INS, None)
_ALL = Phrases.of(_LEAD_INS + _WEAK_LEAD_INS, None)
_NOT_A_NAME = FILLERS | {
    "and",
    "i",
    "a",
    "an",
    "the",
    "is",
    "my",
    "your",
    "to",
    "calling",
    "about",
    "please",
    "speaking",
    "here",
    "want",
    "would",
    "i'd",
    "need",
    "have",
    "with",
    "from",
    "it",
    "yes",
    "no",
    "not",
    "sure",
    "hello",
    "hi",
    "good",
    "morning",
    "but",
    "so",
    "thanks",
    "thank",
    "you",
    "spelled",
    "spelt",
    "that's",
    "it's",
    "on",
    "at",
    "in",
    "of",
}
_TITLES = frozenset({"mr", "mrs", "ms", "miss", "mister", "doctor", "dr", "professor"})
_LONGEST = 4
#: How alike a heard word and a name from data must be to be taken for it.
_ALIKE = 0.75


def _spelled_at(words: Sequence[Word], index: int) -> tuple[str, int] | None:
    letters, after = "", index
    while after < len(words):
        times = REPEATS.get(words[after].text, 1)
        found = letter_at(words, after, names=len(letters) > 0)
        if found is None and times > 1:
            found = letter_at(words, after + 1, names=True)
        if found is None:
            break
        single = found[0] if words[after].text in REPEATS and found[0] != "w" else ""
        letters, after = letters + (single * times or found[0]), found[1]
    return (letters.title(), after) if len(letters) >= 2 else None


def _plain_at(words: Sequence[Word], index: int) -> tuple[str, int] | None:
    start = index
    while start < len(words) and words[start].text in _TITLES:
        start += 1
    after = start
    while after < len(words) and after - start < _LONGEST and _looks_like_name(words[after].text):
        after += 1
    return (" ".join(_capital(word.text) for word in words[start:after]), after) if after > start else None


def _looks_like_name(text: str) -> bool:
    return text not in _NOT_A_NAME and text.replace("'", "").isalpha() and len(text) > 1


def _capital(name: str) -> str:
    if name.startswith("mc") and len(name) > 4:
        return "Mc" + name[2:].capitalize()
    return "'".join(part[:1].upper() + part[1:] for part in name.split("'"))


def find_names(words: Sequence[Word], *, expected: bool = False, known: Sequence[str] = ()) -> list[Span]:
    """Find names of people (kind ``"name"``, value `str` with capitals).

    In open text a name follows "my name is" and its like. Where one is `expected` the whole answer may be the name.
    A spelling wins over the word it spells. A name close to one `known` from data has that as its first reading.
    """
    spans: list[Span] = []
    index = _after_fillers(words, 0)
    started = False
    while index < len(words):
        found_lead = (_ALL if expected else _STRONG).at(words, index)
        lead = found_lead[1] if found_lead else None
        start = lead if lead is not None else index
        if expected:
            start = _after_fillers(words, start)
        if lead is not None or (expected and not started):
            found = _spelled_at(words, start) or _plain_at(words, start)
            if found:
                spans.extend(_readings(start, found, known))
                index, started = found[1], True
                continue
        if index > 0 and words[index - 1].text == "with":  # "Catherine with a C" spells no name of its own
            index += 2
            continue
        if spans and (spelled := _spelled_at(words, index)):
            spans.insert(0, Span("name", spelled[0], index, spelled[1]))
            index = spelled[1]
            continue
        index = max(start, index + 1)
    return spans


def _after_fillers(words: Sequence[Word], index: int) -> int:
    while index < len(words) and words[index].text in FILLERS:
        index += 1
    return index


def _readings(start: int, found: tuple[str, int], known: Sequence[str]) -> list[Span]:
    name, after = found
    close = difflib.get_close_matches(name.lower(), [item.lower() for item in known], n=3, cutoff=_ALIKE)
    by_lower = {item.lower(): item for item in known}
    values = [by_lower[item] for item in close] + [name]
    return [Span("name", value, start, after) for value in dict.fromkeys(values)]
