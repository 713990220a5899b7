"""API tokens: what programs show. A token is shown once, when it is made; its hash is what stays."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from voicebot.errors import VoicebotError
from voicebot.records.access.roles import Right
from voicebot.records.access.sessions import digest
from voicebot.records.audit import AuditEntry, append
from voicebot.records.database import Database
from voicebot.records.tables import API_TOKENS

#: Begins every token, so that scanners of source code and logs know one when they see it.
PREFIX = "vbt_"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_NOTED_EVERY = timedelta(minutes=5)


class TokenRefused(VoicebotError):
    """A token cannot be made or revoked as asked; the message says why."""


@dataclass(frozen=True, slots=True)
class ApiToken:
    name: str
    scopes: frozenset[Right]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None

    def is_good(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class ApiTokens:
    def __init__(self, database: Database, *, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    async def create(self, name: str, scopes: Collection[Right], *, lifetime: timedelta | None, actor: str) -> str:
        """Make a token and return it; raises `TokenRefused` for a name that is taken or none."""
        if _NAME.fullmatch(name) is None:
            raise TokenRefused("A token's name has up to 64 small letters, digits and . _ -.")
        if not scopes:
            raise TokenRefused("A token needs at least one scope.")
        token, now = PREFIX + secrets.token_urlsafe(32), self._now()
        values = {
            "name": name,
            "hash": digest(token),
            "scopes": sorted(scopes),
            "created_at": now,
            "created_by": actor,
            "expires_at": now + lifetime if lifetime else None,
        }
        async with self._database.begin() as connection:
            try:
                await connection.execute(insert(API_TOKENS).values(values))
            except IntegrityError:
                raise TokenRefused(f"There is or was a token {name}; names are not used again.") from None
            content = {"scopes": sorted(scopes), "expires_at": values["expires_at"]}
            await append(connection, [AuditEntry(now, actor, "token_created", f"token:{name}", content)])
        return token

    async def list(self) -> Sequence[ApiToken]:
        async with self._database.connect() as connection:
            return [_token(row) for row in await connection.execute(select(API_TOKENS).order_by(API_TOKENS.c.name))]

    async def find(self, token: str) -> ApiToken | None:
        """Return what is known of a token that was shown, or None when it is nobody's, revoked or expired."""
        if not token.startswith(PREFIX):
            return None
        now, mine = self._now(), API_TOKENS.c.hash == digest(token)
        async with self._database.connect() as connection:
            row = (await connection.execute(select(API_TOKENS).where(mine))).first()
        found = _token(row) if row else None
        if found is None or not found.is_good(now):
            return None
        if found.used_at is None or now - found.used_at >= _NOTED_EVERY:
            async with self._database.begin() as connection:
                await connection.execute(update(API_TOKENS).where(mine).values(used_at=now))
        return found

    async def revoke(self, name: str, *, actor: str) -> None:
        """Make a token worthless from now on; raises `TokenRefused` when there is none of that name."""
        now = self._now()
        async with self._database.begin() as connection:
            good = (API_TOKENS.c.name == name) & API_TOKENS.c.revoked_at.is_(None)
            revoked = await connection.execute(update(API_TOKENS).where(good).values(revoked_at=now))
            if revoked.rowcount == 0:
                raise TokenRefused(f"There is no token {name} to revoke; `voicebot tokens list` shows all.")
            await append(connection, [AuditEntry(now, actor, "token_revoked", f"token:{name}", {})])


def _token(row: Row[Any]) -> ApiToken:
    scopes = frozenset(Right(scope) for scope in row.scopes)
    return ApiToken(row.name, scopes, row.created_at, row.created_by, row.expires_at, row.revoked_at, row.used_at)
