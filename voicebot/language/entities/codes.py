"""Codes of letters and digits: "A as in alpha four five", "november whiskey one", "ess double you nine", "SW1A"."""

from __future__ import annotations

from collections.abc import Sequence

from voicebot.language.entities.digits import HOMOPHONES, REPEATS, digit_at
from voicebot.language.entities.numbers import TEENS, TENS, below_hundred_at
from voicebot.language.entities.span import Span
from voicebot.language.words import FILLERS, Word, matches

#: The spelling alphabet of ICAO Annex 10 and the words callers use in its place.
SPELLING_ALPHABET = {
    "alpha": "a",
    "alfa": "a",
    "bravo": "b",
    "charlie": "c",
    "delta": "d",
    "echo": "e",
    "foxtrot": "f",
    "golf": "g",
    "hotel": "h",
    "india": "i",
    "juliet": "j",
    "juliett": "j",
    "kilo": "k",
    "lima": "l",
    "mike": "m",
    "november": "n",
    "oscar": "o",
    "papa": "p",
    "quebec": "q",
    "romeo": "r",
    "sierra": "s",
    "tango": "t",
    "uniform": "u",
    "victor": "v",
    "whiskey": "w",
    "whisky": "w",
    "xray": "x",
    "yankee": "y",
    "zulu": "z",
}
#: Letter names as recognisers write them.
LETTER_NAMES = {
    "ay": "a",
    "bee": "b",
    "be": "b",
    "see": "c",
    "sea": "c",
    "cee": "c",
    "dee": "d",
    "ee": "e",
    "ef": "f",
    "eff": "f",
    "gee": "g",
    "aitch": "h",
    "haitch": "h",
    "eye": "i",
    "jay": "j",
    "kay": "k",
    "okay": "k",
    "el": "l",
    "ell": "l",
    "em": "m",
    "en": "n",
    "oh": "o",
    "pee": "p",
    "pea": "p",
    "cue": "q",
    "queue": "q",
    "are": "r",
    "ar": "r",
    "ess": "s",
    "tee": "t",
    "tea": "t",
    "you": "u",
    "yew": "u",
    "vee": "v",
    "ex": "x",
    "why": "y",
    "wye": "y",
    "zed": "z",
    "zee": "z",
}
_BETWEEN = FILLERS | {
    "and",
    "then",
    "dash",
    "hyphen",
    "space",
    "slash",
    "letter",
    "number",
    "capital",
    "upper",
    "lower",
    "case",
    "small",
}
_SHORTEST_IN_OPEN_TEXT = 4


def _skip_example(words: Sequence[Word], index: int) -> int:
    """Skip "as in alpha", "for bravo", "like charlie" after a letter."""
    for phrase in (("as", "in"), ("for",), ("like",), ("is", "for")):
        if matches(words, index, phrase):
            return index + len(phrase) + 1
    return index


def letter_at(words: Sequence[Word], index: int, *, names: bool) -> tuple[str, int] | None:
    """Read one letter at `index`; letter names ("bee") only when `names`, since most are also words."""
    if index >= len(words):
        return None
    text = words[index].text
    if matches(words, index, ("x", "ray")):
        return "x", index + 2
    if matches(words, index, ("double", "you")) or matches(words, index, ("double", "u")):
        return "w", _skip_example(words, index + 2)
    letter = text if len(text) == 1 and text.isalpha() else SPELLING_ALPHABET.get(text)
    if letter is None and names:
        letter = LETTER_NAMES.get(text)
    if letter is None:
        return None
    after = index + 1
    if len(text) == 1 and after < len(words) and SPELLING_ALPHABET.get(words[after].text) == letter:
        return letter, after + 1
    example = _skip_example(words, after)
    if example > after and example <= len(words) and words[example - 1].text[0] == letter:
        after = example
    return letter, after


def _symbol_at(words: Sequence[Word], index: int, *, expected: bool) -> tuple[str, int] | None:
    if index >= len(words):
        return None
    text = words[index].text
    if text in REPEATS and (found := letter_at(words, index, names=expected)) is None:
        again = _symbol_at(words, index + 1, expected=expected)
        return (again[0] * REPEATS[text], again[1]) if again and len(again[0]) == 1 else None
    if text not in {"o", "oh"} and (digit := digit_at(words, index)) is not None:
        return digit, index + 1
    if text in TEENS or text in TENS:
        pair = below_hundred_at(words, index)
        return (str(pair[0]), pair[1]) if pair else None
    if found := letter_at(words, index, names=expected):
        return found
    if any(character.isdecimal() for character in text) and text.isalnum():
        return text, index + 1
    return (HOMOPHONES[text], index + 1) if expected and text in HOMOPHONES else None


def find_codes(words: Sequence[Word], *, expected: bool = False, lengths: Sequence[int] = ()) -> list[Span]:
    """Find codes (kind ``"alphanumeric"``, value `str` in capitals).

    In open text a code has at least four characters and a digit among them. Where one is `expected`, letter names and
    homophones count. An "o" among digits has the zero as rival reading.
    """
    spans: list[Span] = []
    index = 0
    while index < len(words):
        code, after = "", index
        zeros: list[int] = []
        while found := _symbol_at(words, start := _skip(words, after) if code else after, expected=expected):
            if words[start].text in {"o", "oh"}:
                zeros.append(len(code))
            code, after = code + found[0], found[1]
        if _counts(code, expected=expected, lengths=lengths):
            values = _with_zeros(code.upper(), zeros)
            spans.extend(Span("alphanumeric", value, index, after) for value in values)
        index = max(after, index + 1)
    return sorted(spans, key=lambda span: bool(lengths) and len(str(span.value)) not in lengths)


def _with_zeros(code: str, zeros: Sequence[int]) -> list[str]:
    """Return the likelier reading of each "oh" first: a zero after a digit or at the end, else the letter."""
    letters, figures = list(code), list(code)
    for place in zeros:
        figures[place] = "0"
        if place > 0 and (place == len(code) - 1 or code[place - 1].isdecimal()):
            letters[place] = "0"
    return list(dict.fromkeys(("".join(letters), "".join(figures), code)))


def _skip(words: Sequence[Word], index: int) -> int:
    while index < len(words) and words[index].text in _BETWEEN:
        index += 1
    return index


def _counts(code: str, *, expected: bool, lengths: Sequence[int]) -> bool:
    if expected:
        return len(code) in lengths if lengths and len(code) < min(lengths) else len(code) > 1 or code.isdecimal()
    return len(code) >= _SHORTEST_IN_OPEN_TEXT and any(character.isdecimal() for character in code)
