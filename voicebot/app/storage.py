"""Opens what lasts: the data folder and the records in it, of which old ones are deleted daily."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from voicebot.app.retention import retaining
from voicebot.errors import ConfigurationError, Problem
from voicebot.records.metrics import Metrics
from voicebot.records.store import Store
from voicebot.settings import Settings


@asynccontextmanager
async def records_opened(settings: Settings, metrics: Metrics, now: Callable[[], datetime]) -> AsyncIterator[Store]:
    """Open the records, and delete daily what was kept for long enough."""
    async with (
        Store.open(
            settings.data,
            url=settings.database,
            instance=settings.instance,
            on_failure=lambda kind: metrics.failed("store", kind),
            on_head=lambda head: metrics.audit_head(head.number),
        ) as store,
        retaining(settings, store, metrics, now),
    ):
        yield store


def make_data_folder(data: Path) -> None:
    """Make the data folder unless it is there; ConfigurationError when nothing can be written to it."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=data):
            pass
    except OSError as error:
        what = f"`data`: nothing can be written to {data} ({error.strerror})."
        fix = "Name a folder that this user may write to with --data, or make it theirs with chown."
        raise ConfigurationError([Problem("settings", None, what, fix)]) from None
