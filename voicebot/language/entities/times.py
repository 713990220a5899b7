"""Times of day: "at three", "half past ten", "quarter to four", "ten thirty a m", "noon", "in the afternoon"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import time

from voicebot.language.entities.numbers import ZERO, below_hundred_at
from voicebot.language.entities.span import Span
from voicebot.language.words import Phrases, Word, matches

_LITERAL = re.compile(r"(\d{1,2})(?:[:.](\d{2}))?(am|pm)?")
_NAMED = {"noon": time(12), "midday": time(12), "midnight": time(0)}
#: Phrases that name a part of the day and whether an hour said with them is after noon.
_PARTS = Phrases(
    {
        "first thing in the morning": "morning",
        "first thing": "morning",
        "in the morning": "morning",
        "in the afternoon": "afternoon",
        "in the evening": "evening",
        "at night": "night",
        "late morning": "morning",
        "early morning": "morning",
        "late afternoon": "afternoon",
        "early afternoon": "afternoon",
        "after lunch": "afternoon",
        "before lunch": "morning",
        "after work": "evening",
        "mornings": "morning",
        "morning": "morning",
        "afternoons": "afternoon",
        "afternoon": "afternoon",
        "evenings": "evening",
        "evening": "evening",
        "tonight": "evening",
    }
)
_BEFORE = frozenset({"at", "around", "about", "by", "for", "from", "after", "before", "until", "till"})
#: Office hours decide which half of the day an hour without one means.
_FIRST_OFFICE_HOUR = 7

#: Hour, minute, whether the half of the day is settled, and the word after.
_Clock = tuple[int, int, bool, int]


def _text(words: Sequence[Word], index: int) -> str:
    return words[index].text if 0 <= index < len(words) else ""


def _minutes_at(words: Sequence[Word], index: int) -> tuple[int, int] | None:
    """Read minutes after an hour: "thirty", "oh five", "fifteen"."""
    if _text(words, index) in ZERO:
        unit = below_hundred_at(words, index + 1)
        return unit if unit and 0 < unit[0] < 10 else None
    read = below_hundred_at(words, index)
    return read if read and 10 <= read[0] < 60 else None


def _past_or_to_at(words: Sequence[Word], index: int) -> _Clock | None:
    """Read "half past ten", "quarter to four", "ten to five", "five minutes past three", "half ten"."""
    at = index + 1 if _text(words, index) == "a" else index
    if _text(words, at) == "half":
        minutes, at = 30, at + 1
        if _text(words, at) != "past":
            hour = below_hundred_at(words, at)
            return (hour[0], 30, False, hour[1]) if hour and 1 <= hour[0] <= 12 else None
    elif _text(words, at) == "quarter":
        minutes, at = 15, at + 1
    else:
        read = below_hundred_at(words, at)
        if read is None or not 0 < read[0] < 30:
            return None
        minutes, at = read
        at += _text(words, at) in {"minutes", "minute"}
    relation = _text(words, at)
    if relation not in {"past", "after", "to", "of", "before", "till", "til"}:
        return None
    hour_read = (12, at + 2) if _text(words, at + 1) in _NAMED else below_hundred_at(words, at + 1)
    if hour_read is None or not 1 <= hour_read[0] <= 12:
        return None
    whole_hour, after = hour_read
    if relation in {"past", "after"}:
        return whole_hour, minutes, False, after
    return (whole_hour - 2) % 12 + 1, 60 - minutes, False, after


def _clock_at(words: Sequence[Word], index: int) -> _Clock | None:
    """Read an hour with or without minutes."""
    if match := _LITERAL.fullmatch(_text(words, index)):
        hour, minute, half = int(match.group(1)), int(match.group(2) or 0), match.group(3)
        if hour > 24 or minute > 59:
            return None
        if half:
            return _with_half(hour, minute, half, index + 1)
        if match.group(2):
            return hour % 24, minute, hour > 12 or hour == 0, index + 1
    zero = _text(words, index) in ZERO
    read = below_hundred_at(words, index + 1 if zero else index)
    if read is None or not 0 <= read[0] <= 24 or (zero and not 0 < read[0] < 10):
        return None
    hour, after = read
    if _text(words, after) == "hundred":
        after += 1
        return hour % 24, 0, True, after + (_text(words, after) == "hours")
    minute = 0
    if minutes := _minutes_at(words, after):
        minute, after = minutes
    return hour % 24, minute, zero or hour > 12 or hour == 0, after


def _with_half(hour: int, minute: int, half: str, after: int) -> _Clock | None:
    if not 1 <= hour <= 12:
        return (hour % 24, minute, True, after)
    return hour % 12 + (12 if half == "pm" else 0), minute, True, after


def _in_part(hour: int, part: str) -> int:
    """Place an hour of the twelve-hour clock in a part of the day."""
    if part == "morning":
        return hour % 12
    if part == "night" and (hour % 12) < 5:
        return hour % 12
    return hour % 12 + 12


def find_parts_of_day(words: Sequence[Word]) -> list[Span]:
    """Find parts of the day (kind ``"part_of_day"``, value "morning", "afternoon", "evening" or "night")."""
    spans: list[Span] = []
    index = 0
    while index < len(words):
        greeting = _text(words, index - 1) == "good"
        found = None if greeting else _PARTS.at(words, index)
        if found:
            spans.append(Span("part_of_day", found[0], index, found[1]))
        index = found[1] if found else index + 1
    return spans


def find_times(words: Sequence[Word], *, expected: bool = False) -> list[Span]:
    """Find times (kind ``"time"``, value `time` without zone).

    An hour without "am", "pm" or part of day is read within office hours first, the other half of the day follows as
    rival reading. In open text a bare number is a time only after "at" and its like or with minutes, half or o'clock.
    """
    parts = find_parts_of_day(words)
    part_of_day = str(parts[0].value) if len({span.value for span in parts}) == 1 else None
    spans: list[Span] = []
    index = 0
    while index < len(words):
        text = words[index].text
        if text in _NAMED:
            spans.append(Span("time", _NAMED[text], index, index + 1))
            index += 1
            continue
        relative = _past_or_to_at(words, index)
        clock = relative or _clock_at(words, index)
        if clock is None:
            index += 1
            continue
        hour, minute, settled, after = clock
        marked = relative is not None or _has_clock_form(words, index, after)
        if _text(words, after) in {"o'clock", "oclock"} or matches(words, after, ("o", "clock")):
            after += 1 if _text(words, after) != "o" else 2
            marked = True
        if _text(words, after) in {"am", "pm"} and 1 <= hour <= 12:
            hour, settled, marked = hour % 12 + (12 if _text(words, after) == "pm" else 0), True, True
            after += 1
        elif _text(words, after) in {"am", "pm"}:
            after += 1
        if _text(words, after) == "sharp" or _text(words, after) == "ish":
            after += 1
        near = _PARTS.at(words, after)
        if near and not settled:
            hour, settled, marked, after = _in_part(hour, near[0]), True, True, near[1]
        if not (marked or expected or _text(words, index - 1) in {"at", "around"}) or _counts_something(words, after):
            index = max(index + 1, after if marked else index + 1)
            continue
        spans.extend(
            Span("time", value, index, after) for value in _readings(hour, minute, part_of_day, settled=settled)
        )
        index = after
    return spans


def _has_clock_form(words: Sequence[Word], index: int, after: int) -> bool:
    """Say whether the words have an hour and minutes that suit a clock, as in "ten thirty" or "10:30"."""
    if (
        ":" in words[index].text
        or words[index].text[-2:] in {"am", "pm"}
        or words[after - 1].text in {"hundred", "hours"}
    ):
        return True
    tail = words[after - 1].text
    before = _text(words, index - 1)
    return after - index >= 2 and tail in {"fifteen", "thirty", "five"} and before in _BEFORE


def _counts_something(words: Sequence[Word], after: int) -> bool:
    return _text(words, after) in {"days", "weeks", "months", "dollars", "pounds", "people", "day", "week", "minutes"}


def _readings(hour: int, minute: int, part_of_day: str | None, *, settled: bool) -> list[time]:
    if settled:
        return [time(hour, minute)]
    if part_of_day:
        return [time(_in_part(hour, part_of_day), minute)]
    morning, afternoon = time(hour % 12, minute), time(hour % 12 + 12, minute)
    return [morning, afternoon] if hour % 12 >= _FIRST_OFFICE_HOUR else [afternoon, morning]
