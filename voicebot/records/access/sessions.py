"""Sessions of people who signed in, kept here, so that signing out, or being disabled, ends them at once."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, insert, or_, select, update

from voicebot.records.access.roles import Role
from voicebot.records.access.users import User
from voicebot.records.database import Database
from voicebot.records.tables import SESSIONS, USERS

#: How often it is noted that a session is in use; sooner would be a write for every picture on a page.
_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """A session ends after `idle` without a request, and `longest` after it began whatever happens."""

    idle: timedelta = timedelta(hours=1)
    longest: timedelta = timedelta(hours=12)


def digest(secret: str) -> str:
    """Return what is kept of a secret of 256 random bits; such a one needs no salt and no slow hash.

    What was shown may be any bytes, which aiohttp gives as surrogates where they are no UTF-8.
    """
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


class Sessions:
    def __init__(self, database: Database, *, now: Callable[[], datetime], limits: SessionLimits | None = None) -> None:
        self._database = database
        self._now = now
        self._limits = limits or SessionLimits()

    @property
    def longest_s(self) -> int:
        return int(self._limits.longest.total_seconds())

    async def begin(self, user: User) -> str:
        """Begin a session and return its secret, for the user's cookie; those that are over are forgotten."""
        secret, now = secrets.token_urlsafe(32), self._now()
        values = {"hash": digest(secret), "user_id": user.id, "created_at": now, "seen_at": now}
        async with self._database.begin() as connection:
            await connection.execute(delete(SESSIONS).where(self._is_over(now)))
            await connection.execute(insert(SESSIONS).values(values))
        return secret

    async def user(self, secret: str) -> User | None:
        """Return whose session this is, with the rights they have now, or None when it is over or nobody's."""
        now, key = self._now(), digest(secret)
        query = (
            select(USERS.c.id, USERS.c.name, USERS.c.role, USERS.c.queues, USERS.c.oidc_subject, SESSIONS.c.seen_at)
            .join(SESSIONS, SESSIONS.c.user_id == USERS.c.id)
            .where(SESSIONS.c.hash == key, USERS.c.disabled_at.is_(None), ~self._is_over(now))
        )
        async with self._database.connect() as connection:
            row = (await connection.execute(query)).first()
        if row is None:
            return None
        if now - row.seen_at >= _NOTED_EVERY:
            async with self._database.begin() as connection:
                await connection.execute(update(SESSIONS).where(SESSIONS.c.hash == key).values(seen_at=now))
        return User(row.id, row.name, Role(row.role), tuple(row.queues), row.oidc_subject)

    async def end(self, secret: str) -> None:
        async with self._database.begin() as connection:
            await connection.execute(delete(SESSIONS).where(SESSIONS.c.hash == digest(secret)))

    def _is_over(self, now: datetime) -> ColumnElement[bool]:
        return or_(SESSIONS.c.seen_at <= now - self._limits.idle, SESSIONS.c.created_at <= now - self._limits.longest)
