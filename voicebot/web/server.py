"""The HTTP server, put together from its doors; app builds what they need and runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Any

from aiohttp import web

from voicebot.calls.chats import Chats
from voicebot.records.access.failures import Failures
from voicebot.records.access.oidc_attempts import OidcAttempts
from voicebot.records.access.sessions import Sessions
from voicebot.records.access.tokens import ApiTokens
from voicebot.records.access.users import Users
from voicebot.records.audit import AuditEntry
from voicebot.telephony.leg import CallLeg, Channel
from voicebot.telephony.twilio.journey import Journeys, ReturningLeg, TravellingLeg
from voicebot.telephony.twilio.outgoing import OutgoingLeg
from voicebot.telephony.twilio.webhook import CallStatusChanged, StreamStatusChanged
from voicebot.web.access.answers import Answers
from voicebot.web.access.cookies import Cookie
from voicebot.web.access.guard import Guard
from voicebot.web.access.headers import SecurityHeaders
from voicebot.web.access.identity import Identity
from voicebot.web.access.oidc import OidcClient, OidcProvider
from voicebot.web.access.oidc_door import OidcDoor
from voicebot.web.access.sign_in import SESSION_COOKIE, Entrance, SignInDoor
from voicebot.web.actions import ActionsDoor
from voicebot.web.address import PublicAddress
from voicebot.web.audit import AuditDoor
from voicebot.web.browser import OUT_OF_DATE, BrowserDoor
from voicebot.web.call_pages import CallPagesDoor
from voicebot.web.chan_websocket import AsteriskPeers, ChanWebsocketDoor
from voicebot.web.chat import MESSAGES_A_MINUTE, ChatDoor
from voicebot.web.contexts import ContextReader, ContextsDoor
from voicebot.web.desk.conversation import DeskParts
from voicebot.web.desk.door import DeskDoor
from voicebot.web.doors import Accept, Admission, CountViolation
from voicebot.web.limits import ConnectionLimit, RateLimit
from voicebot.web.openapi import OpenApiDoor, openapi_document
from voicebot.web.pages import Pages
from voicebot.web.recordings import LiveRecordings, Recordings, RecordingsDoor
from voicebot.web.records import CallReader, RecordsDoor
from voicebot.web.sms import SmsDoor
from voicebot.web.socket_door import LiveLegs, SocketDoor
from voicebot.web.tickets import Tickets
from voicebot.web.twilio import RefusalPrompt, TwilioDoor
from voicebot.web.twilio_calls import CallsOut, TwilioCallsDoor
from voicebot.web.twilio_forms import TwilioAccess, TwilioForms
from voicebot.web.work import Errands, WorkDoor
from voicebot.work.actions import Actions
from voicebot.work.supervision import Supervision

#: Larger than any form of Twilio's, and nothing else is posted.
MAX_BODY_BYTES = 64 * 1024
#: Also how long a connection may take over its request line and headers.
KEEPALIVE_TIMEOUT_S = 30.0
#: After an answer was given before the whole request had come, how long the rest of it is awaited.
LINGER_S = 1.0


@dataclass(frozen=True, slots=True)
class AccessParts:
    """What is known of those who may come in. `master_token` opens the whole API; `audit` takes what they did.

    `now` dates entries of the audit trail. People may sign in at the provider `oidc` too, if there is one.
    """

    users: Users
    sessions: Sessions
    tokens: ApiTokens
    failures: Failures
    master_token: str | None
    audit: Callable[[AuditEntry], None]
    now: Callable[[], datetime]
    attempts: OidcAttempts
    oidc: OidcProvider | None = None


@dataclass(frozen=True, slots=True)
class WorkParts:
    """What is decided by people, and the work after calls."""

    supervision: Supervision
    actions: Actions
    errands: Errands


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether calls can be served; `parts` says how each part is (``"recognition": "ready"``)."""

    ready: bool
    parts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class WebLimits:
    """Open WebSockets in all and of one address, and calls one caller or address may start a minute.

    All of Twilio's sockets may come from a few addresses, so `max_per_address` is meant for a browser's.
    """

    max_connections: int = 200
    max_browser_connections_per_address: int = 10
    max_starts_per_minute: int = 20
    #: A company's own server begins the chats of all its customers from one address.
    max_chats_per_minute: int = 600
    #: Of one user or token: more than any page or program needs.
    max_requests_per_minute: int = 1200
    #: Of one address; a right token is not even looked at after so many wrong ones.
    max_wrong_tokens_per_minute: int = 30


