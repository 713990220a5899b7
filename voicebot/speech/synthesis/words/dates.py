"""Dates: "10/14", "2026-03-15", "Mon, Oct. 14", "March 3-5", "the 1990s". Month first, as in the United States."""

from __future__ import annotations

import re

from voicebot.dialog.values import MONTHS
from voicebot.speech.synthesis.words.numbers import cardinal, ordinal, year
from voicebot.speech.synthesis.words.rule import Rule, rule

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SHORT = {name[:3]: name for name in (*MONTHS, *_DAYS)} | {
    "Sept": "September",
    "Tues": "Tuesday",
    "Thur": "Thursday",
    "Thurs": "Thursday",
}
_LONGEST_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

_MONTH = rf"(?P<month>{'|'.join(MONTHS)}|(?:{'|'.join(sorted((*(m[:3] for m in MONTHS), 'Sept'), reverse=True))})\b\.?)"
_DAY_NAME = "Mon|Tues|Tue|Wed|Thurs|Thur|Thu|Fri|Sat|Sun"
_SHORT_MONTH = "Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec"
_DASH = r"\s?(?:-|\u2013|\u2014)\s?"
_YEAR = r"(?:,?\s+(?P<year>(?:19|20)\d{2})(?!\d))?"
# What may follow a/b for it to be a fraction and not a date.
_PARTS = r"(?=\s+(?:of|an?|hour|cup|inch|mile|price|off|day|year|pound|teaspoon|tablespoon|dose|full)\b)"
_FRACTION_NAMES = {2: "half", 3: "third", 4: "quarter", 5: "fifth", 6: "sixth", 8: "eighth", 10: "tenth"}
# What stands before a/b for it to be a date and not a fraction.
_DATED = re.compile(
    r"(?:\b(?:on|by|until|till|before|after|since|from|between|dated|date|due|starting|through|thru|for|expires|expired)"
    r"|day|\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun))[.,:]?\s(?:the\s)?(?:\d{1,2}/\d{1,2}\s?(?:and|or|to|-|\u2013)\s?)?$",
    re.IGNORECASE,
)
_LONGEST_CONTEXT = 40


def _said_date(month: int, day: int, of_year: int | None) -> str | None:
    if not (1 <= month <= 12 and 1 <= day <= _LONGEST_MONTH[month - 1]):
        return None
    said = f"{MONTHS[month - 1]} {ordinal(day)}"
    return said if of_year is None else f"{said}, {year(of_year)}"


def _iso(match: re.Match[str]) -> str | None:
    return _said_date(int(match["month"]), int(match["day"]), int(match["year"]))


def _slashed(match: re.Match[str]) -> str | None:
    first, second = int(match["first"]), int(match["second"])
    written_year = match["year"]
    of_year = None if written_year is None else int(written_year) + (2000 if len(written_year) == 2 else 0)
    # 25/12 can only be day first.
    return _said_date(first, second, of_year) or _said_date(second, first, of_year)


def _month_number(written: str) -> int:
    name = written.rstrip(".")
    return MONTHS.index(_SHORT.get(name, name)) + 1


def _named(match: re.Match[str]) -> str | None:
    month, day = _month_number(match["month"]), int(match["day"])
    said = _said_date(month, day, None)
    if said is None:
        return None
    if match["last"]:
        said += f" to {ordinal(int(match['last']))}"
    return f"{said}, {year(int(match['year']))}" if match["year"] else said


def _day_before_month(match: re.Match[str]) -> str | None:
    month, day = _month_number(match["month"]), int(match["day"])
    said = _said_date(month, day, None)
    if said is None:
        return None
    said = f"{'' if match['the'] else 'the '}{ordinal(day)} of {MONTHS[month - 1]}"
    said = (match["the"] or "") + said
    return f"{said}, {year(int(match['year']))}" if match["year"] else said


def _month_of_year(match: re.Match[str]) -> str:
    return f"{MONTHS[_month_number(match['month']) - 1]} {year(int(match['year']))}"


def _short_name(match: re.Match[str]) -> str:
    return _SHORT[match["name"]]


def _decade(match: re.Match[str]) -> str:
    number = int(match["number"])
    words = year(number) if number > 99 else cardinal(number)
    return words[:-1] + "ies" if words.endswith("y") else words + "s"


