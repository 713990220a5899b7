"""Callers who ask for a person, handed over by a real server to agents whom Twilio reaches; the account is played."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.end_to_end.server import ACCOUNT, FLOWS, Server, has_prompt, is_over, running
from tests.end_to_end.test_handover import joined, on_duty
from tests.fakes.ports import bound_socket
from tests.fakes.tones import hear_each_other, until
from voicebot.simulation.carrier import Numbers
from voicebot.simulation.line import CarrierLine
from voicebot.simulation.twilio_account import TwilioAccount
from voicebot.simulation.twilio_exchange import Phone, PlayedCall

pytestmark = [pytest.mark.spoken, pytest.mark.timeout(240)]

OURS, AGENT, CUSTOMER = "+12025550100", "+12025550123", "+12025550199"
QUEUES = """
default: service
queues:
  service: {title: customer service, skills: {service: 1}, offers: [callback], %s}
callbacks: {earliest_hour: 0, latest_hour: 24}
agents:
  ana: {name: Ana, skills: {service: 5}, reach: [{phone: "+12025550123"}]}
"""


async def takes_it(line: CarrierLine) -> None:
    """Press 1 once something was said, and stay."""
    while not line.heard_s:
        await asyncio.sleep(0.05)
    await asyncio.sleep(1.0)
    line.press("1")
    await line.ended.wait()


@dataclass
class Centre:
    server: Server
    account: TwilioAccount

    def call_to(self, number: str) -> PlayedCall | None:
        return next((call for call in self.account.exchange.calls.values() if call.numbers.called == number), None)

    async def called(self, number: str) -> PlayedCall:
        """Return the first call to a number, once its stream is open."""
        await until(lambda: (call := self.call_to(number)) is not None and call.line is not None)
        found = self.call_to(number)
        assert found is not None
        return found


@asynccontextmanager
async def centre(tmp_path: Path, phones: dict[str, Phone], queue: str = "ring_s: 20") -> AsyncIterator[Centre]:
    """Run a server whose only way to agents is Twilio."""
    flows = tmp_path / "flows"
    shutil.copytree(FLOWS, flows)
    (flows / "queues.yaml").write_text(QUEUES % queue, encoding="utf-8")
    with bound_socket() as reserved:
        port = str(reserved.getsockname()[1])
    async with aiohttp.ClientSession() as http, TwilioAccount(http, ACCOUNT, phones=phones).serve() as account:
        environment = {
            "TWILIO_ACCOUNT_SID": ACCOUNT.account_sid,
            "VOICEBOT_TWILIO__CALLER": OURS,
            "VOICEBOT_TWILIO__API_URL": account.url,
            "VOICEBOT_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "VOICEBOT_SIP__DIAL_PREFIXES": '["+1"]',
            "VOICEBOT_RECOGNIZER": "off",
            "VOICEBOT_DRAIN_S": "1",
        }
        async with running(tmp_path / "data", "--flows", str(flows), "--port", port, **environment) as server:
            yield Centre(server, account)
            await account.exchange.end_all()
    assert (account.exchange.faults, account.exchange.undelivered) == ([], [])


async def asks_for_a_person(centre: Centre) -> PlayedCall:
    """Have a customer call in by Twilio and press 0 at the greeting."""
    call = centre.account.exchange.ring_in(centre.server.url, Numbers(CUSTOMER, OURS))
    await centre.server.until(call.sid, has_prompt("welcome.first"))
    assert call.line is not None
    call.line.press("0")
    return call


async def test_an_agent_whom_twilio_calls_hears_who_calls_accepts_by_key_and_is_joined(tmp_path: Path) -> None:
    phones = {AGENT: Phone(person=takes_it, machine="human", detected_after_s=2.0)}
    async with centre(tmp_path, phones) as there:
        on_duty(there.server, "ana")
        caller = await asks_for_a_person(there)
        agent = await there.called(AGENT)
        await there.server.until(caller.sid, has_prompt("transfer.joining"))
        await until(lambda: joined(there.server))
        assert agent.line is not None
        assert caller.line is not None
        await hear_each_other(agent.line.speak, lambda: agent.heard, caller.line, lambda: caller.heard)
        await agent.hang_up()
        record = await there.server.until(caller.sid, is_over)
        assert record["outcome"] == "person"
        await until(lambda: caller.is_over)
        await until(lambda: there.server.rows("select ending from queue_entries") == [("served",)])


async def test_a_caller_who_hangs_up_while_twilio_rings_the_agent_ends_that_call(tmp_path: Path) -> None:
    async with centre(tmp_path, {AGENT: Phone("rings")}) as there:
        on_duty(there.server, "ana")
        caller = await asks_for_a_person(there)
        await until(lambda: (call := there.call_to(AGENT)) is not None and call.status == "ringing")
        await caller.hang_up()
        await there.server.until(caller.sid, is_over)
        agent = there.call_to(AGENT)
        await until(lambda: agent is not None and agent.is_over)
        assert there.account.asked("UpdateCall")[0].form["Status"] == "completed"
        await until(lambda: there.server.rows("select state from agents") == [("available",)])


async def test_a_caller_is_sent_to_a_number_outside_and_comes_back_to_the_same_call(tmp_path: Path) -> None:
    queue = 'elsewhere: [{dial: "+12025550111"}, {dial: "+12025550122"}]'
    phones = {"+12025550111": Phone("busy"), "+12025550122": Phone(keys="1", talks_s=2.0)}
    async with centre(tmp_path, phones, queue) as there:
        caller = await asks_for_a_person(there)
        await until(lambda: bool(caller.joined_with))
        taken = there.call_to("+12025550122")
        assert taken is not None
        assert "Press 1" in taken.told[0]
        record = await there.server.until(caller.sid, is_over)
        assert record["outcome"] == "person"
        assert [turn["prompt"] for turn in record["turns"]][-2:] == ["transfer.elsewhere", "transfer.thanks"]
        assert len(caller.lines) == 3, "before, between and after"
        assert there.server.rows("select count(*) from calls") == [(1,)]


async def test_a_customer_is_called_back_by_twilio_and_put_through(tmp_path: Path) -> None:
    phones = {AGENT: Phone(person=takes_it), CUSTOMER: Phone(person=takes_it)}
    async with centre(tmp_path, phones) as there:
        caller = await asks_for_a_person(there)
        for prompt in ("transfer.offer", "transfer.callback_number", "transfer.callback_slot"):
            await there.server.until(caller.sid, has_prompt(prompt))
            assert caller.line is not None
            caller.line.press("1")
        await there.server.until(caller.sid, is_over)
        on_duty(there.server, "ana")
        there.server.rows("update callbacks set due_at = created_at")
        customer = await there.called(CUSTOMER)
        await there.called(AGENT)
        query = "select 1 from queue_entries where joined_at is not null"
        await until(lambda: bool(there.server.rows(query)), within_s=60)
        # Who has pressed a key is no machine, however late Twilio makes up its mind.
        (placed,) = [one for one in there.account.asked("CreateCall") if one.form["To"] == CUSTOMER]
        await there.account.exchange.post(
            placed.form["AsyncAmdStatusCallback"], customer.form(AnsweredBy="machine_end_beep")
        )
        await asyncio.sleep(2.0)
        assert not customer.is_over
        await customer.hang_up()
        await until(lambda: there.server.rows("select state, result from callbacks") == [("done", "taken")])
