"""The ways to read what was recorded: the API for programs, and pages for people with the same token."""

from __future__ import annotations

import hmac
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import jinja2
import structlog
from aiohttp import web

from voicebot.records.search import CallSearch, Cursor, SearchRefused
from voicebot.web import record_view
from voicebot.web.address import PublicAddress
from voicebot.web.call_export import EXPORT_FORMATS, send_export
from voicebot.web.call_query import place_of, read_cursor, read_limit, read_search
from voicebot.web.doors import base_url, client_address, read_form
from voicebot.web.limits import RateLimit
from voicebot.web.tickets import Audience, TicketRefused, Tickets

_log = structlog.get_logger()

COOKIE = "voicebot_records"
SIGNED_IN_S = 8 * 3600

_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")

#: A call's record as JSON, shaped as the schema at /api/schema says.
Record = Mapping[str, Any]


class CallReader(Protocol):
    """Where records are read from."""

    async def search(self, wanted: CallSearch, limit: int, after: Cursor | None) -> Sequence[Record]:
        """Return up to `limit` records that fit and follow a place in the list, the latest first.

        Raises `SearchRefused` when the words hold nothing to search for, or too much.
        """
        ...

    def every(self, wanted: CallSearch) -> AsyncIterator[Record]: ...

    async def get(self, call_id: str) -> Record | None: ...

    async def recording(self, call_id: str) -> Path | None:
        """Return the two-channel WAV file of a call, caller on the left, or None when there is none."""
        ...


