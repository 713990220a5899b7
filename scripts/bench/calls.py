"""Calls at real time through the real Media Streams protocol: latency, lateness, barge-in, processor and memory.

Nine servers, each in a process of its own on one core, the callers on another:

  stubbed   voicebot with speech stubbed, which measures its media path
  sip       the same, its calls coming in over SIP and RTP
  real      voicebot with its speech engines in their worker processes, which may use every core
  echo      a bare aiohttp WebSocket that sends every frame back: the limit of what is possible
  stock     pipecat as its own guide to Twilio sets it up, with stubbed recognition and voice
  matched   voicebot with what `stock` has: stubbed recognition and voice, the end-of-turn model, all on one core
  engines   voicebot hearing by Whisper, with pocketsphinx beside it, and speaking by a Piper voice: --whisper, --piper
  same-engines   voicebot hearing by Whisper alone: the same engines as the next
  stock-engines  pipecat with the same two through its own services, loaded for each call as its examples do
  stock-shared   the same, each model loaded once for all calls, which its services do not offer

The last four may use every core, and their callers ask for opening hours in the Piper voice, which the end-of-turn
model takes for finished. Callers go before the server where both want a core and the system lets them. With `echo` the
latency is the way of one frame there and back; with the others it is the time from the last sample of the caller's
speech to the first sample of the reply, both on the wire.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import math
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import psutil
import structlog
import uvloop
from _load import Load, Said, place_calls
from _questions import WITH_MODELS, Voices, flows_without_rephrasings, load_voices
from _report import Report, parser, percentile
from _usage import Usage, pin, usage
from _waiting import Worked, leave, worked

from voicebot.records.timings import Stage
from voicebot.simulation.carrier import Network, Numbers
from voicebot.simulation.line import LineEnd
from voicebot.simulation.server import RunningServer, ServerPlan, end_when_told, running

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
COUNTS = (1, 5, 10, 20, 40)
ORDER = ("echo", "stubbed", "sip", "matched", "stock", "real")
SERVER_CORE, CALLER_CORE = 0, 1

COMMANDS = {
    "echo": (str(HERE / "_serve_echo.py"),),
    "stubbed": (str(HERE / "_serve_stubbed.py"),),
    "sip": (str(HERE / "_serve_stubbed.py"),),
    "stock": (str(HERE / "_serve_pipecat.py"),),
    "matched": (str(HERE / "_serve_stubbed.py"), "--speech", "words-stubbed"),
    "real": (str(HERE / "_serve_stubbed.py"), "--speech", "real"),
    "engines": (str(HERE / "_serve_stubbed.py"), "--speech", "real"),
    "same-engines": (str(HERE / "_serve_stubbed.py"), "--speech", "real"),
    "stock-engines": (str(HERE / "_serve_pipecat.py"),),
    "stock-shared": (str(HERE / "_serve_pipecat.py"), "--share"),
}
STOCK = ("stock", "stock-engines", "stock-shared")
#: The load comes from one address and all at once; the machine belongs to the measurement.
ENVIRONMENT = {
    "VOICEBOT_MAX_CPU_PERCENT": "100",
    "VOICEBOT_MAX_CALLS": "200",
    "VOICEBOT_MAX_STARTS_PER_MINUTE": "10000",
    "VOICEBOT_LOG_LEVEL": "warning",
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE)]),
}
#: Each stage of a turn, and the one that it is counted from.
STAGES = (
    (Stage.END_OF_TURN, None),
    (Stage.FINAL, Stage.END_OF_TURN),
    (Stage.DECISION, Stage.FINAL),
    (Stage.FIRST_AUDIO_QUEUED, Stage.DECISION),
    (Stage.FIRST_AUDIO_SENT, Stage.FIRST_AUDIO_QUEUED),
)
#: The server writes a call's record when it has ended, a moment later.
RECORDS_WRITTEN_S = 1.5
#: Callers who are late measure nothing: they go before the server, and cost far less.
CALLERS_NICENESS = -10


@dataclass(frozen=True, slots=True)
class Measured:
    """One server under one load. `idle` is what it used before the first call, `before` and `after` the window's."""

    load: Load
    idle: Usage
    before: Usage
    after: Usage
    callers_cpu: float
    #: What the server's records say of each spoken turn: milliseconds from its last speech to each stage.
    stages: tuple[dict[str, float], ...]
    #: What became of the work after calls that was left to be done meanwhile.
    worked: Worked | None = None

    @property
    def cpu_per_call(self) -> float:
        """Share of a core that each call costs the server."""
        return (self.after.cpu_s - self.before.cpu_s) / self.load.window.length_s / len(self.load.calls)

    @property
    def workers_cpu_per_call(self) -> float:
        return (self.after.workers_cpu_s - self.before.workers_cpu_s) / self.load.window.length_s / len(self.load.calls)


