"""Opening hours: when somebody is there, in a time zone, with holidays. For flows, and for queues of people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

#: How far ahead the next opening is looked for: a season's closure is found, "never" ends.
_DAYS_SEARCHED = 400
#: Openings that follow each other without a break are one; after so many days it is open always.
_UNBROKEN_DAYS_MOST = 14
#: Between these, a moment can be told in any zone.
_YEARS = (1, 9999)


@dataclass(frozen=True, slots=True)
class Opening:
    """From `opens` to `closes` on the same day, or into the next one where `closes` is not later."""

    opens: time
    closes: time


@dataclass(frozen=True, slots=True)
class Holiday:
    """A day with a name, and when it is open all the same. `year` is None for one that comes every year."""

    name: str
    month: int
    day: int
    year: int | None = None
    openings: tuple[Opening, ...] = ()

    def falls_on(self, day: date) -> bool:
        return (self.month, self.day) == (day.month, day.day) and self.year in {None, day.year}


@dataclass(frozen=True, slots=True)
class Hours:
    """When something is open. `week` has the openings of each weekday, Monday first; `holidays` go before it.

    `zone` is an IANA name that exists; where an admin wrote none, the bot's own is put in before anything is asked.
    A moment without a zone of its own is taken as one in that zone.
    """

    name: str
    zone: str
    week: tuple[tuple[Opening, ...], ...]
    holidays: tuple[Holiday, ...] = ()

    def placed(self, zone: str) -> Hours:
        """Return the same hours in `zone`, unless they have their own."""
        return self if self.zone else replace(self, zone=zone)

    def today(self, at: datetime) -> date:
        """Return the day it is there at a moment."""
        return self._local(at).date()

    def holiday_on(self, day: date) -> Holiday | None:
        """Return the holiday that a day is, one of that very year before one of every year."""
        falling = [holiday for holiday in self.holidays if holiday.falls_on(day)]
        return min(falling, key=lambda holiday: holiday.year is None, default=None)

    def openings_on(self, day: date) -> tuple[Opening, ...]:
        """Return when it opens on a day, earliest first; nothing when it is closed."""
        holiday = self.holiday_on(day)
        return holiday.openings if holiday else self.week[day.weekday()]

    def is_open(self, at: datetime) -> bool:
        return self._current(at) is not None

    def closes(self, at: datetime) -> datetime | None:
        """Return when it closes next, in its own zone; None when it is closed, or never closes."""
        current = self._current(at)
        if current is None:
            return None
        end = current[1]
        for _ in range(_UNBROKEN_DAYS_MOST):
            following = self._current(end)
            if following is None:
                return end
            end = following[1]
        return None

    def opens_next(self, at: datetime) -> datetime | None:
        """Return when it opens the next time after a moment, in its own zone; None when not within a year."""
        moment = _utc(self._local(at))
        return next((start for start, _ in self._periods(at, _DAYS_SEARCHED) if _utc(start) > moment), None)

    def next_open_day(self, day: date) -> date | None:
        """Return the first day after `day` on which it opens; None when not within a year."""
        return next((other for other in _days(day, 1, _DAYS_SEARCHED) if self.openings_on(other)), None)

    def _current(self, at: datetime) -> tuple[datetime, datetime] | None:
        moment = _utc(self._local(at))
        found = ((start, end) for start, end in self._periods(at, 1) if _utc(start) <= moment < _utc(end))
        return next(found, None)

    def _periods(self, at: datetime, days: int) -> Iterator[tuple[datetime, datetime]]:
        """Every opening from the day before, whose last one may go on into this one."""
        zone, today = ZoneInfo(self.zone), self.today(at)
        for day in _days(today, -1, days):
            for opening in self.openings_on(day):
                start = datetime.combine(day, opening.opens, zone)
                overnight = timedelta(days=opening.closes <= opening.opens)
                yield start, datetime.combine(day + overnight, opening.closes, zone)

    def _local(self, at: datetime) -> datetime:
        zone = ZoneInfo(self.zone)
        if at.tzinfo is None:
            return at.replace(tzinfo=zone)
        return _utc(at).astimezone(zone) if _YEARS[0] < at.year < _YEARS[1] else at.replace(tzinfo=zone)


def _utc(moment: datetime) -> datetime:
    """Return a moment fit to be compared: those of one zone go by wall clocks, which show an hour of autumn twice."""
    return moment.astimezone(UTC) if _YEARS[0] < moment.year < _YEARS[1] else moment.replace(tzinfo=UTC)


def _days(day: date, first: int, end: int) -> Iterator[date]:
    """The days from `first` days after `day` to before `end` days after it, as far as a calendar goes."""
    for ahead in range(first, end):
        if date.min.toordinal() <= day.toordinal() + ahead < date.max.toordinal():
            yield day + timedelta(days=ahead)
