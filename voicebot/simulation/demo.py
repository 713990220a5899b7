"""The demo: a server on embedded defaults, three spoken calls over the real protocol, and what became of each."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voicebot.errors import VoicebotError
from voicebot.records.timings import Stage
from voicebot.simulation.caller import Caller, Mind
from voicebot.simulation.carrier import Numbers
from voicebot.simulation.conversations import DEMO_CALLS, DemoCall
from voicebot.simulation.knowledge import knowledge_of, today
from voicebot.simulation.phrasebook import words_of
from voicebot.simulation.result import CallResult, Prompting, Speaker, Spoken
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
    terminal.title("Starting the server")
    async with running(ServerPlan(data, FLOWS, given.port, given.sip_port), terminal.step) as server:
        terminal.step(f"ready at {server.url}; its log is {data / 'server.log'}")
        terminal.step(server.engines)
        knowledge = await asyncio.to_thread(knowledge_of, FLOWS, today())
        async with Senses(knowledge, voices=voices_beside(server.engines)) as mind:
            terminal.step(
                f"the caller knows what the bot may say and speaks with {mind.voice.engine} {mind.voice.name}"
            )
            verdicts = [await place(call, server, mind, kept, terminal) for call in calls]
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
            terminal.step(f"read the records: {server.url}/calls with the token {server.api_token}")
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


async def place(call: DemoCall, server: RunningServer, mind: Mind, kept: Path, terminal: Terminal) -> Verdict:
    """Place a call, show it as it happens, and leave its recording and its two records in `kept`.

    `NAME.wav` has the caller on the left and the bot on the right, as the caller's telephone carried them; `NAME.json`
    is the server's record, `NAME-caller.json` what the caller understood and measured.
    """
    terminal.title(call.title)
    # Each caller has a number of their own, so that what they booked can be told apart in the database.
    numbers = Numbers(caller=f"+155501002{DEMO_CALLS.index(call):02}" if call in DEMO_CALLS else "+15550100299")
    show = _Show(server, terminal)
    following = asyncio.create_task(show.follow())
    try:
        result = await Caller(call.script, mind, on_spoken=show.spoken).call(server.carrier, numbers=numbers)
        record = await _closed_record(server, result.call_sid) if result.call_sid else {}
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
    show.turns(record)
    name = call.script.name
    (kept / f"{name}.wav").write_bytes(result.tape.wav())
    (kept / f"{name}.json").write_text(_json(record), encoding="utf-8")
    (kept / f"{name}-caller.json").write_text(_json(_callers_record(result)), encoding="utf-8")
    try:
        facts = await asyncio.to_thread(call.facts, server.company, numbers.caller)
    except LookupError:
        return Verdict(call, result, record, (), "the company's database does not have what the caller wanted")
    return Verdict(call, result, record, facts, judge(call, result, record, facts))


class _Show:
    """Prints a call while it goes on: what the caller understood, and each turn as the server records it."""

    def __init__(self, server: RunningServer, terminal: Terminal) -> None:
        self._server = server
        self._terminal = terminal
        self._shown = 0

    def spoken(self, line: Spoken) -> None:
        if line.speaker is Speaker.CALLER:
            self._terminal.caller_says(line.text)
        else:
            self._terminal.caller_hears(line.text, sure=line.sure)

    async def follow(self) -> None:
        """Show the turns of the call that begins now, until cancelled."""
        before = set(await self._server.records())
        while True:
            for call_sid, record in (await self._server.records()).items():
                if call_sid not in before:
                    self.turns(record)
            await asyncio.sleep(POLL_S)

    def turns(self, record: dict[str, Any]) -> None:
        turns = record.get("turns", [])
        for turn in turns[self._shown :]:
            self._terminal.turn(turn)
        self._shown = max(self._shown, len(turns))


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
