"""Reads what calls are looked for from the query of an address."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Any, TypeVar

from aiohttp import web

from voicebot.dialog.document import suggestion
from voicebot.records.record import Outcome, Speaker
from voicebot.records.search import CallSearch, Cursor, SearchRefused

#: What `read_search` reads.
SEARCH = (
    "words",
    "said_by",
    "caller",
    "intent",
    "outcome",
    "flow_version",
    "min_duration_s",
    "max_duration_s",
    "since",
    "until",
    "before",
)
#: What `read_limit` and `read_cursor` read.
PAGE = ("limit", "cursor")

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
_MAX_CHARS = 500

_Choice = TypeVar("_Choice", bound=StrEnum)


class QueryRefused(web.HTTPBadRequest):
    """What was asked for cannot be read; `field` names the part of the query that is wrong."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(text=f"`{field}` {problem}")
        self.field = field


def check_names(query: Collection[str], known: Collection[str]) -> None:
    """Raise QueryRefused for a name that nothing reads: a filter that was mistyped must not find, or export, all."""
    for name in query:
        if name not in known:
            raise QueryRefused(name[:_MAX_CHARS], f"is not known here. {suggestion(name[:_MAX_CHARS], known)}")


def read_search(query: Mapping[str, str]) -> CallSearch:
    """Read `words`, `said_by`, `caller`, `intent`, `outcome`, `flow_version`, durations and times; empty means any.

    Durations are `min_duration_s` and `max_duration_s`; `since` and `until` (or `before`) are dates in UTC or ISO 8601
    times with a zone, and `until` is not itself included. QueryRefused names what is wrong.
    """
    return CallSearch(
        words=read_text(query, "words") or "",
        said_by=_choice(query, "said_by", Speaker),
        caller=read_text(query, "caller"),
        intent=read_text(query, "intent"),
        outcome=_choice(query, "outcome", Outcome),
        min_duration_s=_seconds(query, "min_duration_s"),
        max_duration_s=_seconds(query, "max_duration_s"),
        since=read_moment(query, "since"),
        until=read_moment(query, "until") or read_moment(query, "before"),
        flow_version=read_text(query, "flow_version"),
    )


def read_limit(query: Mapping[str, str]) -> int:
    """Read `limit`, how many are wanted at once; QueryRefused names what is wrong."""
    limit = query.get("limit", str(DEFAULT_LIMIT))
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 4 and 1 <= int(limit) <= MAX_LIMIT):
        raise QueryRefused("limit", f"is a number from 1 to {MAX_LIMIT}.")
    return int(limit)


def read_cursor(query: Mapping[str, str]) -> Cursor | None:
    """Read `cursor`, after which the list goes on; QueryRefused when it is none of ours."""
    given = read_text(query, "cursor")
    if given is None:
        return None
    try:
        return Cursor.parse(given)
    except SearchRefused as error:
        raise refused(error) from error


def refused(error: SearchRefused) -> QueryRefused:
    """Return a search that cannot be carried out as a bad request."""
    return QueryRefused(error.field, error.problem)


def place_of(call: Mapping[str, Any]) -> Cursor:
    """Return the place of a call's record in the list."""
    return Cursor(datetime.fromisoformat(call["started_at"]), call["id"])


def read_text(query: Mapping[str, str], name: str) -> str | None:
    """Read a text, None where there is none; QueryRefused when it is too long."""
    given = query.get(name, "").strip()
    if len(given) > _MAX_CHARS or "\0" in given:
        raise QueryRefused(name, f"is a text of up to {_MAX_CHARS} characters.")
    return given or None


def _choice(query: Mapping[str, str], name: str, kind: type[_Choice]) -> _Choice | None:
    given = query.get(name)
    if not given:
        return None
    try:
        return kind(given)
    except ValueError:
        raise QueryRefused(name, f"is one of {', '.join(kind)}.") from None


def _seconds(query: Mapping[str, str], name: str) -> float | None:
    given = query.get(name)
    if not given:
        return None
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise QueryRefused(name, "is a number of seconds.")
    return seconds


def read_moment(query: Mapping[str, str], name: str) -> datetime | None:
    """Read a date in UTC or a time with its zone, None where there is none; QueryRefused says how it is written."""
    given = query.get(name)
    if not given:
        return None
    try:
        day = len(given) == len("2026-01-31")
        moment = datetime.combine(date.fromisoformat(given), time(), UTC) if day else datetime.fromisoformat(given)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # told below
    raise QueryRefused(name, "is a date or an ISO 8601 time with its zone, such as 2026-01-31T08:00:00Z.")
