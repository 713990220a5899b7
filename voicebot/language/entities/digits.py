"""Digit strings as callers say them: "four five one two", "double seven", "forty two seventeen", "oh", "4512"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from voicebot.language.entities.numbers import TEENS, TENS, UNITS, ZERO, below_hundred_at, cardinal_at, literal
from voicebot.language.entities.span import Span
from voicebot.language.words import FILLERS, Word

REPEATS = {"double": 2, "triple": 3, "treble": 3, "quadruple": 4}
_PLURALS = {f"{word}{'es' if word == 'six' else 's'}": str(digit) for word, digit in UNITS.items()} | {
    "zeros": "0",
    "zeroes": "0",
    "ohs": "0",
}
#: What recognisers write for a digit; trusted only beside a digit, and only where digits are expected.
HOMOPHONES = {
    "to": "2",
    "too": "2",
    "for": "4",
    "fore": "4",
    "won": "1",
    "ate": "8",
    "tree": "3",
    "free": "3",
    "fife": "5",
    "sex": "6",
    "sicks": "6",
    "nein": "9",
    "owe": "0",
    "row": "0",
}
_BETWEEN = FILLERS | {"and", "then", "dash", "hyphen", "space", "comma", "minus", "pause"}
#: What a run can begin with, besides figures.
_FIRST_WORDS = frozenset({"a", *ZERO, *UNITS, *TEENS, *TENS, *REPEATS, *HOMOPHONES})
#: A run said as groups has few readings; more means noise, and the likeliest come first.
_MAX_READINGS = 16
_SHORTEST_IN_OPEN_TEXT = 3
_DIGITS_THAT_GO_ON = 3


@dataclass(frozen=True, slots=True)
class _Group:
    """One way to read what starts at a word: its digits, the word after it, and how unusual the reading is."""

    digits: str
    after: int
    cost: int


def digit_at(words: Sequence[Word], index: int) -> str | None:
    """Return the single digit said at `index`, else None."""
    if index >= len(words):
        return None
    text = words[index].text
    if text in ZERO:
        return "0"
    if text in UNITS:
        return str(UNITS[text])
    return text if len(text) == 1 and text.isdecimal() else None


def _times_at(words: Sequence[Word], index: int) -> _Group | None:
    """Read "six ones", "five times zero"."""
    count = UNITS.get(words[index].text)
    if count is None or index + 1 >= len(words):
        return None
    if digit := _PLURALS.get(words[index + 1].text):
        return _Group(digit * count, index + 2, 0)
    again = digit_at(words, index + 2) if words[index + 1].text == "times" else None
    return _Group(again * count, index + 3, 0) if again else None


def _groups_at(words: Sequence[Word], index: int, *, homophones: bool) -> Iterator[_Group]:
    if index >= len(words):
        return
    text = words[index].text
    if times := _times_at(words, index):
        yield times
        return
    if text in REPEATS:
        after = index + 1
        digit = digit_at(words, after)
        if digit is None and homophones and after < len(words):
            digit = HOMOPHONES.get(words[after].text)
        if digit is not None:
            yield _Group(digit * REPEATS[text], after + 1, 0)
        return
    number = cardinal_at(words, index)
    if number and any(word.text in {"hundred", "thousand"} for word in words[index : number[1]]):
        yield from _round_groups(words, index, number)
        return
    if (value := literal(text)) is not None:
        yield _Group(text.replace(",", "") if value > 9 else text, index + 1, 0)
    elif (digit := digit_at(words, index)) is not None:
        yield _Group(digit, index + 1, 0)
    elif text in TEENS:
        yield _Group(str(TEENS[text]), index + 1, 0)
    elif text in TENS:
        pair = below_hundred_at(words, index)
        if pair and pair[1] == index + 2:
            yield _Group(str(pair[0]), pair[1], 0)
            yield _Group(str(TENS[text]), index + 1, 1)
        else:
            yield _Group(str(TENS[text]), index + 1, 0)
    elif homophones and text in HOMOPHONES:
        yield _Group(HOMOPHONES[text], index + 1, 1)


def _round_groups(words: Sequence[Word], index: int, number: tuple[int, int]) -> Iterator[_Group]:
    """Read "nine hundred one" as 901, or as 900 with a 1 after it; further digits make the second likelier."""
    value, after = number
    whole = _Group(str(value), after, 0)
    rounded = next(at for at in range(after, index, -1) if words[at - 1].text in {"hundred", "thousand"})
    if rounded == after or words[rounded].text == "and":
        yield whole
        return
    front = cardinal_at(words[:rounded], index)
    more = digit_at(words, after) is not None
    if front:
        separate = _Group(str(front[0]), rounded, 0 if more else 1)
        yield from (separate, _Group(whole.digits, after, 1)) if more else (whole, separate)
    else:
        yield whole


def _skip_between(words: Sequence[Word], index: int) -> int:
    while index < len(words) and words[index].text in _BETWEEN:
        index += 1
    return index


def _readings(words: Sequence[Word], first: int, *, homophones: bool) -> list[_Group]:
    """Every way to read a run that starts at `first` as far as it goes."""
    done: list[_Group] = []
    open_ends = [_Group("", first, 0)]
    while open_ends and len(done) < _MAX_READINGS:
        run = open_ends.pop()
        start = _skip_between(words, run.after) if run.digits else run.after
        groups = list(_groups_at(words, start, homophones=homophones))
        if not groups:
            if run.digits:
                done.append(run)
            continue
        is_homophone = homophones and groups[0].cost and words[start].text in HOMOPHONES
        if is_homophone and run.digits and not _goes_on(words, start + 1):
            done.append(run)
        open_ends.extend(
            _Group(run.digits + group.digits, group.after, run.cost + group.cost) for group in reversed(groups)
        )
    return done


def _goes_on(words: Sequence[Word], index: int) -> bool:
    """Say whether so many single digits follow a word like a digit that it must have been one."""
    return all(digit_at(words, index + place) is not None for place in range(_DIGITS_THAT_GO_ON))


def find_digits(words: Sequence[Word], *, expected: bool = False, lengths: Sequence[int] = ()) -> list[Span]:
    """Find digit strings (kind ``"digits"``, value `str`).

    Where they are `expected`, homophones count ("for five won two") and one digit is enough; in open text at least
    three. Rival readings of a run follow each other, those of an allowed length first, then the plainest.
    """
    spans: list[Span] = []
    index = 0
    while index < len(words):
        if not (words[index].text in _FIRST_WORDS or words[index].text[0].isdecimal()):
            index += 1
            continue
        readings = _readings(words, index, homophones=expected)
        if expected and words[index].text in HOMOPHONES:
            readings = [run for run in readings if run.after > index + 1]
        if not readings:
            index += 1
            continue
        readings.sort(key=lambda run: (bool(lengths) and len(run.digits) not in lengths, run.cost, -run.after))
        if not expected:
            readings = [run for run in readings if len(run.digits) >= _SHORTEST_IN_OPEN_TEXT]
        if readings:
            spans.extend(_said_twice(words, index, readings[0], lengths))
        seen: set[str] = set()
        for run in readings:
            if run.digits not in seen:
                seen.add(run.digits)
                spans.append(Span("digits", run.digits, index, run.after))
        index = max((run.after for run in readings), default=index + 1)
    return _likeliest_run_first(spans, lengths)


def _said_twice(words: Sequence[Word], first: int, run: _Group, lengths: Sequence[int]) -> list[Span]:
    """Split a run that holds two strings of an allowed length: said again, or "not 4512 4513"."""
    half = len(run.digits) // 2
    if len(run.digits) in lengths or len(run.digits) % 2 or half not in lengths:
        return []
    for middle in range(first + 1, run.after):
        front = next((each for each in _readings(words[:middle], first, homophones=True) if each.after == middle), None)
        if front and front.digits == run.digits[:half]:
            start = _skip_between(words, middle)
            return [Span("digits", front.digits, first, middle), Span("digits", run.digits[half:], start, run.after)]
    return []


def _likeliest_run_first(spans: list[Span], lengths: Sequence[int]) -> list[Span]:
    """Put runs of an allowed length before others; the order of what was said stays within each."""
    return sorted(spans, key=lambda span: bool(lengths) and len(str(span.value)) not in lengths)
