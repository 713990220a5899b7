"""Failed sign-ins by account and by address, and how long each must wait: longer with every further failure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import case, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from voicebot.records.database import Database
from voicebot.records.tables import SIGN_IN_FAILURES

_FIRST_WAIT_S = 30.0
#: An attacker who keeps failing for somebody else's account locks it no longer than this at a time.
_LONGEST_WAIT_S = 900.0
_FORGOTTEN_AFTER = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Suspect:
    """What an attempt is counted under; `free` failures cost nothing."""

    key: str
    free: int


def account(name: str) -> Suspect:
    """Count under a user's name, whether or not there is such a user."""
    return Suspect(_key("account", name.strip().lower()), free=5)


def address(client: str) -> Suspect:
    """Count under an IP address; a whole office may stand behind it."""
    return Suspect(_key("address", client), free=20)


class Failures:
    """An attempt counts as failed until it has succeeded, so that many at once are counted too."""

    def __init__(self, database: Database, *, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    async def begin(self, suspects: Sequence[Suspect]) -> float:
        """Count an attempt and return 0, or do not count it and return how many seconds are to be waited."""
        now, table = self._now(), SIGN_IN_FAILURES
        keys = sorted(suspect.key for suspect in suspects)
        async with self._database.begin() as connection:
            insert = postgresql.insert if self._database.is_postgresql else sqlite.insert
            for key in keys:
                new = insert(table).values(key=key, failures=0, last_at=now)
                await connection.execute(new.on_conflict_do_nothing())
            # Locked, in an order that all keep to, against another attempt of the same moment.
            locked = select(table).where(table.c.key.in_(keys)).order_by(table.c.key).with_for_update()
            counted = {row.key: row for row in await connection.execute(locked)}
            counts = {key: 0 if now - row.last_at >= _FORGOTTEN_AFTER else row.failures for key, row in counted.items()}
            wait_s: float = max(
                _wait_s(counts[suspect.key] - suspect.free) - (now - counted[suspect.key].last_at).total_seconds()
                for suspect in suspects
            )
            if wait_s > 0:
                return wait_s
            for key, count in counts.items():
                again = update(table).where(table.c.key == key).values(failures=count + 1, last_at=now)
                await connection.execute(again)
        return 0.0

    async def succeeded(self, owner: Suspect, others: Sequence[Suspect]) -> None:
        """Forget the failures of `owner`, that this attempt counted under `others`, and all that are long past."""
        table = SIGN_IN_FAILURES
        fewer = case((table.c.failures > 0, table.c.failures - 1), else_=0)
        async with self._database.begin() as connection:
            await connection.execute(delete(table).where(table.c.key == owner.key))
            theirs = table.c.key.in_([other.key for other in others])
            await connection.execute(update(table).where(theirs).values(failures=fewer))
        async with self._database.begin() as connection:
            await connection.execute(delete(table).where(table.c.last_at <= self._now() - _FORGOTTEN_AFTER))


def _wait_s(failures_too_many: int) -> float:
    if failures_too_many < 0:
        return 0.0
    return min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(failures_too_many, 10))


def _key(kind: str, value: str) -> str:
    return hashlib.sha256(f"{kind}\n{value}".encode()).hexdigest()
