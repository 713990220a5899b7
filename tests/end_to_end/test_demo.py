"""The demo as a whole, and that it cannot be faked: other words lead elsewhere, and a deaf server fails it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import psutil
import pytest

from tests.end_to_end.server import holds, share_renderings
from voicebot.records.schema import call_schema
from voicebot.simulation.caller import Caller
from voicebot.simulation.conversations import ORDER, DemoCall, demo_calls
from voicebot.simulation.demo import FLOWS, place
from voicebot.simulation.knowledge import knowledge_of, today
from voicebot.simulation.result import CallEnd
from voicebot.simulation.script import HangUp, Say, Script, Step
from voicebot.simulation.senses import Senses
from voicebot.simulation.server import RunningServer, ServerPlan, running
from voicebot.simulation.terminal import Terminal
from voicebot.simulation.voice import voices_beside
from voicebot.speech.synthesis.flite import FLITE_VOICES
from voicebot.speech.synthesis.voices import ESPEAK_DEFAULT
from voicebot.wav import read_wav

pytestmark = [pytest.mark.spoken, pytest.mark.timeout(600)]
#: capability.h: reading and searching whatever the permissions say.
_CAP_DAC_READ_SEARCH = 2
#: Tests share the machine: a server that refuses calls because another test is busy would prove nothing.
PATIENT = {"VOICEBOT_MAX_CPU_PERCENT": "100"}
#: What is asked here has to be heard as it was said, and Whisper takes this made-up voice's "Sorry" for "How do we".
KNOWS_ONLY_THE_FLOWS = PATIENT | {"VOICEBOT_RECOGNIZER": "pocketsphinx"}


async def run_demo(data: Path, *arguments: str, under: tuple[str, ...] = (), **environment: str) -> tuple[int, str]:
    """Run the demo's program as `scripts/demo` does, by the command `under`; return its status and what it printed."""
    process = await start_demo(data, *arguments, under=under, **environment)
    printed, _ = await process.communicate()
    return process.returncode or 0, printed.decode()


async def start_demo(
    data: Path, *arguments: str, under: tuple[str, ...] = (), **environment: str
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(*under, sys.executable, "-m", "voicebot.simulation.demo", "--data", str(data)),
        *("--port", "0", "--sip-port", "0", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **PATIENT, **environment},
    )


async def test_three_callers_reach_their_goals_and_hear_what_the_database_says(tmp_path: Path) -> None:
    status, printed = await run_demo(tmp_path)
    assert status == 0, printed
    assert [call.goal for call in demo_calls(today())] == ["balance", "order_status", "book_appointment"]
    assert printed.count("✓") == len(demo_calls(today()))
    for stage in ("end of turn", "final", "decision", "first audio queued", "first audio sent", "on the wire"):
        assert stage in printed
    log = (tmp_path / "server.log").read_text()
    for call in demo_calls(today()):
        check_what_is_kept(tmp_path / "calls", call, "twilio")
    # The PIN was keyed in: neither a record nor the log nor the terminal holds it.
    assert not holds(printed + log + (tmp_path / "calls" / "balance.json").read_text(), "6018")


async def test_a_demo_that_is_told_to_end_leaves_no_server_behind(tmp_path: Path) -> None:
    # As a script starts one in the background.
    demo = await start_demo(tmp_path, under=("env", "--ignore-signal=INT"))
    async with asyncio.timeout(60):
        while not (started := servers_of(demo.pid)):
            await asyncio.sleep(0.05)
        demo.terminate()
        assert await demo.wait() == 130
    assert not any(server.is_running() for server in started)


def servers_of(pid: int) -> list[psutil.Process]:
    """Return the servers that a process has started; while it loads it runs other programs, to find libraries."""
    found = []
    for child in psutil.Process(pid).children():
        with contextlib.suppress(psutil.Error):
            if "serve" in child.cmdline():
                found.append(child)
    return found


async def test_three_callers_at_once_reach_their_goals_over_sip(tmp_path: Path) -> None:
    share_renderings(tmp_path)
    out = io.StringIO()
    plan = ServerPlan(tmp_path, FLOWS, environment=PATIENT, port=0)
    async with running(plan, lambda _: None) as server, senses(server, processes=2) as mind:
        calls = demo_calls(today())
        placed = (place(call, server, mind, tmp_path, Terminal(out), via="sip") for call in calls)
        assert [verdict.problem for verdict in await asyncio.gather(*placed)] == ["", "", ""], out.getvalue()
    for call in calls:
        check_what_is_kept(tmp_path, call, "sip")
    log = (tmp_path / "server.log").read_text()
    assert not holds(out.getvalue() + log + (tmp_path / "balance.json").read_text(), "6018")


def check_what_is_kept(kept: Path, call: DemoCall, channel: str) -> None:
    """Hold what a call has left in `kept` against what it should have come to."""
    record = json.loads((kept / f"{call.script.name}.json").read_text())
    jsonschema.validate(record, call_schema())
    assert (record["goal"], record["goal_reached"]) == (call.goal, True)
    assert record["channel"] == channel
    wav = read_wav((kept / f"{call.script.name}.wav").read_bytes())
    assert wav.channels == 2
    assert abs(wav.samples.astype(int)).max(axis=0).min() > 3000  # both sides speak
    heard = json.loads((kept / f"{call.script.name}-caller.json").read_text())
    assert heard["line"]["violations"] == {}


