"""Signing in by name and password, and signing out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import datetime

import structlog
from aiohttp import web

from voicebot.records.access import failures
from voicebot.records.access.failures import Failures
from voicebot.records.access.sessions import Sessions
from voicebot.records.access.users import User, Users
from voicebot.records.audit import AuditEntry
from voicebot.web.access.cookies import Cookie, is_plain_loopback
from voicebot.web.access.csrf import check_origin
from voicebot.web.access.declared import requires_sign_in
from voicebot.web.access.principal import principal_of
from voicebot.web.address import PublicAddress
from voicebot.web.doors import base_url, client_address, read_form
from voicebot.web.limits import RateLimit
from voicebot.web.pages import Pages

_log = structlog.get_logger()

SESSION_COOKIE = "voicebot_session"
SIGN_INS_A_MINUTE = 20
FIRST_PAGE = "/calls"

_OWN_PATH = re.compile(r"/(?!/)[A-Za-z0-9_/.-]*(\?[A-Za-z0-9_=&%.:+,-]*)?")


class Entrance:
    """Begins and ends sessions, whatever way people prove who they are."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        cookie: Cookie,
        public: PublicAddress,
        audit: Callable[[AuditEntry], None],
        now: Callable[[], datetime],
    ) -> None:
        self._sessions = sessions
        self._cookie = cookie
        self._public = public
        self._audit = audit
        self._now = now

    async def let_in(self, request: web.Request, user: User, *, by: str, then: str) -> web.Response:
        """Begin a session and lead on. One that the browser brought along ends: nobody may have planted it."""
        if old := self._cookie.read(request):
            await self._sessions.end(old)
        answer = web.Response(status=303, headers={"Location": then})
        secret = await self._sessions.begin(user)
        self._cookie.set(request, answer, secret, max_age_s=self._sessions.longest_s)
        self.note(request, "signed_in", actor=user.name, user=user.name, by=by)
        return answer

    async def let_out(self, request: web.Request) -> web.Response:
        """End the session, here and in the browser."""
        await self._sessions.end(self._cookie.read(request))
        answer = web.Response(status=303, headers={"Location": "/sign-in"})
        self._cookie.delete(request, answer)
        return answer

    async def user(self, request: web.Request) -> User | None:
        """Return who is signed in already."""
        secret = self._cookie.read(request)
        return await self._sessions.user(secret) if secret else None

    def is_safe(self, request: web.Request) -> bool:
        """Tell whether a password may come this way: over https, or from this machine."""
        base = base_url(request, self._public)
        return base.startswith("https:") or is_plain_loopback(base)

    def note(self, request: web.Request, action: str, *, actor: str, user: str, **content: str) -> None:
        address = client_address(request, self._public)
        self._audit(AuditEntry(self._now(), actor, action, f"user:{user}", {"address": address, **content}))


class SignInDoor:
    def __init__(
        self,
        *,
        users: Users,
        failures: Failures,
        entrance: Entrance,
        pages: Pages,
        public: PublicAddress,
        clock: Callable[[], float],
        oidc_name: str | None = None,
    ) -> None:
        self._users = users
        self._failures = failures
        self._entrance = entrance
        self._pages = pages
        self._public = public
        self._oidc_name = oidc_name
        self._attempts = RateLimit(max_events=SIGN_INS_A_MINUTE, window_s=60, clock=clock)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/sign-in", self.page),
            web.post("/sign-in", self.sign_in),
            web.post("/sign-out", self.sign_out),
        ]

    async def page(self, request: web.Request) -> web.Response:
        then = own_path(request.query.get("then"))
        if await self._entrance.user(request) is not None:
            return web.Response(status=303, headers={"Location": then})
        return await self._show(request, then)

    async def sign_in(self, request: web.Request) -> web.Response:
        """Exchange a name and a password for a session."""
        check_origin(request, self._public)
        form = await read_form(request)
        then, name = own_path(form.get("then")), form.get("name", "")
        if not self._entrance.is_safe(request):
            return await self._show(request, then, status=403)
        address = client_address(request, self._public)
        if not self._attempts.allow(address):
            return await self._show(request, then, status=429, wait_s=60)
        of_account, of_address = failures.account(name), failures.address(address)
        if wait_s := await self._failures.begin([of_account, of_address]):
            return await self._show(request, then, status=429, wait_s=wait_s)
        user = await self._users.by_password(name, form.get("password", ""))
        if user is None:
            # A name that nobody has may be a password typed into the wrong field, and is not written down.
            known = await self._users.get(name.strip().lower())
            self._entrance.note(request, "sign_in_failed", actor="nobody", user=known.name if known else "")
            _log.warning("sign-in failed", address=address, known=known is not None)
            return await self._show(request, then, status=403, wrong=True)
        await self._failures.succeeded(of_account, [of_address])
        return await self._entrance.let_in(request, user, by="password", then=then)

    @requires_sign_in(audited="signed_out")
    async def sign_out(self, request: web.Request) -> web.Response:
        _log.info("signed out", user=principal_of(request).actor)
        return await self._entrance.let_out(request)

    async def _show(
        self, request: web.Request, then: str, *, status: int = 200, wrong: bool = False, wait_s: float = 0.0
    ) -> web.Response:
        page = self._pages.html(
            request,
            "sign_in.html",
            status=status,
            then=then,
            wrong=wrong,
            wait=waiting_time(wait_s) if wait_s else None,
            unsafe=not self._entrance.is_safe(request),
            nobody=not await self._users.any(),
            oidc_name=self._oidc_name,
        )
        if wait_s:
            page.headers["Retry-After"] = str(math.ceil(wait_s))
        return page


def waiting_time(wait_s: float) -> str:
    """Return a time to wait in words, ``"2 minutes"``, never less than it is."""
    if wait_s <= 60:
        return f"{math.ceil(wait_s)} seconds"
    return f"{math.ceil(wait_s / 60)} minutes"


def own_path(then: str | None) -> str:
    """Return where to go after signing in: a page of this server, never another site."""
    if then is None or len(then) > 500 or _OWN_PATH.fullmatch(then) is None or ".." in then or then == "/":
        return FIRST_PAGE
    return FIRST_PAGE if then.startswith("/sign-") else then
