"""What calls leave for the work after them and the customer's next call: sealed, so that only that work reads it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update

from voicebot.records.database import Database, insert_new
from voicebot.records.tables import AFTER_CALLS


class SealedFacts:
    """Keeps them by call, as bytes that nothing here can open."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, call_id: str, customer: str | None, facts: bytes) -> None:
        """Keep what a call leaves for the work after it: a hash that names the customer, and sealed facts."""
        # The work may have begun without them, and the first that are kept stand.
        missing = (AFTER_CALLS.c.call_id == call_id) & AFTER_CALLS.c.facts.is_(None)
        async with self._database.begin() as connection:
            await connection.execute(insert_new(connection, AFTER_CALLS, {"call_id": call_id}))
            await connection.execute(update(AFTER_CALLS).where(missing).values(customer=customer, facts=facts))

    async def of(self, call_id: str) -> bytes | None:
        """Return a call's sealed facts; None where its server died before it could leave any."""
        async with self._database.connect() as connection:
            found = await connection.scalar(select(AFTER_CALLS.c.facts).where(AFTER_CALLS.c.call_id == call_id))
        return bytes(found) if found is not None else None

    async def after(self, call_id: str, *, limit: int = 100) -> Sequence[tuple[str, bytes]]:
        """Return calls with the facts they left, by the calls' ids, of which the first follows `call_id`."""
        kept = AFTER_CALLS.c.facts.is_not(None) & (AFTER_CALLS.c.call_id > call_id)
        query = select(AFTER_CALLS.c.call_id, AFTER_CALLS.c.facts).where(kept).order_by(AFTER_CALLS.c.call_id)
        async with self._database.connect() as connection:
            return [(row.call_id, bytes(row.facts)) for row in await connection.execute(query.limit(limit))]

    async def exchange(self, call_id: str, before: bytes, customer: str | None, facts: bytes) -> None:
        """Put the same facts, sealed anew, in the place of those `before`; nothing when they have gone meanwhile."""
        same = (AFTER_CALLS.c.call_id == call_id) & (AFTER_CALLS.c.facts == before)
        async with self._database.begin() as connection:
            await connection.execute(update(AFTER_CALLS).where(same).values(customer=customer, facts=facts))
