"""Calls that a server which died left behind: the server under test does the work after them while others call."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, insert, select

from voicebot.records.database import Database, locate
from voicebot.records.record import Outcome
from voicebot.records.tables import AFTER_CALLS, CALLS, TASKS, TURNS
from voicebot.records.tasks import TaskState

#: Long enough ago that no server is thought to see to them, and not so long that none would.
_AGO = timedelta(minutes=30)
_TURNS = 12


@dataclass(frozen=True, slots=True)
class Worked:
    """How much of the work was done."""

    summaries: int
    tasks: int


async def leave(data: Path, count: int, seconds: float, begun: asyncio.Event) -> None:
    """Once the measurement has `begun`, leave `count` calls over `seconds`; each is summed up and has one task."""
    await begun.wait()
    async with Database.connected(locate(data)) as database:
        for number in range(count):
            await asyncio.sleep(seconds / count)
            async with database.begin() as connection:
                await connection.execute(insert(CALLS).values(_call(number)))
                await connection.execute(insert(TURNS), [_turn(number, turn) for turn in range(_TURNS)])


async def worked(data: Path) -> Worked:
    """Count what has been done."""
    async with Database.connected(locate(data)) as database, database.connect() as connection:
        mine = AFTER_CALLS.c.call_id.like("left-%") & AFTER_CALLS.c.summary.is_not(None)
        done = TASKS.c.call_id.like("left-%") & (TASKS.c.state == TaskState.DONE.value)
        return Worked(
            int(await connection.scalar(select(func.count()).where(mine)) or 0),
            int(await connection.scalar(select(func.count()).where(done)) or 0),
        )


def _call(number: int) -> dict[str, object]:
    ended = datetime.now(UTC) - _AGO
    return {
        "id": f"left-{number}",
        "instance": "main",
        "channel": "twilio",
        "direction": "inbound",
        "caller": "+15550100",
        "called": "+15550199",
        "carrier_call_id": f"CA-left-{number}",
        "started_at": ended - timedelta(minutes=2),
        "ended_at": ended,
        "outcome": Outcome.FAILED.value,
        "cause": "server_died",
        "goal": "order_status",
        "goal_reached": False,
        "flow_version": "",
    }


def _turn(call: int, number: int) -> dict[str, object]:
    return {
        "call_id": f"left-{call}",
        "number": number,
        "speaker": "bot" if number % 2 == 0 else "caller",
        "text": "where is my order i have waited for two weeks now",
        "at_ms": 4000 * number,
        "heard_ms": 3000,
        "secret": False,
        "over_prompt": False,
        "slots": {},
        "alternatives": [],
        "words": [],
        "timings_ms": {},
    }
