"""The people who may sign in. Every change is audited in the transaction that makes it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, exists, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from voicebot.errors import VoicebotError
from voicebot.records.access.passwords import Passwords, check_strength
from voicebot.records.access.roles import Role
from voicebot.records.audit import AuditEntry, append
from voicebot.records.database import Database
from voicebot.records.tables import SESSIONS, USERS

_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
#: What the audit trail calls those who are no users.
_RESERVED = frozenset({"bot", "api", "system", "nobody"})


class UserRefused(VoicebotError):
    """A user cannot be made or changed as asked; the message says why."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may sign in, by password or, with an `oidc_subject`, at the OpenID provider.

    An agent's name is also their name in the queues; `queues` are those whose calls they may see.
    """

    id: str
    name: str
    role: Role
    queues: tuple[str, ...] = ()
    oidc_subject: str | None = None
    disabled: bool = False


def user_name(given: str) -> str:
    """Return a name as it is kept; raises `UserRefused` for one that cannot be."""
    name = given.strip().lower()
    if _NAME.fullmatch(name) is None or name in _RESERVED:
        raise UserRefused("A user's name has up to 64 letters, digits and . _ @ + -, and is not a word like 'bot'.")
    return name


class Users:
    """`now` dates what is written. Methods that change something name in `actor` who did it, for the audit trail."""

    def __init__(self, database: Database, passwords: Passwords, *, now: Callable[[], datetime]) -> None:
        self._database = database
        self._passwords = passwords
        self._now = now

    async def any(self) -> bool:
        """Tell whether there is a user at all."""
        async with self._database.connect() as connection:
            return bool(await connection.scalar(select(exists(select(USERS.c.id)))))

    async def list(self) -> Sequence[User]:
        async with self._database.connect() as connection:
            return [_user(row) for row in await connection.execute(select(USERS).order_by(USERS.c.name))]

    async def get(self, name: str) -> User | None:
        async with self._database.connect() as connection:
            row = (await connection.execute(select(USERS).where(USERS.c.name == name))).first()
        return _user(row) if row else None

    async def add(self, name: str, role: Role, password: str, *, queues: Sequence[str] = (), actor: str) -> User:
        """Add a user; raises `UserRefused` or `PasswordTooWeak`."""
        user = User(uuid.uuid4().hex, user_name(name), role, tuple(sorted(set(queues))))
        check_strength(password, user.name)
        hashed = await self._passwords.hash(password)
        async with self._database.begin() as connection:
            await self._insert(connection, user, hashed)
            await self._audit(connection, actor, "user_added", user, {"role": role, "queues": user.queues})
        return user

    async def by_password(self, name: str, password: str) -> User | None:
        """Return the user whose name and password these are, unless disabled. Failures all take as long."""
        async with self._database.connect() as connection:
            row = (await connection.execute(select(USERS).where(USERS.c.name == name.strip().lower()))).first()
        hashed = row.password_hash if row is not None and row.disabled_at is None else None
        if not await self._passwords.matches(password, hashed) or row is None or hashed is None:
            return None
        if self._passwords.is_dated(hashed):
            renewed = await self._passwords.hash(password)
            async with self._database.begin() as connection:
                same = (USERS.c.id == row.id) & (USERS.c.password_hash == hashed)
                await connection.execute(update(USERS).where(same).values(password_hash=renewed))
        return _user(row)

    async def by_oidc(self, subject: str, name: str, role: Role) -> User:
        """Return the user of an OpenID provider, made at the first sign-in; the provider decides about the role.

        Raises `UserRefused` for who is disabled here, and when another user has the name: one who signs in by password
        is never taken over.
        """
        async with self._database.begin() as connection:
            row = (await connection.execute(select(USERS).where(USERS.c.oidc_subject == subject))).first()
            if row is None:
                user = User(uuid.uuid4().hex, user_name(name), role, oidc_subject=subject)
                await self._insert(connection, user, None)
                await self._audit(connection, "system", "user_added", user, {"role": role, "by": "oidc"})
                return user
            user = _user(row)
            if user.disabled:
                raise UserRefused(f"The user {user.name} is disabled.")
            if user.role is not role:
                await self._change(connection, user, {"role": role.value})
                await self._audit(connection, "system", "user_role_changed", user, {"from": user.role, "to": role})
                user = replace(user, role=role)
            return user

    async def set_role(self, name: str, role: Role, *, actor: str) -> None:
        """Give a user another role and end their sessions; raises `UserRefused`."""
        async with self._database.begin() as connection:
            user = await self._known(connection, name)
            await self._change(connection, user, {"role": role.value})
            await self._audit(connection, actor, "user_role_changed", user, {"from": user.role, "to": role})

    async def set_queues(self, name: str, queues: Sequence[str], *, actor: str) -> None:
        """Say which queues' calls a user may see; raises `UserRefused`."""
        async with self._database.begin() as connection:
            user = await self._known(connection, name)
            await self._change(connection, user, {"queues": sorted(set(queues))})
            content = {"from": user.queues, "to": sorted(set(queues))}
            await self._audit(connection, actor, "user_queues_changed", user, content)

    async def set_password(self, name: str, password: str, *, actor: str) -> None:
        """Replace a password and end the sessions begun with the old one; raises `UserRefused`, `PasswordTooWeak`."""
        check_strength(password, user_name(name))
        hashed = await self._passwords.hash(password)
        async with self._database.begin() as connection:
            user = await self._known(connection, name)
            if user.oidc_subject is not None:
                raise UserRefused(f"{user.name} signs in at the OpenID provider and has no password here.")
            await self._change(connection, user, {"password_hash": hashed})
            await self._audit(connection, actor, "user_password_changed", user, {})

    async def set_disabled(self, name: str, *, disabled: bool, actor: str) -> None:
        """Keep a user out and end their sessions, or let them in again; raises `UserRefused`."""
        async with self._database.begin() as connection:
            user = await self._known(connection, name)
            await self._change(connection, user, {"disabled_at": self._now() if disabled else None})
            await self._audit(connection, actor, "user_disabled" if disabled else "user_enabled", user, {})

    async def _known(self, connection: AsyncConnection, name: str) -> User:
        row = (await connection.execute(select(USERS).where(USERS.c.name == user_name(name)))).first()
        if row is None:
            raise UserRefused(f"There is no user {user_name(name)}; `voicebot users list` shows all.")
        return _user(row)

    async def _insert(self, connection: AsyncConnection, user: User, hashed: str | None) -> None:
        values = {
            "id": user.id,
            "name": user.name,
            "role": user.role.value,
            "password_hash": hashed,
            "oidc_subject": user.oidc_subject,
            "queues": list(user.queues),
            "created_at": self._now(),
        }
        try:
            await connection.execute(insert(USERS).values(values))
        except IntegrityError:
            raise UserRefused(f"There is already a user {user.name}.") from None

    @staticmethod
    async def _change(connection: AsyncConnection, user: User, values: Mapping[str, Any]) -> None:
        """Change a user; whatever they may do from now on, they sign in anew to do it."""
        await connection.execute(update(USERS).where(USERS.c.id == user.id).values(dict(values)))
        await connection.execute(delete(SESSIONS).where(SESSIONS.c.user_id == user.id))

    async def _audit(
        self, connection: AsyncConnection, actor: str, action: str, user: User, content: Mapping[str, Any]
    ) -> None:
        await append(connection, [AuditEntry(self._now(), actor, action, f"user:{user.name}", content)])


def _user(row: Row[Any]) -> User:
    disabled = row.disabled_at is not None
    return User(row.id, row.name, Role(row.role), tuple(row.queues), row.oidc_subject, disabled)
