"""The demo: a server on embedded defaults, three spoken calls over the real protocol, and what became of each."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import functools
import json
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voicebot.errors import VoicebotError
from voicebot.records.timings import Stage
from voicebot.simulation.caller import Caller, Mind
from voicebot.simulation.carrier import Network, Numbers
from voicebot.simulation.conversations import DemoCall, demo_calls
from voicebot.simulation.knowledge import knowledge_of, today
from voicebot.simulation.phrasebook import words_of
from voicebot.simulation.result import CallEnd, CallResult, Prompting, Speaker, Spoken
from voicebot.simulation.senses import Senses
from voicebot.simulation.server import RunningServer, ServerPlan, add_reader, end_when_told, running
from voicebot.simulation.terminal import Terminal
from voicebot.simulation.voice import voices_beside

FLOWS = Path(__file__).parents[2] / "flows"
#: How long a record may take to close after the line has ended.
RECORD_TIMEOUT_S = 20.0
POLL_S = 0.3
#: A call that a busy server refuses is placed again.
MOST_DIALLED = 4
REDIAL_AFTER_S = 5.0
#: How long a line may take from what it tells of to the screen, so that lines come in order.
HELD_S = 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; 0 when every call reached its goal, 1 when one did not, 2 when it could not be run."""
    parser = argparse.ArgumentParser(prog="demo", description="Place three spoken calls and show what happens.")
    parser.add_argument("--data", type=Path, help="folder for all that is kept; its demo company is made anew")
    parser.add_argument("--port", type=int, default=8080, help="HTTP port if it is free")
    parser.add_argument("--sip-port", type=int, default=5060, help="SIP port if it is free")
    parser.add_argument("--via", choices=("sip", "twilio"), default="twilio", help="how the calls come in")
    parser.add_argument("--stay", action="store_true", help="keep serving, for calls from your own browser")
    parser.add_argument("--only", choices=[call.script.name for call in demo_calls(today())], help="place one call")
    given = parser.parse_args(arguments)
    terminal = Terminal(sys.stdout)
    end_when_told()
    try:
        return asyncio.run(_demo(given, terminal))
    except VoicebotError as error:
        terminal.problem(str(error))
        return 2
    except KeyboardInterrupt:
        return 130


