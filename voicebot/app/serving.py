"""Builds the whole server once, runs it, and takes it down in order. The only place that sees all rooms."""

from __future__ import annotations

import asyncio
import gc
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path
from zoneinfo import ZoneInfo

import psutil
import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from voicebot.app import audiosocket
from voicebot.app.audiosocket import AudioSocketDoor
from voicebot.app.chat_secret import chat_secret
from voicebot.app.editions import Edition, Editions
from voicebot.app.handover import HandoverParts, handing_over
from voicebot.app.planned import PlannedWith
from voicebot.app.preflight import look_over
from voicebot.app.retention import retaining
from voicebot.app.sessions import SessionFactory, standing_prompts
from voicebot.app.sip import CallsOut, SipServing, serving_sip
from voicebot.app.speech import MakeSpeech, Progress, Speech, start_speech
from voicebot.app.standing import beside
from voicebot.app.surroundings import Surroundings, real_surroundings
from voicebot.app.twilio import TwilioServing, serving_twilio
from voicebot.app.understanding import learn_requests
from voicebot.app.vault import recording, recording_keys, recording_policy
from voicebot.app.work import Work, remembering, working
from voicebot.calls.admission import CpuMeter, Limits
from voicebot.calls.chats import Chats, nobody_is_told
from voicebot.calls.registry import LiveCalls
from voicebot.calls.transfer.carriers import Carriers, Dialer
from voicebot.dialog.library import Library
from voicebot.dialog.loader import load_bot
from voicebot.dialog.recording_rules import with_policy
from voicebot.errors import ConfigurationError, Problem
from voicebot.records.access.failures import Failures
from voicebot.records.access.oidc_attempts import OidcAttempts
from voicebot.records.access.passwords import Passwords
from voicebot.records.access.sessions import Sessions
from voicebot.records.access.tokens import ApiTokens
from voicebot.records.access.users import Users
from voicebot.records.contexts import Contexts
from voicebot.records.continuations import ContinuationStore
from voicebot.records.control import LiveRecordings
from voicebot.records.metrics import Metrics
from voicebot.records.schema import call_schema
from voicebot.records.store import Store
from voicebot.records.vault.vault import Vault
from voicebot.routing.loader import load_routing
from voicebot.settings import FLOW_LIBRARY, Settings
from voicebot.speech.scribe import Scribe
from voicebot.telephony.twilio.webhook import CallStatusChanged, StreamStatusChanged
from voicebot.web.access.oidc import OidcProvider
from voicebot.web.address import PublicAddress
from voicebot.web.chan_websocket import AsteriskPeers
from voicebot.web.desk.conversation import DeskParts
from voicebot.web.doors import Admission
from voicebot.web.server import AccessParts, Readiness, WebLimits, WorkParts, build_app, make_runner
from voicebot.web.tickets import Tickets
from voicebot.web.twilio_forms import TwilioAccess
from voicebot.work.plan import load_plan

log = structlog.get_logger(__name__)

CPU_SAMPLE_S = 1.0
#: A call that has ended leaves 2 MB in cycles; to collect those of twenty beside 40 live calls takes 26 ms.
COLLECT_AFTER_CALLS = 20
#: Busy share of an engine's room above which a further caller would wait too long for an answer.
MAX_ENGINE_LOAD = 0.95


@dataclass(frozen=True, slots=True)
class Serving:
    """A running server: where it listens and what stops it."""

    host: str
    port: int
    live: LiveCalls
    engines: tuple[str, ...]
    sip: SipServing

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


