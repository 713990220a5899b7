"""The demo: a server on embedded defaults, three spoken calls over the real protocol, and what became of each."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voicebot.errors import VoicebotError
from voicebot.simulation.caller import Caller, Mind
from voicebot.simulation.conversations import DEMO_CALLS, DemoCall
from voicebot.simulation.knowledge import knowledge_of
from voicebot.simulation.phrasebook import words_of
from voicebot.simulation.result import CallResult, Speaker, Spoken
from voicebot.simulation.senses import Senses
from voicebot.simulation.server import RunningServer, ServerPlan, running
from voicebot.simulation.terminal import Terminal
from voicebot.simulation.voice import voices_beside

FLOWS = Path(__file__).parents[2] / "flows"
#: How long a record may take to close after the line has ended.
RECORD_TIMEOUT_S = 20.0
POLL_S = 0.3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; 0 when every call reached its goal, 1 when one did not, 2 when it could not be run."""
    parser = argparse.ArgumentParser(prog="demo", description="Place three spoken calls and show what happens.")
    parser.add_argument("--data", type=Path, help="folder for everything that is kept (default: a new one)")
    parser.add_argument("--port", type=int, default=8080, help="HTTP port if it is free")
    parser.add_argument("--sip-port", type=int, default=5060, help="SIP port if it is free")
    parser.add_argument("--stay", action="store_true", help="keep serving, for calls from your own browser")
    parser.add_argument("--only", choices=[call.script.name for call in DEMO_CALLS], help="place one of the calls")
    given = parser.parse_args(arguments)
    terminal = Terminal(sys.stdout)
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
    calls = [call for call in DEMO_CALLS if given.only in {None, call.script.name}]
    plan = ServerPlan(data, FLOWS, given.port, given.sip_port)
    terminal.title("Starting the server")
    async with running(plan, terminal.step) as server:
        terminal.step(f"ready at {server.url}")
        terminal.step(f"engines: {server.engines}")
        terminal.step("the caller learns what the bot may say")
        knowledge = await asyncio.to_thread(knowledge_of, FLOWS)
        async with Senses(knowledge, voices=voices_beside(server.engines)) as mind:
            terminal.step(f"the caller speaks with {mind.voice.engine} {mind.voice.name}")
            verdicts = [await place(call, server, mind, kept, terminal) for call in calls]
        terminal.title("Latency, in milliseconds")
        _latency_table(verdicts, terminal)
        terminal.step(f"recordings and records: {kept}")
        failed = [verdict for verdict in verdicts if verdict.problem]
        for verdict in failed:
            terminal.problem(f"{verdict.call.title}: {verdict.problem}")
        if not failed:
            terminal.success(f"all {len(verdicts)} calls reached their goal")
        if given.stay:
            terminal.step(f"talk to it yourself: {server.url}/call (Ctrl-C ends)")
            await server.process.wait()
    return 1 if failed else 0


class Verdict:
    """What became of one call; `problem` is empty when it reached its goal."""

    def __init__(self, call: DemoCall, result: CallResult, record: dict[str, Any]) -> None:
        self.call = call
        self.result = result
        self.record = record
        self.problem = _problem(call, result, record)


async def place(call: DemoCall, server: RunningServer, mind: Mind, kept: Path, terminal: Terminal) -> Verdict:
    """Place a call, show it as it happens, and leave its recording and record in `kept`."""
    terminal.title(call.title)
    show = _Show(server, terminal)
    caller = Caller(call.script, mind, on_spoken=show.spoken)
    following = asyncio.create_task(show.follow())
    try:
        result = await caller.call(server.carrier)
        record = await _closed_record(server, result.call_sid)
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
    show.turns(record)
    name = call.script.name
    (kept / f"{name}.wav").write_bytes(result.tape.wav())
    (kept / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return Verdict(call, result, record)


class _Show:
    """Prints a call while it goes on: what the caller understood, and each turn as the server records it."""

    def __init__(self, server: RunningServer, terminal: Terminal) -> None:
        self._server = server
        self._terminal = terminal
        self._known: set[str] | None = None
        self._shown = 0

    def spoken(self, line: Spoken) -> None:
        if line.speaker is Speaker.CALLER:
            self._terminal.says("caller says", line.text)
        else:
            self._terminal.says("caller hears", line.text if line.sure else f"{line.text} (?)")

    async def follow(self) -> None:
        """Show the turns of the call that begins now, until cancelled."""
        before = set(await self._server.records())
        while True:
            for call_sid, record in (await self._server.records()).items():
                if call_sid not in before:
                    self.turns(record)
            await asyncio.sleep(POLL_S)

    def turns(self, record: dict[str, Any]) -> None:
        for turn in record["turns"][self._shown :]:
            self._terminal.turn(turn)
        self._shown = max(self._shown, len(record["turns"]))


async def _closed_record(server: RunningServer, call_sid: str) -> dict[str, Any]:
    async with asyncio.timeout(RECORD_TIMEOUT_S):
        while True:
            record = (await server.records()).get(call_sid)
            if record is not None and record["ended_at"] is not None:
                return record
            await asyncio.sleep(POLL_S)


def _problem(call: DemoCall, result: CallResult, record: dict[str, Any]) -> str:
    if not result.done:
        return f"the caller gave up ({result.end.value}: {result.detail})"
    if (record["goal"], record["goal_reached"]) != (call.goal, True):
        return f"the record's goal is {record['goal']!r}, reached: {record['goal_reached']}"
    heard = f" {' '.join(words_of(result.heard))} "
    missing = [fact for fact in call.facts if f" {' '.join(words_of(fact))} " not in heard]
    return f"the caller never heard {missing[0]!r}" if missing else ""


def _latency_table(verdicts: Sequence[Verdict], terminal: Terminal) -> None:
    stages = ("end_of_turn", "final", "decision", "first_audio_queued", "first_audio_sent")
    turns = [turn for verdict in verdicts for turn in verdict.record["turns"] if turn["speaker"] == "caller"]
    for stage in stages:
        terminal.row(
            stage.replace("_", " "), [turn["timings_ms"][stage] for turn in turns if stage in turn["timings_ms"]]
        )
    replies = [reply.voice_to_voice_ms for verdict in verdicts for reply in verdict.result.replies]
    terminal.row("voice to voice", replies)


if __name__ == "__main__":
    sys.exit(main())
