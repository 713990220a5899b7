"""Work that must go on for as long as the server lives, whatever a database or another system does to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

log = structlog.get_logger(__name__)

FIRST_RETRY_S = 0.2
LAST_RETRY_S = 4.0


async def enduring(
    work: Callable[[], Awaitable[object]], *, part: str, every_s: float, soon: asyncio.Event | None = None
) -> None:
    """Do `work` every so often, and as soon as `soon` is set, until cancelled.

    When it fails it is tried again, after 0.2 s and twice as long after each further failure, 4 s at most. The first
    failure of a row is logged, with the `part` that failed, and so is its end.
    """
    retry_s = FIRST_RETRY_S
    failures = 0
    while True:
        if soon is not None:
            soon.clear()
        try:
            await work()
        except Exception:  # what a driver may raise nobody can name, and callers wait for this work
            failures += 1
            if failures == 1:
                log.exception("a part fails and is tried again", part=part)
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, LAST_RETRY_S)
            continue
        if failures:
            log.info("a part works again", part=part, failures=failures)
        retry_s, failures = FIRST_RETRY_S, 0
        if soon is None:
            await asyncio.sleep(every_s)
            continue
        with suppress(TimeoutError):
            async with asyncio.timeout(every_s):
                await soon.wait()
