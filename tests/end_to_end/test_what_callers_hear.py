"""What a caller hears on the way to a person, and after: every word from the flows, said by a real server."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.end_to_end.server import FLOWS, Server, has_prompt, is_over, running
from tests.end_to_end.test_handover import ask_for_a_person, contact_centre, on_duty
from tests.fakes.tones import hear_each_other, until
from voicebot.simulation.carrier import Numbers
from voicebot.simulation.sip_agent import AgentCall, SipAgent, accepts, declines, sip_agent
from voicebot.simulation.sip_carrier import SipCarrier

pytestmark = [pytest.mark.spoken, pytest.mark.timeout(240)]

CALLER = Numbers("+15550100199", "bot")


def serving(tmp_path: Path, trunk: SipAgent | None = None, *, queue: dict[str, Any], **agents: str) -> Any:
    """Serve the shipped flows and their words, with these agents and one queue."""
    flows = contact_centre(tmp_path, **agents)
    path = flows / "queues.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["queues"]["service"] |= queue
    in_two_days = f"{datetime.now(UTC) + timedelta(days=2):%A}".lower()
    rarely = {"hours": {"rarely": {"week": {in_two_days: "12:00-13:00"}}}}
    (flows / "rarely.yaml").write_text(yaml.safe_dump(rarely), encoding="utf-8")
    document["says"] = yaml.safe_load((FLOWS / "queues.yaml").read_text(encoding="utf-8"))["says"]
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    dialling = {"VOICEBOT_SIP__DIAL_HOSTS": '["127.0.0.1"]'}
    if trunk is not None:
        proxy = trunk.address.replace("agent@", "")
        dialling |= {"VOICEBOT_SIP__OUTBOUND_PROXY": proxy, "VOICEBOT_SIP__DIAL_PREFIXES": '["+1"]'}
    return running(
        tmp_path / "data", "--flows", str(flows), VOICEBOT_RECOGNIZER="off", VOICEBOT_DRAIN_S="1", **dialling
    )


def said(record: dict[str, Any]) -> list[str]:
    return [turn["text"] for turn in record["turns"] if turn["speaker"] == "bot"]


async def test_a_caller_hears_why_it_takes_longer_who_comes_and_how_it_was(tmp_path: Path) -> None:
    async with (
        sip_agent(declines) as unwilling,
        sip_agent(accepts) as willing,
        serving(tmp_path, queue={"survey": "survey"}, ana=unwilling.address, ben=willing.address) as server,
    ):
        on_duty(server, "ana", "ben")
        async with SipCarrier(server.sip_uri).dial(numbers=CALLER) as line:
            await ask_for_a_person(server, line)
            call: AgentCall = await willing.call()
            await server.until(line.call_sid, has_prompt("transfer.joining"))
            await asyncio.sleep(2.0)
            call.press("*")
            await asyncio.sleep(0.3)
            call.press("9")
            for question, key in (("survey.ask_solved", "1"), ("survey.ask_rating", "4")):
                await server.until(line.call_sid, has_prompt(question))
                line.press(key)
            record = await server.until(line.call_sid, is_over)
        heard = " ".join(said(record))
        for words in (
            "I'll put you through to customer service, and tell them what it's about, so you needn't repeat yourself.",
            "It should take less than a minute. Please hold the line.",
            "The colleague I called can't take it right now. I'm trying somebody else. It should take less than a",
            "Ben is with you now.",
            "Before you go, two quick questions; it takes half a minute. Did we solve what you called about?",
            "Thank you, that helps us.",
            "Thank you for calling. Goodbye.",
        ):
            assert words in heard
        answers = {name: value for turn in record["turns"] for name, value in turn["slots"].items()}
        assert (answers["solved"], answers["rating"]) == ("True", "4")
        assert record["outcome"] == "person"
        await until(lambda: server.rows("select ending from queue_entries") == [("survey",)])


CLOSED = {"hours": "rarely", "after_hours": ["number", "callback"], "number": "+1 555 0999"}


async def after_hours(server: Server, line: Any) -> None:
    await ask_for_a_person(server, line)
    await server.until(line.call_sid, has_prompt("transfer.offer"))
    line.press("1")


async def test_after_hours_the_emergency_number_is_said_and_dialled_on(tmp_path: Path) -> None:
    async with sip_agent(_answers) as doctor, serving(tmp_path, doctor, queue=CLOSED, ana=doctor.address) as server:
        async with SipCarrier(server.sip_uri).dial(numbers=CALLER) as line:
            await after_hours(server, line)
            await server.until(line.call_sid, has_prompt("transfer.number_offered"))
            line.press("1")
            call: AgentCall = await doctor.call()
            await hear_each_other(call.say, lambda: call.heard, line, lambda: line.tape.bot)
            await call.hang_up()
            record = await server.until(line.call_sid, is_over)
        heard = " ".join(said(record))
        assert "customer service is closed at the moment, and open again on " in heard
        assert " at noon." in heard
        assert "For the number to call when it can't wait, press 1 or say number." in heard
        assert heard.count("1 5 5 5 0 9 9 9") == 2
        assert "I'm calling there for you. It should take less than a minute." in heard


async def test_a_caller_who_hangs_up_on_the_emergency_number_lets_it_go(tmp_path: Path) -> None:
    async with sip_agent(_answers) as doctor, serving(tmp_path, doctor, queue=CLOSED, ana=doctor.address) as server:
        async with SipCarrier(server.sip_uri).dial(numbers=CALLER) as line:
            await after_hours(server, line)
            await server.until(line.call_sid, has_prompt("transfer.number_offered"))
            line.press("1")
            call = await doctor.call()
            await asyncio.sleep(2.0)
        async with asyncio.timeout(20):
            await call.over.wait()
        await server.until(line.call_sid, is_over)


async def test_without_a_carrier_the_emergency_number_is_said_to_be_dialled(tmp_path: Path) -> None:
    async with sip_agent(_answers) as nobody, serving(tmp_path, queue=CLOSED, ana=nobody.address) as server:
        async with SipCarrier(server.sip_uri).dial(numbers=CALLER) as line:
            await after_hours(server, line)
            record = await server.until(line.call_sid, is_over)
        assert nobody.calls == []
        assert "1 5 5 5 0 9 9 9" in said(record)[-1]


async def _answers(call: AgentCall) -> None:
    await call.answer()


async def test_who_is_called_back_and_says_no_is_told_that_nobody_calls_again(tmp_path: Path) -> None:
    async with (
        sip_agent(_says_no) as customer,
        serving(tmp_path, customer, queue={"offers": ["callback"]}, ana="sip:ana@127.0.0.1:9") as server,
    ):
        async with SipCarrier(server.sip_uri).dial(numbers=Numbers("+12025550199", "bot")) as line:
            await ask_for_a_person(server, line)
            for prompt in ("transfer.offer", "transfer.callback_number", "transfer.callback_slot"):
                await server.until(line.call_sid, has_prompt(prompt))
                line.press("1")
            record = await server.until(line.call_sid, is_over)
        heard = " ".join(said(record))
        assert (
            "I'm sorry, nobody from customer service can take your call at the moment. To hang up and be called"
            in heard
        )
        assert "Good. You can hang up now: we'll call you " in heard
        on_duty(server, "ana")
        server.rows("update callbacks set due_at = created_at")
        call = await customer.call()
        async with asyncio.timeout(60):
            await call.over.wait()
        await until(lambda: server.rows("select state from callbacks") == [("done",)])
        spoken = [text for (text,) in server.rows("select text from turns where speaker = 'bot'")]
        assert "All right, we won't call again about this. Goodbye." in spoken


async def _says_no(call: AgentCall) -> None:
    await call.answer()
    await call.listen_for(3.0)
    call.press("2")