@dataclass(frozen=True, slots=True)
class Models:
    """The engines that both sides of a comparison load."""

    whisper: Path
    piper: Path

    def environment(self, system: str) -> dict[str, str]:
        if system not in {"engines", "same-engines"}:
            return {}
        return {
            "VOICEBOT_MODELS": str(self.piper.parent),
            "VOICEBOT_RECOGNIZER": "two-pass" if system == "engines" else "whisper",
            "VOICEBOT_WHISPER_MODEL": str(self.whisper),
            "VOICEBOT_VOICE": f"piper:{self.piper.stem}",
        }

    def options(self, system: str) -> tuple[str, ...]:
        if system not in {"stock-engines", "stock-shared"}:
            return ()
        return ("--whisper", str(self.whisper), "--piper", str(self.piper))


@dataclass(frozen=True, slots=True)
class Bench:
    """What every measurement works with. `cache` is a folder for prompts rendered before."""

    voices: Voices
    models: Models | None
    cache: Path
    #: Within how many seconds the calls begin; None for a few.
    ramp_s: float | None = None
    pace_s: float = 0.0


async def measure(
    system: str, count: int, seconds: float, bench: Bench, *, ending: int = 0, waiting: int = 0
) -> Measured:
    """Start a server, put it under load, and stop it. `ending` further calls are over when the window begins.

    The work after `waiting` others, which nobody carries, is done during the window.
    """
    with tempfile.TemporaryDirectory(prefix="voicebot-bench-") as folder:
        data = Path(folder)
        (data / "cache").symlink_to(bench.cache)
        more = bench.models.environment(system) if bench.models else {}
        options = bench.models.options(system) if bench.models else ()
        flows = flows_without_rephrasings(data)
        plan = ServerPlan(data, flows, environment=ENVIRONMENT | more, command=(*COMMANDS[system], *options))
        if waiting:
            plan = replace(plan, command=(*plan.command, "--sweep-every", "1"))
        # A process begins with the cores and the niceness of the one that starts it.
        step_back()
        async with running(plan, lambda _: None) as server:
            step_forward()
            pid = server.process.pid
            if system not in WITH_MODELS:
                pin(pid, SERVER_CORE)
            if system == "matched":
                for worker in psutil.Process(pid).children(recursive=True):
                    pin(worker.pid, SERVER_CORE)
            network = server.network("sip" if system == "sip" else "twilio")
            await _warm_up(network)
            records = system not in {"echo", *STOCK}
            topics = bench.voices.topics(system)
            over = asyncio.Event()
            async with asyncio.TaskGroup() as others:
                for number in range(ending):
                    others.create_task(_end(network, number, over))
                await asyncio.sleep(0.1 * ending)
                if waiting:
                    others.create_task(leave(data, waiting, seconds, over))
                place = partial(
                    place_calls, network, count, topics, seconds=seconds, ramp_s=bench.ramp_s, pace_s=bench.pace_s
                )
                measured = await _under_load(server, place, over, records=records)
            return replace(measured, worked=await worked(data)) if waiting else measured


def step_back() -> None:
    """Take every core, and no more of them than anybody else."""
    os.sched_setaffinity(0, {SERVER_CORE, CALLER_CORE})
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, max(0, os.getpriority(os.PRIO_PROCESS, 0)))


def step_forward() -> None:
    """Take the callers' core alone, before others where the system lets us."""
    os.sched_setaffinity(0, {CALLER_CORE})
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, CALLERS_NICENESS)


async def _warm_up(network: Network) -> None:
    """Place one call, so that what is loaded once is not counted with the calls."""
    async with network.dial():
        await asyncio.sleep(1.0)
    await asyncio.sleep(1.0)


async def _end(network: Network, number: int, over: asyncio.Event) -> None:
    """Place a call that leaves its work to be done when the window begins."""
    await asyncio.sleep(0.1 * number)
    async with network.dial(numbers=Numbers(caller=f"+1555900{number:04}")):
        await over.wait()


async def _under_load(
    server: RunningServer, place: Callable[..., Awaitable[Load]], begun: asyncio.Event, *, records: bool
) -> Measured:
    pid = server.process.pid
    idle = usage(pid)
    looks: list[tuple[Usage, float]] = []

    def look() -> None:
        begun.set()
        times = os.times()
        looks.append((usage(pid), times.user + times.system))

    gc.collect()
    gc.freeze()
    load = await place(on_window=look)
    (before, callers_before), (after, callers_after) = looks
    callers_cpu = (callers_after - callers_before) / load.window.length_s
    return Measured(load, idle, before, after, callers_cpu, await _stages(server) if records else ())


