"""Holds a model's words to what a system returned: a number or a name that is not in there is refused. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

_WORD = re.compile(r"[A-Za-z0-9$€£%@][A-Za-z0-9$€£%@'.,:/_+-]*")
_TYPED_APOSTROPHE = "\N{RIGHT SINGLE QUOTATION MARK}"
_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")
_SENTENCE_END = re.compile(r"(?<=[.!?:])\s+")
_COUNTS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen twenty"
).split()
_DIGITS_OF = {word: str(number) for number, word in enumerate(_COUNTS)} | {
    word: str(number * 10) for number, word in enumerate("thirty forty fifty sixty seventy eighty ninety".split(), 3)
}
#: Words of amount and time that change what a sentence promises, in whatever letters.
_TELLING = frozenset(
    "hundred thousand million half quarter dozen once twice double first second third fourth fifth free never always"
    " today tomorrow yesterday noon midnight monday tuesday wednesday thursday friday saturday sunday january february"
    " march april june july august september october november december".split()
)
#: With what a sentence may begin although its first letter is large.
_OPENERS = frozenset(
    "a an and as at but by caller customer for from he her here his i if in it it's no not nothing of on once or our"
    " please she so sorry thank thanks that that's the their then there these they this to until we we'll we're when"
    " with yes you you'll you're your".split()
)


def objection(text: str, sources: tuple[str, ...]) -> str | None:
    """Return why `text` says more than `sources` hold, as a short constant; None when it does not."""
    text = text.replace(_TYPED_APOSTROPHE, "'")
    known = " ".join(sources).replace(_TYPED_APOSTROPHE, "'")
    known_words = {_plain(word) for word in _WORD.findall(known)}
    known_numbers = {_bare(number) for number in _NUMBER.findall(known)}
    known_numbers |= {_DIGITS_OF[word] for word in known_words if word in _DIGITS_OF}
    for word, begins in _words(text):
        plain = _plain(word)
        numbers = {_bare(number) for number in _NUMBER.findall(word)}
        numbers |= {_DIGITS_OF[part] for part in plain.split("-") if part in _DIGITS_OF}
        if numbers - known_numbers:
            return "unknown_number"
        if any(part in _TELLING and part not in known_words for part in plain.split("-")):
            return "unknown_number"
        if plain in known_words or numbers:
            continue
        if any(mark in plain for mark in "@/_") or "." in plain:
            return "unknown_address"
        named = word[:1].isupper() and plain not in {"i", "i'm", "i'll", "ok"}
        if named and not (begins and plain in _OPENERS):
            return "unknown_name"
    return None


def _words(text: str) -> Iterator[tuple[str, bool]]:
    """Every word, and whether a sentence begins with it."""
    for sentence in _SENTENCE_END.split(text):
        for index, word in enumerate(_WORD.findall(sentence)):
            yield word, index == 0


def _plain(word: str) -> str:
    return word.strip(".,:/-'").removesuffix("'s").lower()


def _bare(number: str) -> str:
    """A number without what is written differently: 1,284.50 and 1284.50 are one."""
    whole = number.replace(",", "")
    return whole.rstrip("0").rstrip(".") if "." in whole else whole