def build_app(  # noqa: PLR0915  # every door there is, one after the other
    *,
    accept: Accept,
    admission: Admission,
    calls: CallReader,
    recordings: Recordings,
    live_recordings: LiveRecordings,
    schema: Mapping[str, Any],
    metrics: Callable[[], str],
    readiness: Callable[[], Readiness],
    access: AccessParts,
    twilio: TwilioAccess,
    public: PublicAddress,
    tickets: Tickets,
    chat_tickets: Tickets,
    clock: Callable[[], float],
    new_id: Callable[[], str],
    on_violation: CountViolation,
    on_status: Callable[[CallStatusChanged | StreamStatusChanged], None],
    refusal: RefusalPrompt | None = None,
    limits: WebLimits | None = None,
    asterisk: AsteriskPeers | None = None,
    chats: Chats | None = None,
    work: WorkParts | None = None,
    contexts: ContextReader | None = None,
    desks: DeskParts | None = None,
    journeys: Journeys | None = None,
    calls_out: CallsOut | None = None,
) -> web.Application:
    """Return the whole web server.

    `accept` runs one call until it ends. `metrics` gives Prometheus
    text. `clock` is monotonic, in seconds; `new_id` gives fresh random names of letters, digits, - and _. `asterisk`
    opens the way for chan_websocket, `desks` the pages of those who take calls; `contexts` holds what they were told.
    `calls_out` places calls by Twilio, and `journeys` lets callers of Twilio's be elsewhere for a while.
    See the doors for the rest.
    """
    refusal, limits = refusal or RefusalPrompt(), limits or WebLimits()
    journeys = journeys or Journeys(end_call=None, new_id=new_id)
    legs = LiveLegs(_by_kind(accept, journeys, calls_out))

    def sockets(channel: Channel, *, per_address: int = limits.max_connections, farewell: str = "") -> SocketDoor:
        return SocketDoor(
            channel,
            legs=legs,
            connections=ConnectionLimit(max_connections=limits.max_connections, max_per_address=per_address),
            public=public,
            on_violation=on_violation,
            clock=clock,
            farewell=farewell,
        )

    twilio_sockets = sockets(Channel.TWILIO)
    forms = TwilioForms(twilio, public, twilio_sockets.violated)
    twilio_door = TwilioDoor(
        forms=forms,
        public=public,
        tickets=tickets,
        admission=admission,
        door=twilio_sockets,
        starts_of_caller=RateLimit(max_events=limits.max_starts_per_minute, window_s=60, clock=clock),
        refusal=refusal,
        on_status=on_status,
        new_id=new_id,
        journeys=journeys,
    )
    browser_door = BrowserDoor(
        public=public,
        tickets=tickets,
        admission=admission,
        door=sockets(Channel.BROWSER, per_address=limits.max_browser_connections_per_address, farewell=OUT_OF_DATE),
        starts_of_address=RateLimit(max_events=limits.max_starts_per_minute, window_s=60, clock=clock),
        refusal_text=refusal.text,
        new_id=new_id,
    )
    asterisk_doors = []
    if asterisk is not None:
        asterisk_doors.append(
            ChanWebsocketDoor(
                peers=asterisk,
                public=public,
                admission=admission,
                door=sockets(Channel.CHAN_WEBSOCKET),
                new_id=new_id,
            )
        )
    pages = Pages(has_desks=desks is not None)
    cookie = Cookie(SESSION_COOKIE, public)
    identity = Identity(
        sessions=access.sessions,
        tokens=access.tokens,
        cookie=cookie,
        public=public,
        master_token=access.master_token,
        wrong_tokens=RateLimit(max_events=limits.max_wrong_tokens_per_minute, window_s=60, clock=clock),
    )
    guard = Guard(
        identity=identity,
        calls=calls,
        public=public,
        audit=access.audit,
        now=access.now,
        requests=RateLimit(max_events=limits.max_requests_per_minute, window_s=60, clock=clock),
        clock=clock,
    )
    entrance = Entrance(sessions=access.sessions, cookie=cookie, public=public, audit=access.audit, now=access.now)
    sign_in_door = SignInDoor(
        users=access.users,
        failures=access.failures,
        entrance=entrance,
        pages=pages,
        public=public,
        clock=clock,
        oidc_name=access.oidc.name if access.oidc else None,
    )
    recordings_door = RecordingsDoor(recordings, live_recordings)
    records_door = RecordsDoor(calls=calls, schema=schema)

    async def healthz(request: web.Request) -> web.Response:
        del request
        return web.json_response({"status": "alive"})

    async def readyz(request: web.Request) -> web.Response:
        del request
        state = readiness()
        return web.json_response({"ready": state.ready, "parts": dict(state.parts)}, status=200 if state.ready else 503)

    async def metrics_text(request: web.Request) -> web.Response:
        del request
        return web.Response(body=metrics().encode(), headers={"Content-Type": "text/plain; version=0.0.4"})

    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[Answers(pages).middleware, guard.middleware])
    app.add_routes(twilio_door.routes() + browser_door.routes())
    app.add_routes(
        TwilioCallsDoor(
            forms=forms,
            tickets=tickets,
            calls_out=calls_out,
            journeys=journeys,
            language=refusal.language,
        ).routes()
    )
    call_pages = CallPagesDoor(calls=calls, contexts=contexts, actions=work.actions if work else None, pages=pages)
    app.add_routes(records_door.routes() + AuditDoor(calls).routes())
    app.add_routes(recordings_door.routes() + ContextsDoor(contexts).routes())
    app.add_routes(call_pages.routes() + sign_in_door.routes())
    app.add_routes(OpenApiDoor(openapi_document(schema)).routes())
    if chats is not None:
        app.add_routes(_written_routes(chats, forms, identity, chat_tickets, public, clock, new_id, limits))
    if work is not None:
        work_door = WorkDoor(supervision=work.supervision, book=work.actions.book, work=work.errands, pages=pages)
        app.add_routes(work_door.routes() + ActionsDoor(work.actions, pages).routes())
    if access.oidc is not None:
        oidc_door = OidcDoor(
            client=OidcClient(access.oidc, clock=clock),
            attempts=access.attempts,
            users=access.users,
            entrance=entrance,
            public=public,
            clock=clock,
        )
        app.add_routes(oidc_door.routes())
    if desks is not None:
        DeskDoor(
            desks,
            calls=calls,
            identity=identity,
            pages=pages,
            public=public,
            # A whole office may sit behind one address; everybody in it has signed in.
            connections=ConnectionLimit(max_connections=limits.max_connections, max_per_address=limits.max_connections),
            on_violation=on_violation,
            clock=clock,
            now=access.now,
            new_id=new_id,
        ).open(app)
    for door in asterisk_doors:
        app.add_routes(door.routes())
    health = [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics_text)]
    app.add_routes([*health, web.static("/static", str(resources.files("voicebot.web") / "static"))])
    app.on_response_prepare.append(SecurityHeaders(public).add)

    async def hang_up_all(app: web.Application) -> None:
        del app
        await legs.hang_up_all()

    app.on_shutdown.append(hang_up_all)
    return app


