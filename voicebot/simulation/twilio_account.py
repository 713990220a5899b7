"""An account at Twilio on loopback: its REST API, which checks every request, and the calls that it carries.

Calls run the TwiML that they are given, open media streams, report to callbacks and sign what they send, as Twilio's
do. What nobody here needs (prices, recordings, lists) is not there. After Twilio's "REST API", "TwiML for Programmable
Voice", "Call resource" and "Media Streams".
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, assert_never

import aiohttp
from aiohttp import web

from voicebot.simulation.carrier import Account, Numbers
from voicebot.simulation.impairment import Impairment
from voicebot.simulation.line import CarrierLine
from voicebot.simulation.twilio_operations import USED, Operation
from voicebot.simulation.twiml import (
    ConnectStream,
    DialConference,
    DialOut,
    Enqueue,
    Gather,
    HangUp,
    Pause,
    Play,
    Redirect,
    Reject,
    Say,
    Verb,
    parse_twiml,
)
from voicebot.telephony.twilio.messages import Connected, Start, serialise

_RINGS_S = 0.05


@dataclass(frozen=True, slots=True)
class Phone:
    """What happens when a number is called: "answers", "busy", "no-answer", "failed", or it "rings" on.

    `machine` is what answering machine detection says after `detected_after_s`; None says nothing. `person` is what
    whoever answers does on a media stream, `keys` what they press where TwiML asks, and they hang up when they have
    been joined to somebody for `talks_s`.
    """

    outcome: str = "answers"
    machine: str | None = None
    detected_after_s: float = 0.0
    person: Callable[[CarrierLine], Coroutine[Any, Any, None]] | None = None
    keys: str = ""
    talks_s: float = 0.2


@dataclass(frozen=True, slots=True)
class Trouble:
    """What goes wrong with the next request of an operation.

    `status` is answered instead, with Twilio's error `code`; the answer may be `late_s` late, and `done` says whether
    what was asked is done all the same.
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


@dataclass
class Room:
    """A conference. `members` are the SIDs of calls; it is over once somebody whose leaving ends it has left."""

    members: list[str] = field(default_factory=list)
    coached: dict[str, str] = field(default_factory=dict)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Task:
    """A call in a queue of TaskRouter's. `done` is how <Enqueue> ends."""

    workflow: str
    attributes: dict[str, Any]
    done: asyncio.Future[str]
    status: str = "pending"


