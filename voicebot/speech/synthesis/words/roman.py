"""Roman numerals: "Henry VIII", "World War II". A lone "I" is the speaker, unless a title or "of" says not."""

from __future__ import annotations

import re

from voicebot.speech.synthesis.words.numbers import cardinal, ordinal
from voicebot.speech.synthesis.words.rule import Rule, rule

_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50}
# Up to 89, as parts, popes and football finals are numbered.
_NUMERAL = r"(?P<numeral>(?=[IVXL]+(?![^\W_]))(?:XL|L?X{0,3})(?:IX|IV|V?I{0,3})(?<=[IVXL]))"
_PARTS = (
    "War|Chapter|Part|Act|Scene|Section|Type|Volume|Vol|Phase|Level|Article|Bowl|Title|Book|Class|Grade|Stage|Tier|"
    "Appendix|Schedule|Version|Unit|Category|Annex|Exhibit|Figure|Table|Plan|Option|Series"
)
_RULERS = (
    "Albert|Alexander|Benedict|Catherine|Charles|Clement|Edward|Elizabeth|Francis|Frederick|George|Gregory|Henry|Ivan|"
    "James|John|Leo|Louis|Mary|Napoleon|Nicholas|Paul|Peter|Philip|Pius|Richard|Victor|William"
)
_TITLED = r"(?:King|Queen|Pope|Emperor|Tsar|Prince|Duke)(?:\s[A-Z][a-z]+){1,3}"
_NO_NAMES = "The|A|An|And|Or|This|That|Our|Your|My|His|Her|Their|In|On|At|Of|For|With|To|From|Is|Are|Press|Say"


def _value(numeral: str) -> int:
    values = [_VALUES[letter] for letter in numeral]
    after = [*values[1:], 0]
    return sum(-value if value < following else value for value, following in zip(values, after, strict=True))


def _part(match: re.Match[str]) -> str:
    return f"{match['part']} {cardinal(_value(match['numeral']))}"


def _ruler(match: re.Match[str]) -> str:
    return f"{match['name']} the {ordinal(_value(match['numeral']))}"


RULES: tuple[Rule, ...] = (
    rule(rf"\b(?P<part>{_PARTS})\s{_NUMERAL}(?=[.,;:)!?]|$|\sof\b)", _part),
    rule(rf"\b(?P<part>{_PARTS})\s(?!I\b){_NUMERAL}\b", _part),
    rule(rf"\b(?P<name>{_TITLED})\s{_NUMERAL}\b", _ruler),
    rule(rf"\b(?P<name>{_RULERS})\s{_NUMERAL}(?=\sof\b)", _ruler),
    # V and X alone may be an initial: "John V. Smith".
    rule(rf"\b(?P<name>{_RULERS})\s(?!I\b){_NUMERAL}\b(?!\.\s?[A-Z])", _ruler),
    rule(rf"\b(?!(?:{_NO_NAMES})\s)(?P<name>[A-Z][a-z'-]+[a-z])\s(?![A-Z]\b){_NUMERAL}\b", _ruler),
)
