"""Sends calls as a file, record by record, however many they are."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

from aiohttp import web

EXPORT_FORMATS = {"csv": "text/csv", "json": "application/json"}
#: Enough to fill a packet or two; a write for every call would cost more than the call.
_CHUNK_CHARS = 65_536
_COLUMNS = (
    *("id", "started_at", "ended_at", "channel", "direction", "caller", "called", "carrier_call_id"),
    *("outcome", "cause", "goal", "goal_reached", "flow_version"),
)
_TURN_COLUMNS = ("duration_s", "intents", "turns", "transcript")
#: What a spreadsheet would run as a formula; a number, such as a caller's, is none.
_FORMULA = re.compile(r"[=@\t\r]|[+-](?![\d ().-]*$)")


async def send_export(
    request: web.Request, records: AsyncIterator[Mapping[str, Any]], format_: str
) -> web.StreamResponse:
    """Stream records as the format named, one of `EXPORT_FORMATS`."""
    response = web.StreamResponse(
        headers={
            "Content-Type": f"{EXPORT_FORMATS[format_]}; charset=utf-8",
            "Content-Disposition": f'attachment; filename="calls.{format_}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
    )
    pieces = _csv(records) if format_ == "csv" else _json(records)
    await response.prepare(request)
    waiting: list[str] = []
    async for piece in pieces:
        waiting.append(piece)
        if sum(map(len, waiting)) >= _CHUNK_CHARS:
            await response.write("".join(waiting).encode())
            waiting = []
    await response.write("".join(waiting).encode())
    await response.write_eof()
    return response


async def _json(records: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[str]:
    lead = "["
    async for record in records:
        yield f"{lead}\n{json.dumps(record, ensure_ascii=False)}"
        lead = ","
    yield "[]\n" if lead == "[" else "\n]\n"


async def _csv(records: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[str]:
    yield _line([*_COLUMNS, *_TURN_COLUMNS])
    async for record in records:
        turns = record["turns"]
        values = [record[name] for name in _COLUMNS]
        intents = dict.fromkeys(turn["intent"] for turn in turns if turn["intent"])
        transcript = "\n".join(f"{turn['speaker']}: {_said(turn)}" for turn in turns)
        yield _line([*values, _duration_s(record), " ".join(intents), len(turns), transcript])


def _line(values: list[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(["" if value is None else _harmless(value) for value in values])
    return buffer.getvalue()


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def _said(turn: Mapping[str, Any]) -> str:
    if turn["secret"]:
        return "(kept secret)"
    return str(turn["text"] if turn["heard_text"] is None else turn["heard_text"])


def _duration_s(record: Mapping[str, Any]) -> float | None:
    if record["ended_at"] is None:
        return None
    return (datetime.fromisoformat(record["ended_at"]) - datetime.fromisoformat(record["started_at"])).total_seconds()
