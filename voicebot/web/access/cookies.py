"""The cookies of sign-in: out of reach of scripts, sent to this server only, and over https only."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web

from voicebot.web.address import PublicAddress
from voicebot.web.doors import base_url


def is_plain_loopback(base: str) -> bool:
    """Tell whether pages come over http from this very machine, where there is nobody on the way to listen."""
    parts = urlsplit(base)
    if parts.scheme != "http" or parts.hostname is None:
        return False
    try:
        return ip_address(parts.hostname).is_loopback
    except ValueError:
        return parts.hostname == "localhost"


class Cookie:
    """One cookie. Its name forbids browsers to take it from another host or over http, but on loopback.

    `SameSite` is Lax, since a link from a ticket or from the OpenID provider must find its reader signed in; changes
    are kept safe by the CSRF token.
    """

    def __init__(self, name: str, public: PublicAddress) -> None:
        self._name = name
        self._public = public

    def read(self, request: web.Request) -> str:
        return request.cookies.get(self._named(request), "")

    def set(self, request: web.Request, response: web.StreamResponse, value: str, *, max_age_s: int) -> None:
        response.set_cookie(
            self._named(request),
            value,
            max_age=max_age_s,
            path="/",
            httponly=True,
            samesite="Lax",
            secure=self._is_secure(request),
        )

    def delete(self, request: web.Request, response: web.StreamResponse) -> None:
        # A browser heeds a change of a __Host- cookie only when it comes with all that the name promises.
        response.del_cookie(
            self._named(request), path="/", httponly=True, samesite="Lax", secure=self._is_secure(request)
        )

    def _named(self, request: web.Request) -> str:
        return f"__Host-{self._name}" if self._is_secure(request) else self._name

    def _is_secure(self, request: web.Request) -> bool:
        return not is_plain_loopback(base_url(request, self._public))


def csrf_token(session: str) -> str:
    """Return what pages of a session must send with changes; nobody can tell the session from it."""
    return urlsafe_b64encode(hmac.digest(session.encode(), b"csrf", hashlib.sha256)).decode().rstrip("=")
