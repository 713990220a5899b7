"""Tells a change that one of our pages asked for from one that another site had the user's browser send."""

from __future__ import annotations

import hmac

from aiohttp import web

from voicebot.web.access.principal import Principal
from voicebot.web.address import PublicAddress
from voicebot.web.doors import base_url, read_form

#: What scripts send the token in; forms have a hidden field.
HEADER = "X-CSRF-Token"
FIELD = "csrf"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def check_origin(request: web.Request, public: PublicAddress) -> None:
    """Raise aiohttp's `HTTPForbidden` when a browser says that another site's page sends this.

    Every browser says so with a request that changes something, and with every WebSocket.
    """
    origin = request.headers.get("Origin")
    if origin is not None and origin != base_url(request, public):
        raise web.HTTPForbidden(
            text="This came from another site's page. If it is this server's own, its address is not `public_url`."
        )
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        raise web.HTTPForbidden(text="This came from another site's page.")


async def check_intent(request: web.Request, principal: Principal, public: PublicAddress) -> None:
    """Raise aiohttp's `HTTPForbidden` unless the user themself asked for this; a token is proof by itself."""
    if principal.csrf is None:
        return
    if request.headers.get("Upgrade", "").lower() == "websocket":
        if "Origin" not in request.headers:
            raise web.HTTPForbidden(text="A WebSocket of a session names its Origin.")
        check_origin(request, public)
    if request.method in _SAFE:
        return
    check_origin(request, public)
    given = request.headers.get(HEADER)
    if given is None and request.content_type == "application/x-www-form-urlencoded":
        given = (await read_form(request)).get(FIELD)
    # Bytes that are no UTF-8 come as surrogates.
    if given is None or not hmac.compare_digest(given.encode(errors="surrogatepass"), principal.csrf.encode()):
        raise web.HTTPForbidden(text="The page is out of date. Go back, load it again and repeat what you did.")
