"""The servers that share a database: where each is reached, and which agents' desk pages are open at it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import and_, delete, insert, select, update

from voicebot.records.board import LEASE
from voicebot.records.database import Database
from voicebot.records.tables import DESK_PAGES, SERVERS

#: A server that was not heard of for so long is none of the installation's any more.
_FORGOTTEN_AFTER = timedelta(days=30)


class Servers:
    """The servers as one of them, called `instance`, sees them. `url` is where browsers reach it and nobody else."""

    def __init__(self, database: Database, *, instance: str, url: str | None, now: Callable[[], datetime]) -> None:
        self._database = database
        self._instance = instance
        self._url = url
        self._now = now
        #: One change at a time, so that what is kept last is what stands.
        self._writing = asyncio.Lock()

    async def keep(self, agents: Collection[str]) -> None:
        """Say that this server lives, where it is, and that the desks of these agents and no others are open at it."""
        now = self._now()
        ours = SERVERS.c.instance == self._instance
        async with self._writing, self._database.begin() as connection:
            values = {"url": self._url, "until": now + LEASE}
            if not (await connection.execute(update(SERVERS).where(ours).values(values))).rowcount:
                await connection.execute(insert(SERVERS).values(values | {"instance": self._instance}))
            await connection.execute(delete(SERVERS).where(SERVERS.c.until < now - _FORGOTTEN_AFTER))
            await connection.execute(delete(DESK_PAGES).where(DESK_PAGES.c.instance == self._instance))
            pages = [
                {"agent_id": agent, "instance": self._instance, "until": now + LEASE} for agent in sorted(set(agents))
            ]
            if pages:
                await connection.execute(insert(DESK_PAGES), pages)

    async def has_desk_elsewhere(self, agent_id: str) -> bool:
        """Tell whether an agent has a page open at another server that lives, from which it could reach this one."""
        if self._url is None:
            return False
        where = and_(
            DESK_PAGES.c.agent_id == agent_id,
            DESK_PAGES.c.instance != self._instance,
            DESK_PAGES.c.until > self._now(),
        )
        async with self._database.connect() as connection:
            return await connection.scalar(select(DESK_PAGES.c.instance).where(where).limit(1)) is not None

    async def url_of(self, instance: str) -> str | None:
        """Return where browsers reach a server; None where they cannot."""
        async with self._database.connect() as connection:
            found: str | None = await connection.scalar(select(SERVERS.c.url).where(SERVERS.c.instance == instance))
        return found

    async def urls(self) -> Sequence[str]:
        """Return where browsers reach each server, those included that are down at the moment."""
        query = select(SERVERS.c.url).where(SERVERS.c.url.is_not(None)).distinct().order_by(SERVERS.c.url)
        async with self._database.connect() as connection:
            return [url for (url,) in await connection.execute(query)]
