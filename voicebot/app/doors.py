"""Builds the ways in: the web server with all of its doors, and AudioSocket beside it."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_network

import structlog
from aiohttp import web

from voicebot.app.audiosocket import AudioSocketDoor, listening
from voicebot.app.chat_secret import chat_secret
from voicebot.app.editions import Editions
from voicebot.app.speech import DOWN, Speech
from voicebot.app.twilio import TwilioServing
from voicebot.app.work import Work
from voicebot.calls.chats import Chats
from voicebot.calls.registry import LiveCalls
from voicebot.errors import ConfigurationError, Problem
from voicebot.records.access.failures import Failures
from voicebot.records.access.oidc_attempts import OidcAttempts
from voicebot.records.access.passwords import Passwords
from voicebot.records.access.sessions import Sessions
from voicebot.records.access.tokens import ApiTokens
from voicebot.records.access.users import Users
from voicebot.records.contexts import Contexts
from voicebot.records.control import LiveRecordings
from voicebot.records.metrics import Metrics
from voicebot.records.schema import call_schema
from voicebot.records.store import Store
from voicebot.records.vault.vault import Vault
from voicebot.settings import Settings
from voicebot.telephony.twilio.webhook import CallStatusChanged, StreamStatusChanged
from voicebot.web.access.oidc import OidcProvider
from voicebot.web.address import PublicAddress
from voicebot.web.chan_websocket import AsteriskPeers
from voicebot.web.desk.conversation import DeskParts
from voicebot.web.doors import Admission
from voicebot.web.server import AccessParts, Readiness, WebLimits, WorkParts, build_app
from voicebot.web.tickets import Tickets
from voicebot.web.twilio_forms import TwilioAccess

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Behind:
    """What stands behind the doors. `now` gives wall-clock time in the bot's zone; `desks` is None without queues."""

    settings: Settings
    live: LiveCalls
    admission: Admission
    chats: Chats
    store: Store
    vault: Vault
    recordings_state: Callable[[], str]
    live_recordings: LiveRecordings
    metrics: Metrics
    speech: Speech
    editions: Editions
    work: Work
    desks: DeskParts | None
    tickets: Tickets
    twilio: TwilioServing
    now: Callable[[], datetime]


def web_app(behind: Behind) -> web.Application:
    """Return the web server; ConfigurationError when what is set cannot work."""
    settings, store, now = behind.settings, behind.store, behind.now

    def status(event: CallStatusChanged | StreamStatusChanged) -> None:
        log.info("carrier status", kind=type(event).__name__)
        if isinstance(event, CallStatusChanged) and event.status.is_final:
            behind.twilio.journeys.call_ended(event.call_sid)

    def readiness() -> Readiness:
        parts = behind.speech.parts() | {
            "calls": "draining" if behind.live.draining else "open",
            "flows": behind.editions.state,
            # Calls go on without it: what is recorded waits on tape.
            "recordings": behind.recordings_state(),
        }
        return Readiness(not behind.live.draining and DOWN not in parts.values(), parts)

    token = settings.api_token
    twilio_token = settings.twilio_auth_token
    return build_app(
        contexts=Contexts(store.database, now=now),
        accept=behind.live.accept,
        admission=behind.admission,
        calls=store,
        recordings=behind.vault,
        live_recordings=behind.live_recordings,
        schema=call_schema(),
        metrics=behind.metrics.text,
        readiness=readiness,
        access=AccessParts(
            users=Users(store.database, Passwords(), now=now),
            sessions=Sessions(store.database, now=now),
            tokens=ApiTokens(store.database, now=now),
            failures=Failures(store.database, now=now),
            master_token=token.get_secret_value() if token else None,
            audit=store.journal.audit,
            now=now,
            attempts=OidcAttempts(store.database, now=now),
            oidc=oidc_provider(settings),
        ),
        twilio=TwilioAccess(
            auth_token=twilio_token.get_secret_value() if twilio_token else None,
            account_sid=settings.twilio_account_sid,
            accept_unsigned=settings.insecure_webhooks,
            own_url=settings.twilio.callback_url,
        ),
        public=PublicAddress(
            url=settings.public_url, trusted_proxies=tuple(ip_network(entry) for entry in settings.trusted_proxies)
        ),
        tickets=behind.tickets,
        # Unlike streams, chats go on after a restart.
        chat_tickets=Tickets(chat_secret(settings.data), clock=time.time, new_id=new_id),
        clock=time.monotonic,
        new_id=new_id,
        on_violation=behind.metrics.protocol_error,
        on_status=status,
        limits=WebLimits(
            max_connections=2 * settings.max_calls,
            max_starts_per_minute=settings.max_starts_per_minute,
            max_requests_per_minute=settings.max_requests_per_minute,
        ),
        chats=behind.chats,
        work=WorkParts(behind.work.supervision, behind.work.actions, behind.work.durable),
        desks=behind.desks,
        journeys=behind.twilio.journeys,
        calls_out=behind.twilio.dialer,
        asterisk=asterisk_peers(settings),
    )


