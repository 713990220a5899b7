"""Thousands of short calls, ended in every way there is: memory, handles, tasks, threads and workers must not grow.

The server runs with speech stubbed unless ``--speech real``. Calls are short, so that a day of them takes minutes; what
a call leaves behind does not depend on how long it was. Between blocks of calls the line is idle for a moment, and what
the server holds is noted.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import tempfile
from argparse import ArgumentTypeError, Namespace
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from _questions import REQUESTS, load_voices
from _report import Report, parser

from calls import ENVIRONMENT, HERE, ROOT
from voicebot.simulation.carrier import CallRefused, Carrier, Numbers
from voicebot.simulation.line import CarrierLine
from voicebot.simulation.server import RunningServer, ServerPlan, end_when_told, running

#: After the last call of a block the server may take so long to wind everything up.
WIND_UP_S = 30.0
LOOK_S = 0.5
#: On a busy machine a call that winds up may stand still for longer than one look.
SETTLED_LOOKS = 6
#: Callers come back; as many as there are, their numbers are remembered from the first block of calls on.
CALLERS = 200
#: What must be as it was, and what may only grow within the noise of an allocator.
COUNTED = ("tasks", "handles", "threads", "workers")
MEASURED = ("rss_mb", "uss_mb", "workers_uss_mb")


@dataclass(frozen=True, slots=True)
class Short:
    """One kind of short call."""

    name: str
    hold: Callable[[CarrierLine, bytes], Awaitable[None]]


async def _hang_up_at_once(line: CarrierLine, speech: bytes) -> None:
    del speech
    await line.hang_up()


async def _hang_up_in_the_greeting(line: CarrierLine, speech: bytes) -> None:
    del speech
    await _first_audio(line)
    await asyncio.sleep(0.3)


async def _drop(line: CarrierLine, speech: bytes) -> None:
    del speech
    await _first_audio(line)
    line.drop()


async def _ask_and_hang_up(line: CarrierLine, speech: bytes) -> None:
    await _first_audio(line)
    utterance = line.speak(speech)
    await utterance.finished.wait()
    async with asyncio.timeout(10):
        while line.reply_arrived_after(line.now_s() - 0.1) is None and not line.ended.is_set():
            await asyncio.sleep(0.05)


async def _hang_up_in_a_word(line: CarrierLine, speech: bytes) -> None:
    await _first_audio(line)
    line.speak(speech)
    await asyncio.sleep(0.7)


async def _key_goodbye(line: CarrierLine, speech: bytes) -> None:
    """Ask for the opening hours by key, break off the answer with another, and let the bot say goodbye."""
    del speech
    await _first_audio(line)
    line.press("4")
    await asyncio.sleep(0.5)
    line.press("9")
    async with asyncio.timeout(15):
        await line.ended.wait()


async def _first_audio(line: CarrierLine) -> None:
    async with asyncio.timeout(10):
        while not line.heard_s and not line.ended.is_set():
            await asyncio.sleep(0.05)


KINDS = (
    Short("hangs up at once", _hang_up_at_once),
    Short("hangs up in the greeting", _hang_up_in_the_greeting),
    Short("line drops", _drop),
    Short("asks and hangs up", _ask_and_hang_up),
    Short("hangs up in a word", _hang_up_in_a_word),
    Short("keys, and the bot says goodbye", _key_goodbye),
)


async def soak(carrier: Carrier, calls: int, at_once: int, speech: bytes, first: int) -> Counter[str]:
    """Place `calls` short calls, `at_once` of them at a time, and return how they went by kind."""
    places = asyncio.Semaphore(at_once)
    went: Counter[str] = Counter()
    chance = random.Random(first)  # noqa: S311  # which call comes next is no secret

    async def one(number: int, kind: Short) -> None:
        try:
            async with carrier.dial(numbers=Numbers(caller=f"+1555{number % CALLERS:07d}")) as line:
                await kind.hold(line, speech)
            went[kind.name] += 1
        except CallRefused:
            went["refused"] += 1
        except TimeoutError:
            went[f"{kind.name}: no answer"] += 1
        finally:
            places.release()

    async with asyncio.TaskGroup() as tasks:
        for number in range(first, first + calls):
            await places.acquire()
            tasks.create_task(one(number, chance.choice(KINDS)))
    return went


async def vitals(server: RunningServer) -> dict[str, Any]:
    """Return what the server holds now."""
    output = server.process.stdout
    if output is None:
        raise RuntimeError("the server's output is not ours")
    server.process.send_signal(signal.SIGUSR1)
    async with asyncio.timeout(WIND_UP_S):
        answer: dict[str, Any] = json.loads(await output.readline())
    return answer


async def settled(server: RunningServer) -> dict[str, Any]:
    """Return what the server holds once that has not changed for a while, or what it holds after WIND_UP_S."""
    last, same = await vitals(server), 0
    for _ in range(round(WIND_UP_S / LOOK_S)):
        await asyncio.sleep(LOOK_S)
        now = await vitals(server)
        same = same + 1 if all(now[name] == last[name] for name in COUNTED) else 0
        last = now
        if same == SETTLED_LOOKS:
            break
    return last


def blocks(calls: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield (first, how many) of each block."""
    for first in range(0, calls, size):
        yield first, min(size, calls - first)


