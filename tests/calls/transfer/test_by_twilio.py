"""Callers of Twilio's who are sent to agents there, and come back: nobody falls out, and nothing rings on."""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from tests.calls.transfer.twilio_stage import (
    INTRODUCTION,
    PACKET,
    TASKS,
    TONE,
    NoTrunk,
    handed_over,
    hurry,
    presses,
    stays,
    way_of,
)
from tests.fakes.twilio import AGENT, OUR_NUMBER, twilio_served, until
from voicebot.calls.transfer.carriers import Carriers, Following
from voicebot.calls.transfer.elsewhere import Sending, Sent
from voicebot.routing.actions import Ending
from voicebot.routing.destinations import Conference, Destination, Dial, Refer
from voicebot.routing.queues import Failure
from voicebot.simulation.twilio_account import Trouble
from voicebot.simulation.twilio_exchange import Phone, PlayedCall
from voicebot.telephony.leg import CallLeg, HangUpReason


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


async def test_whoever_answers_elsewhere_hears_who_calls_accepts_by_key_and_the_caller_comes_back_after() -> None:
    async with handed_over(Dial(AGENT), phones={AGENT: Phone(keys="1")}) as stay:
        await until(lambda: stay.call.joined_with)
        agent = stay.twilio.call_to(AGENT)
        assert INTRODUCTION in agent.told[0]
        assert agent.numbers.caller == OUR_NUMBER
        outcome = await stay.outcome()
        assert (outcome.ending, outcome.talked) == (Ending.SERVED, True)
        assert outcome.events[2:] == ("ElsewhereAnswered", "ElsewhereEnded")
        assert len(stay.call.lines) == 2, "one stream before, one after"
        assert stay.caller.moves == ["transfer.elsewhere", "music", "aside", "back", "transfer.thanks"]
        assert bytes(stay.call.heard).count(TONE) >= 8, "heard on both streams"
        assert stay.floor.delivered_after == [0], "the packet is out before Twilio is asked anything"


FAILURES = {
    "busy": (Phone("busy"), Failure.BUSY),
    "no answer": (Phone("no-answer"), Failure.NO_ANSWER),
    "rings on": (Phone("rings"), Failure.NO_ANSWER),
    "failed": (Phone("failed"), Failure.UNREACHABLE),
    "declined": (Phone(keys="2"), Failure.DECLINED),
    "a machine, that presses nothing": (Phone(), Failure.VOICEMAIL),
}


@pytest.mark.parametrize("what", FAILURES)
async def test_a_caller_whom_nobody_takes_there_is_with_the_bot_again(what: str) -> None:
    phone, failure = FAILURES[what]
    ring_s = 1.0 if phone.outcome == "rings" else 20.0
    async with handed_over(Dial(AGENT), phones={AGENT: phone}, ring_s=ring_s) as stay:
        outcome = await stay.outcome()
        assert f"ElsewhereFailed {failure}" in outcome.events
        assert (outcome.ending, outcome.talked) == (Ending.NOTED, False)
        assert stay.floor.noted == ["c1"]
        assert stay.caller.moves[2:4] == ["aside", "back"]
        assert not stay.call.joined_with
        assert bytes(stay.call.heard).count(TONE) >= 8, "heard on both streams"


async def test_the_next_destination_is_tried_before_anything_else() -> None:
    phones = {AGENT: Phone("busy"), "sip:desk@pbx.example": Phone(keys="1")}
    async with handed_over(
        Refer("sip:desk@pbx.example"), Dial(AGENT), Dial("sip:desk@pbx.example"), phones=phones
    ) as stay:
        outcome = await stay.outcome()
        assert outcome.ending is Ending.SERVED
        assert [event for event in outcome.events if "Failed" in event] == [
            "ElsewhereFailed unreachable",
            "ElsewhereFailed busy",
        ]


async def test_a_number_that_may_not_be_called_is_not_called_by_twilio_either() -> None:
    async with handed_over(Dial("+4912345678")) as stay:
        assert "ElsewhereFailed unreachable" in (await stay.outcome()).events
        assert stay.twilio.account.requests == []


