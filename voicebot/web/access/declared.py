"""What each route asks of those who call it: declared beside its handler, or open and listed here with the reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

from aiohttp import web

from voicebot.records.access.roles import Right

_Handler = TypeVar("_Handler", bound=Callable[..., object])
_MARK = "_voicebot_access"

#: Routes that anyone may call, by method and path; every other one is closed unless its handler declares a right.
PUBLIC: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("GET", "/"): "leads to the call page",
        ("GET", "/call"): "the page anyone can call from",
        ("POST", "/browser/ticket"): "asks for the page's own origin, and is limited by address",
        ("GET", "/browser/media"): "asks for a ticket that is good once",
        ("GET", "/desk/audio"): "asks for a ticket that is good once, for one agent and one call",
        ("POST", "/twilio/voice"): "asks for Twilio's signature",
        ("POST", "/twilio/status"): "asks for Twilio's signature",
        ("POST", "/twilio/call"): "asks for Twilio's signature",
        ("POST", "/twilio/machine"): "asks for Twilio's signature",
        ("POST", "/twilio/away"): "asks for Twilio's signature",
        ("POST", "/twilio/screen"): "asks for Twilio's signature",
        ("POST", "/twilio/sms"): "asks for Twilio's signature",
        ("GET", "/twilio/media"): "asks for a ticket that is good once, for one call",
        ("GET", "/asterisk/media"): "asks for a configured address, and for a password where one is set",
        ("POST", "/api/chat"): "asks for a token's right to begin a chat, and for the signed session to go on with it",
        ("GET", "/api/schema"): "the form of records; holds nothing of any call",
        ("GET", "/api/schema/context"): "the form of context packets; holds nothing of any call",
        ("GET", "/api/openapi.json"): "the form of the API; holds nothing of any call",
        ("GET", "/sign-in"): "where one signs in",
        ("POST", "/sign-in"): "where one signs in; counts failures",
        ("GET", "/sign-in/oidc"): "leads to the OpenID provider",
        ("GET", "/sign-in/oidc/callback"): "where the OpenID provider leads back to, with a state that is good once",
        ("GET", "/healthz"): "whether the process lives",
        ("GET", "/readyz"): "whether it takes calls",
        ("GET", "/metrics"): "counts, without anything of any call or caller",
        ("GET", "/static"): "scripts, styles and pictures of the pages",
    }
)


@dataclass(frozen=True, slots=True)
class Access:
    """What a route asks for.

    Without a `right` any user who signed in will do. `call` names the part of the path that is a call's id: whoever
    may see own calls only gets 404 for others. `lists` says that the handler itself keeps to `Principal.sight`. One
    who sees own calls only is refused where neither is said. `audited` is the action to note in the audit trail.
    """

    right: Right | None
    call: str | None = None
    lists: bool = False
    audited: str | None = None


def requires(
    right: Right, *, call: str | None = None, lists: bool = False, audited: str | None = None
) -> Callable[[_Handler], _Handler]:
    """Declare what a route's handler asks for; see `Access`. Changes, playback and export must be `audited`."""
    return _declare(Access(right, call, lists, audited))


def requires_sign_in(*, audited: str | None = None) -> Callable[[_Handler], _Handler]:
    """Declare that any user who signed in may call the route, and no token."""
    return _declare(Access(None, audited=audited))


def _declare(access: Access) -> Callable[[_Handler], _Handler]:
    def mark(handler: _Handler) -> _Handler:
        setattr(handler, _MARK, access)
        return handler

    return mark


def access_of(handler: object) -> Access | None:
    """Return what a handler declares, or None."""
    found = getattr(handler, _MARK, None)
    return found if isinstance(found, Access) else None


def is_public(route: web.AbstractRoute) -> bool:
    """Tell whether a route is on the list of open ones; aiohttp answers HEAD where GET is answered."""
    if route.resource is None:
        return False
    method = "GET" if route.method == "HEAD" else route.method
    return (method, route.resource.canonical) in PUBLIC
