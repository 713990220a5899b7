"""The API by which records are read. Pages for people are in `call_pages`."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from aiohttp import web

from voicebot.records.access.roles import Right
from voicebot.records.access.sight import Sight
from voicebot.records.search import CallSearch, Cursor, SearchRefused
from voicebot.web.access.declared import requires
from voicebot.web.access.principal import principal_of
from voicebot.web.audit import AuditReader
from voicebot.web.call_export import EXPORT_FORMATS, send_export
from voicebot.web.call_query import PAGE, SEARCH, check_names, place_of, read_cursor, read_limit, read_search, refused

_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")

#: A call's record as JSON, shaped as the schema at /api/schema says.
Record = Mapping[str, Any]


class CallReader(AuditReader, Protocol):
    """Where records, and the trail of what was done, are read from."""

    async def is_seen(self, call_id: str, sight: Sight) -> bool:
        """Tell whether there is such a call in `sight`."""
        ...

    async def search(self, wanted: CallSearch, limit: int, after: Cursor | None) -> Sequence[Record]:
        """Return up to `limit` records that fit and follow a place in the list, the latest first.

        Raises `SearchRefused` when the words hold nothing to search for, or too much.
        """
        ...

    def every(self, wanted: CallSearch) -> AsyncIterator[Record]: ...

    async def get(self, call_id: str) -> Record | None: ...


@dataclass(frozen=True, slots=True)
class Found:
    """A page of calls, the latest first; `next` is the place after which there may be more."""

    calls: Sequence[Record]
    next: Cursor | None


async def search_calls(calls: CallReader, request: web.Request) -> Found:
    """Return the calls that a request asks for and whoever makes it may see; QueryRefused when it makes no sense."""
    check_names(request.query, (*SEARCH, *PAGE))
    wanted = _wanted(request, Right.READ_CALLS)
    limit, after = read_limit(request.query), read_cursor(request.query)
    try:
        found = await calls.search(wanted, limit, after)
    except SearchRefused as error:
        raise refused(error) from error
    return Found(found, place_of(found[-1]) if len(found) == limit else None)


async def find_call(calls: CallReader, request: web.Request) -> Record:
    """Return the record that the path names; HTTPNotFound when there is none."""
    call_id = request.match_info["id"]
    record = await calls.get(call_id) if _CALL_ID.fullmatch(call_id) else None
    if record is None:
        raise web.HTTPNotFound(text="There is no such call.")
    return record


class RecordsDoor:
    """Serves records to programs, and to scripts of pages, that have the right to see them."""

    def __init__(self, *, calls: CallReader, schema: Mapping[str, Any]) -> None:
        self._calls = calls
        self._schema = schema

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/calls", self.list),
            web.get("/api/calls/export", self.export),
            web.get("/api/calls/{id}", self.get),
            web.get("/api/schema", self.schema),
        ]

    @requires(Right.READ_CALLS, lists=True)
    async def list(self, request: web.Request) -> web.Response:
        """Answer `{"calls": […], "next_cursor": …, "next_before": …}`; pass `next_cursor` back as `cursor` for more.

        What may be searched for stands in `call_query`.
        """
        found = await search_calls(self._calls, request)
        return web.json_response(
            {
                "calls": [*found.calls],
                "next_cursor": str(found.next) if found.next else None,
                "next_before": found.calls[-1]["started_at"] if found.next else None,
            }
        )

    @requires(Right.EXPORT_CALLS, lists=True, audited="calls_exported")
    async def export(self, request: web.Request) -> web.StreamResponse:
        """Stream all calls that fit as a file, `format` being ``csv`` (a line a call) or ``json`` (whole records)."""
        check_names(request.query, (*SEARCH, "format"))
        wanted = _wanted(request, Right.EXPORT_CALLS)
        format_ = request.query.get("format", "json")
        if format_ not in EXPORT_FORMATS:
            raise web.HTTPBadRequest(text=f"`format` is one of {', '.join(EXPORT_FORMATS)}.")
        return await send_export(request, self._calls.every(wanted), format_)

    @requires(Right.READ_CALLS, call="id")
    async def get(self, request: web.Request) -> web.Response:
        return web.json_response(await find_call(self._calls, request))

    async def schema(self, request: web.Request) -> web.Response:
        """Send the JSON Schema of a record; it holds nothing personal and is open."""
        del request
        return web.json_response(self._schema, content_type="application/schema+json")


def _wanted(request: web.Request, right: Right) -> CallSearch:
    """Return what is looked for, among the calls that `right` reaches."""
    return replace(read_search(request.query), sight=principal_of(request).sight(right))
