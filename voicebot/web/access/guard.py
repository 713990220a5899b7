"""Stands before every route: who is it, may they, do they mean it, and a note of it in the audit trail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import quote

import structlog
from aiohttp import web

from voicebot.records.access.sight import Sight
from voicebot.records.audit import AuditEntry
from voicebot.redaction import redact
from voicebot.web.access.csrf import check_intent
from voicebot.web.access.declared import Access, access_of, is_public
from voicebot.web.access.identity import Identity, unauthorized
from voicebot.web.access.principal import PRINCIPAL, Principal
from voicebot.web.address import PublicAddress
from voicebot.web.doors import client_address
from voicebot.web.limits import RateLimit

_log = structlog.get_logger()

#: A player fetches a recording in many pieces: one entry stands for all that come within this time.
_SAME_DEED = timedelta(minutes=5)
_MAX_QUERY_CHARS = 500

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class SeesCalls(Protocol):
    async def is_seen(self, call_id: str, sight: Sight) -> bool:
        """Tell whether there is such a call in `sight`."""
        ...


class Guard:
    """`audit` takes entries of the audit trail, `now` dates them, and `clock` is monotonic, in seconds.

    `requests` limits a user or token.
    """

    def __init__(
        self,
        *,
        identity: Identity,
        calls: SeesCalls,
        public: PublicAddress,
        audit: Callable[[AuditEntry], None],
        now: Callable[[], datetime],
        requests: RateLimit,
        clock: Callable[[], float],
    ) -> None:
        self._identity = identity
        self._calls = calls
        self._public = public
        self._audit = audit
        self._now = now
        self._requests = requests
        self._deeds = RateLimit(max_events=1, window_s=_SAME_DEED.total_seconds(), clock=clock)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let the request through to its handler; raises aiohttp's errors for one that may not."""
        route = request.match_info.route
        if request.match_info.http_exception is not None or is_public(route):
            return await handler(request)
        access = access_of(route.handler)
        if access is None:
            _log.error("route closed: it declares no right", path=route.resource and route.resource.canonical)
            raise web.HTTPForbidden(text="This is closed.")
        principal = await self._admit(request, access)
        if access.audited is None:
            return await handler(request)
        try:
            response = await handler(request)
        except web.HTTPException:
            raise
        except BaseException:
            # Part of it may have gone out already, and what was changed before the fault is changed.
            self._note(request, principal, access.audited, access)
            raise
        if response.status < 400:
            self._note(request, principal, access.audited, access)
        return response

    async def _admit(self, request: web.Request, access: Access) -> Principal:
        principal = await self._identity.find(request)
        if principal is None:
            raise _nobody(request)
        # Already now: whoever is refused is told as whom, and where they may go.
        request[PRINCIPAL] = principal
        if not self._requests.allow(principal.actor):
            raise web.HTTPTooManyRequests(text="Too many requests. Wait a little.", headers={"Retry-After": "60"})
        await check_intent(request, principal, self._public)
        if access.right is None:
            if not principal.is_person:
                raise web.HTTPForbidden(text="This is for people who signed in.")
            return principal
        if not principal.may(access.right):
            raise web.HTTPForbidden(text=f"This needs the right {access.right}.")
        sight = principal.sight(access.right)
        if sight.is_whole or access.lists:
            return principal
        if access.call is None:
            raise web.HTTPForbidden(text=f"This needs the right {access.right} for every call.")
        if not await self._calls.is_seen(request.match_info[access.call], sight):
            # The same as for a call that never was, so that nobody learns which there are.
            raise web.HTTPNotFound(text="There is no such call.")
        return principal

    def _note(self, request: web.Request, principal: Principal, action: str, access: Access) -> None:
        resource = request.match_info.route.resource
        canonical = resource.canonical if resource else ""
        subject = f"call:{request.match_info[access.call]}" if access.call else canonical
        # Of exports each is another: what they held is in their query.
        is_piece = request.method in {"GET", "HEAD"} and access.call is not None
        if is_piece and not self._deeds.allow(f"{principal.actor} {action} {subject}"):
            return
        content = {
            "address": client_address(request, self._public),
            "route": f"{request.method} {canonical}",
            "path": dict(request.match_info),
            "query": _noted(request),
        }
        self._audit(AuditEntry(self._now(), principal.actor, action, subject[:256], content))


def _noted(request: web.Request) -> dict[str, list[str]]:
    """Return what was asked for, so that a deletion finds a number there; what was looked for may be a card's."""
    found: dict[str, list[str]] = {}
    for name, value in request.query.items():
        text = redact(value) if name == "words" else value
        found.setdefault(name[:_MAX_QUERY_CHARS], []).append(text[:_MAX_QUERY_CHARS])
    return found


def _nobody(request: web.Request) -> web.HTTPException:
    if request.path.startswith("/api/"):
        return unauthorized("Send an API token as 'Authorization: Bearer …', or sign in.")
    if request.method in {"GET", "HEAD"}:
        return web.HTTPSeeOther("/sign-in?then=" + quote(request.path_qs, safe="/"))
    return web.HTTPUnauthorized(text="You are not signed in any more. Sign in and repeat what you did.")