class PlayedCall:
    """One call at the account. `heard` is all that its party was played over streams, `lines` the streams."""

    def __init__(self, account: TwilioAccount, numbers: Numbers, direction: str, phone: Phone) -> None:
        self.sid = "CA" + secrets.token_hex(16)
        self.numbers = numbers
        self.direction = direction
        self.phone = phone
        self.status = "queued"
        self.status_url = ""
        #: Which of them are posted to `status_url`; inbound calls report their end alone.
        self.events: tuple[str, ...] = ("completed",)
        self.heard = bytearray()
        self.lines: list[CarrierLine] = []
        self.line: CarrierLine | None = None
        self.joined_with: str = ""
        self.over = asyncio.Event()
        #: What was said to it by Twilio itself.
        self.told: list[str] = []
        self._account = account
        self._program: asyncio.Task[None] | None = None
        self._muted = False

    @property
    def is_over(self) -> bool:
        return self.over.is_set()

    def form(self, **more: str) -> dict[str, str]:
        """Return what Twilio tells of a call in every webhook."""
        return {
            "CallSid": self.sid,
            "AccountSid": self._account.account.account_sid,
            "From": self.numbers.caller,
            "To": self.numbers.called,
            "CallStatus": self.status,
            "Direction": self.direction,
            "ApiVersion": "2010-04-01",
            **more,
        }

    def start(self, doing: Awaitable[None]) -> None:
        """Have the call do something from now on, instead of what it did."""
        self._stop()
        self._program = self._account.keep(doing)

    def run(self, twiml: str) -> None:
        """Carry out TwiML from now on."""
        self.start(self._run(parse_twiml(twiml)))

    def _stop(self) -> None:
        if self._program is not None and self._program is not asyncio.current_task():
            self._program.cancel()

    async def end(self, status: str = "completed") -> None:
        """End the call; its end is reported where that was asked for."""
        if self.is_over:
            return
        self.status = status
        self.over.set()
        self._stop()
        await self.report("completed")

    async def report(self, event: str) -> None:
        """Post how the call is, if `event` is one of those that were asked for."""
        if self.status_url and event in self.events:
            more = {"CallDuration": "1"} if self.is_over else {}
            await self._account.post(self.status_url, self.form(**more))

    def mute(self) -> None:
        """Have Twilio lose its word on the call from now on."""
        self._muted = True

    async def hang_up(self) -> None:
        """Hang up as the party on the phone."""
        await self.end()

    async def _run(self, verbs: Sequence[Verb]) -> None:
        for verb in verbs:
            match verb:
                case ConnectStream():
                    await self._stream(verb)
                case Say(text):
                    self.told.append(text)
                case Play() | Pause():
                    pass
                case HangUp() | Reject():
                    break
                case Redirect(url):
                    await self._ask(url, self.form())
                    return
                case Gather():
                    self.told.append(verb.says)
                    if await self._gather(verb):
                        return
                case DialOut() | DialConference() | Enqueue():
                    if await self._away(verb):
                        return
                case _:
                    assert_never(verb)
        await self.end()

    async def _ask(self, url: str, form: dict[str, str]) -> None:
        status, twiml = await self._account.post(url, form)
        if status and status != 200:
            self._account.faults.append(f"{url.partition('?')[0]} answered {status}: {twiml[:80]}")
        if status != 200:
            await self.end("failed")
        elif not self.is_over:
            await self._run(parse_twiml(twiml))

    async def _stream(self, verb: ConnectStream) -> None:
        start = Start(
            sequence=1,
            stream_sid="MZ" + secrets.token_hex(16),
            account_sid=self._account.account.account_sid,
            call_sid=self.sid,
            parameters=verb.parameters,
        )
        headers = self._account.account.signature(verb.url, {})
        async with self._account.http.ws_connect(verb.url, headers=headers, compress=0) as socket:
            await socket.send_str(serialise(Connected()))
            await socket.send_str(serialise(start))
            line = CarrierLine(
                socket,
                start,
                impairment=Impairment(),
                listener=lambda frame, _at_s: self.heard.extend(frame),
                clock=time.monotonic,
                dialled_s=time.monotonic(),
            )
            self.line = line
            self.lines.append(line)
            carrying = asyncio.create_task(line.carry())
            person = asyncio.create_task(self.phone.person(line)) if self.phone.person else None
            try:
                await asyncio.shield(carrying)
            finally:
                self.line = None
                if person is not None:
                    person.cancel()
                await line.hang_up()
                await carrying

    async def _gather(self, verb: Gather) -> bool:
        """Press a key, or nothing; True when that went on elsewhere."""
        if self.phone.keys:
            await self._ask(verb.action, self.form(Digits=self.phone.keys))
            return True
        if verb.action_on_empty:
            await asyncio.sleep(min(verb.timeout_s, _RINGS_S))
            await self._ask(verb.action, self.form(Digits=""))
            return True
        return False

    async def _away(self, verb: DialOut | DialConference | Enqueue) -> bool:
        """Be elsewhere, and then ask `action` what to do; True when there is one."""
        more: dict[str, str] = {}
        try:
            match verb:
                case DialOut():
                    more = {"DialCallStatus": await self._account.dial_out(self, verb)}
                case DialConference():
                    await self._account.confer(self, verb)
                    more = {"DialCallStatus": "completed"}
                case Enqueue():
                    more = {"QueueResult": await self._account.enqueue(self, verb)}
        except asyncio.CancelledError:
            if self.is_over and verb.action and not self._muted:
                # The caller hung up: Twilio says so there, and cares for no answer.
                result = {"QueueResult": "hangup"} if isinstance(verb, Enqueue) else {"DialCallStatus": "canceled"}
                self._account.keep(self._tell(verb.action, self.form(**result)))
            raise
        if not verb.action:
            return False
        await self._ask(verb.action, self.form(**more))
        return True

    async def _tell(self, url: str, form: dict[str, str]) -> None:
        await self._account.post(url, form)


