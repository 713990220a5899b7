"""Names of people, said or spelled: "my name is Anna Lee", "it's Smith, S M I T H"."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from voicebot.language.entities.codes import letter_at
from voicebot.language.entities.digits import REPEATS
from voicebot.language.entities.span import Span
from voicebot.language.words import FILLERS, Phrases, Word

_LEAD_INS = (
    "my name is",
    "my name's",
    "my name would be",
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
    "name's",
    "i am called",
    "i'm called",
    "i go by",
    "you can call me",
    "call me",
    "calls me",
    "it's under",
    "in the name of",
    "under the name of",
    "under the name",
    "under",
    "listed as",
    "registered as",
    "registered to",
    "registered on",
    "down as",
    "known as",
    "speaking with",
    "speaking to",
    "talking to",
    "talking with",
)
#: Lead-ins that also begin other sentences ("this is ridiculous"); trusted only where a name is expected.
_WEAK_LEAD_INS = (
    "this is",
    "i am",
    "i'm",
    "it is",
    "it's",
    "that's",
    "that is",
    "that would be",
    "that'd be",
    "that will be",
    "that'll be",
    "it would be",
    "it'll be",
    "it should be",
    "for",
    "name",
)
_STRONG = Phrases.of(_LEAD_INS, None)
_ALL = Phrases.of(_LEAD_INS + _WEAK_LEAD_INS, None)
#: Words that are no part of a name, apart from those that are also names ("will", "may", "mark").
_NOT_A_NAME = FILLERS | frozenset(
    "and i a an the is my your to calling about please speaking here want would i'd need have with from it"
    " yes no not sure hello hi hey there good morning afternoon evening but so thanks thank you spelled"
    " spelt that's it's on at in of okay ok yeah yep yup nope well sorry oh then now also maybe actually"
    " really just only rather quite can could should shall do does did done don't doesn't didn't won't"
    " can't couldn't shouldn't wouldn't isn't aren't am are was were be been being as by if or than"
    " because why what who whose where when how which while this that these those that'll that'd they them"
    " we us he she him her his its our their you're you'd i'm i've i'll it'll me mine say says said saying"
    " tell told give given put call calls called go goes get got has had think believe guess mean meant"
    " know name name's names account under listed registered down people everybody everyone friends"
    " husband husband's wife wife's son son's daughter's mother mother's father father's partner partner's"
    " mom's dad's talking first last full middle surname speak prefer sir madam ma'am".split()
)
_TITLES = frozenset({"mr", "mrs", "ms", "miss", "mister", "doctor", "dr", "professor"})
_LONGEST = 4
_FIRST_NAME, _LAST_NAME = (
    re.compile(rf"\b(?:{which}(?: is|'s)? (?!is\b|and\b)([^\W\d_]+)|([^\W\d_]+) is (?:my |the )?{which})\b")
    for which in ("(?:first|given|christian) name", "(?:(?:last|second|family) name|surname)")
)
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
    said = [word.text for word in words[start:after]]
    if len(said) > 2 and said[0] == said[-1]:  # "Bond, James Bond"
        said = said[1:]
    if start > 0 and words[start - 1].text == "not" and len(said) > 1:  # "not Ellen, Helen"
        said = said[len(said) // 2 :]
    return (" ".join(map(_capital, said)), after) if said else None


def _leads_to_a_name(words: Sequence[Word], index: int) -> bool:
    lead = _ALL.at(words, index)
    if lead is None:
        return False
    start = _after_fillers(words, lead[1])
    return _spelled_at(words, start) is None and _plain_at(words, start) is not None


def _in_parts(words: Sequence[Word]) -> str | None:
    """Read "first name Maria, last name Keller", "Maria is my first name and Keller is my surname"."""
    text = " ".join(word.text for word in words)
    first = _FIRST_NAME.search(text)
    last = _LAST_NAME.search(text)
    if first is None or last is None:
        return None
    parts = [next(group for group in found.groups() if group) for found in (first, last)]
    return " ".join(map(_capital, parts)) if all(map(_looks_like_name, parts)) else None


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
    if expected and (parts := _in_parts(words)):
        return [Span("name", parts, 0, len(words))]
    index = _after_fillers(words, 0)
    # "They call me Joe": what leads to a name is looked for before any word is taken for one.
    started = expected and any(_leads_to_a_name(words, place) for place in range(len(words)))
    while index < len(words):
        found_lead = (_ALL if expected else _STRONG).at(words, index)
        lead = found_lead[1] if found_lead else None
        start = lead if lead is not None else index
        if expected:
            start = _after_fillers(words, start)
        if (lead is not None and not (spans and _spelled_at(words, start))) or (expected and not started):
            found = _spelled_at(words, start) or _plain_at(words, start)
            if found:
                spans.extend(_readings(start, found, known))
                index, started = found[1], True
                continue
        if index > 0 and words[index - 1].text == "with":  # "Catherine with a C" spells no name of its own
            index += 2
            continue
        if spans and (spelled := _spelled_at(words, start)):
            spans.insert(0, Span("name", _with_spelled(str(spans[0].value), spelled[0]), start, spelled[1]))
            index = spelled[1]
            continue
        index = max(start, index + 1)
    return spans


def _with_spelled(name: str, spelled: str) -> str:
    """Put what was spelled in the place of the word of a name that it spells; it is the whole name where none fits."""
    parts = name.split()
    likest = max(range(len(parts)), key=lambda place: difflib.SequenceMatcher(None, parts[place], spelled).ratio())
    if len(parts) == 1 or difflib.SequenceMatcher(None, parts[likest], spelled).ratio() < _ALIKE:
        return spelled
    return " ".join([*parts[:likest], spelled, *parts[likest + 1 :]])


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
