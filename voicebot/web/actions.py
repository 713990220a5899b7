"""The API and the page on which people cancel and undo what the bot did, has waiting, or has planned."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from voicebot.backends.sqlite import from_json
from voicebot.records.access.roles import Right
from voicebot.records.actions import Action
from voicebot.records.personal_values import has_masked, masked
from voicebot.web.access.declared import requires
from voicebot.web.access.principal import principal_of
from voicebot.web.doors import read_form
from voicebot.web.pages import Pages
from voicebot.work.actions import Actions, Answer, Told
from voicebot.work.verbs import Verb

_ID = re.compile(r"[0-9a-f]{32}")
_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_STATUS = {Told.SETTLED: 200, Told.BEGUN: 202, Told.REFUSED: 409}


class ActionsDoor:
    """Both verbs may be repeated: what has happened already is told, and changes nothing."""

    def __init__(self, actions: Actions, pages: Pages) -> None:
        self._actions = actions
        self._pages = pages

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/actions", self.actions),
            web.post("/api/actions/{action}/cancel", self.cancel),
            web.post("/api/actions/{action}/undo", self.undo),
            web.post("/api/actions/{action}/reveal", self.reveal),
            web.get("/actions", self.page),
            web.post("/actions", self.do_on_page),
            web.post("/actions/{action}/reveal", self.reveal_on_page),
        ]

    @requires(Right.UNDO_ACTIONS)
    async def actions(self, request: web.Request) -> web.Response:
        """List what was done, waits or is planned, of one `call` or the latest of all."""
        return web.json_response({"actions": shown_actions(await self._found(request.query.get("call")))})

    @requires(Right.UNDO_ACTIONS, audited="action_cancelled")
    async def cancel(self, request: web.Request) -> web.Response:
        """Stop what has not happened, or have an operation take it back; 409 says why neither can be."""
        return _told(await self._do(request, Verb.CANCEL, request.match_info["action"]))

    @requires(Right.UNDO_ACTIONS, audited="action_undone")
    async def undo(self, request: web.Request) -> web.Response:
        """Take back what was done, by an operation or by hand, or stop it; 202 when that goes on, 409 why it cannot."""
        return _told(await self._do(request, Verb.UNDO, request.match_info["action"]))

    @requires(Right.UNDO_ACTIONS, audited="action_revealed")
    async def reveal(self, request: web.Request) -> web.Response:
        """Return an action with the numbers that lists only name, for somebody who takes it back by hand."""
        action, clear = await self._revealed(request)
        return web.json_response(_shown(action) | clear)

    @requires(Right.UNDO_ACTIONS)
    async def page(self, request: web.Request) -> web.Response:
        """Show the actions of one `call`, or the latest of all, each with what can be done about it."""
        return await self._page(request, request.query.get("call"), None)

    @requires(Right.UNDO_ACTIONS, audited="action_undone")
    async def do_on_page(self, request: web.Request) -> web.Response:
        """Do what a button says, and show the actions of the call as they are then: sent again, nothing changes."""
        form = await read_form(request)
        try:
            verb = Verb(form.get("verb", ""))
        except ValueError:
            raise web.HTTPBadRequest(text="`verb` is cancel or undo.") from None
        answer = await self._do(request, verb, form.get("action", ""))
        return await self._page(request, answer.action.call_id, answer)

    @requires(Right.UNDO_ACTIONS, audited="action_revealed")
    async def reveal_on_page(self, request: web.Request) -> web.Response:
        """Show the actions of a call, one of them with the numbers that are only named otherwise."""
        await read_form(request)
        action, clear = await self._revealed(request)
        found = shown_actions(await self._found(action.call_id))
        found = [shown | (clear if shown["id"] == action.id else {}) for shown in found]
        return self._pages.html(request, "actions.html", actions=found, of_call=action.call_id, answer=None)

    async def _revealed(self, request: web.Request) -> tuple[Action, dict[str, Any]]:
        """Return an action and what stands in its lists masked, in clear."""
        action_id = request.match_info["action"]
        found = await self._actions.in_clear(action_id) if _ID.fullmatch(action_id) else None
        if found is None:
            raise web.HTTPNotFound(text="There is no such action.")
        action, clear = found
        return action, {name: values(text) for name, text in clear.items()} | {"masked": False}

    async def _do(self, request: web.Request, verb: Verb, action_id: str) -> Answer:
        answer = None
        if _ID.fullmatch(action_id):
            answer = await self._actions.do(verb, action_id, by=principal_of(request).actor)
        if answer is None:
            raise web.HTTPNotFound(text="There is no such action.")
        return answer

    async def _found(self, call_id: str | None) -> Sequence[Action]:
        if call_id is None:
            return await self._actions.latest()
        if not _CALL_ID.fullmatch(call_id):
            raise web.HTTPBadRequest(text="`call` is a call's id.")
        return await self._actions.of_call(call_id)

    async def _page(self, request: web.Request, call_id: str | None, answer: Answer | None) -> web.Response:
        found = await self._found(call_id)
        status = 409 if answer is not None and answer.told is Told.REFUSED else 200
        return self._pages.html(
            request,
            "actions.html",
            status=status,
            actions=shown_actions(found),
            of_call=call_id,
            answer=answer,
        )


def values(text: str) -> dict[str, str]:
    """Return kept arguments or results as text, those that are empty left out."""
    return {name: str(value) for name, value in from_json(text).items() if value is not None}


def shown_actions(found: Sequence[Action]) -> list[dict[str, Any]]:
    """Return actions as pages and the API show them."""
    return [_shown(one) for one in found]


def _shown(action: Action) -> dict[str, Any]:
    return {
        "id": action.id,
        "call": action.call_id,
        "kind": action.kind.value,
        "name": action.name,
        "state": action.state.value,
        "at": action.at.isoformat(),
        "due_at": action.due_at.isoformat() if action.due_at else None,
        "arguments": values(masked(action.arguments)),
        "result": values(masked(action.result)),
        "masked": has_masked(action.arguments) or has_masked(action.result),
        "text": action.text,
        "by": action.by,
        "problem": action.problem,
    }


def _told(answer: Answer) -> web.Response:
    if answer.told is Told.REFUSED:
        raise web.HTTPConflict(text=answer.text)
    body: Mapping[str, Any] = _shown(answer.action) | {"told": answer.text}
    return web.json_response(body, status=_STATUS[answer.told])
