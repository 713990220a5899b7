"""Hand-overs by voice from end to end: an angry caller, agents who answer aloud, and nobody to answer."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.server import Server, has_prompt, is_over, running
from tests.end_to_end.talker import Voices
from tests.end_to_end.test_handover import contact_centre, joined, on_duty, rows
from tests.fakes.tones import hear_each_other, until
from voicebot.records.context import read_context
from voicebot.records.summary import introduction
from voicebot.simulation.carrier import Numbers
from voicebot.simulation.ears import hear
from voicebot.simulation.line import CarrierLine
from voicebot.simulation.phrasebook import Phrasebook
from voicebot.simulation.sip_agent import accepts, says, sip_agent
from voicebot.simulation.sip_carrier import SipCarrier

pytestmark = [pytest.mark.spoken, pytest.mark.timeout(300)]

#: What introductions of other calls would say: an ear that may hear these too proves something.
OTHER_INTRODUCTIONS = (
    "Gold customer, authenticated.",
    "Customer, not authenticated after 2 tries.",
    "About a card replacement.",
    "About paying a bill.",
    "Has not said what it is about.",
    "Asked for a person.",
    "Mentioned the law.",
    "Nothing was changed.",
    "Press 1 or say yes to take the call, 2 or no to decline.",
)


@pytest.fixture
async def voices() -> AsyncIterator[Voices]:
    made = Voices()
    yield made
    made.close()


def serving(tmp_path: Path, trunk: str = "", **agents: str) -> Any:
    flows = contact_centre(tmp_path, **agents)
    dialling = {"VOICEBOT_SIP__DIAL_HOSTS": '["127.0.0.1"]'}
    if trunk:
        dialling |= {"VOICEBOT_SIP__OUTBOUND_PROXY": trunk, "VOICEBOT_SIP__DIAL_PREFIXES": '["+1"]'}
    return running(tmp_path / "data", "--flows", str(flows), VOICEBOT_DRAIN_S="1", **dialling)


async def says_after(server: Server, line: CarrierLine, voices: Voices, prompt: str, text: str, *, times: int) -> None:
    """Speak once the bot has said `prompt` so often."""

    def asked(record: dict[str, Any]) -> bool:
        return [turn["prompt"] for turn in record["turns"]].count(prompt) >= times

    await server.until(line.call_sid, asked)
    await asyncio.sleep(0.3)
    await line.speak(await voices.speak(text)).finished.wait()


def heard_introduction(audio: bytes, expected: str) -> str:
    """Return what an ear that is not the server's hears on the agent's line, among all that might be said there."""
    sentences = tuple(f"{sentence}." for sentence in expected.rstrip(".").split(". "))
    return hear(Phrasebook((*sentences, *OTHER_INTRODUCTIONS)), audio).text


def alike(heard: str, expected: str) -> float:
    plain = "".join(letter for letter in expected.lower() if letter.isalnum() or letter == " ")
    return SequenceMatcher(None, heard.split(), plain.split(), autojunk=False).ratio()


async def test_an_angry_caller_is_joined_by_voice_to_an_agent_who_heard_who_calls(
    tmp_path: Path, voices: Voices
) -> None:
    yes = await voices.speak("yes")
    async with sip_agent(says(yes)) as phone, serving(tmp_path, ana=phone.address) as server:
        on_duty(server, "ana")
        async with SipCarrier(server.sip_uri).dial(numbers=Numbers("+15550100199", "bot")) as line:
            question = "order_status.ask_order_number"
            await says_after(server, line, voices, "welcome.first", "where is my order", times=1)
            # Both times at a question that listens for digits.
            await says_after(server, line, voices, question, "this is ridiculous", times=1)
            await server.until(line.call_sid, lambda record: _said(record, "ridiculous"))
            await asyncio.sleep(4.0)
            await line.speak(await voices.speak("how many times do i have to say it")).finished.wait()
            call = await phone.call(within_s=60)
            await server.until(line.call_sid, has_prompt("transfer.joining"))
            await until(lambda: joined(server))
            await hear_each_other(call.say, lambda: call.heard, line, lambda: line.tape.bot)
            await call.hang_up()
            record = await server.until(line.call_sid, is_over)
        assert record["outcome"] == "person"
        packet = read_context(await server.get(f"/api/calls/{record['id']}/context"))
    assert packet.escalation.reason == "policy"
    assert "frustrated" in introduction(packet)
    heard = heard_introduction(bytes(call.heard[: call.decided_after]), introduction(packet))
    assert alike(heard, introduction(packet)) > 0.6, heard


def _said(record: dict[str, Any], word: str) -> bool:
    return any(turn["speaker"] == "caller" and word in turn["text"] for turn in record["turns"])


async def test_an_agent_declines_aloud_and_the_next_accepts_aloud(tmp_path: Path, voices: Voices) -> None:
    no, yes = await voices.speak("no"), await voices.speak("yes")
    async with (
        sip_agent(says(no)) as unwilling,
        sip_agent(says(yes)) as willing,
        serving(tmp_path, ana=unwilling.address, ben=willing.address) as server,
    ):
        on_duty(server, "ana", "ben")
        async with SipCarrier(server.sip_uri).dial(numbers=Numbers("+15550100199", "bot")) as line:
            await says_after(server, line, voices, "welcome.first", "i want to speak with a person", times=1)
            await unwilling.call(within_s=60)
            call = await willing.call(within_s=60)
            await server.until(line.call_sid, has_prompt("transfer.joining"))
            await asyncio.sleep(2.0)
            await call.hang_up()
            await server.until(line.call_sid, is_over)
        assert unwilling.calls[0].over.is_set()
        await until(lambda: rows(server, "select ending, agent_id from queue_entries") == [("served", "ben")])


async def test_a_caller_hangs_up_while_it_rings_and_nothing_rings_on(tmp_path: Path, voices: Voices) -> None:
    async def rings(call: Any) -> None:
        await call.over.wait()

    async with sip_agent(rings) as phone, serving(tmp_path, ana=phone.address) as server:
        on_duty(server, "ana")
        async with SipCarrier(server.sip_uri).dial(numbers=Numbers("+15550100199", "bot")) as line:
            await says_after(server, line, voices, "welcome.first", "let me talk to a human", times=1)
            call = await phone.call(within_s=60)
            await line.hang_up()
        async with asyncio.timeout(20):
            await call.over.wait()
        await until(lambda: rows(server, "select state from agents") == [("available",)])


async def test_with_nobody_there_a_callback_is_agreed_on_aloud_and_made(tmp_path: Path, voices: Voices) -> None:
    async with (
        sip_agent(accepts) as agent,
        sip_agent(accepts) as customer,
        serving(tmp_path, trunk=customer.address.replace("agent@", ""), ana=agent.address) as server,
    ):
        async with SipCarrier(server.sip_uri).dial(numbers=Numbers("+12025550199", "bot")) as line:
            await says_after(server, line, voices, "welcome.first", "i want to speak with a person", times=1)
            await says_after(server, line, voices, "transfer.offer", "call me back", times=1)
            await says_after(server, line, voices, "transfer.callback_number", "yes", times=1)
            await says_after(server, line, voices, "transfer.callback_slot", "yes please", times=1)
            await server.until(line.call_sid, is_over)
        assert rows(server, "select number, state, consent from callbacks") == [("+12025550199", "booked", 1)]
        on_duty(server, "ana")
        with sqlite3.connect(server.data / "voicebot.sqlite3") as database:
            database.execute("update callbacks set due_at = created_at")
        called = await customer.call(within_s=60)
        await agent.call(within_s=60)
        await until(lambda: bool(rows(server, "select 1 from queue_entries where joined_at is not null")), within_s=60)
        await asyncio.sleep(2.0)
        await called.hang_up()
        await until(lambda: rows(server, "select state, result from callbacks") == [("done", "taken")])
