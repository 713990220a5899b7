"""Deletes, once a day, what was kept for long enough."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import structlog

from voicebot.app.standing import beside
from voicebot.app.vault import call_eraser
from voicebot.records.disposal import Disposal
from voicebot.records.metrics import Metrics
from voicebot.records.retention import Retention
from voicebot.records.store import Store
from voicebot.settings import Settings

log = structlog.get_logger(__name__)

#: Asked for again so often: a clock that was put right, or a machine that slept, is noticed.
_LOOK_EVERY_S = 600.0


@asynccontextmanager
async def retaining(
    settings: Settings, store: Store, metrics: Metrics, now: Callable[[], datetime]
) -> AsyncIterator[None]:
    """Delete daily what the settings say while the context lasts."""
    daily = retain_daily(
        Disposal(store.database, call_eraser(settings, store.recordings), now),
        settings.retention.policy,
        at=settings.retention.at,
        zone=ZoneInfo(settings.zone),
        # Other servers' recordings may lie on other disks.
        instance=settings.instance if store.database.is_postgresql else None,
        now=now,
        on_failure=lambda: metrics.failed("store", "retention"),
    )
    async with beside("delete what was kept for long enough", daily):
        yield


async def retain_daily(
    disposal: Disposal,
    retention: Retention,
    *,
    at: time,
    zone: ZoneInfo,
    instance: str | None,
    now: Callable[[], datetime],
    on_failure: Callable[[], None],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Delete what is due at the time `at` of every day, until cancelled; a day that fails is tried again the next.

    `instance` restricts it to one server's calls.
    """
    due = _next(at, now().astimezone(zone))
    while True:
        remaining_s = (due - now()).total_seconds()
        if remaining_s > 0:
            await sleep(min(remaining_s, _LOOK_EVERY_S))
            continue
        try:
            gone = await disposal.retain(retention, instance=instance)
            log.info("retention done", **{f"{kind.value}_deleted": number for kind, number in gone.items()})
        except Exception:  # what was not foreseen on one day must not keep everything for ever from then on
            on_failure()
            log.exception("retention failed")
        due = _next(at, now().astimezone(zone))


def _next(at: time, moment: datetime) -> datetime:
    """Return when it is `at` for the first time after `moment`, in its zone."""
    today = moment.replace(hour=at.hour, minute=at.minute, second=at.second, microsecond=0)
    return today if today > moment else today + timedelta(days=1)
