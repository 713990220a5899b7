"""The context packets of calls that were handed over, and the form that they have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

from aiohttp import web

from voicebot.records.access.roles import Right
from voicebot.records.context import context_schema
from voicebot.records.contexts import Delivery
from voicebot.web.access.declared import requires

_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


class ContextReader(Protocol):
    """Where it is kept what people were told who took a call over."""

    async def get(self, call_id: str) -> dict[str, Any] | None:
        """Return a call's context packet, None when it was not handed over."""
        ...

    async def deliveries(self, call_id: str) -> Sequence[Delivery]:
        """Return every attempt to give the packet to somebody, in order."""
        ...


class ContextsDoor:
    """`contexts` is None on a server whose flows have no queues."""

    def __init__(self, contexts: ContextReader | None) -> None:
        self._contexts = contexts

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/api/schema/context", self.schema), web.get("/api/calls/{id}/context", self.get)]

    async def schema(self, request: web.Request) -> web.Response:
        """Send the JSON Schema of a packet; it holds nothing personal and is open."""
        del request
        return web.json_response(context_schema(), content_type="application/schema+json")

    @requires(Right.READ_CALLS, call="id")
    async def get(self, request: web.Request) -> web.Response:
        """Send the packet that went with a call to whoever took it over."""
        call_id = request.match_info["id"]
        found = await self._contexts.get(call_id) if self._contexts and _CALL_ID.fullmatch(call_id) else None
        if found is None:
            raise web.HTTPNotFound(text="This call was not handed over.")
        return web.json_response(found)