async def test_the_demo_reaches_its_goals_without_root_and_without_flite(tmp_path: Path) -> None:
    """What a user finds who may install nothing: espeak-ng's voices from a wheel for the bot and for the caller."""
    data, hidden = tmp_path / "data", tmp_path / "hidden"
    data.mkdir()
    hidden.mkdir()
    for name in FLITE_VOICES:
        # Found before Debian's and no library, so that the linker finds none; on PATH is no command either.
        (hidden / f"libflite_cmu_us_{name}.so.1").touch()
    if os.geteuid() == 0:
        shutil.chown(data, "nobody", "nogroup")
    status, printed = await run_demo(
        data,
        "--only",
        "order",
        "--via",
        "sip",
        under=_without_root(),
        HOME=str(data),
        LD_LIBRARY_PATH=str(hidden),
        PATH=str(hidden),
    )
    assert status == 0, printed
    assert f"espeak {ESPEAK_DEFAULT}" in printed, printed
    assert "flite rms" not in printed
    kept = data / "calls" / f"{ORDER.script.name}.json"
    assert kept.stat().st_uid != 0
    record = json.loads(kept.read_text())
    assert (record["goal_reached"], record["channel"]) == (True, "sip")


def _without_root() -> tuple[str, ...]:
    """Return the command by which root runs another as nobody; nothing where nobody is root."""
    if os.geteuid() != 0:
        return ()
    setpriv = shutil.which("setpriv")
    assert setpriv, "util-linux, which every Debian has, brings setpriv"
    user = (setpriv, "--reuid=nobody", "--regid=nogroup", "--clear-groups")
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    if not int(status["CapBnd"], 16) & 1 << _CAP_DAC_READ_SEARCH:
        return user
    # Root's interpreter and checkout may lie where others cannot read: it may read them, and write nothing of root's.
    return (*user, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")


async def test_a_server_that_cannot_hear_fails_the_demo(tmp_path: Path) -> None:
    share_renderings(tmp_path)
    status, printed = await run_demo(tmp_path, "--only", "order", VOICEBOT_RECOGNIZER="off")
    assert status == 1, printed
    assert "✗" in printed


async def test_a_broken_voice_fails_the_demo_before_any_call(tmp_path: Path) -> None:
    status, printed = await run_demo(tmp_path, VOICEBOT_VOICE="espeak:no-such-voice")
    assert status == 2, printed
    assert "no-such-voice" in printed


async def test_other_words_lead_to_another_outcome(tmp_path: Path) -> None:
    """The same server, the same steps: only what is said differs, and the server knows it from the audio alone."""
    share_renderings(tmp_path)
    plan = ServerPlan(tmp_path, FLOWS, 0, 0, KNOWS_ONLY_THE_FLOWS)
    out = io.StringIO()
    async with running(plan, lambda _: None) as server, senses(server, processes=2) as mind:
        swapped = replace(ORDER, script=said_instead(ORDER.script, "Where is my order?", "When are you open?"))
        # An order of another caller: the goal is reached, but it is not what the database says of the first.
        other = replace(ORDER, script=said_instead(ORDER.script, "four eight two one three", "five one nine zero four"))
        placed = (place(call, server, mind, tmp_path, Terminal(out)) for call in (ORDER, swapped, other))
        order, hours, on_time = await asyncio.gather(*placed)
        assert order.problem == "", out.getvalue()
        assert hours.record["goal"] == "opening_hours", out.getvalue()
        assert hours.result.end is not CallEnd.DONE
        assert hours.problem
        assert "never heard" in on_time.problem, out.getvalue()


async def test_silence_in_place_of_speech_gets_nowhere(tmp_path: Path) -> None:
    share_renderings(tmp_path)
    async with running(ServerPlan(tmp_path, FLOWS, 0, 0, PATIENT), lambda _: None) as server, senses(server) as mind:
        silent = Script("silent", (Step(("help you today",)), Step(("missed that",), (HangUp(),), timeout_s=40)))
        result = await Caller(silent, mind).call(server.carrier)
        assert result.done, result.detail
        record = (await server.records())[result.call_sid]
        assert record["goal"] is None
        assert not [turn for turn in record["turns"] if turn["speaker"] == "caller" and turn["text"]]


def senses(server: RunningServer, *, processes: int = 1) -> Senses:
    return Senses(knowledge_of(FLOWS, today()), voices=voices_beside(server.engines), processes=processes)


def said_instead(script: Script, said: str, instead: str) -> Script:
    """Return the script with one sentence swapped; a script without it is a mistake in the test."""
    assert any(Say(said) in step.deeds for step in script.steps)
    steps = (
        replace(step, deeds=tuple(Say(instead) if deed == Say(said) else deed for deed in step.deeds), timeout_s=25.0)
        for step in script.steps
    )
    return replace(script, steps=tuple(steps), asides=())
