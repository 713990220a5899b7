"""What flows can ask of opening hours: ``branch.open_now`` anywhere, and all about one day in an ``hours:`` step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import assert_never

from voicebot.dialog.events import SlotValue
from voicebot.dialog.hours import Hours
from voicebot.dialog.values import ValueKind


class HoursAspect(StrEnum):
    """What can be asked of hours after a dot: whether it is open, when it closes, when it opens next, why it is not.

    `CLOSES` holds something only while it is open, `HOLIDAY` only on one.
    """

    OPEN_NOW = "open_now"
    CLOSES = "closes"
    OPENS_NEXT = "opens_next"
    HOLIDAY = "holiday"

    @property
    def kind(self) -> ValueKind:
        match self:
            case HoursAspect.OPEN_NOW:
                return ValueKind.YES_NO
            case HoursAspect.CLOSES:
                return ValueKind.TIME
            case HoursAspect.OPENS_NEXT:
                return ValueKind.MOMENT
            case HoursAspect.HOLIDAY:
                return ValueKind.TEXT
            case _:
                assert_never(self)


#: What an ``hours:`` step tells of a day. The second opening is the one after a break at noon.
DAY_RESULTS: Mapping[str, ValueKind] = {
    "open": ValueKind.YES_NO,
    "opens": ValueKind.TIME,
    "closes": ValueKind.TIME,
    "opens_again": ValueKind.TIME,
    "closes_again": ValueKind.TIME,
    "holiday": ValueKind.TEXT,
    "next_day": ValueKind.DATE,
    "next_opens": ValueKind.TIME,
    "next_closes": ValueKind.TIME,
}


def hours_names(schedules: Iterable[str]) -> dict[str, ValueKind]:
    """Every name that hours give, ``branch.open_now`` and so on, with its kind."""
    return {f"{name}.{aspect}": aspect.kind for name in schedules for aspect in HoursAspect}


def value_now(hours: Hours, aspect: HoursAspect, at: datetime) -> SlotValue | None:
    """What an aspect of hours holds at a moment."""
    match aspect:
        case HoursAspect.OPEN_NOW:
            return hours.is_open(at)
        case HoursAspect.CLOSES:
            closes = hours.closes(at)
            return closes.time() if closes else None
        case HoursAspect.OPENS_NEXT:
            return hours.opens_next(at)
        case HoursAspect.HOLIDAY:
            holiday = hours.holiday_on(hours.today(at))
            return holiday.name if holiday else None
        case _:
            assert_never(aspect)


def values_on(hours: Hours, day: date) -> dict[str, SlotValue | None]:
    """All of `DAY_RESULTS` for a day; None for what does not apply. Of a following day, the last closing is told."""
    openings, holiday, next_day = hours.openings_on(day), hours.holiday_on(day), hours.next_open_day(day)
    then = hours.openings_on(next_day) if next_day else ()
    first = openings[0] if openings else None
    last = openings[-1] if len(openings) > 1 else None
    return {
        "open": bool(openings),
        "opens": first.opens if first else None,
        "closes": first.closes if first else None,
        "opens_again": last.opens if last else None,
        "closes_again": last.closes if last else None,
        "holiday": holiday.name if holiday else None,
        "next_day": next_day,
        "next_opens": then[0].opens if then else None,
        "next_closes": then[-1].closes if then else None,
    }


def is_within(value: SlotValue | None, hours: Hours) -> bool:
    """Whether it is open on a day, or at a moment; of nothing else can that be said."""
    match value:
        case datetime():
            return hours.is_open(value)
        case date():
            return bool(hours.openings_on(value))
        case _:
            return False
