from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from voicebot.records.history import CallHistory
from voicebot.records.record import Outcome
from voicebot.records.store import Store

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Party:
    caller: str
    channel: str = "twilio"
    direction: str = "inbound"
    called: str = ""
    carrier_call_id: str = ""


@pytest.mark.asyncio
async def test_earlier_calls_of_a_number_are_counted_by_what_they_were_about(tmp_path: Path, database_url: str) -> None:
    calls = [
        ("+1", "order_status", timedelta(days=1)),
        ("+1", "order_status", timedelta(days=20)),
        ("+1", "balance", timedelta(days=3)),
        ("+1", "order_status", timedelta(days=40)),
        ("+2", "order_status", timedelta(days=1)),
    ]
    async with Store.open(tmp_path, url=database_url, on_failure=print) as store:
        for number, (caller, goal, ago) in enumerate(calls):
            store.journal.begin_call(f"c{number}", _Party(caller), NOW - ago, "f")
            store.journal.set_goal(f"c{number}", goal, reached=False)
            store.journal.end_call(f"c{number}", NOW - ago, Outcome.COMPLETED, "we_hung_up")
        await store.journal.flush()
        history = CallHistory(store.database, now=lambda: NOW)
        assert await history.goals("+1") == {"order_status": 2, "balance": 1}
        assert await history.goals("+3") == {}
        assert await history.goals("") == {}


@pytest.mark.asyncio
async def test_a_database_that_fails_gives_no_history_and_no_error(tmp_path: Path) -> None:
    async with Store.open(tmp_path, on_failure=print) as store:
        async with store.database.begin() as connection:
            await connection.exec_driver_sql("ALTER TABLE calls RENAME TO gone")
        assert await CallHistory(store.database, now=lambda: NOW).goals("+1") == {}