async def _demo(given: argparse.Namespace, terminal: Terminal) -> int:
    data = given.data or Path(tempfile.mkdtemp(prefix="voicebot-demo-"))
    kept = data / "calls"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    server_plan = ServerPlan(data, FLOWS, given.port, given.sip_port)
    # In the company of an earlier run the appointment is taken already.
    server_plan.forget_company()
    calls = [call for call in demo_calls(today()) if given.only in {None, call.script.name}]
    terminal.title("Starting the server")
    async with running(server_plan, terminal.step) as server:
        terminal.step(f"ready at {server.url}; its log is {data / 'server.log'}")
        terminal.step(server.engines)
        knowledge = await asyncio.to_thread(knowledge_of, FLOWS, today())
        async with Senses(knowledge, voices=voices_beside(server.engines)) as mind:
            terminal.step(
                f"the caller knows what the bot may say and speaks with {mind.voice.engine} {mind.voice.name}"
            )
            verdicts = [await place(call, server, mind, kept, terminal, via=given.via) for call in calls]
        _show_latency(verdicts, terminal)
        failed = [verdict for verdict in verdicts if verdict.problem]
        terminal.title("Result")
        for verdict in verdicts:
            if verdict.problem:
                terminal.problem(f"{verdict.call.title}: {verdict.problem}")
            else:
                terminal.success(f"{verdict.call.title}: the caller heard {' … '.join(map(repr, verdict.facts))}")
        terminal.step(f"recordings and records: {kept}")
        if given.stay:
            terminal.step(f"talk to it yourself: {server.url}/call (Ctrl-C ends)")
            password = await add_reader(data)
            terminal.step(f"read the records: {server.url}/calls as demo with the password {password}")
            await server.process.wait()
    return 1 if failed else 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one call; `problem` is empty when it reached its goal, `facts` is what a right answer holds."""

    call: DemoCall
    result: CallResult
    record: dict[str, Any]
    facts: tuple[str, ...]
    problem: str


async def place(
    call: DemoCall, server: RunningServer, mind: Mind, kept: Path, terminal: Terminal, *, via: str = "twilio"
) -> Verdict:
    """Place a call, show it as it happens, and leave its recording and its two records in `kept`.

    `NAME.wav` has the caller on the left and the bot on the right, as the caller's telephone carried them; `NAME.json`
    is the server's record, `NAME-caller.json` what the caller understood and measured.
    """
    terminal.title(call.title)
    # Each caller has a number of their own, so that what they booked can be told apart in the database.
    numbers = Numbers(caller=f"+1555010{secrets.randbelow(10_000):04}")
    show = _Show(server, terminal)
    following = asyncio.create_task(show.follow())
    try:
        caller = Caller(call.script, mind, on_spoken=show.spoken)
        result = await _dial(caller, server.network(via), numbers, terminal)
        record = await _closed_record(server, result.call_sid) if result.call_sid else {}
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
    show.finish(record)
    name = call.script.name
    (kept / f"{name}.wav").write_bytes(result.tape.wav())
    (kept / f"{name}.json").write_text(_json(record), encoding="utf-8")
    (kept / f"{name}-caller.json").write_text(_json(_callers_record(result)), encoding="utf-8")
    try:
        facts = await asyncio.to_thread(call.facts, server.company, numbers.caller)
    except LookupError:
        return Verdict(call, result, record, (), "the company's database does not have what the caller wanted")
    return Verdict(call, result, record, facts, judge(call, result, record, facts))


async def _dial(caller: Caller, network: Network, numbers: Numbers, terminal: Terminal) -> CallResult:
    """Call, and like a person call again where the server is too busy just now."""
    for _ in range(MOST_DIALLED - 1):
        result = await caller.call(network, numbers=numbers)
        if result.end is not CallEnd.REFUSED:
            return result
        terminal.step(f"refused: {result.detail} Calling again in {REDIAL_AFTER_S:.0f} s")
        await asyncio.sleep(REDIAL_AFTER_S)
    return await caller.call(network, numbers=numbers)


class _Show:
    """Prints a call while it goes on: what the caller understood, and each turn as the server records it.

    Both come a little after they happened, so each line is held for a moment and printed in its place in time.
    """

    def __init__(self, server: RunningServer, terminal: Terminal) -> None:
        self._server = server
        self._terminal = terminal
        self._turns_seen = 0
        self._known: dict[str, Any] = {}
        self._held: list[_Held] = []

    def spoken(self, line: Spoken) -> None:
        if line.speaker is Speaker.CALLER:
            # The server's clock for the call is up to half a second ahead of the caller's.
            self._hold(line.began_s - 0.5, lambda: self._terminal.caller_says(line.text))
        else:
            self._hold(line.ended_s, lambda: self._terminal.caller_hears(line.text, sure=line.sure))

    async def follow(self) -> None:
        """Show the turns of the call that begins now, until cancelled."""
        before = set(await self._server.records())
        while True:
            for call_sid, record in (await self._server.records()).items():
                if call_sid not in before:
                    self._take(record)
            self._print_due()
            await asyncio.sleep(POLL_S)

    def finish(self, record: dict[str, Any]) -> None:
        """Print all that is left of a call that is over."""
        self._take(record)
        self._print(self._held)

    def _take(self, record: dict[str, Any]) -> None:
        turns = record.get("turns", [])
        for turn in turns[self._turns_seen :]:
            learned = {name: value for name, value in turn["slots"].items() if self._known.get(name) != value}
            self._known |= turn["slots"]
            self._hold(turn["at_ms"] / 1000, functools.partial(self._terminal.turn, turn | {"slots": learned}))
        self._turns_seen = max(self._turns_seen, len(turns))

    def _hold(self, at_s: float, show: Callable[[], None]) -> None:
        self._held.append(_Held(at_s, time.monotonic() + HELD_S, show))

    def _print_due(self) -> None:
        now_s = time.monotonic()
        due_s = max((held.at_s for held in self._held if held.due_s <= now_s), default=-1.0)
        self._print([held for held in self._held if held.at_s <= due_s])

    def _print(self, lines: list[_Held]) -> None:
        for held in sorted(lines, key=lambda held: held.at_s):
            held.show()
        self._held = [held for held in self._held if held not in lines]


@dataclass(frozen=True, slots=True)
class _Held:
    """A line of something that happened `at_s` into the call, to be printed at `due_s` of the monotonic clock."""

    at_s: float
    due_s: float
    show: Callable[[], None]


async def _closed_record(server: RunningServer, call_sid: str) -> dict[str, Any]:
    async with asyncio.timeout(RECORD_TIMEOUT_S):
        while True:
            record = (await server.records()).get(call_sid)
            if record is not None and record["ended_at"] is not None:
                return record
            await asyncio.sleep(POLL_S)


def judge(call: DemoCall, result: CallResult, record: dict[str, Any], facts: tuple[str, ...]) -> str:
    if not result.done:
        return f"the caller gave up ({result.end.value}: {result.detail})"
    if (record["goal"], record["goal_reached"]) != (call.goal, True):
        return f"the record's goal is {record['goal']!r}, reached: {record['goal_reached']}"
    heard = f" {' '.join(words_of(result.heard))} "
    missing = [fact for fact in facts if f" {' '.join(words_of(fact))} " not in heard]
    return f"the caller never heard {missing[0]!r}" if missing else ""


def _callers_record(result: CallResult) -> dict[str, Any]:
    line = result.line
    return {
        "end": result.end,
        "detail": result.detail,
        "spoken": [dataclasses.asdict(spoken) for spoken in result.spoken],
        "replies_ms": [{"to": reply.to, "voice_to_voice": reply.voice_to_voice_ms} for reply in result.replies],
        "interruptions_ms": [interruption.stop_ms for interruption in result.interruptions],
        "line": {}
        if line is None
        else {
            "end": line.end,
            "seconds": line.ended_s - line.answered_s,
            "frames_received": line.frames_received,
            "frames_heard_late": line.frames_heard_late,
            "marks_returned": line.marks_returned,
            "deepest_queue_ms": line.deepest_queue_ms,
            "violations": line.violations,
        },
    }


def _show_latency(verdicts: Sequence[Verdict], terminal: Terminal) -> None:
    terminal.title("Milliseconds after the caller's last speech")
    turns = [turn for verdict in verdicts for turn in verdict.record.get("turns", []) if turn["speaker"] == "caller"]
    spoken = [turn["timings_ms"] for turn in turns if Stage.END_OF_TURN in turn["timings_ms"]]
    terminal.table_head()
    for stage in Stage:
        terminal.table_row(stage.replace("_", " "), [timings[stage] for timings in spoken if stage in timings])
    replies = [reply for verdict in verdicts for reply in verdict.result.replies]
    for to, name in ((Prompting.SPEECH, "last word to first reply"), (Prompting.KEYS, "last key to first reply")):
        on_the_wire = [reply.voice_to_voice_ms for reply in replies if reply.to is to]
        terminal.table_row(f"{name}, on the wire", on_the_wire)


def _json(content: object) -> str:
    return json.dumps(content, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main())
