"""Times of day: "2:30 PM", "14:05", "9-11am", "12:00". Spoken on the twelve-hour clock."""

from __future__ import annotations

import re

from voicebot.speech.synthesis.words.numbers import cardinal
from voicebot.speech.synthesis.words.rule import Rule, rule, sentence_end

_MERIDIEM = r"(?P<half>[AaPp])\.?\s?[Mm]\b\.?"
_BEFORE_NOON, _AFTER_NOON = "eigh M", "P M"
_ZONES = {
    "ET": "Eastern time",
    "EST": "Eastern time",
    "EDT": "Eastern time",
    "CT": "Central time",
    "CST": "Central time",
    "CDT": "Central time",
    "MT": "Mountain time",
    "MST": "Mountain time",
    "MDT": "Mountain time",
    "PT": "Pacific time",
    "PST": "Pacific time",
    "PDT": "Pacific time",
    "UTC": "U T C",
    "GMT": "G M T",
}


def _clock(match: re.Match[str]) -> str | None:
    hour, minute = int(match["hour"]), int(match["minute"])
    if hour > 23 or minute > 59:
        return None
    half = _half(match["half"], hour)
    end = sentence_end(match) if match["half"] else ""
    if (hour, minute) in {(12, 0), (0, 0)} and half is not None:
        return ("noon" if half == _AFTER_NOON else "midnight") + end
    words = [cardinal(hour % 12 or 12)]
    if minute:
        words.append(cardinal(minute) if minute > 9 else f"oh {cardinal(minute)}")
    elif half is None:
        words.append("o'clock")
    if half is not None:
        words.append(half)
    return " ".join(words) + end


def _half(written: str | None, hour: int) -> str | None:
    if hour > 12 or hour == 0:
        return _AFTER_NOON if hour else _BEFORE_NOON
    if written is None:
        return None
    return _BEFORE_NOON if written in "Aa" else _AFTER_NOON


def _hour(match: re.Match[str]) -> str | None:
    hour = int(match["hour"])
    if not 1 <= hour <= 12:
        return None
    half = _half(match["half"], hour)
    if hour == 12:
        return ("noon" if half == _AFTER_NOON else "midnight") + sentence_end(match)
    return f"{cardinal(hour)} {half}{sentence_end(match)}"


def _seconds(match: re.Match[str]) -> str:
    names = ("hour", "minute", "second")
    counts = [int(match[name]) for name in names]
    said = [f"{cardinal(n)} {name}{'' if n == 1 else 's'}" for n, name in zip(counts, names, strict=True) if n]
    return " ".join(said) or "zero seconds"


_ANY_HALF = _MERIDIEM.replace("(?P<half>", "(?:")

RULES: tuple[Rule, ...] = (
    # Opening hours: the dash between two times is "to"; a bare first hour takes the second's half from context.
    rule(
        rf"(?<=\d)(?P<first>\s?{_ANY_HALF})?\s?[-\u2013\u2014]\s?(?=\d{{1,2}}(?::\d{{2}})?\s?{_ANY_HALF}|noon|midnight)",
        lambda m: f"{m['first'] or ''} to ",
    ),
    rule(r"\b(noon|midnight)\s?[-\u2013\u2014]\s?(?=\d)", lambda m: f"{m[1]} to "),
    rule(r"(?<=:\d\d)\s?[-\u2013\u2014]\s?(?=\d{1,2}:\d\d)", lambda _: " to "),
    rule(r"(?<![\d:.])(?P<hour>\d{1,2}):(?P<minute>[0-5]\d):(?P<second>[0-5]\d)(?![\d:])", _seconds),
    rule(rf"(?<![\d:.])(?P<hour>\d{{1,2}}):(?P<minute>\d{{2}})(?![\d:])(?:\s?{_MERIDIEM})?", _clock),
    rule(rf"(?<![\d:.,$])(?P<hour>\d{{1,2}})\s?{_MERIDIEM}", _hour),
    rule(rf"\.?\s(?P<zone>{'|'.join(_ZONES)})\b", lambda m: f" {_ZONES[m['zone']]}" if _after_time(m) else None),
)


def _after_time(match: re.Match[str]) -> bool:
    """Tell whether a zone's letters stand behind a time, where they can be nothing else."""
    return re.search(r"(?:\bM|o'clock|noon|midnight)\.?$", match.string[: match.start()]) is not None
