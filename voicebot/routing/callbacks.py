"""When a caller is called back: inside the queue's hours, and at an hour of the day that is decent where they live."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from voicebot.routing.queues import Callbacks

#: Slots are looked for this far ahead.
HORIZON = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Again:
    """When the next attempt is due."""

    at: datetime


class GivenUp(StrEnum):
    NO_ATTEMPT_LEFT = "no_attempt_left"
    NO_CONSENT = "no_consent"


def is_decent(at: datetime, zone: ZoneInfo, rules: Callbacks) -> bool:
    """Tell whether somebody in `zone` may be called at this time of day."""
    return rules.earliest_hour <= at.astimezone(zone).hour < rules.latest_hour


def free_slots(
    now: datetime,
    *,
    rules: Callbacks,
    zone: ZoneInfo,
    is_open: Callable[[datetime], bool],
    booked: Iterable[datetime],
    most: int,
) -> list[datetime]:
    """Return the next `most` slots that have room, as their beginnings in `zone`; `now` has its own zone.

    Slots begin on whole multiples of their length after midnight UTC, so that two processes mean the same ones.
    """
    length = timedelta(minutes=rules.slot_minutes)
    taken = Counter(slot_of(at, rules) for at in booked)
    slot = slot_of(now, rules) + length
    found: list[datetime] = []
    while len(found) < most and slot <= now + HORIZON:
        if taken[slot] < rules.per_slot and is_open(slot) and is_decent(slot, zone, rules):
            found.append(slot.astimezone(zone))
        slot += length
    return found


def slot_of(at: datetime, rules: Callbacks) -> datetime:
    """Return the beginning of the slot that `at` lies in, in UTC."""
    at = at.astimezone(UTC)
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    minutes = int((at - midnight).total_seconds() // 60)
    return midnight + timedelta(minutes=minutes - minutes % rules.slot_minutes)


def after_attempt(
    attempts: int, now: datetime, *, rules: Callbacks, zone: ZoneInfo, is_open: Callable[[datetime], bool]
) -> Again | GivenUp:
    """Say what follows when a callback, tried `attempts` times, reached nobody."""
    if attempts >= rules.attempts:
        return GivenUp.NO_ATTEMPT_LEFT
    at = now + timedelta(minutes=rules.retry_minutes)
    if is_open(at) and is_decent(at, zone, rules):
        return Again(at)
    later = free_slots(at, rules=rules, zone=zone, is_open=is_open, booked=(), most=1)
    return Again(later[0]) if later else GivenUp.NO_ATTEMPT_LEFT