async def test_a_caller_whom_twilio_cannot_send_on_hears_music_on_the_line_they_have() -> None:
    async with handed_over(Dial(AGENT), phones={AGENT: Phone(keys="1")}) as stay:
        stay.twilio.account.troubles["UpdateCall"] = [Trouble(503)] * 3
        assert "ElsewhereFailed unreachable" in (await stay.outcome()).events
        assert len(stay.call.lines) == 1
        assert "aside" not in stay.caller.moves


async def test_a_caller_who_was_sent_on_though_the_answer_was_lost_still_comes_back() -> None:
    async with handed_over(Dial(AGENT), phones={AGENT: Phone(keys="1", talks_s=0.6)}) as stay:
        stay.twilio.account.troubles["UpdateCall"] = [Trouble(503, done=True), Trouble(503), Trouble(503)]
        assert (await stay.outcome()).ending is Ending.SERVED


async def test_a_caller_who_hangs_up_while_it_rings_ends_it_and_nothing_rings_on() -> None:
    async with handed_over(Dial(AGENT), phones={AGENT: Phone("rings")}) as stay:
        await until(lambda: stay.twilio.account.asked("UpdateCall"))
        await until(lambda: stay.twilio.call_to(AGENT).status == "ringing")
        await stay.call.hang_up()
        assert (await stay.outcome()).ending is Ending.CALLER_LEFT
        assert stay.twilio.call_to(AGENT).is_over


@pytest.mark.parametrize("destination", [Dial(AGENT), TASKS], ids=["dial", "task"])
async def test_a_caller_who_hangs_up_there_is_missed_even_if_twilio_does_not_say_so(destination: Destination) -> None:
    async with handed_over(destination, phones={AGENT: Phone(keys="1", talks_s=5)}) as stay:
        await until(lambda: "aside" in stay.caller.moves)
        stay.call.status_url = ""
        stay.call.mute()
        await stay.call.hang_up()
        assert (await stay.outcome()).ending is Ending.CALLER_LEFT


async def test_a_caller_waits_in_taskrouters_queue_with_what_it_can_route_by_and_comes_back_after() -> None:
    async with handed_over(TASKS) as stay:
        await until(lambda: stay.twilio.account.exchange.tasks)
        task = stay.twilio.account.exchange.tasks[stay.call.sid]
        assert task.workflow == TASKS.workflow
        assert task.attributes["voicebot_context"] == PACKET.id
        assert task.attributes["voicebot_context_url"].endswith(f"/api/calls/{PACKET.call_id}/context")
        assert task.attributes["tier"] == PACKET.customer.tier
        sent = json.dumps(task.attributes)
        assert PACKET.customer.number not in sent
        assert not any(turn.text in sent for turn in PACKET.conversation if turn.text)
        task.status = "assigned"
        await until(lambda: stay.transfers[0]._state.phase == "elsewhere")
        task.done.set_result("bridged")
        outcome = await stay.outcome()
        assert (outcome.ending, outcome.talked) == (Ending.SERVED, True)


@pytest.mark.parametrize(
    ("result", "failure"),
    [("queue-full", Failure.BUSY), ("error", Failure.UNREACHABLE), ("system-error", Failure.UNREACHABLE)],
)
async def test_a_queue_that_does_not_take_a_caller_gives_them_back(result: str, failure: Failure) -> None:
    async with handed_over(TASKS) as stay:
        await until(lambda: stay.twilio.account.exchange.tasks)
        stay.twilio.account.exchange.tasks[stay.call.sid].done.set_result(result)
        assert f"ElsewhereFailed {failure}" in (await stay.outcome()).events


async def test_a_caller_whom_no_agent_takes_in_time_is_brought_back_out_of_the_queue() -> None:
    async with handed_over(TASKS, max_wait_s=0.3) as stay:
        assert "ElsewhereFailed no_answer" in (await stay.outcome()).events
        assert bytes(stay.call.heard).count(TONE) >= 8, "heard on both streams"


