"""Opening hours: in their own zone, with breaks, nights, holidays and the hours that clocks skip or show twice."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialog.small_bot import BOT, write_bot
from voicebot.dialog.actions import Say
from voicebot.dialog.check import check
from voicebot.dialog.conversation import Conversation
from voicebot.dialog.events import CallerPressed, CallStarted
from voicebot.dialog.hours import Holiday, Hours, Opening
from voicebot.dialog.hours_values import values_on
from voicebot.dialog.loader import load_bot

NEW_YORK = ZoneInfo("America/New_York")
DAY = (Opening(time(9), time(17)),)
BROKEN = (Opening(time(9), time(12)), Opening(time(13), time(17)))
NIGHT = (Opening(time(22), time(6)),)
OFFICE = Hours(
    "office",
    "America/New_York",
    (DAY, DAY, BROKEN, DAY, DAY, (), ()),
    (
        Holiday("Christmas", 12, 25),
        Holiday("Inventory", 3, 3, 2026),
        Holiday("Christmas Eve", 12, 24, 2026, (Opening(time(9), time(12)),)),
    ),
)
ALWAYS = Hours("always", "UTC", ((Opening(time(0), time(0)),),) * 7)
NIGHTS = Hours("nights", "America/New_York", (NIGHT,) * 7)
NEVER = Hours("never", "UTC", ((),) * 7)


def there(year: int, month: int, day: int, hour: int = 0, minute: int = 0, *, fold: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=NEW_YORK, fold=fold)


def test_hours_are_those_of_their_own_zone() -> None:
    assert OFFICE.is_open(datetime(2026, 3, 2, 14, 0, tzinfo=UTC))
    assert not OFFICE.is_open(datetime(2026, 3, 2, 13, 59, tzinfo=UTC))
    assert not OFFICE.is_open(datetime(2026, 3, 2, 22, 0, tzinfo=UTC))
    assert OFFICE.is_open(datetime(2026, 3, 2, 16, 59))  # noqa: DTZ001  # without a zone: the office's own


def test_it_closes_for_a_break_and_opens_again_the_same_day() -> None:
    noon = there(2026, 3, 4, 11, 30)
    assert OFFICE.closes(noon) == there(2026, 3, 4, 12)
    assert not OFFICE.is_open(there(2026, 3, 4, 12, 30))
    assert OFFICE.opens_next(noon) == there(2026, 3, 4, 13)


def test_after_the_last_day_of_the_week_it_opens_on_the_first() -> None:
    assert OFFICE.opens_next(there(2026, 3, 6, 18)) == there(2026, 3, 9, 9)
    assert OFFICE.closes(there(2026, 3, 6, 18)) is None


def test_a_holiday_goes_before_the_week_and_one_of_this_year_before_one_of_every_year() -> None:
    assert OFFICE.openings_on(date(2026, 3, 3)) == ()
    assert OFFICE.openings_on(date(2027, 3, 3)) == BROKEN
    assert OFFICE.openings_on(date(2026, 12, 24)) == (Opening(time(9), time(12)),)
    assert OFFICE.openings_on(date(2029, 12, 25)) == ()
    assert OFFICE.opens_next(there(2026, 12, 24, 12)) == there(2026, 12, 28, 9)


def test_an_opening_over_midnight_belongs_to_the_day_it_begins() -> None:
    assert NIGHTS.is_open(there(2026, 3, 2, 23))
    assert NIGHTS.is_open(there(2026, 3, 3, 5, 59))
    assert not NIGHTS.is_open(there(2026, 3, 3, 6))
    assert NIGHTS.closes(there(2026, 3, 2, 23)) == there(2026, 3, 3, 6)


def test_what_is_always_open_never_closes_and_what_never_is_never_opens() -> None:
    assert ALWAYS.is_open(there(2026, 3, 2, 3))
    assert ALWAYS.closes(there(2026, 3, 2, 3)) is None
    assert NEVER.opens_next(there(2026, 3, 2, 3)) is None
    assert NEVER.next_open_day(date(2026, 3, 2)) is None


def test_the_night_on_which_clocks_go_back_is_an_hour_longer() -> None:
    late = there(2026, 10, 31, 23)
    assert NIGHTS.is_open(there(2026, 11, 1, 1, 30))
    assert NIGHTS.is_open(there(2026, 11, 1, 1, 30, fold=1))
    closes = NIGHTS.closes(late)
    assert closes is not None
    assert closes.astimezone(UTC) - late.astimezone(UTC) == timedelta(hours=8)


def test_all_about_a_day_that_is_closed() -> None:
    found = values_on(OFFICE, date(2026, 3, 3))
    assert (found["open"], found["holiday"], found["opens"]) == (False, "Inventory", None)
    assert (found["next_day"], found["next_opens"], found["next_closes"]) == (date(2026, 3, 4), time(9), time(17))
    broken = values_on(OFFICE, date(2026, 3, 4))
    assert (broken["closes"], broken["opens_again"], broken["closes_again"]) == (time(12), time(13), time(17))


@given(
    at=st.datetimes(timezones=st.sampled_from([UTC, NEW_YORK, ZoneInfo("Pacific/Kiritimati")]) | st.none()),
    hours=st.sampled_from([OFFICE, ALWAYS, NIGHTS, NEVER]),
)
def test_hours_answer_at_any_moment_and_agree_with_themselves(at: datetime, hours: Hours) -> None:
    closes, opens = hours.closes(at), hours.opens_next(at)
    assert closes is None or hours.is_open(at)
    if opens and 2 < at.year < 9990:
        assert hours.is_open(opens)
        assert hours.is_open(opens - timedelta(seconds=1)) == (hours is ALWAYS)
    values_on(hours, at.date())


# --- as an admin writes them

HOURS = """\
holidays:
  public: {2026-03-03: Inventory, 12-25: Christmas}