@asynccontextmanager
async def serving(  # noqa: PLR0915  # the one place that builds everything, in order
    settings: Settings,
    progress: Progress,
    *,
    make_speech: MakeSpeech | None = None,
    surroundings: Surroundings | None = None,
) -> AsyncIterator[Serving]:
    """Start everything and yield when calls can be taken; on leaving, drain and stop. `progress` gets short lines.

    `make_speech` replaces the speech workers: benchmarks measure the server without them. `surroundings` are the real
    ones unless told.
    """
    async with AsyncExitStack() as stack:
        world = surroundings or real_surroundings(ZoneInfo(settings.zone))
        metrics = Metrics(CollectorRegistry())
        _make_data_folder(settings.data)
        # Before speech is loaded, which takes seconds: whatever is wrong with what is quickly looked at.
        await asyncio.to_thread(look_over, settings)
        _oidc(settings)
        _asterisk_peers(settings)
        store = await stack.enter_async_context(_records(settings, metrics, world.now))
        keys = await asyncio.to_thread(recording_keys, settings)
        recordings = await stack.enter_async_context(
            recording(
                settings,
                keys,
                store.recordings,
                written=store.journal.flush,
                now=world.now,
                on_failure=lambda kind: metrics.failed("recorder", kind),
            )
        )
        live_recordings = LiveRecordings(store.journal, time.monotonic)
        library = Library(settings.data / FLOW_LIBRARY)
        folder = await asyncio.to_thread(_published, library) or settings.flows

        memory = remembering(store, keys, now=world.now)

        async def edition_of(folder: Path, speech: Speech | None) -> Edition:
            progress("reading flows")
            bot = with_policy(await asyncio.to_thread(load_bot, folder), recording_policy(settings))
            routing = await asyncio.to_thread(load_routing, folder, schedules=tuple(bot.hours), flows=tuple(bot.flows))
            plan = await asyncio.to_thread(load_plan, folder, bot.operations)
            backends = await asyncio.to_thread(world.open_backends, settings, folder, bot, memory=memory)
            try:
                heard = await (
                    speech.learned(bot) if speech else (make_speech or start_speech)(settings, bot, stack, progress)
                )
                progress("learning intents")
                understanding = await asyncio.to_thread(learn_requests, bot.intents, settings.models, settings.data)
            except BaseException:
                await backends.close()
                raise
            return Edition(bot, understanding, backends, heard, standing_prompts(bot), plan, routing)

        first = await edition_of(folder, None)
        log.info("flows", version=first.bot.version, published=folder != settings.flows)
        editions = Editions(first, edition_of)
        stack.push_async_callback(editions.close)
        await stack.enter_async_context(beside("watch for published flows", editions.watch(library)))
        speech = first.speech

        cpu = CpuMeter(lambda: psutil.cpu_percent(interval=None))
        await stack.enter_async_context(beside("sample the processor", _sample(cpu, speech, metrics)))

        continuations = ContinuationStore(store.database, now=world.now)
        people: list[HandoverParts] = []
        dialers: list[Dialer] = []
        calls_out = CallsOut.of(settings.sip, time.monotonic)
        tickets = Tickets(secrets.token_bytes(32), clock=time.time, new_id=_new_id)
        twilio = await stack.enter_async_context(
            serving_twilio(settings, tickets, calls_out, metrics.call_refused, _new_id)
        )
        planned = PlannedWith(
            editions, library, lambda folder, bot: world.open_backends(settings, folder, bot, memory=memory)
        )
        work = await stack.enter_async_context(
            working(settings, store, keys, editions, planned.of, twilio.rest, now=world.now)
        )
        scribe = Scribe(lambda why: metrics.failed("dictation", why.value))
        await stack.enter_async_context(scribe.running())
        factory = SessionFactory(
            settings=settings,
            editions=editions,
            store=store,
            recordings=recordings.recorders,
            live_recordings=live_recordings,
            metrics=metrics,
            continuations=continuations,
            supervision=work.supervision,
            after_call=work.after,
            paused=work.paused,
            now=world.now,
            new_seed=world.new_seed,
            find_transfers=lambda: people[0].desk if people else None,
            scribe=scribe,
        )
        if first.routing is not None:
            parts = handing_over(settings, first.routing, store, editions, factory, dialers, world.now, twilio)
            people.append(await stack.enter_async_context(parts))
        chats = Chats(
            factory.written,
            journal=store.journal,
            continuations=continuations,
            clock=time.monotonic,
            now=world.now,
            zone=settings.zone,
            new_seed=world.new_seed,
            person_wanted=people[0].desk.note_written if people else nobody_is_told,
        )
        stack.push_async_callback(chats.close)
        await stack.enter_async_context(beside("end chats that are idle", chats.sweep_forever()))
        live = LiveCalls(
            factory.make,
            Limits(settings.max_calls, settings.max_calls_per_caller, settings.max_cpu_percent, MAX_ENGINE_LOAD),
            cpu_percent=lambda: cpu.percent,
            engine_load=speech.load,
            after_call=_GarbageCollection().after_call,
            clock=time.monotonic,
        )
        admission = _CountedAdmission(live, metrics)
        app = _web(
            settings,
            live,
            store,
            recordings.vault,
            live_recordings,
            world.now,
            metrics,
            speech,
            editions,
            chats,
            admission,
            work,
            people[0].desk_parts if people else None,
            tickets,
            twilio,
        )
        runner = make_runner(app)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await _listen(runner, settings.host, settings.port)
        sip = await stack.enter_async_context(
            serving_sip(settings, live, admission, metrics, _new_id, calls_out=calls_out)
        )
        dialers.append(Carriers(sip.dialer, twilio.number_dialer))
        await _open_audiosocket(settings, live, admission, metrics, stack)
        stack.push_async_callback(live.drain, settings.drain_s)

        # Everything alive now lives as long as the process: the collector need never look at it again.
        gc.collect()
        gc.freeze()
        gc.disable()
        yield Serving(settings.host, _port(runner), live, speech.engines(), sip)


@asynccontextmanager
async def _records(settings: Settings, metrics: Metrics, now: Callable[[], datetime]) -> AsyncIterator[Store]:
    """Open the records, and delete daily what was kept for long enough."""
    async with (
        Store.open(
            settings.data,
            url=settings.database,
            instance=settings.instance,
            on_failure=lambda kind: metrics.failed("store", kind),
            on_head=lambda head: metrics.audit_head(head.number),
        ) as store,
        retaining(settings, store, metrics, now),
    ):
        yield store