async def test_a_task_that_a_workflow_gives_up_brings_the_caller_back() -> None:
    async with handed_over(TASKS) as stay:
        await until(lambda: stay.twilio.account.exchange.tasks)
        stay.twilio.account.exchange.tasks[stay.call.sid].status = "canceled"
        assert "ElsewhereFailed no_answer" in (await stay.outcome()).events


async def test_a_call_that_comes_back_to_a_server_that_knows_nothing_of_it_is_answered_anew() -> None:
    answered: list[str] = []

    async def accept(leg: CallLeg) -> None:
        answered.append(leg.info.carrier_call_id)

    async with twilio_served(accept) as twilio:
        call = PlayedCall(
            twilio.account.exchange, twilio.account.exchange.ring_in(twilio.server.base).numbers, "inbound", Phone()
        )
        call.status = "in-progress"
        twilio.account.exchange.calls[call.sid] = call
        _, twiml = await twilio.account.exchange.post(
            twilio.addresses.action("of-before"), call.form(DialCallStatus="busy")
        )
        call.run(twiml)
        await until(lambda: call.sid in answered)


@pytest.mark.parametrize("seed", range(12))
async def test_nobody_is_lost_whatever_twilio_and_its_phones_do(seed: int) -> None:
    """At the end every call is over, nothing rings, and the transfer ended as it may."""
    chance = random.Random(seed)
    kinds: list[Destination] = [Dial(AGENT), Conference(AGENT), TASKS]
    destinations = chance.sample(kinds, k=chance.randint(1, 3))
    keyed = Phone(keys=chance.choice(["", "1", "2"]), person=lambda line: presses(line, chance.choice("12")))
    phone = chance.choice([keyed, keyed, Phone("busy"), Phone("rings"), Phone("failed"), Phone(machine="fax")])
    async with handed_over(*destinations, phones={AGENT: phone}, max_wait_s=0.3) as stay:
        for operation in ("UpdateCall", "CreateCall", "FetchCall", "ListTask"):
            troubles = [Trouble(0), Trouble(503), Trouble(500, done=True), Trouble(late_s=0.2), Trouble(429)]
            stay.twilio.account.troubles[operation] = chance.choices(troubles, [6, 1, 1, 1, 1], k=20)
        if chance.random() < 0.4:
            await asyncio.sleep(chance.random())
            await stay.call.hang_up()
            assert (await stay.outcome()).ending in {Ending.CALLER_LEFT, Ending.SERVED, Ending.NOTED}
        else:
            assert (await stay.outcome()).ending in {Ending.SERVED, Ending.NOTED}


async def test_a_customer_whom_we_have_called_is_sent_elsewhere_and_comes_back_like_any_caller() -> None:
    customer = "+15550888"
    phones = {customer: Phone(person=stays), AGENT: Phone(keys="1")}
    async with twilio_served(phones=phones) as twilio:
        leg = await Following(Carriers(NoTrunk(), twilio.dialer), twilio.journeys).dial(customer, timeout_s=1.0)
        carrying = asyncio.create_task(leg.run())
        way = way_of(twilio)
        assert way.takes(leg, Dial(AGENT))
        moves: list[str] = []

        async def let_go() -> None:
            moves.append("aside")

        sending = Sending(
            leg, Dial(AGENT), PACKET, INTRODUCTION, 1.0, 0.6, 5.0, let_go, lambda: moves.append("answered")
        )
        assert await way.send(sending) is Sent.BACK
        assert moves == ["aside", "answered"]
        call = twilio.call_to(customer)
        await until(lambda: len(call.lines) == 2)
        for _ in range(5):
            leg.send(TONE)
        await until(lambda: TONE in bytes(call.heard))
        await leg.hang_up(HangUpReason.COMPLETED)
        await carrying
        await until(lambda: call.is_over)
        assert not way.takes(leg, Dial(AGENT)), "forgotten when it is over"
