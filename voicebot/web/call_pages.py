"""The pages on which people look for calls, and listen to one beside what was understood and decided in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from aiohttp import web

from voicebot.records.access.roles import Right
from voicebot.records.actions import Action
from voicebot.records.record import Outcome, RecordingState, Speaker
from voicebot.web.access.declared import requires
from voicebot.web.access.principal import principal_of
from voicebot.web.actions import shown_actions
from voicebot.web.call_query import QueryRefused
from voicebot.web.contexts import ContextReader
from voicebot.web.excerpts import Excerpt, excerpt
from voicebot.web.pages import Pages
from voicebot.web.records import CallReader, Found, Record, find_call, search_calls
from voicebot.web.turn_view import shown_turns
from voicebot.work.actions import Actions

#: What the form asks for, by the names that the API takes too.
_FIELDS = ("words", "said_by", "caller", "intent", "outcome", "flow_version")
_BOUNDS = ("min_duration_s", "max_duration_s", "since", "until")


class CallPagesDoor:
    """Serves the pages to those who may read calls. Both work without script, which adds the player."""

    def __init__(
        self, *, calls: CallReader, contexts: ContextReader | None, actions: Actions | None, pages: Pages
    ) -> None:
        self._calls = calls
        self._actions = actions
        self._contexts = contexts
        self._pages = pages

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/calls", self.list), web.get("/calls/{id}", self.call)]

    @requires(Right.READ_CALLS, lists=True)
    async def list(self, request: web.Request) -> web.Response:
        """Show the calls that fit; what cannot be read of the query is said beside the form, with status 400."""
        problem: QueryRefused | None = None
        found = Found((), None)
        try:
            found = await search_calls(self._calls, request)
        except QueryRefused as error:
            problem = error
        asked = {name: request.query[name] for name in (*_FIELDS, *_BOUNDS) if request.query.get(name, "").strip()}
        return self._pages.html(
            request,
            "calls.html",
            status=400 if problem else 200,
            found=[_listed(call, asked) for call in found.calls],
            asked=asked,
            problem=problem,
            next=_query(asked, cursor=str(found.next)) if found.next else None,
            newest=_query(asked) if request.query.get("cursor") else None,
            exports={format_: _query(asked, format=format_) for format_ in ("csv", "json")},
            intents=_intents(found.calls),
            outcomes=list(Outcome),
            speakers=list(Speaker),
        )

    @requires(Right.READ_CALLS, call="id")
    async def call(self, request: web.Request) -> web.Response:
        """Show one call: what was said, understood and decided, and how long it took, beside the recording."""
        record = await find_call(self._calls, request)
        recording = record["recording"]
        ready = recording is not None and recording["state"] == RecordingState.READY
        context = await self._contexts.get(record["id"]) if self._contexts else None
        deliveries = await self._contexts.deliveries(record["id"]) if self._contexts and context else ()
        actions: Sequence[Action] = ()
        if self._actions is not None and principal_of(request).may(Right.UNDO_ACTIONS):
            actions = await self._actions.of_call(record["id"])
        return self._pages.html(
            request,
            "call.html",
            actions=shown_actions(actions),
            call=record,
            turns=shown_turns(record["turns"]),
            is_ready=ready,
            can_listen=ready and principal_of(request).may(Right.LISTEN),
            context=context,
            deliveries=deliveries,
        )


@dataclass(frozen=True, slots=True)
class _Listed:
    """A call in the list, with where it says what was looked for."""

    call: Record
    excerpt: Excerpt | None


def _listed(call: Record, asked: Mapping[str, str]) -> _Listed:
    said_by = Speaker(asked["said_by"]) if "said_by" in asked else None
    return _Listed(call, excerpt(call["turns"], asked["words"], said_by) if "words" in asked else None)


def _query(asked: Mapping[str, str], **more: str) -> str:
    return urlencode({**asked, **more})


def _intents(calls: Sequence[Record]) -> list[str]:
    """Return the intents of the calls at hand, to be suggested."""
    found = {turn["intent"] for call in calls for turn in call["turns"]} | {call["goal"] for call in calls}
    return sorted(intent for intent in found if intent)
