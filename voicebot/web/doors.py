"""What every way into the server shares: whether calls are taken, where a request comes from, and forms."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import MultiDict

from voicebot.errors import RemoteProtocolError
from voicebot.telephony.leg import CallLeg
from voicebot.web.address import PublicAddress

#: For a request's body, so that nobody holds a handler by sending it a byte at a time.
BODY_TIMEOUT_S = 10.0
MAX_FORM_FIELDS = 200

Accept = Callable[[CallLeg], Awaitable[None]]
#: Told of every protocol error: the channel and the kind.
CountViolation = Callable[[str, str], None]


class Admission(Protocol):
    """Whether one more call can be served well."""

    def admit(self, caller: str, call_id: str) -> str | None:
        """Return a short constant saying why a call from `caller` (may be empty) is refused, or None to take it.

        A call that is taken has its place until its leg comes, which knows it by `call_id`.
        """
        ...


def base_url(request: web.Request, public: PublicAddress) -> str:
    """Return scheme and host under which the request was made from outside; raises aiohttp's `HTTPBadRequest`."""
    try:
        return public.base(peer=request.remote or "", scheme=request.scheme, host=request.host, headers=request.headers)
    except RemoteProtocolError as error:
        raise web.HTTPBadRequest(text=str(error)) from error


def client_address(request: web.Request, public: PublicAddress) -> str:
    """Return the IP address of the client, behind trusted proxies too."""
    return public.client(peer=request.remote or "", headers=request.headers)


async def read_form(request: web.Request) -> MultiDict[str]:
    """Read a URL-encoded form, keys that come twice and empty values included.

    Raises aiohttp's HTTP errors for another content type, a body that is too large, too slow or no form.
    """
    if request.content_type != "application/x-www-form-urlencoded":
        raise web.HTTPUnsupportedMediaType(text="Send a URL-encoded form.")
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            body = await request.read()
        fields = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS)
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(text=f"The form took more than {BODY_TIMEOUT_S} s.") from error
    except ValueError as error:
        raise web.HTTPBadRequest(text="The body is not a URL-encoded form.") from error
    return MultiDict(fields)
