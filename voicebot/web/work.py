"""What people decide about what the bot does: approvals, undoing, pauses, what is still to be done, failed work."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from aiohttp import web

from voicebot.records.access.roles import Right
from voicebot.records.actions import ActionBook
from voicebot.records.deeds import ALL, Approval, ApprovalState, Deeds, FollowUp, FollowUpState
from voicebot.records.personal_values import masked
from voicebot.web.access.declared import requires
from voicebot.web.access.principal import principal_of
from voicebot.web.actions import values
from voicebot.web.doors import BODY_TIMEOUT_S, read_form
from voicebot.web.pages import Pages
from voicebot.work.after_call import AFTER_CALL, TASK
from voicebot.work.durable import Errand, ErrandReport
from voicebot.work.supervision import Supervision

_ID = re.compile(r"[0-9a-f]{32}")
_PAUSED = re.compile(r"[a-z][a-z0-9_]{0,127}")
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
        book: ActionBook,
        work: Errands,
        pages: Pages,
    ) -> None:
        self._supervision = supervision
        self._deeds: Deeds = supervision.deeds
        self._book = book
        self._work = work
        self._pages = pages

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/approvals", self.approvals),
            web.post("/api/approvals/{approval}", self.decide),
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
        failed = [{"job": one.job, "subject": one.subject} for one in await self._failed()]
        return web.json_response({"failed": failed})

    @requires(Right.UNDO_ACTIONS, audited="work_tried_again")
    async def try_again(self, request: web.Request) -> web.Response:
        """Take up again what ``job`` and ``subject`` of the body name, as the list gives them."""
        body = await _body(request)
        errand = Errand(str(body.get("job")), str(body.get("subject")))
        if errand not in await self._failed():
            raise web.HTTPNotFound(text="There is no such failed work.")
        await self._work.again(errand)
        return web.json_response({"job": errand.job, "subject": errand.subject}, status=202)

    async def _failed(self) -> Sequence[Errand]:
        """Return what may be tried again: no task that was cancelled, and no undoing, which is tried again as such."""
        failed = [one.errand for one in await self._work.failed() if one.errand.job in {AFTER_CALL, TASK}]
        cancelled = await self._book.cancelled_tasks([one.subject for one in failed])
        return [one for one in failed if one.subject not in cancelled]

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
    ApprovalState.WITHDRAWN: "withdrawn, by a person or as the caller left",
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


def _approval(approval: Approval) -> dict[str, Any]:
    return {
        "id": approval.id,
        "call": approval.call_id,
        "operation": approval.operation,
        "arguments": values(masked(approval.arguments)),
        "asked_at": approval.asked_at.isoformat(),
        "expires_at": approval.expires_at.isoformat(),
        "state": approval.state.value,
        "decided_by": approval.decided_by,
    }


def _follow_up(one: FollowUp) -> dict[str, Any]:
    return {
        "id": one.id,
        "call": one.call_id,
        "text": one.text,
        "due_at": one.due_at.isoformat(),
        "state": one.state.value,
    }