class TwilioAccount:
    """`phones` are those that can be called; a number that is not there "failed". Use `serve`.

    `operations` are what requests are checked against. `requests` are all that came, `faults` whatever was wrong
    with them or with answers to webhooks, `undelivered` webhooks and streams that nobody took.
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
        self.http = http
        self.account = account
        self.phones: dict[str, Phone] = dict(phones or {})
        self.url = ""
        self.requests: list[RestRequest] = []
        self.faults: list[str] = []
        self.undelivered: list[str] = []
        self.calls: dict[str, PlayedCall] = {}
        self.rooms: defaultdict[str, Room] = defaultdict(Room)
        self.tasks: dict[str, Task] = {}
        self.messages: list[dict[str, str]] = []
        #: When messages are made.
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.troubles: defaultdict[str, list[Trouble]] = defaultdict(list)
        self._operations = tuple(operations)
        self._user = user or account.account_sid
        self._secret = secret or account.auth_token or ""
        self._doing: set[asyncio.Task[None]] = set()

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
            await self.end_all()
            for task in [*self._doing]:
                task.cancel()
            await asyncio.gather(*self._doing, return_exceptions=True)
            await runner.cleanup()

    def keep(self, doing: Awaitable[None]) -> asyncio.Task[None]:
        """Do something beside; what it breaks down with is a fault."""

        async def do() -> None:
            try:
                await doing
            except (aiohttp.ClientError, ConnectionError) as error:
                self.undelivered.append(f"{type(error).__name__}: {error}")

        task = asyncio.create_task(do())
        self._doing.add(task)
        task.add_done_callback(self._doing.discard)
        return task

    async def post(self, url: str, form: dict[str, str]) -> tuple[int, str]:
        """Post a signed webhook; status 0 when nobody answers, which Twilio would log."""
        try:
            async with self.http.post(url, data=form, headers=self.account.signature(url, form)) as answer:
                return answer.status, await answer.text()
        except aiohttp.ClientError as error:
            self.undelivered.append(f"{url.partition('?')[0]}: {type(error).__name__}")
            return 0, ""

    async def end_all(self) -> None:
        """End every call, and wait until that is told."""
        for call in [*self.calls.values()]:
            await call.end()
        if self._doing:
            await asyncio.wait(self._doing, timeout=2.0)

    def asked(self, operation: str) -> list[RestRequest]:
        """Return all requests of an operation."""
        return [request for request in self.requests if request.operation == operation]

    # --- calls

    def ring_in(self, server_url: str, numbers: Numbers = Numbers(), phone: Phone | None = None) -> PlayedCall:  # noqa: B008 # frozen
        """Have somebody call the server."""
        call = PlayedCall(self, numbers, "inbound", phone or Phone())
        call.status_url = f"{server_url}/twilio/status"
        call.status = "in-progress"
        self.calls[call.sid] = call
        call.start(call._ask(f"{server_url}/twilio/voice", call.form(CallStatus="ringing")))  # noqa: SLF001  # of this module
        return call

    async def _ring(self, call: PlayedCall, twiml: str, machine_url: str) -> None:
        await self._progress(call)
        if call.phone.outcome == "answers":
            if machine_url and call.phone.machine:
                self.keep(self._detect(call, machine_url))
            call.run(twiml)

    async def _progress(self, call: PlayedCall) -> None:
        """Ring until something comes of it."""
        call.status = "initiated"
        await call.report("initiated")
        call.status = "ringing"
        await call.report("ringing")
        await asyncio.sleep(_RINGS_S)
        match call.phone.outcome:
            case "answers":
                call.status = "in-progress"
                await call.report("answered")
            case "rings":
                await call.over.wait()
            case other:
                await call.end(other)

    async def _detect(self, call: PlayedCall, url: str) -> None:
        await asyncio.sleep(call.phone.detected_after_s)
        if not call.is_over:
            await self.post(url, call.form(AnsweredBy=call.phone.machine or "unknown"))

    async def dial_out(self, call: PlayedCall, verb: DialOut) -> str:
        """Carry out <Dial> and return how the call went."""
        numbers = Numbers(caller=verb.caller_id, called=verb.to)
        child = PlayedCall(self, numbers, "outbound-dial", self.phones.get(verb.to, Phone("failed")))
        self.calls[child.sid] = child
        try:
            async with asyncio.timeout(verb.timeout_s):
                await self._progress(child)
            if child.is_over:
                return child.status
            if not verb.screen_url or await self._screened(child, verb.screen_url):
                call.joined_with, child.joined_with = child.sid, call.sid
                await asyncio.sleep(child.phone.talks_s)
        except TimeoutError:
            return "no-answer"
        else:
            return "completed"
        finally:
            await child.end()

    async def _screened(self, child: PlayedCall, url: str) -> bool:
        """Carry out the TwiML for whoever answered, and tell whether they stayed."""
        _, twiml = await self.post(url, child.form())
        for verb in parse_twiml(twiml):
            match verb:
                case Gather():
                    child.told.append(verb.says)
                    if child.phone.keys or verb.action_on_empty:
                        _, twiml = await self.post(verb.action, child.form(Digits=child.phone.keys))
                        return not any(isinstance(one, HangUp) for one in parse_twiml(twiml))
                case HangUp():
                    return False
                case _:
                    pass
        return True

    async def confer(self, call: PlayedCall, verb: DialConference) -> None:
        """Be in a conference until it is over."""
        room = self.rooms[verb.room]
        room.members.append(call.sid)
        if verb.starts and len(room.members) > 1:
            room.started.set()
            for member in room.members:
                self.calls[member].joined_with = verb.room
            self._talk(room)
        try:
            await room.over.wait()
        finally:
            if verb.ends:
                room.over.set()

    def _talk(self, room: Room) -> None:
        """Have the one who was called hang up after a while."""
        for member in room.members:
            called = self.calls[member]
            if called.direction != "inbound":
                self.keep(_later(called.phone.talks_s, called.hang_up))

    async def enqueue(self, call: PlayedCall, verb: Enqueue) -> str:
        """Wait in a queue until somebody finishes the task."""
        attributes = json.loads(verb.task) | {"call_sid": call.sid}
        task = Task(verb.workflow, attributes, asyncio.get_running_loop().create_future())
        self.tasks[call.sid] = task
        try:
            return await task.done
        finally:
            if not task.done.done() or task.done.cancelled():
                self.tasks.pop(call.sid, None)

    # --- REST

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        expected = "Basic " + base64.b64encode(f"{self._user}:{self._secret}".encode()).decode()
        if request.headers.get("Authorization") != expected:
            self.faults.append("unauthorised")
            return _error(401, 20003, "Authenticate")
        form = [(name, str(value)) for name, value in (await request.post()).items()]
        for operation in self._operations:
            places = operation.match(request.method, request.path)
            if places is not None:
                return await self._operate(operation, places, form, list(request.query.items()))
        self.faults.append(f"there is no {request.method} {request.path}")
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
            self.faults += [f"{operation.id}: {fault}" for fault in faults]
            return _error(400, 20001, "; ".join(faults))
        asked = RestRequest(operation.id, places, dict(form) | dict(query))
        self.requests.append(asked)
        trouble = self.troubles[operation.id].pop(0) if self.troubles[operation.id] else None
        if trouble is not None:
            await asyncio.sleep(trouble.late_s)
            if trouble.done:
                await self._do(operation, asked, form)
            if trouble.status:
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
                call = self.calls.get(asked.places["Sid"])
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
        phone = self.phones.get(given["To"])
        if phone is None:
            return _error(400, 21211, "The phone number you are attempting to call is not valid")
        call = PlayedCall(self, Numbers(caller=given["From"], called=given["To"]), "outbound-api", phone)
        call.status_url, call.events = given.get("StatusCallback", ""), tuple(events) or ("completed",)
        self.calls[call.sid] = call
        call.start(self._ring(call, given["Twiml"], given.get("AsyncAmdStatusCallback", "")))
        return _call_of(call)

    async def _update_call(self, asked: RestRequest) -> dict[str, object] | web.Response:
        call = self.calls.get(asked.places["Sid"])
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
        given, room = asked.form, self.rooms[asked.places["ConferenceSid"]]
        if given.get("Coaching") == "true" and given.get("CallSidToCoach") not in room.members:
            return _error(400, 16025, "CallSidToCoach is not in the conference")
        call = PlayedCall(self, Numbers(caller=given["From"], called=given["To"]), "outbound-api", Phone())
        self.calls[call.sid] = call
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
        found = [task for sid, task in self.tasks.items() if sid == wanted]
        return {
            "tasks": [{"assignment_status": task.status, "attributes": json.dumps(task.attributes)} for task in found],
            "meta": {"key": "tasks", "page": 0, "page_size": 1, "url": "", "next_page_url": None},
        }


async def _until_over(room: Room, call: PlayedCall) -> None:
    await room.over.wait()
    await call.end()


async def _later(after_s: float, do: Callable[[], Awaitable[None]]) -> None:
    await asyncio.sleep(after_s)
    with contextlib.suppress(aiohttp.ClientError):
        await do()


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
