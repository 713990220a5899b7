"""Callers who ask for a person, handed over by a real server to agents on SIP telephones."""

from __future__ import annotations

import asyncio
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.server import FLOWS, Server, has_prompt, is_over, running
from tests.fakes.tones import hear_each_other, until
from voicebot.simulation.carrier import Numbers
from voicebot.simulation.line import CarrierLine
from voicebot.simulation.sip_agent import AgentCall, accepts, declines, never_answers, sip_agent
from voicebot.simulation.sip_carrier import SipCarrier

pytestmark = [pytest.mark.spoken, pytest.mark.timeout(240)]

QUEUES = """
default: service
queues:
  service: {title: customer service, skills: {service: 1}, offers: [callback]}
callbacks: {earliest_hour: 0, latest_hour: 24}
agents:
"""


def contact_centre(folder: Path, **agents: str) -> Path:
    """Write the shipped flows with these agents, each at a SIP address, the first one the most skilled."""
    flows = folder / "flows"
    shutil.copytree(FLOWS, flows)
    lines = [
        f'  {name}: {{name: {name.title()}, skills: {{service: {9 - number}}}, reach: [{{sip: "{address}"}}]}}\n'
        for number, (name, address) in enumerate(agents.items())
    ]
    (flows / "queues.yaml").write_text(QUEUES + "".join(lines), encoding="utf-8")
    return flows


def on_duty(server: Server, *agents: str) -> None:
    """Set agents available, as they would at their desks."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    for agent in agents:
        server.rows(
            "insert into agents (id, state, since, idle_since, reach, token)"
            " values (:id, 'available', :at, :at, 'sip', 0)",
            id=agent,
            at=now,
        )


async def ask_for_a_person(server: Server, line: CarrierLine) -> None:
    await server.until(line.call_sid, has_prompt("welcome.first"))
    line.press("0")


def serving(tmp_path: Path, trunk: str = "", **agents: str) -> Any:
    flows = contact_centre(tmp_path, **agents)
    dialling = {"VOICEBOT_SIP__DIAL_HOSTS": '["127.0.0.1"]'}
    if trunk:
        dialling |= {"VOICEBOT_SIP__OUTBOUND_PROXY": trunk, "VOICEBOT_SIP__DIAL_PREFIXES": '["+1"]'}
    return running(
        tmp_path / "data", "--flows", str(flows), VOICEBOT_RECOGNIZER="off", VOICEBOT_DRAIN_S="1", **dialling
    )


def rows(server: Server, query: str) -> list[tuple[Any, ...]]:
    return server.rows(query)


def joined(server: Server) -> bool:
    """Tell whether the caller talks with an agent, who had the packet on their desk before that."""
    found = server.rows(
        "select stored_at, joined_at from contexts join queue_entries using (call_id) where joined_at is not null"
    )
    assert all(stored < joined for stored, joined in found)
    return bool(found)


async def test_a_caller_who_asks_for_a_person_talks_with_one_who_was_told_who_calls(tmp_path: Path) -> None:
    async with sip_agent(accepts) as phone, serving(tmp_path, ana=phone.address) as server:
        on_duty(server, "ana")
        async with SipCarrier(server.sip_uri).dial(numbers=Numbers("+15550100199", "bot")) as line:
            await ask_for_a_person(server, line)
            call: AgentCall = await phone.call()
            await server.until(line.call_sid, has_prompt("transfer.joining"))
            await until(lambda: joined(server))
            await hear_each_other(call.say, lambda: call.heard, line, lambda: line.tape.bot)
            await call.hang_up()
            record = await server.until(line.call_sid, is_over)
        assert record["outcome"] == "person"
        await until(lambda: rows(server, "select state, ending from queue_entries") == [("left", "served")])
        await until(lambda: rows(server, "select state from agents") == [("wrap_up",)])


async def test_a_caller_who_hangs_up_while_it_rings_stops_the_ringing(tmp_path: Path) -> None:
    async with sip_agent(never_answers) as phone, serving(tmp_path, ana=phone.address) as server:
        on_duty(server, "ana")
        async with SipCarrier(server.sip_uri).dial(numbers=Numbers("+15550100199", "bot")) as line:
            await ask_for_a_person(server, line)
            call = await phone.call()
        async with asyncio.timeout(20):
            await call.over.wait()
        record = await server.until(line.call_sid, is_over)
        assert record["outcome"] == "hung_up"
        await until(lambda: rows(server, "select state from agents") == [("available",)])
        await until(lambda: rows(server, "select ending from queue_entries") == [("caller_left",)])


async def test_when_one_agent_declines_the_next_is_rung_and_joined(tmp_path: Path) -> None:
    async with (
        sip_agent(declines) as unwilling,
        sip_agent(accepts) as willing,
        serving(tmp_path, ana=unwilling.address, ben=willing.address) as server,
    ):
        on_duty(server, "ana", "ben")
        async with SipCarrier(server.sip_uri).dial(numbers=Numbers("+15550100199", "bot")) as line:
            await ask_for_a_person(server, line)
            await unwilling.call()
            call = await willing.call()
            await server.until(line.call_sid, has_prompt("transfer.joining"))
            record = await server.record(line.call_sid)
            assert "Ben is with you now." in [turn["text"] for turn in record["turns"]]
            assert unwilling.calls[0].over.is_set()
            await asyncio.sleep(2.0)
            await call.hang_up()
            await server.until(line.call_sid, is_over)
        assert len(unwilling.calls) == len(willing.calls) == 1


async def test_with_nobody_there_a_callback_is_booked_and_made_with_what_was_known(tmp_path: Path) -> None:
    async with (
        sip_agent(accepts) as agent,
        sip_agent(accepts) as customer,
        serving(tmp_path, trunk=customer.address.replace("agent@", ""), ana=agent.address) as server,
    ):
        async with SipCarrier(server.sip_uri).dial(numbers=Numbers("+12025550199", "bot")) as line:
            await ask_for_a_person(server, line)
            for prompt in ("transfer.offer", "transfer.callback_number", "transfer.callback_slot"):
                await server.until(line.call_sid, has_prompt(prompt))
                line.press("1")
            await server.until(line.call_sid, is_over)
        ((number, state),) = rows(server, "select number, state from callbacks")
        assert (number, state) == ("+12025550199", "booked")
        on_duty(server, "ana")
        server.rows("update callbacks set due_at = created_at")
        called = await customer.call()
        await agent.call()
        await until(lambda: bool(rows(server, "select 1 from queue_entries where joined_at is not null")))
        await asyncio.sleep(2.0)
        await called.hang_up()
        await until(lambda: rows(server, "select state, result from callbacks") == [("done", "taken")])
