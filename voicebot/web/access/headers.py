"""The headers that every answer bears, which tell browsers what not to do."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from voicebot.web.access.principal import PRINCIPAL
from voicebot.web.address import PublicAddress
from voicebot.web.doors import base_url

CSP_HEADER = "Content-Security-Policy"


def content_security_policy(*, connect: Iterable[str] = ()) -> str:
    """Return what a page may load and where its scripts may `connect` to besides this server.

    Nothing but this server's own files, and no script or style that stands in the page itself.
    """
    where = " ".join(["'self'", *connect])
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
        f"connect-src {where}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


_ALWAYS = {
    CSP_HEADER: content_security_policy(),
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_A_YEAR_OF_HTTPS = "max-age=31536000"


class SecurityHeaders:
    def __init__(self, public: PublicAddress) -> None:
        self._public = public

    async def add(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add them; a signal handler of aiohttp's `on_response_prepare`."""
        for name, value in _ALWAYS.items():
            response.headers.setdefault(name, value)
        if PRINCIPAL in request:
            response.headers.setdefault("Cache-Control", "no-store")
        try:
            is_https = base_url(request, self._public).startswith("https:")
        except web.HTTPBadRequest:
            return  # the request's host is no host, which is what the answer says
        if is_https:
            response.headers.setdefault("Strict-Transport-Security", _A_YEAR_OF_HTTPS)
