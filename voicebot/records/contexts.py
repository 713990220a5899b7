"""Where context packets lie, and the log of who was sent them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update

from voicebot.records.context import ContextPacket, context_document
from voicebot.records.database import Database
from voicebot.records.tables import CONTEXTS, DELIVERIES


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to give a packet to `receiver`. `key` is the same in every attempt, so that it is taken once."""

    key: str
    receiver: str
    call_id: str
    attempt: int
    at: datetime
    status: int | None
    delivered: bool
    problem: str | None
    took_ms: int


class Contexts:
    def __init__(self, database: Database, *, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        #: One change at a time: SQLite has one writer, and many who wait for it at once would wait in vain.
        self._writing = asyncio.Lock()

    async def put(self, packet: ContextPacket) -> None:
        """Keep a call's packet; a later one takes its place."""
        values = {"document": context_document(packet), "stored_at": self._now()}
        async with self._writing, self._database.begin() as connection:
            changed = await connection.execute(
                update(CONTEXTS).where(CONTEXTS.c.call_id == packet.call_id).values(values)
            )
            if not changed.rowcount:
                await connection.execute(insert(CONTEXTS).values(values | {"call_id": packet.call_id}))

    async def get(self, call_id: str) -> dict[str, Any] | None:
        """Return a call's packet as the schema of `records.context` says, None when it was not handed over."""
        async with self._database.connect() as connection:
            found: dict[str, Any] | None = await connection.scalar(
                select(CONTEXTS.c.document).where(CONTEXTS.c.call_id == call_id)
            )
        return found

    async def log(self, delivery: Delivery) -> None:
        """Add to the delivery log."""
        async with self._writing, self._database.begin() as connection:
            await connection.execute(insert(DELIVERIES).values(id=secrets.token_hex(16), **asdict(delivery)))

    async def deliveries(self, call_id: str) -> Sequence[Delivery]:
        """Return every attempt for a call, in order."""
        query = select(DELIVERIES).where(DELIVERIES.c.call_id == call_id).order_by(DELIVERIES.c.at)
        async with self._database.connect() as connection:
            return [
                Delivery(
                    row.key,
                    row.receiver,
                    row.call_id,
                    row.attempt,
                    row.at,
                    row.status,
                    row.delivered,
                    row.problem,
                    row.took_ms,
                )
                for row in await connection.execute(query)
            ]