class RecordsDoor:
    """Serves records to whoever has `api_token`; without one every record is closed."""

    def __init__(
        self,
        *,
        calls: CallReader,
        schema: Mapping[str, Any],
        api_token: str | None,
        public: PublicAddress,
        tickets: Tickets,
        sign_ins: RateLimit,
    ) -> None:
        self._calls = calls
        self._schema = schema
        self._api_token = api_token
        self._public = public
        self._tickets = tickets
        self._sign_ins = sign_ins
        templates = resources.files("voicebot.web") / "templates"
        self._pages = jinja2.Environment(
            loader=jinja2.FunctionLoader(lambda name: (templates / name).read_text("utf-8")),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._pages.filters |= {
            "clock_time": record_view.clock_time,
            "durations": record_view.durations,
            "moment": record_view.moment,
            "percent": record_view.percent,
            "stages": record_view.stages,
            "steps": record_view.steps,
            "words": record_view.words,
        }
        self._pages.globals |= {"duration": record_view.duration, "bar_width": record_view.BAR_WIDTH}
        if api_token is None:
            _log.warning("the records API is closed: VOICEBOT_API_TOKEN is not set")

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/calls", self.list),
            web.get("/api/calls/export", self.export),
            web.get("/api/calls/{id}", self.get),
            web.get("/api/calls/{id}/recording", self.recording),
            web.get("/api/schema", self.schema),
            web.get("/calls", self.list_page),
            web.get("/calls/{id}", self.page),
            web.get("/sign-in", self.sign_in_page),
            web.post("/sign-in", self.sign_in),
        ]

    async def list(self, request: web.Request) -> web.Response:
        """Answer `{"calls": […], "next_cursor": …, "next_before": …}`; pass `next_cursor` back as `cursor` for more.

        What may be searched for stands in `call_query`.
        """
        self._check_bearer(request)
        return web.json_response(await self._list(request))

    async def export(self, request: web.Request) -> web.StreamResponse:
        """Stream all calls that fit as a file, `format` being ``csv`` (a line a call) or ``json`` (whole records)."""
        self._check_bearer(request)
        wanted = read_search(request.query)
        format_ = request.query.get("format", "json")
        if format_ not in EXPORT_FORMATS:
            raise web.HTTPBadRequest(text=f"`format` is one of {', '.join(EXPORT_FORMATS)}.")
        return await send_export(request, self._calls.every(wanted), format_)

    async def get(self, request: web.Request) -> web.Response:
        self._check_bearer(request)
        return web.json_response(await self._record(request))

    async def recording(self, request: web.Request) -> web.StreamResponse:
        """Send the recording; ranges are honoured. The pages' player comes with its cookie instead of a bearer."""
        if not self._is_signed_in(request):
            self._check_bearer(request)
        path = await self._calls.recording(_call_id(request))
        if path is None:
            raise web.HTTPNotFound(text="This call has no recording.")
        return web.FileResponse(path, headers={"Content-Type": "audio/wav", "Cache-Control": "private, no-store"})

    async def schema(self, request: web.Request) -> web.Response:
        """Send the JSON Schema of a record; it holds nothing personal and is open."""
        del request
        return web.json_response(self._schema, content_type="application/schema+json")

    async def list_page(self, request: web.Request) -> web.Response:
        self._check_signed_in(request)
        return self._html("calls.html", **await self._list(request))

    async def page(self, request: web.Request) -> web.Response:
        """Show one call: what was said, understood and decided, and how long it took, beside the recording."""
        self._check_signed_in(request)
        record = await self._record(request)
        has_recording = await self._calls.recording(_call_id(request)) is not None
        return self._html("call.html", call=record, has_recording=has_recording)

    async def sign_in_page(self, request: web.Request) -> web.Response:
        return self._html(
            "sign_in.html", then=_own_path(request.query.get("then")), wrong=False, closed=self._is_closed
        )

    async def sign_in(self, request: web.Request) -> web.Response:
        """Exchange the API token for a cookie that opens the pages for a working day."""
        form = await read_form(request)
        then = _own_path(form.get("then"))
        if not self._sign_ins.allow(client_address(request, self._public)):
            raise web.HTTPTooManyRequests(text="Too many attempts from this address. Try again in a minute.")
        if not self._is_token(form.get("token", "")):
            return self._html("sign_in.html", status=403, then=then, wrong=True, closed=self._is_closed)
        answer = web.Response(status=303, headers={"Location": then})
        answer.set_cookie(
            COOKIE,
            self._tickets.issue(Audience.RECORD_PAGES, "reader", lifetime_s=SIGNED_IN_S),
            max_age=SIGNED_IN_S,
            httponly=True,
            samesite="Strict",
            secure=base_url(request, self._public).startswith("https:"),
        )
        return answer

    @property
    def _is_closed(self) -> bool:
        return self._api_token is None

    def _is_token(self, given: str) -> bool:
        token = self._api_token
        return token is not None and hmac.compare_digest(given.encode(), token.encode())

    def _check_bearer(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if self._is_closed:
            raise web.HTTPForbidden(text="The API is closed: the server has no VOICEBOT_API_TOKEN.")
        if scheme.lower() != "bearer" or not self._is_token(token.strip()):
            raise web.HTTPUnauthorized(text="Send the API token as a bearer.", headers={"WWW-Authenticate": "Bearer"})

    def _is_signed_in(self, request: web.Request) -> bool:
        if self._is_closed:
            return False
        try:
            self._tickets.check(request.cookies.get(COOKIE, ""), Audience.RECORD_PAGES)
        except TicketRefused:
            return False
        return True

    def _check_signed_in(self, request: web.Request) -> None:
        if not self._is_signed_in(request):
            raise web.HTTPSeeOther(f"/sign-in?then={request.path}")

    async def _list(self, request: web.Request) -> dict[str, Any]:
        wanted, limit, after = read_search(request.query), read_limit(request.query), read_cursor(request.query)
        try:
            calls = await self._calls.search(wanted, limit, after)
        except SearchRefused as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        more = len(calls) == limit
        return {
            "calls": list(calls),
            "next_cursor": str(place_of(calls[-1])) if more else None,
            "next_before": calls[-1]["started_at"] if more else None,
        }

    async def _record(self, request: web.Request) -> Record:
        record = await self._calls.get(_call_id(request))
        if record is None:
            raise web.HTTPNotFound(text="There is no such call.")
        return record

    def _html(self, name: str, *, status: int = 200, **values: object) -> web.Response:
        text = self._pages.get_template(name).render(values)
        return web.Response(status=status, text=text, content_type="text/html", headers={"Cache-Control": "no-store"})


def _call_id(request: web.Request) -> str:
    call_id = request.match_info["id"]
    if _CALL_ID.fullmatch(call_id) is None:
        raise web.HTTPNotFound(text="There is no such call.")
    return call_id


def _own_path(then: str | None) -> str:
    """Return where to go after signing in: a records page of this server, never another site."""
    return then if then is not None and re.fullmatch(r"/calls(/[A-Za-z0-9_-]{1,128})?", then) else "/calls"
