"""Notations that are neither plain numbers nor codes: C++, 1e6, 2^10, 5'10", 8x10, 401(k), times that cannot be."""

from __future__ import annotations

import re

from voicebot.speech.synthesis.words.numbers import cardinal, decimal, digits, letters
from voicebot.speech.synthesis.words.rule import Rule, rule

# A number written with an exponent is said in full up to here.
_LONGEST_EXPONENT = 12


def _scientific(match: re.Match[str]) -> str:
    exponent = int(match["exponent"])
    fraction = len(match["number"].partition(".")[2])
    if fraction <= exponent <= _LONGEST_EXPONENT:
        return cardinal(int(match["number"].replace(".", "") + "0" * (exponent - fraction)))
    return f"{decimal(match['number'])} times ten to the power of {decimal(str(exponent))}"


def _feet(match: re.Match[str]) -> str:
    said = _count(match["feet"], "foot", "feet")
    return f"{said} {_count(match['inches'], 'inch', 'inches')}" if match["inches"] else said


def _inches(match: re.Match[str]) -> str | None:
    if match.string.count('"', 0, match.start()) % 2:
        return None  # it closes a quotation
    # "A twelve-inch pizza".
    return _count(match["inches"], "inch", "inch" if match["thing"] else "inches")


def _count(number: str, one: str, many: str) -> str:
    return f"{decimal(number)} {one if number == '1' else many}"


def _hours(match: re.Match[str]) -> str:
    return f"{_count(match['hours'], 'hour', 'hours')} {_count(str(int(match['minutes'])), 'minute', 'minutes')}"


def _no_time(match: re.Match[str]) -> str | None:
    hour, minute = int(match["hour"]), int(match["minute"])
    if hour < 24 and minute < 60:
        return None
    if (hour, minute) == (24, 0):
        return "midnight"
    return f"{digits(match['hour'])}, {digits(match['minute'])}"


def _grade(match: re.Match[str]) -> str:
    return f"{letters(match['grade'])} {'plus' if match['sign'] == '+' else 'minus'}"


def _internet_address(match: re.Match[str]) -> str | None:
    parts = match["number"].split(".")
    return None if any(int(part) > 255 for part in parts) else " dot ".join(digits(part) for part in parts)


def _moment(match: re.Match[str]) -> str:
    """Part an ISO date from its time, and name the time zone; seconds are of no use to a caller."""
    zone = match["zone"] or ""
    if zone == "Z":
        zone = " UTC"
    elif zone:
        hours, minutes = int(zone[1:3]), int(zone[-2:])
        zone = f" UTC {'plus' if zone[0] == '+' else 'minus'} {hours}" + (f" {minutes}" if minutes else "")
    return f"{match['date']} at {match['time']}{zone}"


RULES: tuple[Rule, ...] = (
    rule(
        r"(?<!\w)(?P<date>\d{4}-\d{2}-\d{2})T(?P<time>\d{2}:\d{2})(?::\d{2}(?:\.\d+)?)?"
        r"(?P<zone>Z|[+-]\d{2}:?\d{2})?(?![\w:])",
        _moment,
    ),
    rule(r"(?<!\w)(?P<letter>[A-Z])\+\+(?!\w)", lambda m: f"{m['letter']} plus plus"),
    rule(r"(?<!\w)(?P<letter>[CF])#(?!\w)", lambda m: f"{m['letter']} sharp"),
    rule(r"(?<![\w-])(?P<grade>[A-F])(?P<sign>[+-])(?=[\s.,;:!?]|$)", _grade),
    rule(r"(?<!\w)\.NET\b", lambda _: "dot net"),
    rule(r"(?<!\w)AT\s?&\s?T(?!\w)", lambda _: "eigh T and T"),
    rule(r"\b401\s?\(?[kK]\)?(?!\w)", lambda _: "four oh one K"),
    # Neither a year nor a string of digits: 1902 dollars.
    rule(r"(?<![\w.,$-])\d{4,12}(?= (?:dollars?|cents?|euros?|pounds?)\b)", lambda m: f"{int(m.group()):,}"),
    # Only where it is called: elsewhere it is a number, and 3,911 dollars are no emergency.
    rule(r"\b(call|calling|dial|dialing|phone|ring) 9-?1-?1\b(?![.,:/-]?\d)", lambda found: f"{found[1]} nine one one"),
    rule(r"(?<![\w-])\d(?:-\d){2,}(?![\w-])", lambda m: digits(m.group())),
    rule(r"\b1-(?P<free>8\d\d)-(?=[A-Z]{3})", lambda m: f"one, {_free_call(m['free'])}, "),
    rule(r"(?<!\w)0x(?P<code>[0-9A-Fa-f]+)\b", lambda m: f"zero X {letters(m['code'])}"),
    rule(r"(?<![\w.])(?<!version\s)(?P<number>\d{1,3}(?:\.\d{1,3}){3})(?![\w.]\d|\w)", _internet_address),
    rule(r"(?<![\w.])(?P<number>\d+(?:\.\d+)?)[eE](?P<exponent>[+-]?\d{1,3})\b", _scientific),
    rule(r"(?<=\w)\s?\^\s?(?P<exponent>-?\d+)", lambda m: f" to the power of {decimal(m['exponent'])}"),
    rule(r"(?<![\w'.])(?P<feet>\d{1,3})'\s?(?P<inches>\d{1,2}(?:\.\d+)?)(?:\"|'')(?!\w)", _feet),
    rule(r"(?<![\w'\".])(?P<inches>\d+(?:\.\d+)?)\"(?:(?=(?P<thing>\s[a-z]))|(?=[\s.,;]|$))", _inches),
    rule(
        r"(?<![\w'.])(?P<inches>\d+(?:\.\d+)?)\sin\.(?=\s[a-z]|\s?$|,)", lambda m: _count(m["inches"], "inch", "inches")
    ),
    rule(r"(?<![\w.])(?P<hours>\d{1,3})\s?h(?:rs?)?\s?(?P<minutes>[0-5]?\d)\s?(?:m|min)?\b(?!\.\d)", _hours),
    rule(r"(?<![\w.])(?P<wide>\d+)\s?x\s?(?P<high>\d+)(?![\w.])", lambda m: f"{m['wide']} by {m['high']}"),
    rule(r"(?<![\w./])50/50(?![\w/])", lambda _: "fifty-fifty"),
    rule(r"\b(?P<pages>pp?)\.\s?(?=\d)", lambda m: "page " if m["pages"] == "p" else "pages "),
    rule(r"(?<![\d:.])(?P<hour>\d{1,2}):(?P<minute>\d{2})(?![\d:])", _no_time),
)


def _free_call(code: str) -> str:
    return f"{cardinal(int(code[0]))} hundred" if code.endswith("00") else digits(code)
