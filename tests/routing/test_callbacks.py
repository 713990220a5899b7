"""When callers are called back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from voicebot.routing.callbacks import Again, GivenUp, after_attempt, free_slots, is_decent, slot_of
from voicebot.routing.queues import Callbacks

RULES = Callbacks()
BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
MONDAY = datetime(2026, 3, 2, 14, 10, tzinfo=BERLIN)


def office(at: datetime) -> bool:
    """Weekdays from eight to six in Berlin."""
    here = at.astimezone(BERLIN)
    return here.weekday() < 5 and 8 <= here.hour < 18


def slots(now: datetime, zone: ZoneInfo = BERLIN, booked: tuple[datetime, ...] = (), most: int = 3) -> list[str]:
    found = free_slots(now, rules=RULES, zone=zone, is_open=office, booked=booked, most=most)
    return [f"{slot:%a %H:%M}" for slot in found]


def test_the_next_slots_that_have_room_are_found() -> None:
    assert slots(MONDAY) == ["Mon 14:30", "Mon 15:00", "Mon 15:30"]


def test_a_full_slot_is_passed_over() -> None:
    full = (datetime(2026, 3, 2, 14, 31, tzinfo=BERLIN),) * RULES.per_slot
    assert slots(MONDAY, booked=full)[0] == "Mon 15:00"


def test_after_hours_the_first_slot_is_the_next_morning() -> None:
    assert slots(MONDAY.replace(hour=19))[0] == "Tue 09:00"
    assert slots(datetime(2026, 3, 6, 18, 0, tzinfo=BERLIN))[0] == "Mon 09:00"


def test_nobody_is_called_at_night_where_they_live() -> None:
    assert slots(MONDAY.replace(hour=9), NEW_YORK)[0] == "Mon 09:00"
    assert not is_decent(MONDAY.replace(hour=9), NEW_YORK, RULES)


def test_a_callback_that_reached_nobody_is_tried_again_and_then_given_up() -> None:
    again = after_attempt(1, MONDAY, rules=RULES, zone=BERLIN, is_open=office)
    assert again == Again(MONDAY + timedelta(minutes=15))
    assert after_attempt(3, MONDAY, rules=RULES, zone=BERLIN, is_open=office) is GivenUp.NO_ATTEMPT_LEFT


def test_a_retry_that_would_come_too_late_in_the_day_waits_for_the_morning() -> None:
    again = after_attempt(1, MONDAY.replace(hour=17, minute=50), rules=RULES, zone=BERLIN, is_open=office)
    assert isinstance(again, Again)
    assert f"{again.at:%a %H:%M}" == "Tue 09:00"


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # zones are added
    st.sampled_from([BERLIN, NEW_YORK, ZoneInfo("Asia/Kolkata"), ZoneInfo("Pacific/Auckland")]),
)
def test_every_slot_is_ahead_within_hours_and_decent(now: datetime, zone: ZoneInfo) -> None:
    found = free_slots(now, rules=RULES, zone=zone, is_open=office, booked=(), most=5)
    for slot in found:
        assert slot > now
        assert office(slot)
        assert is_decent(slot, zone, RULES)
        assert slot_of(slot, RULES) == slot
    assert found == sorted(set(found))
