"""Playing recordings: in ranges as players ask for them, each playback audited, and none before it was redacted."""

from __future__ import annotations

import re
from typing import Protocol

import structlog
from aiohttp import web

from voicebot.errors import VoicebotError
from voicebot.records.access.roles import Right
from voicebot.records.vault.vault import RecordingUnfinishedError
from voicebot.web.access.declared import requires
from voicebot.web.access.principal import principal_of

_log = structlog.get_logger(__name__)

#: Fetched, opened and sent at once.
_PIECE_BYTES = 256 * 1024
_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


class Playable(Protocol):
    """A recording that may be played; `etag` changes whenever its bytes do."""

    @property
    def content_type(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def etag(self) -> str: ...

    async def read(self, start: int, end: int) -> bytes: ...


class Recordings(Protocol):
    """Where recordings come from; both raise `RecordingUnfinishedError` before redaction has run."""

    async def open(self, call_id: str) -> Playable | None: ...

    async def waveform(self, call_id: str) -> bytes | None:
        """Return `{"duration_ms": …, "lanes": {"caller": […], "bot": […]}}`, levels from 0 to 100."""
        ...


class LiveRecordings(Protocol):
    """Both return False when there is no such live call here."""

    def stop(self, call_id: str, by: str) -> bool: ...
    def resume(self, call_id: str) -> bool: ...


class RecordingsDoor:
    """Serves recordings to those who have the right to listen."""

    def __init__(self, recordings: Recordings, live: LiveRecordings) -> None:
        self._recordings = recordings
        self._live = live

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/calls/{id}/recording", self.recording),
            web.get("/api/calls/{id}/waveform", self.waveform),
            web.post("/api/calls/{id}/recording/stop", self.stop),
            web.post("/api/calls/{id}/recording/resume", self.resume),
        ]

    @requires(Right.LISTEN, call="id", audited="recording_played")
    async def recording(self, request: web.Request) -> web.StreamResponse:
        """Send the recording or a range of it; 409 while it may not be played."""
        call_id = _call_id(request)
        try:
            found = await self._recordings.open(call_id)
        except RecordingUnfinishedError as error:
            raise _closed(error) from None
        if found is None:
            raise web.HTTPNotFound(text="This call has no recording.")
        start, end, status = _range(request, found)
        answer = web.StreamResponse(status=status, headers=_headers(found, start, end, status))
        answer.content_length = end - start
        await answer.prepare(request)
        if request.method != "HEAD":
            await _send(request, answer, found, start, end)
        return answer

    @requires(Right.READ_CALLS, call="id")
    async def waveform(self, request: web.Request) -> web.Response:
        """Send how loud each lane is over the call, made when it ended."""
        try:
            content = await self._recordings.waveform(_call_id(request))
        except RecordingUnfinishedError as error:
            raise _closed(error) from None
        if content is None:
            raise web.HTTPNotFound(text="This call has no recording.")
        return web.Response(
            body=content, content_type="application/json", headers={"Cache-Control": "private, no-store"}
        )

    @requires(Right.CONTROL_RECORDING, call="id", audited="recording_stopped")
    async def stop(self, request: web.Request) -> web.Response:
        """Record silence instead of both parties of a live call."""
        return _live_answer(self._live.stop(_call_id(request), principal_of(request).actor))

    @requires(Right.CONTROL_RECORDING, call="id", audited="recording_resumed")
    async def resume(self, request: web.Request) -> web.Response:
        return _live_answer(self._live.resume(_call_id(request)))


def _live_answer(is_live: bool) -> web.Response:  # noqa: FBT001  # what the call is
    if not is_live:
        raise web.HTTPNotFound(text="There is no such live call.")
    return web.Response(status=204)


async def _send(request: web.Request, answer: web.StreamResponse, found: Playable, start: int, end: int) -> None:
    try:
        for at in range(start, end, _PIECE_BYTES):
            await answer.write(await found.read(at, min(at + _PIECE_BYTES, end)))
    except VoicebotError as error:
        # The status has gone out: what is left is to break off, so that no player takes it for the whole. Closed here,
        # since the server would let the connection stay open for half a minute after a handler's failure.
        _log.error("recording broken off", call_id=_call_id(request), error=str(error))
        if request.transport is not None:
            request.transport.close()
        raise ConnectionResetError("the recording could not be read to its end") from error
    await answer.write_eof()


def _range(request: web.Request, found: Playable) -> tuple[int, int, int]:
    """Return the bytes asked for and the status of the answer; 416 for a range outside of them."""
    condition = request.headers.get("If-Range")
    if "Range" not in request.headers or (condition is not None and condition != _etag(found)):
        return 0, found.size, 200
    try:
        asked = request.http_range
    except ValueError:
        raise _no_such_range(found) from None
    start, end = asked.start or 0, asked.stop
    if start < 0:  # the last bytes
        start = max(0, found.size + start)
    end = found.size if end is None else min(end, found.size)
    if start >= end:
        raise _no_such_range(found)
    return start, end, 206


def _headers(found: Playable, start: int, end: int, status: int) -> dict[str, str]:
    headers = {
        "Content-Type": found.content_type,
        "Cache-Control": "private, no-store",
        "Accept-Ranges": "bytes",
        "ETag": _etag(found),
    }
    return headers if status == 200 else headers | {"Content-Range": f"bytes {start}-{end - 1}/{found.size}"}


def _etag(found: Playable) -> str:
    return f'"{found.etag}"'


def _closed(error: RecordingUnfinishedError) -> web.HTTPConflict:
    return web.HTTPConflict(text=str(error), headers={"Retry-After": "5"})


def _no_such_range(found: Playable) -> web.HTTPRequestRangeNotSatisfiable:
    return web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{found.size}"})


def _call_id(request: web.Request) -> str:
    call_id = request.match_info["id"]
    if _CALL_ID.fullmatch(call_id) is None:
        raise web.HTTPNotFound(text="There is no such call.")
    return call_id
