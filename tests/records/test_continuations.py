"""What customers broke off in outlives the server, is given once, and is forgotten in time."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

from sqlalchemy import func, select

from voicebot.dialog.events import Continuation, SlotValue
from voicebot.records.continuations import CHAT_KEPT, KEPT, ContinuationStore, KeptChat
from voicebot.records.database import Database, locate
from voicebot.records.tables import CONTINUATIONS

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
PHONE = "+12025550123"
SLOTS: dict[str, SlotValue] = {
    "day": date(2026, 3, 10),
    "time": time(15, 30),
    "amount": Decimal("84.20"),
    "code": "007",
    "ok": False,
    "number": 7,
    "at": datetime(2026, 3, 10, 9, 0, tzinfo=UTC),
}
GIVEN = Continuation("appointment", "book_appointment", SLOTS)
CHAT = KeptChat("chat", PHONE, "", 2, GIVEN)


async def test_it_outlives_the_server_with_its_types_and_is_given_once(tmp_path: Path, database_url: str) -> None:
    url = locate(tmp_path, database_url)
    async with Database.prepared(url) as database:
        kept = ContinuationStore(database, now=lambda: NOW)
        await kept.keep(PHONE, GIVEN)
        await kept.keep_chat("s1", CHAT)
    async with Database.prepared(url) as database:
        kept = ContinuationStore(database, now=lambda: NOW)
        assert await kept.take(PHONE) == GIVEN
        assert await kept.take(PHONE) is None
        assert await kept.take_chat("s1") == CHAT
        assert await kept.take_chat("s1") is None


async def test_nothing_is_left_once_a_conversation_came_to_its_end(tmp_path: Path, database_url: str) -> None:
    async with Database.prepared(locate(tmp_path, database_url)) as database:
        kept = ContinuationStore(database, now=lambda: NOW)
        await kept.keep(PHONE, GIVEN)
        await kept.keep(PHONE, None)
        await kept.keep("", GIVEN)
        await kept.keep_chat("s1", KeptChat("sms", "", "", 1, None))
        await kept.keep_chat("s1", None)
        async with database.connect() as connection:
            assert await connection.scalar(select(func.count()).select_from(CONTINUATIONS)) == 0


async def test_what_is_too_old_is_not_given_and_is_deleted(tmp_path: Path, database_url: str) -> None:
    now = NOW
    async with Database.prepared(locate(tmp_path, database_url)) as database:
        kept = ContinuationStore(database, now=lambda: now)
        await kept.keep(PHONE, GIVEN)
        await kept.keep_chat("s1", CHAT)
        now = NOW + CHAT_KEPT
        assert await kept.take_chat("s1") is None
        assert await kept.take(PHONE) == GIVEN
        await kept.keep(PHONE, GIVEN)
        now += KEPT + timedelta(seconds=1)
        await kept.keep("+12025550199", GIVEN)
        async with database.connect() as connection:
            assert (await connection.scalars(select(CONTINUATIONS.c.key))).all() == ["+12025550199"]
