"""What a caller's number called about lately, for whoever must know that it is not the first time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import structlog
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from voicebot.records.database import Database
from voicebot.records.tables import CALLS

log = structlog.get_logger(__name__)

#: How far back a call still counts as one about the same.
REMEMBERED = timedelta(days=30)
#: A call waits no longer than this for its history before it greets the caller.
_WAIT_S = 0.2


class CallHistory:
    """Counts earlier calls by what they were about. `now` is the wall clock, with its zone."""

    def __init__(self, database: Database, *, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    async def goals(self, caller: str) -> Mapping[str, int]:
        """Return how often each request was what `caller` called for; empty when that cannot be known in time."""
        if not caller:
            return {}
        earlier = (
            select(CALLS.c.goal, func.count().label("calls"))
            .where(CALLS.c.caller == caller, CALLS.c.started_at >= self._now() - REMEMBERED, CALLS.c.goal.is_not(None))
            .group_by(CALLS.c.goal)
        )
        try:
            async with asyncio.timeout(_WAIT_S), self._database.connect() as connection:
                return {row.goal: row.calls for row in await connection.execute(earlier)}
        except (SQLAlchemyError, OSError, TimeoutError) as error:  # a call is taken whatever the database does
            log.warning("a caller's history is not known", problem=type(error).__name__)
            return {}
