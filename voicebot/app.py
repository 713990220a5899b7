"""Builds the whole server once, runs it, and takes it down in order. The only place that sees all rooms."""

from __future__ import annotations

import asyncio
import gc
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
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

from voicebot.backends.backends import Backends
from voicebot.backends.demo.company import demo_company
from voicebot.backends.demo.data import make_demo_data
from voicebot.calls.admission import CpuMeter, Limits
from voicebot.calls.registry import LiveCalls
from voicebot.calls.seams import StandingPrompts
from voicebot.calls.session import CallPlan, CallSession
from voicebot.dialog.conversation import Conversation
from voicebot.dialog.expectation import Expectation
from voicebot.dialog.flow import Bot
from voicebot.dialog.loader import load_bot
from voicebot.errors import ConfigurationError, EngineUnavailable, Problem
from voicebot.language.completeness import completeness
from voicebot.language.understanding import Understanding
from voicebot.media.events import LineEvent
from voicebot.media.hearing import TurnModel
from voicebot.media.line import Line
from voicebot.media.speaking import Voice as SpeakingVoice
from voicebot.records.metrics import Metrics
from voicebot.records.recorder import Recorder, Recordings
from voicebot.records.schema import call_schema
from voicebot.records.store import Store
from voicebot.settings import Settings
from voicebot.speech.asr import Transcriber, Utterance
from voicebot.speech.listening.end_of_turn import EndOfTurnClient
from voicebot.speech.listening.models import SpeechModel
from voicebot.speech.recognition.sphinx.domain import compile_domain
from voicebot.speech.recognition.transcriber import WorkerTranscriber
from voicebot.speech.synthesis.phrases import PhraseCache
from voicebot.speech.synthesis.synthesizer import VoiceDeadlines, WorkerSynthesizer, voice_pool
from voicebot.speech.synthesis.voices import choose_voice
from voicebot.speech.tts import Voice
from voicebot.speech.workers.pool import WorkerPool
from voicebot.speech.workers.process import WorkerSpec
from voicebot.telephony.leg import CallLeg
from voicebot.telephony.twilio.webhook import CallStatusChanged, StreamStatusChanged
from voicebot.web.address import PublicAddress
from voicebot.web.server import Readiness, build_app, make_runner
from voicebot.web.tickets import Tickets
from voicebot.web.twilio import TwilioAccess

log = structlog.get_logger(__name__)

BACKEND_TIMEOUT_S = 8.0
CPU_SAMPLE_S = 1.0
#: Busy share of an engine's room above which a further caller would wait too long for an answer.
MAX_ENGINE_LOAD = 0.95

#: For rendering prompts before the first call.
PATIENT = VoiceDeadlines(worker_s=60, first_audio_s=60, next_audio_s=60)
#: Frames in one chunk of outgoing audio.
FRAMES_A_CHUNK = 2

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Serving:
    """A running server: where it listens and what stops it."""

    host: str
    port: int
    live: LiveCalls
    engines: tuple[str, ...]

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


class _Deaf:
    """Stands in where recognition is switched off: every question must then be answered with keys."""

    async def start(self, expectation: Expectation) -> Utterance:
        del expectation
        raise EngineUnavailable("Recognition is switched off (VOICEBOT_RECOGNIZER=off).")


@asynccontextmanager
async def serving(
    settings: Settings, progress: Progress, *, make_speech: MakeSpeech | None = None
) -> AsyncIterator[Serving]:
    """Start everything and yield when calls can be taken; on leaving, drain and stop. `progress` gets short lines.

    `make_speech` replaces the speech workers: benchmarks measure the server without them.
    """
    async with AsyncExitStack() as stack:
        progress("reading flows")
        bot = await asyncio.to_thread(load_bot, settings.flows)
        zone = ZoneInfo(settings.zone)
        metrics = Metrics(CollectorRegistry())
        settings.data.mkdir(parents=True, exist_ok=True)
        store = await stack.enter_async_context(
            Store.open(settings.data, on_failure=lambda kind: metrics.failed("store", kind))
        )
        recordings = await stack.enter_async_context(
            Recordings(
                settings.data / "recordings",
                now=lambda: datetime.now(zone),
                on_failure=lambda kind: metrics.failed("recorder", kind),
            )
        )
        backends = _open_backends(settings, bot, zone)
        stack.push_async_callback(backends.close)

        speech = await (make_speech or _start_speech)(settings, bot, stack, progress)
        progress("learning intents")
        understanding = await asyncio.to_thread(Understanding, bot.intents)

        cpu = CpuMeter(lambda: psutil.cpu_percent(interval=None))
        sampling = asyncio.create_task(_sample(cpu))
        stack.callback(sampling.cancel)

        factory = _SessionFactory(
            settings=settings,
            bot=bot,
            understanding=understanding,
            backends=backends,
            speech=speech,
            store=store,
            recordings=recordings,
            metrics=metrics,
        )
        live = LiveCalls(
            factory.make,
            Limits(settings.max_calls, settings.max_calls_per_caller, settings.max_cpu_percent, MAX_ENGINE_LOAD),
            cpu_percent=lambda: cpu.percent,
            engine_load=speech.load,
            after_call=_collect_garbage,
        )
        app = _web(settings, live, store, metrics, speech)
        runner = make_runner(app)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await _listen(runner, settings.host, settings.port)
        stack.push_async_callback(live.drain, settings.drain_s)

        # Everything alive now lives as long as the process: the collector need never look at it again.
        gc.collect()
        gc.freeze()
        gc.disable()
        yield Serving(settings.host, _port(runner), live, speech.engines())


