"""Callers who ask for a person, handed over by a real server to agents on SIP telephones."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.end_to_end.server import FLOWS, Server, has_prompt, is_over, running
from voicebot import g711
from voicebot.simulation.carrier import Numbers
from voicebot.simulation.line import CarrierLine
from voicebot.simulation.sip_agent import AgentCall, accepts, sip_agent
from voicebot.simulation.sip_carrier import SipCarrier

pytestmark = [pytest.mark.spoken, pytest.mark.timeout(240)]

TONE_HZ = {"caller": 440, "agent": 1000}


def tone(hz: int, seconds: float) -> bytes:
    samples = 8000 * np.sin(2 * np.pi * hz * np.arange(round(seconds * 8000)) / 8000)
    return g711.encode(samples.astype(np.int16))


def loudness_at(mulaw: bytes, hz: int) -> float:
    """Return how much of the sound is at one frequency, 0 to 1."""
    samples = g711.decode(mulaw).astype(np.float64)
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    around = np.abs(np.fft.rfftfreq(len(samples), 1 / 8000) - hz) < 20
    return float(spectrum[around].sum() / max(1.0, spectrum.sum()))


def contact_centre(folder: Path, **agents: str) -> Path:
    """Write the shipped flows with these agents, each at a SIP address."""
    flows = folder / "flows"
    shutil.copytree(FLOWS, flows)
    lines = [
        f'  {name}: {{name: {name.title()}, skills: {{service: 5}}, reach: [{{sip: "{address}"}}]}}'
        for name, address in agents.items()
    ]
    text = (
        "default: service\nqueues:\n  service: {title: customer service, skills: {service: 1}}\nagents:\n"
        + "\n".join(lines)
    )
    (flows / "queues.yaml").write_text(text + "\n", encoding="utf-8")
    return flows


def on_duty(server: Server, *agents: str) -> None:
    """Set agents available, as they would at their desks."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    with sqlite3.connect(server.data / "voicebot.sqlite3") as database:
        for agent in agents:
            values = {"id": agent, "at": now}
            database.execute(
                "insert into agents (id, state, since, idle_since, reach, token)"
                " values (:id, 'available', :at, :at, 'sip', 0)",
                values,
            )


async def ask_for_a_person(server: Server, line: CarrierLine) -> None:
    await server.until(line.call_sid, has_prompt("welcome.first"))
    line.press("0")


def serving(tmp_path: Path, **agents: str) -> Any:
    flows = contact_centre(tmp_path, **agents)
    return running(
        tmp_path / "data",
        "--flows",
        str(flows),
        VOICEBOT_RECOGNIZER="off",
        VOICEBOT_DRAIN_S="1",
        VOICEBOT_SIP__DIAL_HOSTS='["127.0.0.1"]',
    )


async def test_a_caller_who_asks_for_a_person_talks_with_one_who_was_told_who_calls(tmp_path: Path) -> None:
    async with sip_agent(accepts) as phone, serving(tmp_path, ana=phone.address) as server:
        on_duty(server, "ana")
        async with SipCarrier(server.sip_uri).dial(numbers=Numbers("+15550100199", "bot")) as line:
            await ask_for_a_person(server, line)
            call: AgentCall = await phone.call()
            await server.until(line.call_sid, has_prompt("transfer.joining"))
            await asyncio.sleep(1.0)
            before = len(call.heard)
            call.say(tone(TONE_HZ["agent"], 3.0))
            line.speak(tone(TONE_HZ["caller"], 3.0))
            await asyncio.sleep(3.0)
            assert loudness_at(bytes(call.heard[before + 8000 :]), TONE_HZ["caller"]) > 0.5
            heard = line.tape.bot[-16000:]
            assert loudness_at(heard, TONE_HZ["agent"]) > 0.5
            await call.hang_up()
            record = await server.until(line.call_sid, is_over)
        assert record["outcome"] == "person"
