"""What is spelled: phone numbers, order numbers and other codes, e-mail and web addresses, letters one by one."""

from __future__ import annotations

import re

from voicebot.speech.synthesis.words.numbers import cardinal, digit_groups, digits, letters
from voicebot.speech.synthesis.words.rule import Rule, rule

# A number after one of these words is an identifier and said digit by digit.
_IDENTIFIED = (
    "order|account|acct|reference|ref|confirmation|tracking|invoice|ticket|case|claim|policy|customer|member|"
    "membership|serial|part|phone|extension|ext|pin|code|passcode|card|check|routing|flight|license|number|"
    "ending in|ends in|ending with|ends with|digits|dial|call|text|id"
)
_VOWEL = re.compile(r"[AEIOUY]", re.IGNORECASE)
_WORD_LENGTH = 4
_SIGNS = {
    ".": " dot ",
    "/": " slash ",
    "-": " dash ",
    "_": " underscore ",
    "+": " plus ",
    "@": " at ",
    ":": " colon ",
    "?": " question mark ",
    "=": " equals ",
    "&": " and ",
    "#": " hash ",
    "%": " percent ",
    "~": " tilde ",
}
# The end of a sentence is no part of an address.
_PATH = r"(?:/[\w.~%-]*(?<![.]))*(?:[?#][\w.~%&=#-]*[\w=])*"


def _email(match: re.Match[str]) -> str:
    return f"{_address(match['name'])} at {_address(match['host'])}"


def _web(match: re.Match[str]) -> str:
    return _address(match["host"] + (match["path"] or "").rstrip("/"))


def _address(text: str) -> str:
    spaced = "".join(_SIGNS.get(character, character) for character in text)
    return " ".join("w w w" if word == "www" else _runs(word) for word in spaced.split())


def _runs(word: str) -> str:
    """Part letters from digits inside a word: "help24" becomes "help two four"."""
    return " ".join(digits(run) if run.isdigit() else run for run in re.findall(r"\d+|\D+", word))


def _bank_account(match: re.Match[str]) -> str:
    written = match.group().replace(" ", "")
    return ", ".join(letters(written[start : start + 4]) for start in range(0, len(written), 4))


def _phone(match: re.Match[str]) -> str:
    groups = re.findall(r"\d+", match.group())
    said = ["eight hundred" if group == "800" else digits(group) for group in groups]
    return ("plus " if match.group().startswith("+") else "") + ", ".join(said)


def _masked(match: re.Match[str]) -> str:
    return f"ending in {digits(match['last'])}"


def _number_sign(match: re.Match[str]) -> str:
    return f"number {match['number']}" if not match["word"] else f"{match['word']} {match['number']}"


def _no_dot(match: re.Match[str]) -> str:
    return f"{'Number' if match['no'][0] == 'N' and _begins_sentence(match) else 'number'}{match['plural']} "


def _begins_sentence(match: re.Match[str]) -> bool:
    return not match.string[: match.start()].strip()


def _identified(match: re.Match[str]) -> str:
    return f"{match['lead']}{_groups(match['number'])}"


def _groups(number: str) -> str:
    parts = re.split(r"[-\s]", number)
    return ", ".join(digit_groups(part) for part in parts) if len(parts) > 1 else digit_groups(number)


def _dashed(match: re.Match[str]) -> str:
    return _groups(match.group())


def _code(match: re.Match[str]) -> str:
    """Say a mix of letters and digits, with a pause between its segments and around its longer runs."""
    return ", ".join(_segment(segment) for segment in match.group().split("-"))


def _segment(segment: str) -> str:
    runs = re.findall(r"\d+|[^\W\d_]+", segment)
    return (" " if max(len(run) for run in runs) < 3 else ", ").join(_run(run) for run in runs)


def _run(run: str) -> str:
    if run.isdigit():
        return digit_groups(run)
    # Four letters with a vowel among them can be a word: "COVID19", "ORDER-7".
    return run.lower() if len(run) >= _WORD_LENGTH and _VOWEL.search(run) else letters(run)


def _spelled(match: re.Match[str]) -> str:
    return letters(match.group(), between=", ")


def _suffixed_word(match: re.Match[str]) -> str:
    return f"{match['word']} {cardinal(int(match['number']))}"


