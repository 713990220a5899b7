"""The demo branch: a calendar of appointments within its opening hours."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from voicebot.backends.backends import BackendResult
from voicebot.backends.sqlite import Handler
from voicebot.dialog.events import SlotValue

#: An appointment's length; they begin on the half hour.
APPOINTMENT_MINUTES = 30
_DAYS_SEARCHED = 30


@dataclass(frozen=True, slots=True)
class Opening:
    day: date
    opens: time
    closes: time

    def times(self) -> Iterator[time]:
        """When an appointment may begin, so that it ends before closing."""
        begin = datetime.combine(self.day, self.opens)
        last = datetime.combine(self.day, self.closes) - timedelta(minutes=APPOINTMENT_MINUTES)
        while begin <= last:
            yield begin.time()
            begin += timedelta(minutes=APPOINTMENT_MINUTES)


def opening_on(connection: sqlite3.Connection, day: date) -> Opening | None:
    """When the branch is open on `day`; None when it is closed."""
    if connection.execute("SELECT 1 FROM holiday WHERE day = ?", (day.isoformat(),)).fetchone():
        return None
    row = connection.execute("SELECT opens, closes FROM opening WHERE weekday = ?", (day.weekday(),)).fetchone()
    return Opening(day, time.fromisoformat(row[0]), time.fromisoformat(row[1])) if row else None


def branch_operations(now: Callable[[], datetime]) -> dict[str, Handler]:
    """The branch's operations by name; `now` is the branch's own time."""

    def find(connection: sqlite3.Connection, arguments: Mapping[str, SlotValue]) -> BackendResult:
        day, wanted = _day(arguments), _time(arguments)
        opening = opening_on(connection, day)
        if opening is None:
            return BackendResult("closed", {"next_day": _next_free_day(connection, day, now())})
        free = _free_times(connection, opening, now())
        if wanted in free:
            return BackendResult("ok")
        if not free:
            return BackendResult("full", {"next_day": _next_free_day(connection, day, now())})
        nearest = sorted(sorted(free, key=lambda other: _minutes_apart(other, wanted))[:2])
        offered = dict(zip(("alternative_1", "alternative_2"), nearest, strict=False))
        return BackendResult("taken" if wanted in set(opening.times()) else "not_offered", offered)

    def book(connection: sqlite3.Connection, arguments: Mapping[str, SlotValue]) -> BackendResult:
        day, wanted = _day(arguments), _time(arguments)
        opening = opening_on(connection, day)
        if opening is None or wanted not in _free_times(connection, opening, now()):
            return BackendResult("taken")
        row = connection.execute(
            "INSERT INTO appointment (day, time, phone) VALUES (?, ?, ?) RETURNING reference",
            (day.isoformat(), wanted.isoformat(), str(arguments["phone"])),
        ).fetchone()
        return BackendResult("ok", {"reference": str(row[0])})

    def mine(connection: sqlite3.Connection, arguments: Mapping[str, SlotValue]) -> BackendResult:
        row = connection.execute(
            "SELECT reference, day, time FROM appointment WHERE phone = ? AND phone <> '' AND day >= ?"
            " ORDER BY day, time LIMIT 1",
            (arguments["phone"], now().date().isoformat()),
        ).fetchone()
        if row is None:
            return BackendResult("nothing_booked")
        day, begin = date.fromisoformat(row[1]), time.fromisoformat(row[2])
        return BackendResult("ok", {"reference": str(row[0]), "day": day, "time": begin})

    def move(connection: sqlite3.Connection, arguments: Mapping[str, SlotValue]) -> BackendResult:
        day, wanted = _day(arguments), _time(arguments)
        opening = opening_on(connection, day)
        if opening is None or wanted not in _free_times(connection, opening, now()):
            return BackendResult("taken")
        changed = connection.execute(
            "UPDATE appointment SET day = ?, time = ? WHERE reference = ?",
            (day.isoformat(), wanted.isoformat(), arguments["reference"]),
        )
        return BackendResult("ok" if changed.rowcount else "gone")

    def cancel(connection: sqlite3.Connection, arguments: Mapping[str, SlotValue]) -> BackendResult:
        removed = connection.execute("DELETE FROM appointment WHERE reference = ?", (arguments["reference"],))
        return BackendResult("ok" if removed.rowcount else "gone")

    return {
        "calendar.find": find,
        "calendar.book": book,
        "calendar.mine": mine,
        "calendar.move": move,
        "calendar.cancel": cancel,
    }


def _day(arguments: Mapping[str, SlotValue]) -> date:
    return date.fromisoformat(str(arguments["day"]))


def _time(arguments: Mapping[str, SlotValue]) -> time:
    return time.fromisoformat(str(arguments["time"]))


def _openings_after(connection: sqlite3.Connection, day: date) -> Iterator[Opening]:
    for ahead in range(1, _DAYS_SEARCHED + 1):
        opening = opening_on(connection, day + timedelta(days=ahead))
        if opening:
            yield opening


def _free_times(connection: sqlite3.Connection, opening: Opening, now: datetime) -> list[time]:
    rows = connection.execute("SELECT time FROM appointment WHERE day = ?", (opening.day.isoformat(),))
    taken = {time.fromisoformat(row[0]) for row in rows}
    local_now = now.replace(tzinfo=None)
    return [
        begin for begin in opening.times() if begin not in taken and datetime.combine(opening.day, begin) > local_now
    ]


def _next_free_day(connection: sqlite3.Connection, day: date, now: datetime) -> date | None:
    openings = _openings_after(connection, day)
    return next((opening.day for opening in openings if _free_times(connection, opening, now)), None)


def _minutes_apart(one: time, other: time) -> int:
    return abs((one.hour - other.hour) * 60 + one.minute - other.minute)
