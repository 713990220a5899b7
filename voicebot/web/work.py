"""What people decide about what the bot does: approvals, undoing, pauses, what is still to be done, failed work."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from aiohttp import web

from voicebot.backends.sqlite import from_json
from voicebot.records.access.roles import Right
from voicebot.records.deeds import ALL, Approval, ApprovalState, Deed, Deeds, FollowUp, FollowUpState
from voicebot.web.access.declared import requires
from voicebot.web.access.principal import principal_of
from voicebot.web.doors import BODY_TIMEOUT_S, read_form
from voicebot.web.pages import Pages
from voicebot.work.durable import Errand, ErrandReport
from voicebot.work.planned import PlannedFor
from voicebot.work.supervision import NotUndone, Supervision

_ID = re.compile(r"[0-9a-f]{32}")
_PAUSED = re.compile(r"[a-z][a-z0-9_]{0,127}")
_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_SUBJECT = re.compile(r"[A-Za-z0-9_-]{1,128}(/[a-z][a-z0-9_]{0,127})?")
_MOST_REASON_CHARS = 500
#: No database keeps a NUL or half a surrogate pair in a text.
_WRITABLE = re.compile(r"[^\0\ud800-\udfff]*")


class Errands(Protocol):
    """The work after calls, as far as it is looked after here."""

    async def failed(self) -> Sequence[ErrandReport]: ...
    async def again(self, errand: Errand) -> None: ...


class WorkDoor:
    def __init__(
        self,
        *,
        supervision: Supervision,
        planned: PlannedFor,
        work: Errands,
        pages: Pages,
    ) -> None:
        self._supervision = supervision
        self._deeds: Deeds = supervision.deeds
        self._planned = planned
        self._work = work
        self._pages = pages

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/approvals", self.approvals),
            web.post("/api/approvals/{approval}", self.decide),
            web.get("/api/actions", self.actions),
            web.post("/api/actions/{action}/undo", self.undo),
            web.get("/api/pauses", self.pauses),
            web.put("/api/pauses/{subject}", self.pause),
            web.delete("/api/pauses/{subject}", self.resume),
            web.get("/api/follow-ups", self.follow_ups),
            web.post("/api/follow-ups/{call}/{task}", self.settle),
            web.get("/api/failed-work", self.failed_work),
            web.post("/api/failed-work", self.try_again),
            web.get("/approvals", self.page),
            web.post("/approvals", self.decide_on_page),
        ]

    @requires(Right.DECIDE_APPROVALS)
    async def approvals(self, request: web.Request) -> web.Response:
        """List what waits for a decision, the most urgent first."""
        del request
        return web.json_response({"approvals": [_approval(one) for one in await self._deeds.waiting()]})

    @requires(Right.DECIDE_APPROVALS, audited="approval_decided")
    async def decide(self, request: web.Request) -> web.Response:
        """Grant or refuse; 409 when somebody else was first, or the time was up."""
        body = await _body(request)
        if not isinstance(granted := body.get("granted"), bool):
            raise web.HTTPBadRequest(text='Send {"granted": true} or {"granted": false}.')
        approval = await self._decide(request, request.match_info["approval"], granted=granted)
        return web.json_response(_approval(approval))

    async def _decide(self, request: web.Request, approval_id: str, *, granted: bool) -> Approval:
        approval = None
        if _ID.fullmatch(approval_id):
            by = principal_of(request).actor
            approval = await self._supervision.decide(approval_id, granted=granted, by=by)
        if approval is None:
            raise web.HTTPNotFound(text="There is no such approval.")
        wanted = ApprovalState.GRANTED if granted else ApprovalState.REFUSED
        if approval.state is not wanted:
            raise web.HTTPConflict(text=f"Too late: this was {_STATES[approval.state]}.")
        return approval

    @requires(Right.UNDO_ACTIONS)
    async def actions(self, request: web.Request) -> web.Response:
        """List what the bot did last, of one `call` or of all."""
        call_id = request.query.get("call")
        if call_id is not None and not _CALL_ID.fullmatch(call_id):
            raise web.HTTPBadRequest(text="`call` is a call's id.")
        return web.json_response({"actions": [_deed(one) for one in await self._deeds.deeds(call_id=call_id)]})

    @requires(Right.UNDO_ACTIONS, audited="action_undone")
    async def undo(self, request: web.Request) -> web.Response:
        """Undo an action with the operation that its contract names; 409 says why not, and what helps."""
        action_id = request.match_info["action"]
        if not _ID.fullmatch(action_id):
            raise web.HTTPNotFound(text="There is no such action.")
        try:
            await self._supervision.undo(action_id, self._planned, by=principal_of(request).actor)
        except NotUndone as reason:
            raise web.HTTPConflict(text=str(reason)) from None
        deed = await self._deeds.deed(action_id)
        if deed is None:
            raise web.HTTPNotFound(text="There is no such action.")
        return web.json_response(_deed(deed))

    @requires(Right.PAUSE_AUTOMATION)
    async def pauses(self, request: web.Request) -> web.Response:
        del request
        found = [
            {
                "subject": one.subject,
                "paused_at": one.paused_at.isoformat(),
                "paused_by": one.paused_by,
                "reason": one.reason,
            }
            for one in await self._deeds.pauses()
        ]
        return web.json_response({"pauses": found})

    @requires(Right.PAUSE_AUTOMATION, audited="automation_paused")
    async def pause(self, request: web.Request) -> web.Response:
        """Stop an intent, or ``all``: callers who want it go to a person, and nothing is written."""
        subject = _subject(request)
        reason = (await _body(request)).get("reason", "")
        if not isinstance(reason, str) or len(reason) > _MOST_REASON_CHARS or not _WRITABLE.fullmatch(reason):
            raise web.HTTPBadRequest(text=f"`reason` is a text of at most {_MOST_REASON_CHARS} characters.")
        await self._deeds.pause(subject, principal_of(request).actor, reason)
        return web.json_response({"subject": subject})

    @requires(Right.PAUSE_AUTOMATION, audited="automation_resumed")
    async def resume(self, request: web.Request) -> web.Response:
        if not await self._deeds.resume(_subject(request), principal_of(request).actor):
            raise web.HTTPNotFound(text="This is not paused.")
        return web.Response(status=204)

    @requires(Right.UNDO_ACTIONS)
    async def follow_ups(self, request: web.Request) -> web.Response:
        """List what people still have to do for callers, the most urgent first."""
        del request
        return web.json_response({"follow_ups": [_follow_up(one) for one in await self._deeds.follow_ups()]})

    @requires(Right.UNDO_ACTIONS, audited="follow_up_settled")
    async def settle(self, request: web.Request) -> web.Response:
        """Close what was to be done, as ``done`` or ``cancelled``."""
        subject = f"{request.match_info['call']}/{request.match_info['task']}"
        state = (await _body(request)).get("state")
        if state not in (FollowUpState.DONE.value, FollowUpState.CANCELLED.value):
            raise web.HTTPBadRequest(text="`state` is done or cancelled.")
        known = _SUBJECT.fullmatch(subject) is not None
        if not known or not await self._deeds.settle(subject, FollowUpState(state), principal_of(request).actor):
            raise web.HTTPNotFound(text="There is no such open follow-up.")
        return web.json_response({"id": subject, "state": state})

    @requires(Right.UNDO_ACTIONS)
    async def failed_work(self, request: web.Request) -> web.Response:
        """List the work after calls that was given up after many tries."""
        del request
        failed = [{"job": one.errand.job, "subject": one.errand.subject} for one in await self._work.failed()]
        return web.json_response({"failed": failed})

    @requires(Right.UNDO_ACTIONS, audited="work_tried_again")
    async def try_again(self, request: web.Request) -> web.Response:
        """Take up again what ``job`` and ``subject`` of the body name, as the list gives them."""
        body = await _body(request)
        errand = Errand(str(body.get("job")), str(body.get("subject")))
        if errand not in [one.errand for one in await self._work.failed()]:
            raise web.HTTPNotFound(text="There is no such failed work.")
        await self._work.again(errand)
        return web.json_response({"job": errand.job, "subject": errand.subject}, status=202)

    @requires(Right.DECIDE_APPROVALS)
    async def page(self, request: web.Request) -> web.Response:
        """Show what waits, each with a button to allow and one to refuse it."""
        waiting = [_approval(one) for one in await self._deeds.waiting()]
        return self._pages.html(request, "approvals.html", approvals=waiting, told=request.query.get("told", ""))

    @requires(Right.DECIDE_APPROVALS, audited="approval_decided")
    async def decide_on_page(self, request: web.Request) -> web.Response:
        form = await read_form(request)
        try:
            approval = await self._decide(request, form.get("approval", ""), granted=form.get("decision") == "grant")
            told = approval.state.value
        except (web.HTTPNotFound, web.HTTPConflict):
            told = "late"
        raise web.HTTPSeeOther(f"/approvals?told={told}")


_STATES = {
    ApprovalState.WAITING: "not decided",
    ApprovalState.GRANTED: "granted by somebody else",
    ApprovalState.REFUSED: "refused by somebody else",
    ApprovalState.EXPIRED: "not decided in time",
    ApprovalState.WITHDRAWN: "withdrawn, as the caller left",
}


async def _body(request: web.Request) -> Mapping[str, Any]:
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            body = json.loads(await request.read())
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"The body took more than {BODY_TIMEOUT_S:g} s.") from None
    except (ValueError, RecursionError):  # the latter for what is nested thousands deep
        raise web.HTTPBadRequest(text="The body is no JSON.") from None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="The body is a JSON object.")
    return body


def _subject(request: web.Request) -> str:
    subject = request.match_info["subject"]
    if not _PAUSED.fullmatch(subject):
        raise web.HTTPBadRequest(text=f"Name an intent, or {ALL}.")
    return subject


def _values(text: str) -> dict[str, str]:
    return {name: str(value) for name, value in from_json(text).items() if value is not None}


def _approval(approval: Approval) -> dict[str, Any]:
    return {
        "id": approval.id,
        "call": approval.call_id,
        "operation": approval.operation,
        "arguments": _values(approval.arguments),
        "asked_at": approval.asked_at.isoformat(),
        "expires_at": approval.expires_at.isoformat(),
        "state": approval.state.value,
        "decided_by": approval.decided_by,
    }


def _deed(deed: Deed) -> dict[str, Any]:
    return {
        "id": deed.id,
        "call": deed.call_id,
        "operation": deed.operation,
        "arguments": _values(deed.arguments),
        "result": _values(deed.result),
        "done_at": deed.done_at.isoformat(),
        "state": deed.state.value,
        "undone_by": deed.undone_by,
    }


def _follow_up(one: FollowUp) -> dict[str, Any]:
    return {
        "id": one.id,
        "call": one.call_id,
        "text": one.text,
        "due_at": one.due_at.isoformat(),
        "state": one.state.value,
    }