async def _stages(server: RunningServer) -> tuple[dict[str, float], ...]:
    await asyncio.sleep(RECORDS_WRITTEN_S)
    turns = [turn for record in (await server.records()).values() for turn in record["turns"]]
    return tuple(turn["timings_ms"] for turn in turns if Stage.FIRST_AUDIO_SENT in (turn["timings_ms"] or ()))


def tell(report: Report, system: str, count: int, measured: Measured) -> None:
    """Add the rows of one server under one load."""
    section = f"{system}, {count} calls"
    load = measured.load
    for what, calls in (
        ("refused", sum(call.refused for call in load.calls)),
        ("ended by the server", sum(each.end is LineEnd.SERVER_CLOSED for each in load.reports)),
    ):
        if calls:
            report.rate(section, what, calls, count)
    if system == "echo":
        trips = load.trips_ms()
        report.figure(section, "a frame there and back, p50", percentile(trips, 0.5), "ms", n=len(trips))
        report.figure(section, "a frame there and back, p95", percentile(trips, 0.95), "ms", n=len(trips))
    for said, yardstick in (
        (Said.REQUEST, ("at most 500", "at most 900")),
        (Said.DIGITS, ("", "wait + 500")),
        (Said.KEYS, ("", "")),
    ):
        turns, times = load.turns(said), load.replies_ms(said)
        if not turns:
            continue
        for share, aim in zip((0.5, 0.95), yardstick, strict=True):
            low, high = interval(times, share)
            name = f"{said}: reply after the last sample, p{share * 100:.0f}"
            report.figure(
                section, name, percentile(times, share), "ms", n=len(times), low=low, high=high, yardstick=aim
            )
        report.rate(section, f"{said}: no reply", len(turns) - len(times), len(turns))
    for stage, before in STAGES:
        spent = [
            turn[stage] - turn[before] if before else turn[stage]
            for turn in measured.stages
            if {stage, before or stage} <= turn.keys()
        ]
        if spent:
            name = f"server: {before.replace('_', ' ') if before else 'last speech'} to {stage.replace('_', ' ')}"
            report.figure(section, f"{name}, p50", percentile(spent, 0.5), "ms", n=len(spent))
            report.figure(section, f"{name}, p95", percentile(spent, 0.95), "ms", n=len(spent))
    stops = load.stops_ms()
    if stops and system != "sip":  # over RTP nothing tells the caller that audio was dropped
        stopped = [stop for stop in stops if stop is not None]
        report.figure(section, "barge-in: prompt stopped, p50", percentile(stopped, 0.5), "ms", n=len(stopped))
        report.figure(section, "barge-in: prompt stopped, p95", percentile(stopped, 0.95), "ms", n=len(stopped))
        report.rate(section, "barge-in: not stopped", len(stops) - len(stopped), len(stops))
    late, messages = load.late()
    report.rate(section, "frames over 10 ms behind their pace", late, messages, yardstick="under 0.5 %")
    dry, _ = load.dry()
    report.rate(section, "frames heard late: the line ran dry", dry, messages)
    lateness = load.late_ms()
    report.figure(section, "behind pace, p50", percentile(lateness, 0.5), "ms", n=messages)
    report.figure(section, "behind pace, p99", percentile(lateness, 0.99), "ms", n=messages)
    report.figure(section, "behind pace, worst", max(lateness, default=math.nan), "ms", n=messages)
    set_up = load.set_up_ms()
    report.figure(section, "set-up, webhook to first frame, p50", percentile(set_up, 0.5), "ms", n=len(set_up))
    report.figure(section, "set-up, worst", max(set_up, default=math.nan), "ms", n=len(set_up))
    report.figure(section, "server, core per call", 100 * measured.cpu_per_call, "%", n=count)
    _tell_work(report, section, measured.worked)
    _tell_workers(report, section, measured)
    _tell_answers(report, section, measured)
    report.figure(section, "server, core in all", 100 * measured.cpu_per_call * count, "%")
    report.figure(section, "memory per call (RSS)", (measured.after.rss_mb - measured.idle.rss_mb) / count, "MB")
    report.figure(section, "memory per call (USS)", (measured.after.uss_mb - measured.idle.uss_mb) / count, "MB")
    report.figure(section, "memory in all (USS)", measured.after.uss_mb, "MB")
    sent_late, sent = load.sent()
    report.rate(section, "check: callers' own frames sent late", sent_late, sent)
    report.figure(section, "check: callers' core", 100 * measured.callers_cpu, "%")


