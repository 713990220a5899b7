"""Finds out who makes a request: a user by the session's cookie, a program by its token."""

from __future__ import annotations

import hmac

from aiohttp import web

from voicebot.records.access.roles import RIGHTS, Reach, Right
from voicebot.records.access.sessions import Sessions
from voicebot.records.access.tokens import ApiTokens
from voicebot.web.access.cookies import Cookie, csrf_token
from voicebot.web.access.principal import Principal
from voicebot.web.address import PublicAddress
from voicebot.web.doors import client_address
from voicebot.web.limits import RateLimit

#: A token of our own has 47 characters, and VOICEBOT_API_TOKEN is whatever the operator chose.
MAX_TOKEN_CHARS = 512

#: `VOICEBOT_API_TOKEN` opens everything that a program can use.
_EVERYTHING = dict.fromkeys(Right, Reach.ALL)


class Identity:
    """`master_token` is VOICEBOT_API_TOKEN, if it is set; `wrong_tokens` limits an address."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        tokens: ApiTokens,
        cookie: Cookie,
        public: PublicAddress,
        master_token: str | None,
        wrong_tokens: RateLimit,
    ) -> None:
        self._sessions = sessions
        self._tokens = tokens
        self._cookie = cookie
        self._public = public
        self._master_token = master_token
        self._wrong = wrong_tokens

    async def find(self, request: web.Request) -> Principal | None:
        """Return who makes the request, or None for nobody that is known.

        Raises aiohttp's `HTTPUnauthorized` for a wrong token, which the session beside it does not excuse, and
        `HTTPTooManyRequests` after many.
        """
        if "Authorization" in request.headers and request.path.startswith("/api/"):
            return await self._program(request)
        return await self._person(request)

    async def _person(self, request: web.Request) -> Principal | None:
        secret = self._cookie.read(request)
        user = await self._sessions.user(secret) if secret else None
        if user is None:
            return None
        return Principal(user.name, RIGHTS[user.role], frozenset(user.queues), csrf_token(secret))

    async def _program(self, request: web.Request) -> Principal:
        address = client_address(request, self._public)
        if self._wrong.is_spent(address):
            raise web.HTTPTooManyRequests(
                text="Too many wrong tokens from this address. Try again in a minute.", headers={"Retry-After": "60"}
            )
        scheme, _, given = request.headers["Authorization"].partition(" ")
        token = given.strip()
        if scheme.lower() == "bearer" and 0 < len(token) <= MAX_TOKEN_CHARS:
            # Bytes that are no UTF-8 come as surrogates.
            shown, master = token.encode(errors="surrogatepass"), self._master_token
            if master is not None and hmac.compare_digest(shown, master.encode()):
                return Principal("token:VOICEBOT_API_TOKEN", _EVERYTHING)
            found = await self._tokens.find(token)
            if found is not None:
                return Principal(f"token:{found.name}", dict.fromkeys(found.scopes, Reach.ALL))
        self._wrong.allow(address)
        raise unauthorized("The token is not one of this server's, or not good any more.")


def unauthorized(why: str) -> web.HTTPUnauthorized:
    return web.HTTPUnauthorized(text=why, headers={"WWW-Authenticate": "Bearer"})
