"""A telephone exchange as Twilio runs one: calls that carry out TwiML, open media streams and report to callbacks.

What it sends is signed as Twilio's is. After Twilio's "TwiML for Programmable Voice" and "Media Streams".
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

import aiohttp

from voicebot.simulation.carrier import Account, Numbers
from voicebot.simulation.impairment import Impairment
from voicebot.simulation.line import CarrierLine
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
    """One call at the exchange. `heard` is all that its party was played over streams, `lines` the streams."""

    def __init__(self, exchange: TwilioExchange, numbers: Numbers, direction: str, phone: Phone) -> None:
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
        self._exchange = exchange
        self._program: asyncio.Task[None] | None = None
        self._muted = False

    @property
    def is_over(self) -> bool:
        return self.over.is_set()

    def form(self, **more: str) -> dict[str, str]:
        """Return what Twilio tells of a call in every webhook."""
        return {
            "CallSid": self.sid,
            "AccountSid": self._exchange.account.account_sid,
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
        self._program = self._exchange.keep(doing)

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
            await self._exchange.post(self.status_url, self.form(**more))

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
        status, twiml = await self._exchange.post(url, form)
        if status and status != 200:
            self._exchange.faults.append(f"{url.partition('?')[0]} answered {status}: {twiml[:80]}")
        if status != 200:
            await self.end("failed")
        elif not self.is_over:
            await self._run(parse_twiml(twiml))

    async def _stream(self, verb: ConnectStream) -> None:
        start = Start(
            sequence=1,
            stream_sid="MZ" + secrets.token_hex(16),
            account_sid=self._exchange.account.account_sid,
            call_sid=self.sid,
            parameters=verb.parameters,
        )
        headers = self._exchange.account.signature(verb.url, {})
        async with self._exchange.http.ws_connect(verb.url, headers=headers, compress=0) as socket:
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
            person = self._exchange.keep(self.phone.person(line)) if self.phone.person else None
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
                    more = {"DialCallStatus": await self._exchange.dial_out(self, verb)}
                case DialConference():
                    await self._exchange.confer(self, verb)
                    more = {"DialCallStatus": "completed"}
                case Enqueue():
                    more = {"QueueResult": await self._exchange.enqueue(self, verb)}
        except asyncio.CancelledError:
            if self.is_over and verb.action and not self._muted:
                # The caller hung up: Twilio says so there, and cares for no answer.
                result = {"QueueResult": "hangup"} if isinstance(verb, Enqueue) else {"DialCallStatus": "canceled"}
                self._exchange.keep(self._tell(verb.action, self.form(**result)))
            raise
        if not verb.action:
            return False
        await self._ask(verb.action, self.form(**more))
        return True

    async def _tell(self, url: str, form: dict[str, str]) -> None:
        await self._exchange.post(url, form)


class TwilioExchange:
    """Carries the calls of `account`. `phones` are those that can be called; a number that is not there "failed".

    `faults` are whatever was wrong with answers to webhooks or with the calls themselves, `undelivered` webhooks and
    streams that nobody took.
    """

    def __init__(self, http: aiohttp.ClientSession, account: Account, phones: Mapping[str, Phone]) -> None:
        self.http = http
        self.account = account
        self.phones = dict(phones)
        self.faults: list[str] = []
        self.undelivered: list[str] = []
        self.calls: dict[str, PlayedCall] = {}
        self.rooms: defaultdict[str, Room] = defaultdict(Room)
        self.tasks: dict[str, Task] = {}
        self._doing: set[asyncio.Task[None]] = set()
        self._closed = False

    def keep(self, doing: Awaitable[None]) -> asyncio.Task[None]:
        """Do something beside; what it breaks down with is a fault, unless nobody was there to be told."""

        async def do() -> None:
            try:
                if not self._closed:
                    await doing
            except (aiohttp.ClientError, ConnectionError) as error:
                self.undelivered.append(f"{type(error).__name__}: {error}")
            except Exception as error:  # noqa: BLE001  # whatever it is, a test must not pass over it
                self.faults.append(f"{type(error).__name__}: {error}")

        task = asyncio.create_task(do())
        self._doing.add(task)
        task.add_done_callback(self._doing.discard)
        if asyncio.iscoroutine(doing):
            # One that was cut off, or came too late, before it began.
            task.add_done_callback(lambda _task: doing.close())
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

    async def close(self) -> None:
        """End every call, and whatever still goes on."""
        await self.end_all()
        # What is cut off may have a last word, for which there is no line any more.
        self._closed = True
        while self._doing:
            for task in [*self._doing]:
                task.cancel()
            await asyncio.gather(*self._doing, return_exceptions=True)

    def ring_in(self, server_url: str, numbers: Numbers = Numbers(), phone: Phone | None = None) -> PlayedCall:  # noqa: B008 # frozen
        """Have somebody call the server."""
        call = PlayedCall(self, numbers, "inbound", phone or Phone())
        call.status_url = f"{server_url}/twilio/status"
        call.status = "in-progress"
        self.calls[call.sid] = call
        call.start(call._ask(f"{server_url}/twilio/voice", call.form(CallStatus="ringing")))  # noqa: SLF001  # of this module
        return call

    async def ring(self, call: PlayedCall, twiml: str, machine_url: str) -> None:
        """Call somebody who carries out `twiml` once they answer."""
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


async def _later(after_s: float, do: Callable[[], Awaitable[None]]) -> None:
    await asyncio.sleep(after_s)
    with contextlib.suppress(aiohttp.ClientError):
        await do()
