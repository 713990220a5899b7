"""Work that goes on beside the calls for as long as the server lives."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

log = structlog.get_logger(__name__)


@asynccontextmanager
async def beside(what: str, doing: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do something without an end while the block lasts. If it breaks down calls go on, and the log says so at once."""

    async def do() -> None:
        try:
            await doing
        except Exception:  # nobody awaits it before the server ends, so it is told here
            log.exception("standing work broke down; restart the server to have it again", what=what)

    task = asyncio.create_task(do())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
