"""An account at Twilio on loopback: its REST API, which checks every request.

What nobody here needs (prices, recordings, lists) is not there. After Twilio's "REST API" and "Call resource". The
calls themselves are the exchange's.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

import aiohttp
from aiohttp import web

from voicebot.simulation.carrier import Account, Numbers
from voicebot.simulation.twilio_exchange import Phone, PlayedCall, Room, TwilioExchange
from voicebot.simulation.twilio_operations import USED, Operation


@dataclass(frozen=True, slots=True)
class Trouble:
    """What goes wrong with the next request of an operation.

    It may be carried out, and answered, `late_s` late. A `status` is answered instead, with Twilio's error `code`, and
    `done` says whether what was asked is done all the same.
    """

    status: int = 0
    code: int = 20500
    late_s: float = 0.0
    done: bool = False


@dataclass(frozen=True, slots=True)
class RestRequest:
    operation: str
    places: Mapping[str, str]
    form: Mapping[str, str]


class TwilioAccount:
    """Answers for `account`, whose calls `exchange` carries; `phones` are those that can be called. Use `serve`.

    `operations` are what requests are checked against. `requests` are all that came; what was wrong with one is a
    fault of the exchange's, beside its own.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        account: Account,
        *,
        phones: Mapping[str, Phone] | None = None,
        operations: Sequence[Operation] = USED,
        user: str = "",
        secret: str = "",
    ) -> None:
        self.account = account
        self.exchange = TwilioExchange(http, account, phones or {})
        self.url = ""
        self.requests: list[RestRequest] = []
        self.messages: list[dict[str, str]] = []
        #: When messages are made.
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.troubles: defaultdict[str, list[Trouble]] = defaultdict(list)
        self._operations = tuple(operations)
        self._user = user or account.account_sid
        self._secret = secret or account.auth_token or ""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[TwilioAccount]:
        """Answer requests on loopback while the block lasts; then every call ends."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            self.url = f"http://{host}:{port}"
            yield self
        finally:
            await self.exchange.close()
            await runner.cleanup()

    def asked(self, operation: str) -> list[RestRequest]:
        """Return all requests of an operation."""
        return [request for request in self.requests if request.operation == operation]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        expected = "Basic " + base64.b64encode(f"{self._user}:{self._secret}".encode()).decode()
        if request.headers.get("Authorization") != expected:
            self.exchange.faults.append("unauthorised")
            return _error(401, 20003, "Authenticate")
        form = [(name, str(value)) for name, value in (await request.post()).items()]
        for operation in self._operations:
            places = operation.match(request.method, request.path)
            if places is not None:
                return await self._operate(operation, places, form, list(request.query.items()))
        self.exchange.faults.append(f"there is no {request.method} {request.path}")
        return _error(404, 20404, "The requested resource was not found")

    async def _operate(
        self,
        operation: Operation,
        places: dict[str, str],
        form: list[tuple[str, str]],
        query: list[tuple[str, str]],
    ) -> web.StreamResponse:
        faults = operation.faults(places, form, query)
        if faults:
            self.exchange.faults += [f"{operation.id}: {fault}" for fault in faults]
            return _error(400, 20001, "; ".join(faults))
        asked = RestRequest(operation.id, places, dict(form) | dict(query))
        self.requests.append(asked)
        trouble = self.troubles[operation.id].pop(0) if self.troubles[operation.id] else None
        if trouble is not None:
            await asyncio.sleep(trouble.late_s)
            if trouble.status:
                if trouble.done:
                    await self._do(operation, asked, form)
                return _error(trouble.status, trouble.code, "Trouble")
        done = await self._do(operation, asked, form)
        return done if isinstance(done, web.Response) else web.json_response(done, status=operation.status)

    async def _do(
        self, operation: Operation, asked: RestRequest, form: list[tuple[str, str]]
    ) -> dict[str, object] | web.Response:
        given = asked.form
        match operation.id:
            case "CreateCall":
                return self._create_call(given, [value for name, value in form if name == "StatusCallbackEvent"])
            case "UpdateCall":
                return await self._update_call(asked)
            case "FetchCall":
                call = self.exchange.calls.get(asked.places["Sid"])
                return _call_of(call) if call else _error(404, 20404, "Not found")
            case "CreateParticipant":
                return self._create_participant(asked)
            case "ListTask":
                return self._list_tasks(given)
            case "CreateMessage":
                return self._create_message(given)
            case "ListMessage":
                found = [one for one in self.messages if (one["to"], one["from"]) == (given["To"], given["From"])]
                return {"messages": found, "page": 0, "next_page_uri": None}
            case other:
                return _error(501, 20501, f"{other} is not played")

    def _create_call(self, given: Mapping[str, str], events: list[str]) -> dict[str, object] | web.Response:
        if "Twiml" not in given:
            return _error(400, 21205, "Url parameter is required")
        phone = self.exchange.phones.get(given["To"])
        if phone is None:
            return _error(400, 21211, "The phone number you are attempting to call is not valid")
        call = PlayedCall(self.exchange, Numbers(caller=given["From"], called=given["To"]), "outbound-api", phone)
        call.status_url, call.events = given.get("StatusCallback", ""), tuple(events) or ("completed",)
        self.exchange.calls[call.sid] = call
        call.start(self.exchange.ring(call, given["Twiml"], given.get("AsyncAmdStatusCallback", "")))
        return _call_of(call)

    async def _update_call(self, asked: RestRequest) -> dict[str, object] | web.Response:
        call = self.exchange.calls.get(asked.places["Sid"])
        if call is None:
            return _error(404, 20404, "Not found")
        twiml, status = asked.form.get("Twiml"), asked.form.get("Status")
        if call.is_over or (twiml is not None and call.status != "in-progress"):
            return _error(400, 21220, "Call is not in-progress. Cannot redirect.")
        if status is not None and (status == "completed" or call.status in {"queued", "initiated", "ringing"}):
            await call.end("canceled" if call.status in {"queued", "initiated", "ringing"} else "completed")
        elif twiml is not None:
            call.run(twiml)
        return _call_of(call)

    def _create_participant(self, asked: RestRequest) -> dict[str, object] | web.Response:
        given, room = asked.form, self.exchange.rooms[asked.places["ConferenceSid"]]
        if given.get("Coaching") == "true" and given.get("CallSidToCoach") not in room.members:
            return _error(400, 16025, "CallSidToCoach is not in the conference")
        call = PlayedCall(self.exchange, Numbers(caller=given["From"], called=given["To"]), "outbound-api", Phone())
        self.exchange.calls[call.sid] = call
        room.coached[call.sid] = given.get("CallSidToCoach", "")
        call.start(_until_over(room, call))
        return {"call_sid": call.sid, "label": given.get("Label"), "conference_sid": "CF" + secrets.token_hex(16)}

    def _create_message(self, given: Mapping[str, str]) -> dict[str, object]:
        message = {
            "sid": "SM" + secrets.token_hex(16),
            "status": "queued",
            "to": given["To"],
            "from": given["From"],
            "body": given["Body"],
            "date_created": format_datetime(self.now()),
        }
        self.messages.append(message)
        return {**message}

    def _list_tasks(self, given: Mapping[str, str]) -> dict[str, object]:
        wanted = given.get("EvaluateTaskAttributes", "").partition('"')[2].rstrip('"')
        found = [task for sid, task in self.exchange.tasks.items() if sid == wanted]
        return {
            "tasks": [{"assignment_status": task.status, "attributes": json.dumps(task.attributes)} for task in found],
            "meta": {"key": "tasks", "page": 0, "page_size": 1, "url": "", "next_page_url": None},
        }


async def _until_over(room: Room, call: PlayedCall) -> None:
    await room.over.wait()
    await call.end()


def _call_of(call: PlayedCall) -> dict[str, object]:
    return {
        "sid": call.sid,
        "status": call.status,
        "direction": call.direction,
        "from": call.numbers.caller,
        "to": call.numbers.called,
    }


def _error(status: int, code: int, message: str) -> web.Response:
    body = {"code": code, "message": message, "more_info": f"https://www.twilio.com/docs/errors/{code}"}
    return web.json_response({**body, "status": status}, status=status)
