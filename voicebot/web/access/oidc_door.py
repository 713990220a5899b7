"""Signing in at the OpenID provider: out to it, and back."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from aiohttp import web

from voicebot.records.access.oidc_attempts import LIFETIME, OidcAttempts
from voicebot.records.access.users import UserRefused, Users
from voicebot.web.access.cookies import Cookie
from voicebot.web.access.oidc import OidcClient, OidcRefused
from voicebot.web.access.sign_in import SIGN_INS_A_MINUTE, Entrance, own_path
from voicebot.web.address import PublicAddress
from voicebot.web.doors import base_url, client_address
from voicebot.web.limits import RateLimit

_log = structlog.get_logger()

ATTEMPT_COOKIE = "voicebot_oidc"
CALLBACK_PATH = "/sign-in/oidc/callback"
_MAX_CHARS = 4096


class OidcDoor:
    def __init__(
        self,
        *,
        client: OidcClient,
        attempts: OidcAttempts,
        users: Users,
        entrance: Entrance,
        public: PublicAddress,
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._attempts = attempts
        self._users = users
        self._entrance = entrance
        self._public = public
        self._cookie = Cookie(ATTEMPT_COOKIE, public)
        self._begun = RateLimit(max_events=SIGN_INS_A_MINUTE, window_s=60, clock=clock)

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/sign-in/oidc", self.begin), web.get(CALLBACK_PATH, self.come_back)]

    async def begin(self, request: web.Request) -> web.Response:
        """Send the browser to the provider."""
        if not self._begun.allow(client_address(request, self._public)):
            raise web.HTTPTooManyRequests(text="Too many attempts from this address. Try again in a minute.")
        if not self._entrance.is_safe(request):
            raise web.HTTPForbidden(text="Signing in works over https only, or on the server's own machine.")
        attempt = await self._attempts.begin(own_path(request.query.get("then")))
        try:
            url = await self._client.authorization_url(
                redirect_uri=self._redirect_uri(request),
                state=attempt.state,
                nonce=attempt.nonce,
                verifier=attempt.verifier,
            )
        except OidcRefused as error:
            _log.error("OpenID provider cannot be used", why=str(error))
            raise web.HTTPBadGateway(text=str(error)) from error
        answer = web.Response(status=303, headers={"Location": url, "Cache-Control": "no-store"})
        self._cookie.set(request, answer, attempt.browser, max_age_s=int(LIFETIME.total_seconds()))
        return answer

    async def come_back(self, request: web.Request) -> web.Response:
        """Take what the provider sends the browser back with, and begin a session."""
        if not self._begun.allow(client_address(request, self._public)):
            raise web.HTTPTooManyRequests(text="Too many attempts from this address. Try again in a minute.")
        query = {name: request.query.get(name, "") for name in ("state", "code", "iss", "error")}
        if any(len(value) > _MAX_CHARS for value in query.values()):
            raise web.HTTPBadRequest(text="This did not come from the OpenID provider.")
        attempt = await self._attempts.take(query["state"], self._cookie.read(request))
        try:
            if attempt is None:
                raise OidcRefused("This sign-in was not begun here, or has been used, or took too long. Begin again.")  # noqa: TRY301  # told below, as all others
            if query["iss"] and query["iss"] != self._client.provider.issuer:
                raise OidcRefused("Another provider than ours sent you here.")  # noqa: TRY301  # see above
            if query["error"] or not query["code"]:
                raise OidcRefused("The OpenID provider did not sign you in.")  # noqa: TRY301  # see above
            vouched = await self._client.user(
                code=query["code"],
                redirect_uri=self._redirect_uri(request),
                verifier=attempt.verifier,
                nonce=attempt.nonce,
            )
            user = await self._users.by_oidc(vouched.subject, vouched.name, vouched.role)
        except (OidcRefused, UserRefused) as error:
            _log.warning("sign-in refused", why=str(error))
            self._entrance.note(request, "sign_in_failed", actor="nobody", user="", by="oidc", why=str(error))
            raise web.HTTPForbidden(text=str(error)) from error
        answer = await self._entrance.let_in(request, user, by="oidc", then=attempt.then)
        self._cookie.delete(request, answer)
        return answer

    def _redirect_uri(self, request: web.Request) -> str:
        return base_url(request, self._public) + CALLBACK_PATH