hours:
  desk:
    zone: America/New_York
    week:
      monday to friday: [9:00-12:00, 1 pm to 5 pm]
      saturday: 10:00-14:00
    holidays: public
"""
ASKING = """\
flow: desk
title: when the desk is open
intents:
  desk_hours: [when is the desk open, desk hours please, is the desk open]
slots: {visit: visit_day}
steps:
  - if: desk.open_now
    then:
      - say: The desk is open until {desk.closes}.
    else:
      - say: The desk opens {desk.opens_next:relative}.
  - hours: desk
    save: [open, holiday, opens]
  - if: holiday
    then:
      - say: It's {holiday}.
  - ask: visit
    prompt: Which day?
  - reached: desk_hours
"""
TYPES = """\
types:
  visit_day:
    kind: date
    must:
      - be: value in desk
        or_say: The desk is closed that day.
    keys: Month and day.
"""


def bot_with_desk(folder: Path, hours: str = HOURS) -> Path:
    write_bot(folder)
    (folder / "bot.yaml").write_text(BOT, encoding="utf-8")
    (folder / "desk_hours.yaml").write_text(hours, encoding="utf-8")
    (folder / "desk.yaml").write_text(ASKING, encoding="utf-8")
    (folder / "desk_types.yaml").write_text(TYPES, encoding="utf-8")
    welcome = folder / "welcome.yaml"
    welcome.write_text(welcome.read_text(encoding="utf-8").replace("{1: renew,", "{1: renew, 5: desk,"), "utf-8")
    return folder


def talk(folder: Path, at: datetime, *keys: str, zone: str = "UTC") -> str:
    conversation = Conversation(load_bot(folder))
    actions = conversation.step(CallStarted(at, "phone", "", "", zone, 1))
    for pressed in keys:
        actions = conversation.step(CallerPressed(at, pressed))
    return " ".join(action.text for action in actions if isinstance(action, Say))


def test_a_flow_says_whether_it_is_open_and_when_it_opens_next(tmp_path: Path) -> None:
    folder = bot_with_desk(tmp_path)
    assert [str(finding) for finding in check(folder).errors] == []
    open_now = talk(folder, datetime(2026, 3, 2, 19, 0, tzinfo=UTC), "5")
    assert open_now.startswith("The desk is open until 5 PM.")
    evening = talk(folder, datetime(2026, 3, 2, 23, 0, tzinfo=UTC), "5")
    assert evening.startswith("The desk opens on Wednesday, March 4th at 9 AM.")
    holiday = talk(folder, datetime(2026, 3, 3, 20, 0, tzinfo=UTC), "5")
    assert holiday.startswith("The desk opens tomorrow at 9 AM. It's Inventory.")


def test_a_day_on_which_it_is_closed_is_refused_with_the_reason(tmp_path: Path) -> None:
    folder = bot_with_desk(tmp_path)
    at = datetime(2026, 3, 2, 19, 0, tzinfo=UTC)
    assert "The desk is closed that day." in talk(folder, at, "5", "0308")
    assert "The desk is closed that day." not in talk(folder, at, "5", "0309")


def test_hours_without_a_zone_are_those_of_the_bot(tmp_path: Path) -> None:
    folder = bot_with_desk(tmp_path, HOURS.replace("    zone: America/New_York\n", ""))
    at = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
    assert talk(folder, at, "5", zone="Europe/Berlin").startswith("The desk is open until noon.")
    assert talk(folder, at, "5", zone="America/New_York").startswith("The desk opens today at 9 AM.")


@pytest.mark.parametrize(
    ("file", "old", "new", "finds"),
    [
        ("desk_hours.yaml", "America/New_York", "America/New_Yrok", "no time zone 'America/New_Yrok'"),
        ("desk_hours.yaml", "saturday:", "satuday:", "'satuday' is no day of the week"),
        ("desk_hours.yaml", "saturday:", "friday:", "two entries for friday"),
        ("desk_hours.yaml", "10:00-14:00", "10:00-25:00", "'10:00-25:00' are no opening hours"),
        ("desk_hours.yaml", "10:00-14:00", "[10:00-14:00, 13:00-15:00]", "overlap"),
        ("desk_hours.yaml", "holidays: public", "holidays: pubic", "no holidays 'pubic'"),
        ("desk_hours.yaml", "2026-03-03:", "2026-02-30:", "'2026-02-30' is no day"),
        ("desk_hours.yaml", "  desk:", "  the-desk:", "no good name for hours"),
        ("desk_hours.yaml", "    week:", "    wek:", "'wek' is not known"),
        ("desk.yaml", "if: desk.open_now", "if: dsk.open_now", "'dsk.open_now' is not a slot"),
        ("desk.yaml", "if: desk.open_now", "if: desk.open", "'.open' is unknown"),
        ("desk.yaml", "if: desk.open_now", "if: desk", "are opening hours and hold no value"),
        ("desk.yaml", "if: desk.open_now", "if: now in desk", "time cannot be in 'desk'"),
        ("desk.yaml", "if: desk.open_now", "if: today in visit", "'visit' are no opening hours"),
        ("desk.yaml", "{desk.opens_next:relative}", "{desk.closes}", "'desk.closes' may still be empty"),
        ("desk.yaml", "hours: desk\n", "hours: dsk\n", "no opening hours 'dsk'"),
        ("desk.yaml", "save: [open,", "save: [opne,", "'desk' gives no 'opne'"),
        ("desk_types.yaml", "value in desk", "value in dsk", "'dsk' is not a slot"),
    ],
)
def test_a_mistake_about_hours_is_found(tmp_path: Path, file: str, old: str, new: str, finds: str) -> None:
    path = bot_with_desk(tmp_path) / file
    before = path.read_text(encoding="utf-8")
    assert old in before
    path.write_text(before.replace(old, new), encoding="utf-8")
    findings = [finding for finding in check(tmp_path).findings if finding.file == file]
    assert finds in " ".join(str(finding) for finding in findings)
    assert all(finding.fix for finding in findings)