def _lone_fraction(match: re.Match[str]) -> str | None:
    before = match.string[max(0, match.start() - _LONGEST_CONTEXT) : match.start()]
    if _DATED.search(before) or re.match(r"\s?(?:to|-|\u2013|through)\s?\d{1,2}/\d", match.string[match.end() :][:12]):
        return None
    return _fraction(match)


def _fraction(match: re.Match[str]) -> str | None:
    top, bottom = int(match["top"]), int(match["bottom"])
    name = _FRACTION_NAMES.get(bottom)
    if name is None or not 0 < top < bottom:
        return None
    plural = name if top == 1 else f"{name[:-1]}ves" if name == "half" else f"{name}s"
    whole = match["whole"]
    if whole:
        return f"{cardinal(int(whole))} and {'a' if top == 1 else cardinal(top)} {plural}"
    return f"{cardinal(top)} {plural}"


RULES: tuple[Rule, ...] = (
    rule(r"\b24/7\b", lambda _: "twenty-four seven"),
    rule(r"\b(?:(?P<whole>\d+)\s)(?P<top>\d)[/\u2044](?P<bottom>\d{1,2})\b(?!/)", _fraction),
    rule(rf"\b(?P<whole>)(?P<top>\d)/(?P<bottom>\d{{1,2}})\b{_PARTS}", _fraction),
    rule(r"(?<![\w/.,-])(?P<whole>)(?P<top>\d)\u2044(?P<bottom>\d{1,2})(?!\w)", _fraction),
    rule(r"(?<![\w/.,-])(?P<whole>)(?P<top>\d)/(?P<bottom>\d{1,2})(?![\w/-])", _lone_fraction),
    # Short names of days: only beside a date, a time, another day, or with their dot.
    rule(
        rf"\b(?P<name>{_DAY_NAME})\.?(?=(?:,\s?|\s)(?:the\s)?(?:\d|{_MONTH.replace('(?P<month>', '(?:')}))", _short_name
    ),
    rule(rf"\b(?P<name>{_DAY_NAME})\.?(?={_DASH}(?:{_DAY_NAME}))", _short_name),
    rule(rf"(?<=day)(?:{_DASH}|\s(?:to|through)\s)(?P<name>{_DAY_NAME})\b\.?", lambda m: f" to {_SHORT[m['name']]}"),
    rule(rf"\b(?P<name>{_DAY_NAME})\.(?=[\s,]|$)", _short_name),
    rule(rf"(?<=day){_DASH}(?=(?:{'|'.join(_DAYS)}))", lambda _: " to "),
    rule(r"\b(?P<year>(?:19|20)\d{2})-(?P<month>\d{2})-(?P<day>\d{2})(?!\d)", _iso),
    rule(r"(?<![\d/])(?P<first>\d{1,2})/(?P<second>\d{1,2})(?:/(?P<year>\d{4}|\d{2}))?(?![\d/])", _slashed),
    rule(
        rf"\b{_MONTH}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:{_DASH}(?P<last>\d{{1,2}})(?:st|nd|rd|th)?)?\b(?![:%])(?!,?\d){_YEAR}",
        _named,
    ),
    rule(
        rf"(?P<the>\b[Tt]he\s+)?\b(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH}(?!\w){_YEAR}",
        _day_before_month,
    ),
    rule(
        rf"\b(?P<name>{_SHORT_MONTH})\.?{_DASH}(?P<last>{_SHORT_MONTH})\b\.?",
        lambda m: f"{_SHORT[m['name']]} to {_SHORT[m['last']]}",
    ),
    rule(rf"\b{_MONTH},?\s+(?P<year>(?:19|20)\d{{2}})\b", _month_of_year),
    rule(rf"\b(?P<name>{_SHORT_MONTH})\.(?=\s|$)", _short_name),
    rule(r"(?<![\d$])'?(?P<number>(?:1[5-9]|20)\d0)s\b", _decade),
    # "30s" is a duration, unless it is somebody's age or of a century.
    rule(
        r"(?:(?<=')|(?<=\b[Tt]he\s)|(?<=\bearly\s)|(?<=\blate\s)|(?<=\bmid[\s-])|(?<=\bmy\s)|(?<=\byour\s)|(?<=\bh[ie][sr]\s)"
        r"|(?<=\btheir\s))(?P<number>[1-9]0)s\b",
        _decade,
    ),
    rule(r"(?<!\w)'(?=(?:twen|thir|for|fif|six|seven|eigh|nine)t?ies\b)", lambda _: ""),
)
