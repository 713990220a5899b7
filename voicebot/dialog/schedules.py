"""Reads ``hours:`` and ``holidays:``: when somebody is there, as an admin writes it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, time
from itertools import pairwise
from zoneinfo import available_timezones

from voicebot.dialog.declarations import NAME, Declared
from voicebot.dialog.document import Source, suggestion
from voicebot.dialog.hours import Holiday, Hours, Opening
from voicebot.dialog.values import WEEKDAYS

HOURS_KEYS = ("zone", "week", "holidays")
HOLIDAY_KEYS = ("name", "open")
CLOSED = "closed"
_ZONES = "Name it like America/New_York, by continent and city."
_CLOCK = r"([0-9]{1,2})(?::([0-9]{2}))? ?(am|pm)?"
_OPENING = re.compile(rf"{_CLOCK} ?(?:-|–|to) ?{_CLOCK}", re.IGNORECASE)  # noqa: RUF001  # a dash as editors type it
_DAY = re.compile(r"(?:([0-9]{4})-)?([0-9]{1,2})-([0-9]{1,2})")
#: A year that has every day, for holidays of every year.
_LEAP_YEAR = 2024


def read_holidays(source: Source | None) -> dict[str, tuple[Holiday, ...]]:
    """Read calendars of holidays by name, each with ``2026-11-26: Thanksgiving`` or ``12-25: Christmas`` entries."""
    calendars = {}
    for name, entry in source.fields() if source else ():
        read = (_read_holiday(day, holiday) for day, holiday in entry.fields())
        calendars[name] = tuple(holiday for holiday in read if holiday)
    return calendars


def _read_holiday(day: str, entry: Source) -> Holiday | None:
    openings: tuple[Opening, ...] = ()
    name = entry
    if entry.is_fields:
        fields = entry.fields(HOLIDAY_KEYS)
        openings = _read_openings(fields.require("open"))
        name = fields.require("name") or entry
    found = _DAY.fullmatch(day)
    try:
        year, month, number = (int(part) if part else None for part in found.groups()) if found else (None, None, None)
        date(year or _LEAP_YEAR, month or 0, number or 0)
    except ValueError:
        entry.problem(f"'{day}' is no day.", "Write 2026-11-26, or 12-25 for one of every year.")
        return None
    return Holiday(name.text() if name.is_text else "", month or 0, number or 0, year, openings)


def read_hours(source: Source | None, calendars: Mapping[str, tuple[Holiday, ...]], declared: Declared) -> None:
    """Read ``name: {zone, week, holidays}`` entries into `declared`."""
    for name, entry in source.fields() if source else ():
        if not NAME.fullmatch(name):
            entry.problem(f"'{name}' is no good name for hours.", "Use small letters, digits and _ only.")
        if name in declared.hours:
            entry.problem(f"The hours '{name}' are declared twice.", "Keep one of the two.")
            continue
        fields = entry.fields(HOURS_KEYS)
        week = _read_week(fields.require("week"))
        if not any(week):
            entry.problem(f"'{name}' is never open.", "Write days under 'week:', like monday to friday: 9:00-17:00.")
        declared.hours[name] = Hours(
            name, _read_zone(fields.get("zone")), week, tuple(_chosen(fields.get("holidays"), calendars))
        )
        declared.note_place(f"hours {name}", entry)


def _chosen(source: Source | None, calendars: Mapping[str, tuple[Holiday, ...]]) -> Iterator[Holiday]:
    for item in source.items() if source else ():
        name = item.text()
        if name in calendars:
            yield from calendars[name]
        elif name:
            item.problem(f"There are no holidays '{name}'.", suggestion(name, calendars))


def _read_zone(source: Source | None) -> str:
    zone = source.text() if source else ""
    if source and zone and zone not in (zones := available_timezones()):
        source.problem(f"There is no time zone '{zone}'.", suggestion(zone, zones) if "/" in zone else _ZONES)
        return ""
    return zone


def _read_week(source: Source | None) -> tuple[tuple[Opening, ...], ...]:
    """Read openings by day or days (``saturday``, ``monday to friday``); a day that is not named is closed."""
    week: dict[int, tuple[Opening, ...]] = {}
    for named, entry in source.fields() if source else ():
        openings = _read_openings(entry)
        for day in _days_of(named, entry):
            if day in week:
                entry.problem(f"There are two entries for {WEEKDAYS[day]}.", "Keep one of the two.")
            week[day] = openings
    return tuple(week.get(day, ()) for day in range(len(WEEKDAYS)))


def _days_of(named: str, entry: Source) -> Iterable[int]:
    ends = [end.strip().lower() for end in re.split(r"\bto\b|-", named)]
    unknown = next((end for end in ends if end not in WEEKDAYS), None)
    if unknown is not None or len(ends) > 2:
        entry.problem(f"'{named}' is no day of the week.", suggestion(unknown or named, WEEKDAYS))
        return ()
    first, last = WEEKDAYS.index(ends[0]), WEEKDAYS.index(ends[-1])
    return [day % len(WEEKDAYS) for day in range(first, last + 1 if last >= first else last + 1 + len(WEEKDAYS))]


def _read_openings(source: Source | None) -> tuple[Opening, ...]:
    """Read ``9:00-17:00``, a list of such, or ``closed``."""
    openings = []
    for item in source.items() if source else ():
        text = item.text()
        found = _OPENING.fullmatch(text)
        opens = _clock(*found.groups()[:3]) if found else None
        closes = _clock(*found.groups()[3:]) if found else None
        if opens is not None and closes is not None:
            openings.append(Opening(opens, closes))
        elif text and text.lower() != CLOSED:
            item.problem(f"'{text}' are no opening hours.", "Write 9:00-17:00, a list of such, or closed.")
    openings.sort(key=lambda opening: opening.opens)
    for earlier, later in pairwise(openings):
        if source and not earlier.opens < earlier.closes <= later.opens:
            source.problem("These opening hours overlap.", "Let each begin when the one before it is over.")
    return tuple(openings)


def _clock(hour_text: str, minute_text: str | None, half: str | None) -> time | None:
    """A time of day; 24:00 is midnight at its end."""
    hour, minute = int(hour_text), int(minute_text or 0)
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half.lower() == "pm" else 0)
    if (hour, minute) == (24, 0):
        return time(0)
    return time(hour, minute) if hour < 24 and minute < 60 else None