def _tell_workers(report: Report, section: str, measured: Measured) -> None:
    count = len(measured.load.calls)
    if not measured.after.workers_uss_mb:
        return
    report.figure(section, "workers, core per call", 100 * measured.workers_cpu_per_call, "%", n=count)
    for kind, used_s in measured.after.kinds_cpu_s.items():
        share = (used_s - measured.before.kinds_cpu_s.get(kind, 0.0)) / measured.load.window.length_s / count
        report.figure(section, f"of them {kind}, core per call", 100 * share, "%", n=count)
    report.figure(section, "workers, memory in all (USS)", measured.after.workers_uss_mb, "MB")


def _tell_answers(report: Report, section: str, measured: Measured) -> None:
    """Add what an answer costs: a server that falls behind has fewer of them, and so a low share for each call."""
    load = measured.load
    answers = sum(len(load.replies_ms(said)) for said in Said)
    if answers:
        used_s = (measured.cpu_per_call + measured.workers_cpu_per_call) * len(load.calls) * load.window.length_s
        report.figure(section, "server and workers, processor for an answer", 1000 * used_s / answers, "ms", n=answers)


def _tell_work(report: Report, section: str, worked: Worked | None) -> None:
    if worked is not None:
        report.figure(section, "calls left behind that were summed up", worked.summaries, "")
        report.figure(section, "their tasks that were done", worked.tasks, "")


def interval(values: Sequence[float], share: float) -> tuple[float | None, float | None]:
    """Return the 95 % interval of a quantile by order statistics (binomial, normal approximation)."""
    count = len(values)
    if count < 10:
        return None, None
    ranked = sorted(values)
    half = 1.959964 * math.sqrt(count * share * (1 - share))
    low, high = math.floor(count * share - half), math.ceil(count * share + half)
    return ranked[max(0, low)], ranked[min(count - 1, high)]


async def run(options: argparse.Namespace, report: Report, cache: Path) -> None:
    voices = await asyncio.to_thread(load_voices, options.data, options.piper)
    if not voices.people:
        report.missing("recorded requests", "no commands under --data; callers have synthetic voices only")
    bench = Bench(voices, options.models, cache, options.ramp, options.pace)
    for count in options.calls or COUNTS:
        for system in options.only or ORDER:
            print(f"{system}, {count} calls", file=sys.stderr, flush=True)
            measured = await measure(
                system, count, options.seconds, bench, ending=options.ending, waiting=options.waiting
            )
            tell(report, system, count, measured)
            if options.json is not None:
                report.save(options.json)


def main() -> None:
    end_when_told()
    options_parser = parser(__doc__ or "")
    options_parser.add_argument(
        "--calls", type=int, action="append", metavar="N", help="calls at once; may be repeated"
    )
    options_parser.add_argument("--only", choices=sorted(COMMANDS), action="append", help="may be repeated")
    options_parser.add_argument("--seconds", type=float, default=20.0, help="length of each measurement (20)")
    options_parser.add_argument(
        "--ramp", type=float, metavar="SECONDS", help="begin the calls within so long (at most 3): a server that loads "
        "models for each call does not answer twenty at once within a carrier's 15 s",
    )  # fmt: skip
    options_parser.add_argument(
        "--pace", type=float, default=0.0, metavar="SECONDS", help="a caller begins to speak at most once in so long, "
        "interruptions apart (0): then a server has no more to do for answering sooner",
    )  # fmt: skip
    options_parser.add_argument(
        "--ending", type=int, default=0, metavar="N", help="further calls that are over as the measurement begins (0)"
    )
    options_parser.add_argument(
        "--waiting", type=int, default=0, metavar="N", help="the work after so many others is done meanwhile (0)"
    )
    options_parser.add_argument("--whisper", type=Path, metavar="DIR", help="a CTranslate2 model, for `engines`")
    options_parser.add_argument("--piper", type=Path, metavar="FILE", help="a Piper voice's .onnx, for `engines`")
    options_parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="keep there what servers prepare before calls, for the next run"
    )
    options = options_parser.parse_args()
    options.models = Models(options.whisper, options.piper) if options.whisper and options.piper else None
    if options.models is None and any(system in WITH_MODELS for system in options.only or ()):
        raise SystemExit(f"calls: {', '.join(WITH_MODELS)} need --whisper and --piper")
    # The callers' side of SIP logs each step of a call.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    report = Report("calls")
    cores = os.sched_getaffinity(0)
    if not {SERVER_CORE, CALLER_CORE} <= cores:
        raise SystemExit("calls: needs processor cores 0 and 1, the server's and the callers'")
    with (
        tempfile.TemporaryDirectory(prefix="voicebot-bench-cache-") as cache,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        if options.cache:
            options.cache.mkdir(parents=True, exist_ok=True)
        runner.run(run(options, report, options.cache.absolute() if options.cache else Path(cache)))
    report.finish(options.json)


if __name__ == "__main__":
    main()
