"""How refusals and faults look: JSON for programs, a page for people, and nothing of the inside for either."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus

import structlog
from aiohttp import web

from voicebot.web.pages import Pages

_log = structlog.get_logger()

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
#: What of a refusal's headers means something to the client.
_KEPT = ("Content-Range", "Allow", "Retry-After", "WWW-Authenticate")


class Answers:
    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    @web.middleware
    async def middleware(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Answer for whatever refuses the request or fails on it."""
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400 or error.content_type != "text/plain":
                raise
            headers = {name: error.headers[name] for name in _KEPT if name in error.headers}
            why = error.text if error.text and error.text != f"{error.status}: {error.reason}" else _unsaid(error)
            return self._answer(request, error.status, why, headers)
        except Exception as error:
            is_gone = request.transport is None or request.transport.is_closing()
            if is_gone and isinstance(error, ConnectionError):
                return web.Response()  # players go whenever somebody seeks; that nobody reads this, aiohttp finds out
            if "Upgrade" in request.headers or is_gone:
                raise  # the answer has begun long ago, or nobody waits for it any more
            _log.exception("a request failed", method=request.method, path=_canonical(request))
            return self._answer(request, 500, "Something went wrong here. It has been noted.", {})

    def _answer(self, request: web.Request, status: int, why: str, headers: dict[str, str]) -> web.StreamResponse:
        if request.path.startswith("/api/"):
            return web.json_response({"error": why}, status=status, headers=headers)
        if "text/html" in request.headers.get("Accept", ""):
            title, forbidden = HTTPStatus(status).phrase, status == HTTPStatus.FORBIDDEN
            page = self._pages.html(request, "refused.html", status=status, title=title, why=why, forbidden=forbidden)
            page.headers.update(headers)
            return page
        return web.Response(status=status, text=why, headers=headers)


def _unsaid(error: web.HTTPException) -> str:
    """Return why, where only the status says it: an address that is none of this server's."""
    return "There is nothing at this address." if error.status == HTTPStatus.NOT_FOUND else error.reason


def _canonical(request: web.Request) -> str | None:
    resource = request.match_info.route.resource
    return resource.canonical if resource else None
