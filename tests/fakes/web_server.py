"""The web server on loopback with small fakes behind it."""

from __future__ import annotations

import asyncio
import re
import socket
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
from aiohttp import web
from multidict import MultiDict
from twilio.request_validator import RequestValidator
from yarl import URL

from tests.fakes.media_streams import HandMadeCarrier, incoming, parameters_of
from tests.fakes.ports import bound_socket
from tests.fakes.recordings import FakeLiveRecordings, FakeRecordings
from tests.fakes.sealing import KEYS
from tests.fakes.work import FakeWork
from voicebot.calls.chats import Chats
from voicebot.records.access.failures import Failures
from voicebot.records.access.oidc_attempts import OidcAttempts
from voicebot.records.access.passwords import Passwords
from voicebot.records.access.roles import Role
from voicebot.records.access.sessions import Sessions
from voicebot.records.access.sight import Sight
from voicebot.records.access.tokens import ApiTokens
from voicebot.records.access.users import Users
from voicebot.records.actions import ActionBook
from voicebot.records.audit import AuditEntry, AuditSearch, Head, KeptEntry
from voicebot.records.database import Database, _engine, locate
from voicebot.records.deeds import Deeds
from voicebot.records.search import CallSearch, Cursor
from voicebot.records.tables import METADATA
from voicebot.telephony.leg import CallLeg, FrameReceived, LegEnded, LegEvent
from voicebot.telephony.twilio.journey import Journeys
from voicebot.telephony.twilio.webhook import CallStatusChanged, StreamStatusChanged
from voicebot.web.access.oidc import OidcProvider
from voicebot.web.address import PublicAddress
from voicebot.web.chan_websocket import AsteriskPeers
from voicebot.web.contexts import ContextReader
from voicebot.web.desk.conversation import DeskParts
from voicebot.web.records import CallReader
from voicebot.web.server import AccessParts, Readiness, WebLimits, build_app, make_runner
from voicebot.web.tickets import Tickets
from voicebot.web.twilio_calls import CallsOut
from voicebot.web.twilio_forms import TwilioAccess

AUTH_TOKEN = "0123456789abcdef0123456789abcdef"
API_TOKEN = "the-api-token"
PASSWORD = "correct horse battery staple"  # opens nothing but a test's own server


class FakeAdmission:
    def __init__(self) -> None:
        self.refuse_with: str | None = None
        self.asked: list[str] = []

    def admit(self, caller: str, call_id: str) -> str | None:
        self.asked.append(caller)
        return self.refuse_with


class FakeCalls:
    """Records kept in a list, the latest first."""

    def __init__(self, records: Sequence[Mapping[str, Any]] = ()) -> None:
        self.records = records
        self.searches: list[CallSearch] = []
        self.given_to: dict[str, frozenset[str]] = {}

    async def is_seen(self, call_id: str, sight: Sight) -> bool:
        if sight.is_whole:
            return await self.get(call_id) is not None
        return bool(self.given_to.get(call_id, frozenset()) & {sight.user, *sight.queues})

    async def search(self, wanted: CallSearch, limit: int, after: Cursor | None) -> Sequence[Mapping[str, Any]]:
        """Heed the time and the sight alone; what else can be searched for is the store's."""
        self.searches.append(wanted)
        until = after.started_at if after else wanted.until
        found = [record for record in self.records if until is None or _began(record) < until]
        return [record for record in found if await self.is_seen(record["id"], wanted.sight)][:limit]

    async def every(self, wanted: CallSearch) -> AsyncIterator[Mapping[str, Any]]:
        self.searches.append(wanted)
        for record in self.records:
            if await self.is_seen(record["id"], wanted.sight):
                yield record

    async def get(self, call_id: str) -> Mapping[str, Any] | None:
        return next((record for record in self.records if record["id"] == call_id), None)

    async def audit_head(self) -> Head:
        return Head(17, "ab" * 32)

    async def audited(self, wanted: AuditSearch, limit: int, before: int | None = None) -> Sequence[KeptEntry]:
        del wanted, limit, before
        return []


