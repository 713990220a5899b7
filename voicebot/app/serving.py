"""Builds the whole server once, runs it, and takes it down in order. The only place that sees all rooms."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import psutil
import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from voicebot.app.doors import (
    Behind,
    CountedAdmission,
    audiosocket_served,
    new_id,
    web_app,
)
from voicebot.app.edition_maker import EditionMaker
from voicebot.app.editions import Editions
from voicebot.app.garbage import GarbageCollection, freeze_garbage
from voicebot.app.handover import HandoverParts, handing_over
from voicebot.app.interpreter import switch_often
from voicebot.app.planned import PlannedWith
from voicebot.app.preflight import look_over
from voicebot.app.relistening import relistener
from voicebot.app.sessions import SessionFactory
from voicebot.app.sip import CallsOut, SipServing, serving_sip
from voicebot.app.speech import MakeSpeech, Progress, Speech, start_speech
from voicebot.app.standing import beside
from voicebot.app.storage import make_data_folder, records_opened
from voicebot.app.surroundings import Surroundings, real_surroundings
from voicebot.app.twilio import serving_twilio
from voicebot.app.vault import recording, recording_keys
from voicebot.app.work import remembering, working
from voicebot.backends.backends import Backends
from voicebot.calls.admission import CpuMeter, EngineMeter, Limits
from voicebot.calls.chats import Chats, nobody_is_told
from voicebot.calls.registry import LiveCalls
from voicebot.calls.transfer.carriers import Carriers, Dialer
from voicebot.dialog.flow import Bot
from voicebot.dialog.library import Library
from voicebot.errors import ConfigurationError, Problem
from voicebot.records.continuations import ContinuationStore
from voicebot.records.control import LiveRecordings
from voicebot.records.history import CallHistory
from voicebot.records.metrics import Metrics
from voicebot.settings import FLOW_LIBRARY, Settings
from voicebot.speech.scribe import Scribe
from voicebot.web.server import make_runner
from voicebot.web.tickets import Tickets

log = structlog.get_logger(__name__)

LOAD_SAMPLE_S = 1.0
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
        make_data_folder(settings.data)
        # Before speech is loaded, which takes seconds: whatever is wrong with what is quickly looked at.
        await asyncio.to_thread(look_over, settings)
        store = await stack.enter_async_context(records_opened(settings, metrics, world.now))
        keys = await asyncio.to_thread(recording_keys, settings)
        library = Library(settings.data / FLOW_LIBRARY)
        folder = await asyncio.to_thread(_published, library) or settings.flows

        memory = remembering(store, keys, now=world.now)

        def open_backends(folder: Path, bot: Bot) -> Backends:
            return world.open_backends(settings, folder, bot, memory=memory)

        maker = EditionMaker(settings, open_backends, make_speech or start_speech, stack, progress)
        first = await maker.make(folder, None)
        log.info("flows", version=first.bot.version, published=folder != settings.flows)
        editions = Editions(first, maker.make)
        stack.push_async_callback(editions.close)
        await stack.enter_async_context(beside("watch for published flows", editions.watch(library)))
        speech = first.speech

        cpu = CpuMeter(lambda: psutil.cpu_percent(interval=None))
        engines = EngineMeter(speech.load)
        await stack.enter_async_context(beside("sample the load", _sample(cpu, engines, speech, metrics)))

        continuations = ContinuationStore(store.database, now=world.now)
        people: list[HandoverParts] = []
        dialers: list[Dialer] = []
        calls_out = CallsOut.of(settings.sip, time.monotonic)
        tickets = Tickets(secrets.token_bytes(32), clock=time.time, new_id=new_id)
        twilio = await stack.enter_async_context(
            serving_twilio(settings, tickets, calls_out, metrics.call_refused, new_id)
        )
        planned = PlannedWith(editions, library, open_backends)
        work = await stack.enter_async_context(
            working(settings, store, keys, editions, planned.of, twilio.rest, now=world.now)
        )
        scribe = Scribe(lambda why: metrics.failed("dictation", why.value))
        await stack.enter_async_context(scribe.running())
        # After the engines, which hear what no turn of a call holds before its recording may be played.
        recordings = await stack.enter_async_context(
            recording(
                settings,
                keys,
                store.recordings,
                written=store.journal.flush,
                now=world.now,
                on_failure=lambda kind: metrics.failed("recorder", kind),
                ear=relistener(speech.dictation, scribe),
            )
        )
        live_recordings = LiveRecordings(store.journal, time.monotonic)
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
            paused=work.paused,
            history=CallHistory(store.database, now=world.now).goals,
            person_wanted=people[0].desk.note_written if people else nobody_is_told,
        )
        stack.push_async_callback(chats.close)
        await stack.enter_async_context(beside("end chats that are idle", chats.sweep_forever()))
        live = LiveCalls(
            factory.make,
            Limits(settings.max_calls, settings.max_calls_per_caller, settings.max_cpu_percent, MAX_ENGINE_LOAD),
            cpu_percent=lambda: cpu.percent,
            engine_load=lambda: engines.share,
            after_call=GarbageCollection().after_call,
            clock=time.monotonic,
        )
        admission = CountedAdmission(live, metrics)
        app = web_app(
            Behind(
                settings=settings,
                live=live,
                admission=admission,
                chats=chats,
                store=store,
                vault=recordings.vault,
                recordings_state=lambda: recordings.store.state,
                live_recordings=live_recordings,
                metrics=metrics,
                speech=speech,
                editions=editions,
                work=work,
                desks=people[0].desk_parts if people else None,
                tickets=tickets,
                twilio=twilio,
                now=world.now,
            )
        )
        runner = make_runner(app)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await _listen(runner, settings.host, settings.port)
        sip = await stack.enter_async_context(
            serving_sip(settings, live, admission, metrics, new_id, calls_out=calls_out)
        )
        dialers.append(Carriers(sip.dialer, twilio.number_dialer))
        await stack.enter_async_context(audiosocket_served(settings, live, admission, metrics))
        stack.push_async_callback(live.drain, settings.drain_s)

        switch_often()
        # Everything alive now lives as long as the process.
        freeze_garbage()
        yield Serving(settings.host, _port(runner), live, speech.engines(), sip)


def _published(library: Library) -> Path | None:
    """The folder of the version that was published last into the data folder; None when none ever was."""
    name = library.current_name()
    return library.version(name).folder if name else None


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


async def _sample(cpu: CpuMeter, engines: EngineMeter, speech: Speech, metrics: Metrics) -> None:
    restarted: Counter[str] = Counter()
    left: Counter[str] = Counter()
    while True:
        cpu.sample()
        engines.sample()
        for kind in (speech.restarts() - restarted).elements():
            metrics.worker_restarted(kind)
            restarted[kind] += 1
        for kind in (speech.left() - left).elements():
            metrics.worker_left(kind)
            left[kind] += 1
        await asyncio.sleep(LOAD_SAMPLE_S)