def _zip_code(match: re.Match[str]) -> str:
    return f"{match['code'] or ''}{match['is'] or ''}{digits(match['zip'])}"


def _zip(match: re.Match[str]) -> str:
    return f"{match['state']} {digits(match['zip'])}" + (f", {digits(match['plus4'])}" if match["plus4"] else "")


ADDRESSES: tuple[Rule, ...] = (
    rule(r"\b(?P<name>[\w.+-]+)@(?P<host>[\w-]+(?:\.[\w-]+)+)", _email),
    rule(rf"\b(?:https?|ftp)://(?P<host>[\w-]+(?:\.[\w-]+)*(?::\d+)?)(?P<path>{_PATH})", _web),
    rule(rf"\b(?P<host>(?:www\.)?[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|gov|edu|io|co\.uk))\b(?P<path>{_PATH})", _web),
    # An account number as banks print it, in groups of four (ISO 13616).
    rule(r"(?<![\w-])[A-Z]{2}\d{2}(?:\s?[A-Z0-9]{4}){3,7}(?:\s?[A-Z0-9]{1,3})?(?![\w-])", _bank_account),
    rule(r"(?<![\w-])(?:\+?1[\s.-]?)?(?:\(\d{3}\)\s?|\d{3}[\s.-])\d{3}[\s.-]\d{4}(?![\w-])", _phone),
    rule(r"(?<!\w)\+\d{1,3}(?:[\s.-]?\(?\d{1,5}\)?){2,5}(?!\w)", _phone),
    rule(r"(?<![\w-])\d{3}[.-]\d{4}(?![\w-])", _phone),
    rule(r"(?<!\w)(?:[*•·]+|[xX]{2,})(?:[\s-]?[*•·xX]{2,})*[\s-]?(?P<last>\d{4})\b", _masked),
)
CODES: tuple[Rule, ...] = (
    rule(r"\b(?P<no>[Nn]o)(?P<plural>s?)\.\s?(?=#?\d)", _no_dot),
    rule(r"(?:\b(?P<word>[Nn]umber|[Nn]o)\s)?#\s?(?P<number>\d)", _number_sign),
    rule(r"\b(?P<state>[A-Z]{2}|[A-Z][a-z]+)\s(?P<zip>\d{5})(?:-(?P<plus4>\d{4}))?\b(?!-)", _zip),
    rule(r"(?i)(?<=\bzip )(?P<code>code )?(?P<is>is )?(?P<zip>\d{5})\b", _zip_code),
    rule(r"(?<![\w.,-])\d{3,4}(?:\s\d{3,4}){2,}(?![\w.,-]?\d)", _dashed),
    rule(
        rf"(?P<lead>\b(?:{_IDENTIFIED})(?:\s(?:number|no\.?|code|id))?(?:\s(?:is|was)|:)?[\s,]\s*)"
        r"(?P<number>\d{3,}(?:[-\s]\d{2,})*|\d{2}(?:[-\s]\d{2,})+|0\d+)(?![\w.,:/%-]?\d|\s?[AaPp]\.?[Mm]\b|\w)",
        _identified,
        re.IGNORECASE,
    ),
    rule(r"(?<![\w-])(?:[A-Za-z]-){2,}[A-Za-z](?![\w-])", _spelled),
    rule(r"(?<![\w.,-])\d{2,}(?:-\d{2,}){2,}(?![\w-])", _dashed),
    rule(r"(?<![\w-])(?P<word>[A-Z]{4,})-(?P<number>\d{1,2})(?![\w-])", _suffixed_word),
    rule(r"(?<![\w$€£.'-])(?=[\w-]*\d)(?=[\w-]*[A-Z])[A-Z0-9]+(?:-[A-Z0-9]+)*(?![\w'])", _code),
    rule(r"(?<![\w$€£.'-])(?=\w*\d\w*[a-z]\w*\d|[a-z]\w*\d\w*)(?!\w*_)[a-z0-9]{4,}(?![\w'-])", _code),
    # Ranges are gone by now: what still has a dash between numbers is a number in groups.
    rule(r"(?<![\w.,-])\d{2,}-\d{2,}(?![\w-])", _dashed),
)