def oidc_provider(settings: Settings) -> OidcProvider | None:
    """Return who else may sign people in, None for nobody; ConfigurationError when that would let in nobody."""
    given, secret = settings.oidc, settings.oidc_client_secret
    if given.issuer is None:
        return None
    if given.client_id is None or not given.roles:
        what = "`oidc.issuer` is set, but not `oidc.client_id` and `oidc.roles`, so nobody could sign in with it."
        fix = "Say who is what, such as roles = { 'voicebot-admins' = 'admin' }."
        raise ConfigurationError([Problem("settings", None, what, fix)])
    return OidcProvider(
        issuer=given.issuer,
        client_id=given.client_id,
        client_secret=secret.get_secret_value() if secret else None,
        name=given.name,
        role_claim=given.role_claim,
        roles=given.roles,
    )


def asterisk_peers(settings: Settings) -> AsteriskPeers | None:
    """Return which phone systems may bring calls without SIP, None for none; ConfigurationError for half a setting."""
    password = settings.asterisk_password
    if not settings.asterisk_peers:
        if settings.audiosocket_port is not None or password is not None:
            what = "`asterisk_peers`: is empty, so nobody could use `audiosocket_port` or `asterisk_password`."
            fix = "Name the phone system's address, such as 10.0.0.5/32."
            raise ConfigurationError([Problem("settings", None, what, fix)])
        return None
    return AsteriskPeers(settings.asterisk_peers, password.get_secret_value() if password else None)


@asynccontextmanager
async def audiosocket_served(
    settings: Settings, live: LiveCalls, admission: Admission, metrics: Metrics
) -> AsyncIterator[None]:
    """Take calls by AudioSocket while the block lasts, where that is set."""
    peers = asterisk_peers(settings)
    if settings.audiosocket_port is None or peers is None:
        yield
        return
    door = AudioSocketDoor(
        accept=live.accept,
        admission=admission,
        peers=peers,
        max_connections=2 * settings.max_calls,
        on_violation=metrics.protocol_error,
        new_id=new_id,
    )
    async with listening(door, settings.host, settings.audiosocket_port) as port:
        log.info("listening for audiosocket", port=port)
        yield


class CountedAdmission:
    """Admits calls as `live` does, and counts and logs those that are not."""

    def __init__(self, live: LiveCalls, metrics: Metrics) -> None:
        self._live = live
        self._metrics = metrics

    def admit(self, caller: str, call_id: str) -> str | None:
        reason = self._live.admit(caller, call_id)
        if reason is not None:
            self._metrics.call_refused(reason.value)
            log.warning("call refused", reason=reason.value, live_calls=self._live.count)
        return reason

    def withdraw(self, call_id: str) -> None:
        self._live.withdraw(call_id)

    def is_open(self) -> bool:
        return self._live.why_full() is None


def new_id() -> str:
    """Return a fresh random name of letters and digits."""
    return secrets.token_urlsafe(12).replace("-", "x").replace("_", "y")