def _by_kind(accept: Accept, journeys: Journeys, calls_out: CallsOut | None) -> Accept:
    """Return who carries a leg: a call that somebody here waits for already begins no new one."""

    async def carry(leg: CallLeg) -> None:
        match leg:
            case OutgoingLeg():
                if calls_out is not None:
                    await calls_out.opened(leg)
            case ReturningLeg():
                await journeys.returned(leg)
            case TravellingLeg():
                await journeys.carry(leg, accept)
            case _:
                await accept(leg)

    return carry


def _written_routes(  # noqa: PLR0917  # what `build_app` was given, passed on
    chats: Chats,
    forms: TwilioForms,
    identity: Identity,
    tickets: Tickets,
    public: PublicAddress,
    clock: Callable[[], float],
    new_id: Callable[[], str],
    limits: WebLimits,
) -> list[web.RouteDef]:
    """The ways in for those who write."""
    chat = ChatDoor(
        chats=chats,
        identity=identity,
        tickets=tickets,
        public=public,
        new_id=new_id,
        starts_of_address=RateLimit(max_events=limits.max_chats_per_minute, window_s=60, clock=clock),
        messages_of_session=RateLimit(max_events=MESSAGES_A_MINUTE, window_s=60, clock=clock),
    )
    sms = SmsDoor(
        chats=chats,
        forms=forms,
        messages_of_number=RateLimit(max_events=MESSAGES_A_MINUTE, window_s=60, clock=clock),
        new_id=new_id,
    )
    return chat.routes() + sms.routes()


def make_runner(app: web.Application, *, shutdown_timeout_s: float = 10.0) -> web.AppRunner:
    """Return a runner with the server's limits on connections; its owner sets it up and cleans it up."""
    return web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        keepalive_timeout=KEEPALIVE_TIMEOUT_S,
        lingering_time=LINGER_S,
        shutdown_timeout=shutdown_timeout_s,
    )