@dataclass(frozen=True, slots=True)
class Speech:
    """Ears and voice of every call, and the worker pools behind them."""

    transcriber: Transcriber
    phrases: SpeakingVoice
    turn_model: TurnModel
    pools: tuple[WorkerPool, ...]

    def engines(self) -> tuple[str, ...]:
        states = (pool.status() for pool in self.pools)
        return tuple(f"{state.kind}: {state.engine} {state.model}".strip() for state in states)

    def load(self) -> float:
        """Return how full the fullest kind of engine is, 0 to 1."""
        return max((pool.status().load for pool in self.pools), default=0.0)

    def parts(self) -> dict[str, str]:
        return {state.kind: "ready" if state.ready else "down" for state in (pool.status() for pool in self.pools)}


MakeSpeech = Callable[[Settings, Bot, AsyncExitStack, Progress], Awaitable[Speech]]


class _SessionFactory:
    """Makes the session of each call from what lives as long as the server."""

    def __init__(
        self,
        *,
        settings: Settings,
        bot: Bot,
        understanding: Understanding,
        backends: Backends,
        speech: Speech,
        store: Store,
        recordings: Recordings,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._bot = bot
        self._understanding = understanding
        self._backends = backends
        self._speech = speech
        self._store = store
        self._recordings = recordings
        self._metrics = metrics
        self._zone = ZoneInfo(settings.zone)
        self._prompts = standing_prompts(bot)

    def make(self, leg: CallLeg) -> CallSession:
        call_id = leg.info.leg_id
        recorder = self._recordings.start(call_id, time.monotonic())
        path = recorder.path.relative_to(self._settings.data).as_posix()
        plan = CallPlan(
            call_id=call_id,
            recording_path=path,
            zone=self._settings.zone,
            seed=random.SystemRandom().randrange(2**31),
            max_call_s=self._settings.max_call_s,
            prompts=self._prompts,
        )
        return CallSession(
            plan,
            leg,
            dialog=Conversation(self._bot),
            understanding=self._understanding,
            operations=self._backends,
            make_line=lambda on_event: self._line(leg, recorder, on_event),
            journal=self._store.journal,
            meter=self._metrics,
            recording=recorder,
            clock=time.monotonic,
            now=lambda: datetime.now(self._zone),
        )

    def _completeness(self, text: str, expectation: Expectation) -> float:
        (reading,) = self._understanding.interpret([(text, 1.0)], expectation, datetime.now(self._zone)) or (None,)
        return completeness(reading, expectation) if reading else 0.0

    def _line(self, leg: CallLeg, recorder: Recorder, on_event: Callable[[LineEvent], None]) -> Line:
        return Line(
            leg,
            transcriber=self._speech.transcriber,
            turn_model=self._speech.turn_model,
            completeness=self._completeness,
            voice=self._speech.phrases,
            voice_judge=SpeechModel(),
            tap=recorder,
            on_event=on_event,
            clock=time.monotonic,
            on_late=lambda: self._metrics.frames_late(FRAMES_A_CHUNK),
        )


def standing_prompts(bot: Bot) -> StandingPrompts:
    """Return what a call says when something fails, in the bot's words."""
    patterns = bot.patterns
    return StandingPrompts(
        one_moment=patterns.one_moment.static_texts[0],
        voice_trouble=patterns.voice_trouble.static_texts[0],
        internal_trouble=patterns.broken.static_texts[0],
    )


def _open_backends(settings: Settings, bot: Bot, zone: ZoneInfo) -> Backends:
    path = settings.data / "demo.sqlite"
    if not path.exists():
        make_demo_data(path, datetime.now(zone).date())
        log.info("demo data made", file=path.name)
    return Backends((demo_company(path, lambda: datetime.now(zone)),), bot.operations, timeout_s=BACKEND_TIMEOUT_S)


async def _start_speech(settings: Settings, bot: Bot, stack: AsyncExitStack, progress: Progress) -> Speech:
    """Start the workers, have them load the bot's domain, and render every static prompt."""
    voice = choose_voice(_configured_voice(settings.voice), settings.models)
    log.info("voice chosen", engine=str(voice.voice.engine), name=voice.voice.name, why=voice.why)
    speaking = voice_pool(voice.voice, settings.models, workers=settings.voice_workers)
    turn_pool = WorkerPool(WorkerSpec("turn"))
    pools = [speaking, turn_pool]
    transcriber: Transcriber = _Deaf()
    domain: Path | None = None
    if settings.recognizer != "off":
        progress("compiling what callers may say")
        domain = await asyncio.to_thread(compile_domain, bot.domain(), settings.data / "cache" / "recognition")
        pools.append(WorkerPool(WorkerSpec("asr", {"engine": "sphinx"}, settings.recognition_workers)))
    else:
        log.warning("recognition is switched off: callers can only use keys")
    progress("starting speech workers")
    for pool in pools:
        stack.push_async_callback(pool.stop)
    async with asyncio.TaskGroup() as group:
        for pool in pools:
            group.create_task(pool.start())
    if domain is not None:
        worker_transcriber = WorkerTranscriber(pools[2:], domain=domain, names=bot.names)
        stack.push_async_callback(worker_transcriber.close)
        await worker_transcriber.prepare()
        transcriber = worker_transcriber
    directory = settings.data / "cache" / "phrases"
    # Nobody waits for a word yet, so rendering may take its time, even on a busy machine.
    patient = PhraseCache(WorkerSynthesizer(speaking, deadlines=PATIENT), voice=voice.voice, directory=directory)
    texts = bot.static_prompts()
    await patient.warm(texts, _tenths(progress, "rendering prompts"))
    phrases = PhraseCache(WorkerSynthesizer(speaking), voice=voice.voice, directory=directory)
    await phrases.warm(texts, _nothing)
    return Speech(transcriber, phrases, EndOfTurnClient(turn_pool), tuple(pools))


def _configured_voice(text: str) -> Voice | None:
    if text == "auto":
        return None
    engine, _, name = text.partition(":")
    return Voice(engine, name)


def _web(settings: Settings, live: LiveCalls, store: Store, metrics: Metrics, speech: Speech) -> web.Application:
    def status(event: CallStatusChanged | StreamStatusChanged) -> None:
        log.info("carrier status", kind=type(event).__name__)

    def readiness() -> Readiness:
        parts = speech.parts() | {"calls": "draining" if live.draining else "open"}
        return Readiness(not live.draining and "down" not in parts.values(), parts)

    token = settings.api_token
    twilio_token = settings.twilio_auth_token
    return build_app(
        accept=live.accept,
        admission=_CountedAdmission(live, metrics),
        calls=store,
        schema=call_schema(),
        metrics=metrics.text,
        readiness=readiness,
        api_token=token.get_secret_value() if token else None,
        twilio=TwilioAccess(
            auth_token=twilio_token.get_secret_value() if twilio_token else None,
            account_sid=settings.twilio_account_sid,
            accept_unsigned=settings.insecure_webhooks,
        ),
        public=PublicAddress(
            url=settings.public_url, trusted_proxies=tuple(ip_network(entry) for entry in settings.trusted_proxies)
        ),
        tickets=Tickets(secrets.token_bytes(32), clock=time.time, new_id=_new_id),
        clock=time.monotonic,
        new_id=_new_id,
        on_violation=metrics.protocol_error,
        on_status=status,
    )


class _CountedAdmission:
    def __init__(self, live: LiveCalls, metrics: Metrics) -> None:
        self._live = live
        self._metrics = metrics

    def check(self, caller: str) -> str | None:
        reason = self._live.check(caller)
        if reason is not None:
            self._metrics.call_refused(reason.value)
            log.warning("call refused", reason=reason.value, live_calls=self._live.count)
        return reason


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


async def _sample(cpu: CpuMeter) -> None:
    while True:
        cpu.sample()
        await asyncio.sleep(CPU_SAMPLE_S)


def _collect_garbage(live_calls: int) -> None:
    """Collect between calls: the young generations always, everything only when nobody would hear the pause."""
    gc.collect(2 if live_calls == 0 else 1)


def _tenths(progress: Progress, what: str) -> Callable[[int, int], None]:
    """Report a long piece of work ten times, not at every step."""

    def report(done: int, total: int) -> None:
        if done == total or done % max(1, total // 10) == 0:
            progress(f"{what} {done}/{total}")

    return report


def _nothing(done: int, total: int) -> None:
    del done, total