def _make_data_folder(data: Path) -> None:
    try:
        data.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=data):
            pass
    except OSError as error:
        what = f"`data`: nothing can be written to {data} ({error.strerror})."
        fix = "Name a folder that this user may write to with --data, or make it theirs with chown."
        raise ConfigurationError([Problem("settings", None, what, fix)]) from None


def _published(library: Library) -> Path | None:
    """The folder of the version that was published last into the data folder; None when none ever was."""
    name = library.current_name()
    return library.version(name).folder if name else None


def _web(  # noqa: PLR0917  # everything a door may need, from one place
    settings: Settings,
    live: LiveCalls,
    store: Store,
    vault: Vault,
    live_recordings: LiveRecordings,
    now: Callable[[], datetime],
    metrics: Metrics,
    speech: Speech,
    editions: Editions,
    chats: Chats,
    admission: _CountedAdmission,
    work: Work,
    desks: DeskParts | None,
    tickets: Tickets,
    twilio: TwilioServing,
) -> web.Application:
    def status(event: CallStatusChanged | StreamStatusChanged) -> None:
        log.info("carrier status", kind=type(event).__name__)
        if isinstance(event, CallStatusChanged) and event.status.is_final:
            twilio.journeys.call_ended(event.call_sid)

    def readiness() -> Readiness:
        parts = speech.parts() | {"calls": "draining" if live.draining else "open", "flows": editions.state}
        return Readiness(not live.draining and "down" not in parts.values(), parts)

    token = settings.api_token
    twilio_token = settings.twilio_auth_token
    return build_app(
        contexts=Contexts(store.database, now=now),
        accept=live.accept,
        admission=admission,
        calls=store,
        recordings=vault,
        live_recordings=live_recordings,
        schema=call_schema(),
        metrics=metrics.text,
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
            oidc=_oidc(settings),
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
        tickets=tickets,
        # Unlike streams, chats go on after a restart.
        chat_tickets=Tickets(chat_secret(settings.data), clock=time.time, new_id=_new_id),
        clock=time.monotonic,
        new_id=_new_id,
        on_violation=metrics.protocol_error,
        on_status=status,
        limits=WebLimits(
            max_connections=2 * settings.max_calls,
            max_starts_per_minute=settings.max_starts_per_minute,
            max_requests_per_minute=settings.max_requests_per_minute,
        ),
        chats=chats,
        work=WorkParts(work.supervision, work.planned, work.durable),
        desks=desks,
        journeys=twilio.journeys,
        calls_out=twilio.dialer,
        asterisk=_asterisk_peers(settings),
    )


def _oidc(settings: Settings) -> OidcProvider | None:
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


def _asterisk_peers(settings: Settings) -> AsteriskPeers | None:
    password = settings.asterisk_password
    if not settings.asterisk_peers:
        if settings.audiosocket_port is not None or password is not None:
            what = "`asterisk_peers`: is empty, so nobody could use `audiosocket_port` or `asterisk_password`."
            fix = "Name the phone system's address, such as 10.0.0.5/32."
            raise ConfigurationError([Problem("settings", None, what, fix)])
        return None
    return AsteriskPeers(settings.asterisk_peers, password.get_secret_value() if password else None)


async def _open_audiosocket(
    settings: Settings, live: LiveCalls, admission: Admission, metrics: Metrics, stack: AsyncExitStack
) -> None:
    peers = _asterisk_peers(settings)
    if settings.audiosocket_port is None or peers is None:
        return
    door = AudioSocketDoor(
        accept=live.accept,
        admission=admission,
        peers=peers,
        max_connections=2 * settings.max_calls,
        on_violation=metrics.protocol_error,
        new_id=_new_id,
    )
    port = await stack.enter_async_context(audiosocket.listening(door, settings.host, settings.audiosocket_port))
    log.info("listening for audiosocket", port=port)


class _CountedAdmission:
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


def _new_id() -> str:
    return secrets.token_urlsafe(12).replace("-", "x").replace("_", "y")


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        problem = Problem(
            "settings", None, f"`port`: cannot listen on {host}:{port} ({error.strerror}).", "Choose another --port."
        )
        raise ConfigurationError([problem]) from error


def _port(runner: web.AppRunner) -> int:
    """Return the port really bound, also when 0 asked for any free one."""
    address = runner.addresses[0]
    return int(address[1])


async def _sample(cpu: CpuMeter, speech: Speech, metrics: Metrics) -> None:
    counted: Counter[str] = Counter()
    while True:
        cpu.sample()
        for kind in (speech.restarts() - counted).elements():
            metrics.worker_restarted(kind)
            counted[kind] += 1
        await asyncio.sleep(CPU_SAMPLE_S)


class _GarbageCollection:
    """Collects between calls, since it stops the audio of every call meanwhile (docs/decisions/0005)."""

    def __init__(self) -> None:
        self._ended_calls = 0

    def after_call(self, live_calls: int) -> None:
        """Collect everything when nobody would hear the pause, or when many calls have left their cycles behind."""
        self._ended_calls += 1
        if live_calls == 0 or self._ended_calls >= COLLECT_AFTER_CALLS:
            self._ended_calls = 0
            gc.collect()