def tell(report: Report, seen: list[tuple[int, dict[str, Any]]], went: Counter[str]) -> None:
    """Compare what was held after the first block, when all caches are warm, with what is held at the end."""
    total = went.total()
    for name, count in sorted(went.items()):
        report.rate("calls", name, count, total)
    (early_calls, early), (late_calls, late) = seen[0], seen[-1]
    section = f"held after {early_calls} calls, and after {late_calls}"
    for name in COUNTED:
        report.figure(section, name, late[name], "", yardstick=f"was {early[name]:.0f}")
    # Pools open connections as many calls want them at once, and keep them: that is bounded, and no call's own.
    report.figure(section, "database_handles", late["database_handles"], "", yardstick="five connections a pool")
    for name in MEASURED:
        course = ", ".join(f"{vital[name]:.0f}" for _, vital in seen)
        report.figure(section, name, late[name], "MB", yardstick=f"was {early[name]:.1f}", note=course)
    middle_calls, middle = seen[len(seen) // 2]
    if late_calls > middle_calls:
        for name in MEASURED:
            growth = (late[name] - middle[name]) / (late_calls - middle_calls) * 1000
            report.figure("growth over the second half", name, growth, "MB per 1000 calls")
    longest_ms = max(vital["collection_ms"] for _, vital in seen)
    report.figure("garbage collection", "longest, with calls up", longest_ms, "ms")


async def run(options: Namespace, report: Report) -> None:
    voices = await asyncio.to_thread(load_voices, None)
    speech = voices.spoken[REQUESTS[0]]
    with tempfile.TemporaryDirectory(prefix="voicebot-soak-") as folder:
        command = (str(HERE / "_serve_stubbed.py"), "--speech", options.speech)
        plan = ServerPlan(Path(folder), ROOT / "flows", environment=ENVIRONMENT, command=command)
        # Connections that are kept open for a next request would count as handles.
        async with (
            running(plan, lambda _: None) as server,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http,
        ):
            carrier = Carrier(http, server.url, server.account)
            went: Counter[str] = Counter()
            seen: list[tuple[int, dict[str, Any]]] = []
            for first, size in blocks(options.calls, max(options.at_once, options.calls // options.looks)):
                went += await soak(carrier, size, options.at_once, speech, first)
                collected_ms = (await vitals(server))["collection_ms"]
                seen.append((first + size, await settled(server) | {"collection_ms": collected_ms}))
                print(json.dumps({"calls": first + size, **seen[-1][1]}), flush=True)
    tell(report, seen, went)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


def main() -> None:
    end_when_told()
    options_parser = parser(__doc__ or "")
    options_parser.add_argument("--calls", type=_positive, default=2000, metavar="N", help="in all (2000)")
    options_parser.add_argument("--at-once", type=_positive, default=20, metavar="N", help="at a time (20)")
    options_parser.add_argument("--looks", type=_positive, default=10, metavar="N", help="times to look (10)")
    options_parser.add_argument("--speech", choices=("stubbed", "real"), default="stubbed")
    options = options_parser.parse_args()
    report = Report("soak")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(options, report))
    report.finish(options.json)


if __name__ == "__main__":
    main()