def _began(record: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(record["started_at"])


async def echo(leg: CallLeg) -> None:
    """Say back what the caller says, until they hang up."""
    async for event in leg.events():
        if isinstance(event, FrameReceived):
            leg.send(event.payload)


class Listener:
    """An `accept` that keeps the legs it was given and what happened on each."""

    def __init__(self, then: Callable[[CallLeg], Awaitable[None]] | None = None) -> None:
        self.legs: list[CallLeg] = []
        self.events: list[LegEvent] = []
        self._then = then
        self.ended = asyncio.Event()

    async def __call__(self, leg: CallLeg) -> None:
        self.legs.append(leg)
        if self._then is not None:
            await self._then(leg)
            return
        async for event in leg.events():
            self.events.append(event)
            if isinstance(event, LegEnded):
                self.ended.set()


class SteppedClock:
    """The time of day, which tests put on."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class RunningServer:
    base: str
    http: aiohttp.ClientSession
    app: web.Application
    admission: FakeAdmission
    calls: FakeCalls
    tickets: Tickets
    violations: list[tuple[str, str]]
    statuses: list[CallStatusChanged | StreamStatusChanged]
    users: Users
    programs: ApiTokens
    audited: list[AuditEntry]
    clock: SteppedClock
    work: FakeWork

    async def add_user(self, name: str, role: Role, *queues: str) -> None:
        await self.users.add(name, role, PASSWORD, queues=queues, actor="cli:test")

    async def sign_in(self, name: str, password: str = PASSWORD, **form: str) -> aiohttp.ClientResponse:
        """Sign in as the page does; the session's cookie stays in `http`."""
        return await self.http.post(
            self.base + "/sign-in",
            data={"name": name, "password": password, **form},
            headers={"Origin": self.base},
            allow_redirects=False,
        )

    async def signed_in_as(self, role: Role, *queues: str) -> None:
        """Add a user named after the role and sign in."""
        await self.add_user(f"the-{role}", role, *queues)
        assert (await self.sign_in(f"the-{role}")).status == 303

    async def csrf(self) -> str:
        """Return the token that a page of the session holds for its forms and scripts."""
        page = await (await self.http.get(self.base + "/calls")).text()
        found = re.search(r'<meta name="csrf-token" content="([^"]+)">', page)
        assert found is not None, page
        return found[1]

    @property
    def port(self) -> int:
        return int(self.base.rpartition(":")[2])

    def kinds(self) -> list[str]:
        return [kind for _, kind in self.violations]

    async def twilio(
        self,
        path: str,
        form: Sequence[tuple[str, str]],
        *,
        signed_for: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> aiohttp.ClientResponse:
        """Post a form signed as Twilio signs it, for the address Twilio believes it calls."""
        signature = sign((signed_for or self.base) + path, form)
        return await self.http.post(
            # As it stands: Twilio signs what it sends, and a client that tidies the address sends something else.
            URL(self.base + path, encoded=True),
            data=aiohttp.FormData(form)(),
            headers={"X-Twilio-Signature": signature, **(headers or {})},
        )

    async def stream_parameters(
        self, call_sid: str = "CA1", path: str = "/twilio/voice", **form: str
    ) -> dict[str, str]:
        """Place a call and return the custom parameters of the stream it is answered with."""
        answer = await self.twilio(path, incoming(call_sid, **form))
        assert answer.status == 200, await answer.text()
        return parameters_of(await answer.text())

    @asynccontextmanager
    async def stream(self, call_sid: str = "CA1", **form: str) -> AsyncIterator[HandMadeCarrier]:
        """Place a call and open its stream, up to and with the start message."""
        parameters = await self.stream_parameters(call_sid, **form)
        async with self.http.ws_connect(self.base + "/twilio/media") as socket:
            carrier = HandMadeCarrier(socket, call_sid)
            await carrier.start(parameters)
            yield carrier


@asynccontextmanager
async def serving(
    accept: Callable[[CallLeg], Awaitable[None]] = echo,
    *,
    twilio: TwilioAccess | None = None,
    public: PublicAddress | None = None,
    api_token: str | None = API_TOKEN,
    calls: FakeCalls | None = None,
    recordings: FakeRecordings | None = None,
    live_recordings: FakeLiveRecordings | None = None,
    ready: bool = True,
    limits: WebLimits | None = None,
    wall_clock: Callable[[], float] = time.time,
    chats: Chats | None = None,
    asterisk: AsteriskPeers | None = None,
    oidc: OidcProvider | None = None,
    store: CallReader | None = None,
    schema: Mapping[str, Any] | None = None,
    contexts: ContextReader | None = None,
    desks: Callable[[Database], DeskParts] | None = None,
    journeys: Journeys | None = None,
    calls_out: CallsOut | None = None,
    tickets: Tickets | None = None,
    bound: socket.socket | None = None,
) -> AsyncIterator[RunningServer]:
    """Run the server on loopback, on the socket `bound` or any free port."""
    admission, reader = FakeAdmission(), calls or FakeCalls()
    violations: list[tuple[str, str]] = []
    statuses: list[CallStatusChanged | StreamStatusChanged] = []
    audited: list[AuditEntry] = []
    clock = SteppedClock()
    tickets = tickets or Tickets(b"s" * 32, clock=wall_clock, new_id=lambda: uuid.uuid4().hex)
    async with _database() as database:
        users = Users(database, Passwords(), now=clock.now)
        tokens = ApiTokens(database, now=clock.now)
        work = FakeWork(Deeds(database, KEYS, now=clock.now), ActionBook(database, now=clock.now))
        app = build_app(
            accept=accept,
            admission=admission,
            calls=store or reader,
            recordings=recordings or FakeRecordings(),
            live_recordings=live_recordings or FakeLiveRecordings(),
            schema=schema or {"title": "CallRecord"},
            metrics=lambda: "voicebot_live_calls 0\n",
            readiness=lambda: Readiness(ready, {"recognition": "ready" if ready else "starting"}),
            access=AccessParts(
                users=users,
                sessions=Sessions(database, now=clock.now),
                tokens=tokens,
                failures=Failures(database, now=clock.now),
                master_token=api_token,
                audit=audited.append,
                now=clock.now,
                attempts=OidcAttempts(database, now=clock.now),
                oidc=oidc,
            ),
            twilio=twilio or TwilioAccess(auth_token=AUTH_TOKEN),
            public=public or PublicAddress(),
            tickets=tickets,
            chat_tickets=tickets,
            clock=time.monotonic,
            new_id=lambda: uuid.uuid4().hex,
            on_violation=lambda channel, kind: violations.append((channel, kind)),
            on_status=statuses.append,
            limits=limits,
            asterisk=asterisk,
            chats=chats,
            work=work.parts,
            contexts=contexts,
            desks=desks(database) if desks else None,
            journeys=journeys,
            calls_out=calls_out,
        )
        runner = make_runner(app, shutdown_timeout_s=1)
        await runner.setup()
        await web.SockSite(runner, bound or bound_socket()).start()
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
            base = f"http://127.0.0.1:{runner.addresses[0][1]}"
            try:
                yield RunningServer(
                    base,
                    http,
                    app,
                    admission,
                    reader,
                    tickets,
                    violations,
                    statuses,
                    users,
                    tokens,
                    audited,
                    clock,
                    work,
                )
            finally:
                # Before the clients go, so that what they see of a shutdown can be tested.
                await runner.cleanup()


@asynccontextmanager
async def _database() -> AsyncIterator[Database]:
    """Open a database of its own with every table and nothing in them."""
    with TemporaryDirectory() as folder:
        url = locate(Path(folder))
        database = Database(url, _engine(url))
        async with database.begin() as connection:
            await connection.run_sync(METADATA.create_all)
        yield database
        await database.engine.dispose()


def sign(url: str, form: Sequence[tuple[str, str]]) -> str:
    signature: str = RequestValidator(AUTH_TOKEN).compute_signature(url, MultiDict(form))
    return signature
