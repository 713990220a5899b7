"""The API by which the audit trail is read: what the bot decided, and who listened, exported or changed what."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Protocol

from aiohttp import web

from voicebot.records.access.roles import Right
from voicebot.records.audit import AuditSearch, Head, KeptEntry
from voicebot.web.access.declared import requires
from voicebot.web.call_query import QueryRefused, check_names, read_limit, read_moment, read_text

_READ = ("subject", "actor", "action", "since", "until", "before", "limit")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


class AuditReader(Protocol):
    """Where the audit trail is read from."""

    async def audit_head(self) -> Head:
        """Return the newest entry."""
        ...

    async def audited(self, wanted: AuditSearch, limit: int, before: int | None = None) -> Sequence[KeptEntry]:
        """Return up to `limit` entries that fit, the newest first, below the number `before`."""
        ...


class AuditDoor:
    def __init__(self, trail: AuditReader) -> None:
        self._trail = trail

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/api/audit", self.list), web.get("/api/audit/head", self.head)]

    @requires(Right.READ_AUDIT)
    async def list(self, request: web.Request) -> web.Response:
        """Answer `{"entries": […], "next_before": …}`, the newest first; `next_before` goes back as `before`."""
        check_names(request.query, _READ)
        query, limit = request.query, read_limit(request.query)
        wanted = AuditSearch(
            subject=read_text(query, "subject"),
            actor=read_text(query, "actor"),
            action=read_text(query, "action"),
            since=read_moment(query, "since"),
            until=read_moment(query, "until"),
        )
        found = await self._trail.audited(wanted, limit, _before(query))
        next_before = found[-1].number if len(found) == limit else None
        return web.json_response({"entries": [entry.document() for entry in found], "next_before": next_before})

    @requires(Right.READ_AUDIT)
    async def head(self, request: web.Request) -> web.Response:
        """Answer `{"number": …, "hash": …}` of the newest entry: kept elsewhere, it shows truncation."""
        del request
        head = await self._trail.audit_head()
        return web.json_response({"number": head.number, "hash": head.hash})


def _before(query: Mapping[str, str]) -> int | None:
    given = query.get("before")
    if not given:
        return None
    if not _NUMBER.fullmatch(given):
        raise QueryRefused("before", "is the number of an entry.")
    return int(given)
