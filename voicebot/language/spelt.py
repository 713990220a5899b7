"""What was heard of a postcode, a name or a birth date, as the symbols it may have been said with.

Recognisers write a spelled letter as the word that sounds like it ("and" for N, "are" for R), a spelling word as
another word ("Celtic" for Charlie), several letters as one word ("TW"), a number as figures or words. Every function
returns the possible writings, the likeliest first, each a string of the symbols of `mishearing`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from voicebot.language.entities.calendar_words import MONTHS
from voicebot.language.entities.codes import LETTER_NAMES, SPELLING_ALPHABET
from voicebot.language.entities.digits import HOMOPHONES, REPEATS
from voicebot.language.entities.numbers import TENS, ZERO, cardinal_at, ordinal_at
from voicebot.language.mishearing import MONTH_SYMBOLS
from voicebot.language.words import FILLERS, Word, normalise, split

#: What recognisers write for a letter said alone; beside LETTER_NAMES, whose words are likelier to be meant as letters.
_HEARD_AS_LETTER = {
    "and": "n",
    "an": "n",
    "in": "n",
    "end": "n",
    "am": "m",
    "him": "m",
    "said": "z",
    "that": "z",
    "zedd": "z",
    "dead": "z",
    "zag": "z",
    "hitch": "h",
    "hate": "h",
    "hatch": "h",
    "age": "h",
    "each": "h",
    "page": "h",
    "hey": "a",
    "eh": "a",
    "they": "a",
    "day": "a",
    "aah": "r",
    "our": "r",
    "or": "r",
    "ah": "r",
    "r's": "r",
    "he": "e",
    "the": "e",
    "by": "y",
    "my": "y",
    "white": "y",
    "use": "u",
    "yes": "s",
    "us": "s",
    "as": "s",
    "is": "s",
    "ask": "s",
    "asked": "s",
    "acts": "x",
    "eggs": "x",
    "axe": "x",
    "que": "q",
    "kew": "q",
    "ray": "",
    "xray": "x",
    "hell": "l",
    "all": "l",
    "i'll": "l",
    "go": "o",
    "so": "o",
    "know": "o",
    "app": "f",
    "full": "4",
    "fool": "4",
    "thor": "4",
    "six": "6",
    "sick": "6",
    "fix": "6",
    "height": "8",
    "eat": "8",
    "hive": "5",
    "line": "9",
    "mine": "9",
    "heaven": "7",
    "kubek": "q",
    "gulf": "g",
    "yonke": "y",
    "judy": "j",
    "alima": "l",
    "baby": "ab",
}
_LEAD_IN = re.compile(
    r"^(?:um|uh|er|yes|okay|ok|right|so|well|hi|hello|it's|it is|that's|that is|my|the|full|first|last|post ?code|zip|"
    r"code|name|name's|date of birth|birthday|birth ?date|surname|is|was|i was born|born|on|would be|this is|i'm|"
    r"i am)\s+"
)
_DIGITS = {word: str(number) for number, word in enumerate(("", "one", "two", "three", "four", "five", "six", "seven"))}
_DIGITS |= {"eight": "8", "nine": "9", "niner": "9"} | dict.fromkeys(ZERO - {"o", "oh"}, "0")
del _DIGITS[""]
#: Words that say where one part of a spelled name ends.
_GAPS = frozenset({"space", "then", "new", "surname", "last", "next"})
#: A longer word is heard for one spelling word, of which only the first letter is left.
_LONGEST_RUN_OF_LETTERS = 3
#: A name is taken as spelled from this share of short or spelling words on.
_MOSTLY = 0.6
_MONTH_ALIKE = 0.7
#: Words of a date that no day, month or year is in.
_DATE_FILLERS = FILLERS | {"the", "of", "and", "in", "day", "on", "month", "year", "a", "s", "th", "rd", "st", "nd"}
#: What recognisers write for figures in dates.
_DATE_HOMOPHONES = HOMOPHONES | {"or": "4", "on": "1", "well": "12", "course": "4", "off": "4", "head": "3"}


def code_writings(heard: str) -> tuple[str, ...]:
    """Return the letters and digits of a spoken code such as a postcode."""
    tokens = _tokens(_without_lead_in(heard.lower()))
    written = [_code_symbols(token) for token in tokens]
    for index, token in enumerate(tokens[:-1]):
        if token in REPEATS and len(written[index + 1]) == 1:
            written[index] = written[index + 1] * (REPEATS[token] - 1)
    return _different("".join(written))


def _tokens(text: str) -> list[str]:
    text = text.replace("x-ray", "xray").replace("x ray", "xray").replace("double you", "w").replace("double u", "w")
    return re.findall(r"[a-z']+|[0-9]|\+|&", text)


def _without_lead_in(text: str) -> str:
    text = text.strip()
    while (shorter := _LEAD_IN.sub("", text, count=1)) != text:
        text = shorter
    return text


def _code_symbols(word: str) -> str:
    if len(word) == 1 and word.isalnum():
        return word
    known = (
        SPELLING_ALPHABET.get(word)
        or _DIGITS.get(word)
        or LETTER_NAMES.get(word)
        or _HEARD_AS_LETTER.get(word)
        or HOMOPHONES.get(word)
    )
    if known:
        return known
    if word == "+":
        return "n"  # "and", as some recognisers write it
    if word in REPEATS or not word.isalpha():
        return ""
    return word if len(word) <= _LONGEST_RUN_OF_LETTERS else word[0]


def spelled_name_writings(heard: str) -> tuple[str, ...]:
    """Return the letters of a name that was spelled, none where the words do not look like spelling.

    A space marks where the caller said that one part ends.
    """
    tokens = [token for token in _tokens(heard.lower()) if token.isalpha()]
    short = [token for token in tokens if len(token) <= 2 or token in SPELLING_ALPHABET or token in LETTER_NAMES]
    if not tokens or len(short) < _MOSTLY * len(tokens):
        return ()
    letters: list[str] = []
    for index, token in enumerate(tokens):
        symbols = " " if token in _GAPS else _name_symbols(token)
        if token in REPEATS and index + 1 < len(tokens):
            symbols = _name_symbols(tokens[index + 1]) * (REPEATS[token] - 1)
        letters.append(symbols)
    return _different("".join(letters))


def _name_symbols(token: str) -> str:
    if token in REPEATS:
        return ""
    known = SPELLING_ALPHABET.get(token) or LETTER_NAMES.get(token)
    if known:
        return known
    if len(token) > _LONGEST_RUN_OF_LETTERS:
        return token[0]
    heard_as = _HEARD_AS_LETTER.get(token, "")
    return heard_as if len(token) > 2 and heard_as.isalpha() else token.replace("'", "")


def spoken_name_writings(heard: str) -> tuple[str, ...]:
    """Return the words of a name as it sounds, with a space between them."""
    text = _without_lead_in(normalise(heard))
    return _different(" ".join(sounded(word) for word in text.split() if word not in FILLERS))


_SOUNDS = (
    (re.compile(r"[^a-z]"), ""),
    (re.compile(r"^(?:kn|gn)"), "n"),
    (re.compile(r"^wr"), "r"),
    (re.compile(r"ph"), "f"),
    (re.compile(r"ght"), "t"),
    (re.compile(r"sch|tch"), "ch"),
    (re.compile(r"c(?=[eiy])"), "s"),
    (re.compile(r"c(?!h)|q"), "k"),
    (re.compile(r"kk"), "k"),
    (re.compile(r"x"), "ks"),
    (re.compile(r"(?<=[aeiou])h(?=[^aeiou]|$)"), ""),
    (re.compile(r"y(?![aeiou])"), "i"),
    (re.compile(r"([a-z])\1"), r"\1"),
    (re.compile(r"(?<=[^aeiou])e$"), ""),
    (re.compile(r"(?<=[^aeiou])es$"), "s"),
)


def sounded(word: str) -> str:
    """Return a lower-case English word spelled nearer to how it sounds: "phillips" and "filips" alike."""
    plain = word
    for pattern, replacement in _SOUNDS:
        plain = pattern.sub(replacement, plain)
    return plain


def date_writings(heard: str) -> tuple[str, ...]:
    """Return digits and months of a spoken date, the figures as said: "7th of May 1950 1" is "7E1951" or "7E19501"."""
    text = _without_lead_in(normalise(heard))
    plain = _date_symbols(split(re.sub(r"(?<=\d)(?=st\b|nd\b|rd\b|th\b)|[/:]", " ", text)))
    # Recognisers write "fifty one" as "50 1"; the zero was not said.
    words = re.sub(r"([1-9])0(?:th)? (?:and )?([1-9])(?:st|nd|rd|th)?$", r"\1\2", text)
    merged = _date_symbols(split(re.sub(r"(?<=\d)(?=st\b|nd\b|rd\b|th\b)|[/:]", " ", words)))
    return _different(merged, plain)


def _date_symbols(words: Sequence[Word]) -> str:
    symbols, index = "", 0
    while index < len(words):
        text = words[index].text
        read = ordinal_at(words, index) or (None if text in ZERO else cardinal_at(words, index))
        if text in MONTHS:
            symbols += MONTH_SYMBOLS[MONTHS[text] - 1]
        elif text.isascii() and text.isdecimal():
            symbols += text
        elif text in ZERO:
            symbols += "0"
        elif read:
            symbols, index = symbols + str(read[0]), read[1]
            continue
        elif text in TENS or text in _DATE_FILLERS:
            pass
        elif text in _DATE_HOMOPHONES:
            symbols += _DATE_HOMOPHONES[text]
        elif len(text) >= 3 and (close := difflib.get_close_matches(text, MONTHS, n=1, cutoff=_MONTH_ALIKE)):
            symbols += MONTH_SYMBOLS[MONTHS[close[0]] - 1]
        else:
            symbols += "".join(character for character in text if character in "0123456789")
        index += 1
    return symbols


def _different(*writings: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(writing.strip() for writing in writings if writing.strip()))
