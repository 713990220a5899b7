"""Callers of Twilio's who are sent to agents there, and come back: nobody falls out, and nothing rings on."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from tests.calls.test_notes import late_order, packet
from tests.calls.transfer.test_breaking import PlayedFloor
from tests.fakes.twilio import AGENT, OUR_NUMBER, Twilio, twilio_served, until
from tests.routing.examples import NOW
from voicebot.calls.transfer import by_twilio
from voicebot.calls.transfer.by_twilio import ByTwilio
from voicebot.calls.transfer.carriers import Carriers, Following
from voicebot.calls.transfer.elsewhere import Sending, Sent, Ways
from voicebot.calls.transfer.seams import FlowRun, NotWritten, Place, Reached, RingFailed, Talk
from voicebot.calls.transfer.transfer import Outcome, Transfer
from voicebot.dialog.expectation import Expectation
from voicebot.records.context import ContextPacket
from voicebot.routing.actions import Ending
from voicebot.routing.agents import Agent, Reach
from voicebot.routing.destinations import Conference, Destination, Dial, Refer, TaskQueue
from voicebot.routing.events import Claim
from voicebot.routing.queues import Failure, Queue, Routing
from voicebot.routing.waiting import Outlook, Standing
from voicebot.routing.wording import Wording
from voicebot.simulation.line import CarrierLine
from voicebot.simulation.twilio_account import Trouble
from voicebot.simulation.twilio_exchange import Phone, PlayedCall
from voicebot.telephony.dialing import DialFailed, DialFailure
from voicebot.telephony.leg import CallLeg, HangUpReason, KeyPressed, LegEnded
from voicebot.telephony.sip.leg import SipLeg
from voicebot.telephony.twilio import outgoing, rest

PACKET = packet(late_order())
INTRODUCTION = "Warm transfer. Order four five one two is late."
TONE = b"\x10\x90" * 80
COACH = "+15550777"
TASKS = TaskQueue("WS" + "1" * 32, "WW" + "2" * 32)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "RETRY_AFTER_S", (0.0, 0.0))
    monkeypatch.setattr(by_twilio, "LOOK_AT_TASK_EVERY_S", 0.05)
    monkeypatch.setattr(by_twilio, "LOOK_EVERY_S", 0.3)
    monkeypatch.setattr(outgoing, "OPENING_S", 0.3)


class Caller:
    """The caller's line, read by the bot unless it has stepped aside; what is said is a tone, music is silence."""

    def __init__(self, leg: CallLeg, left: Callable[[], None]) -> None:
        self.leg = leg
        self.talk: Talk = NotWritten()
        self.moves: list[str] = []
        self._left = left
        self._reading: asyncio.Task[None] | None = None
        self._read()

    def _read(self) -> None:
        self._reading = asyncio.create_task(self._events())

    async def _events(self) -> None:
        async for event in self.leg.events():
            if isinstance(event, LegEnded):
                self._left()

    async def say(self, prompt: str, text: str, *, personal: bool = False) -> None:
        del text, personal
        self.moves.append(prompt)
        for _ in range(5):
            self.leg.send(TONE)
        await asyncio.sleep(0.25)

    async def play(self, audio: bytes) -> None:
        del audio
        self.moves.append("music")
        await asyncio.sleep(1.0)

    async def run_flow(self, flow: str) -> FlowRun:
        self.moves.append(flow)
        return FlowRun(done=False)

    async def hush(self) -> None:
        """Nothing sounds any longer than it is awaited."""

    async def listen(self, expectation: Expectation | None) -> None:
        """The caller says nothing."""

    async def step_aside(self) -> None:
        self.moves.append("aside")
        await self.stop()

    async def come_back(self) -> None:
        self.moves.append("back")
        self._read()

    async def stop(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)


class Nobody:
    """No agent of ours can be rung."""

    async def ring(
        self, agent: Agent, reach: Reach, claim: Claim, packet: ContextPacket, *, timeout_s: float
    ) -> Reached:
        raise RingFailed(Failure.UNREACHABLE)

    def release(self, leg: CallLeg) -> None:
        """Nobody was rung."""


class KeyedParty:
    """An agent on the phone who decides by key, as they do in a briefing."""

    def __init__(self, leg: CallLeg) -> None:
        self._leg = leg

    @property
    def leg(self) -> CallLeg:
        return self._leg

    async def ask(self, introduction: str, question: str, *, accept_s: float) -> Failure | None:
        assert introduction == INTRODUCTION
        assert question
        for _ in range(5):
            self._leg.send(TONE)
        try:
            async with asyncio.timeout(accept_s):
                async for event in self._leg.events():
                    match event:
                        case KeyPressed("1"):
                            return None
                        case KeyPressed():
                            return Failure.DECLINED
                        case LegEnded():
                            return Failure.HUNG_UP
                        case _:
                            pass
        except TimeoutError:
            pass
        return Failure.VOICEMAIL

    async def tell(self, text: str, *, limit_s: float) -> None:
        """Nobody is told anything here."""

    async def gone(self, pressed: Callable[[str], None] = lambda _key: None) -> None:
        del pressed
        async for event in self._leg.events():
            if isinstance(event, LegEnded):
                return


class NoTrunk:
    """Nothing is called over SIP."""

    async def dial(
        self, reach: str, *, timeout_s: float, caller: str = "", headers: tuple[tuple[str, str], ...] = ()
    ) -> SipLeg:
        raise DialFailed(DialFailure.UNREACHABLE)


def way_of(twilio: Twilio) -> ByTwilio:
    return ByTwilio(
        twilio.rest,
        twilio.journeys,
        twilio.addresses,
        dialer=twilio.dialer,
        caller=OUR_NUMBER,
        allowed=lambda to: to.startswith(("+1555", "sip:")),
        limits=twilio.limits,
        make_party=KeyedParty,
        question="Press 1 to take the call.",
        clock=time.monotonic,
    )


@dataclass
class Floor(PlayedFloor):
    """Where nobody of ours is there; notes when the packet went out."""

    twilio: Twilio | None = None
    delivered_after: list[int] = field(default_factory=list)

    async def deliver(self, packet: ContextPacket) -> tuple[str, ...]:
        if self.twilio is not None:
            self.delivered_after.append(len(self.twilio.account.requests))
        return ()


@dataclass
class Stay:
    """One caller who is handed over, and what became of it."""

    twilio: Twilio
    floor: Floor
    call: PlayedCall
    callers: list[Caller]
    outcomes: list[Outcome]
    transfers: list[Transfer]

    @property
    def caller(self) -> Caller:
        return self.callers[0]

    async def outcome(self) -> Outcome:
        await until(lambda: self.outcomes, limit_s=10)
        return self.outcomes[0]


@asynccontextmanager
async def handed_over(
    *destinations: Destination, phones: dict[str, Phone] | None = None, max_wait_s: float = 5.0
) -> AsyncIterator[Stay]:
    """Have a caller ring in and be sent to these destinations; at the end nothing rings, and no call is open."""
    queue = Queue(
        "service",
        "customer service",
        offers=(),
        ring_s=1.0,
        accept_s=0.6,
        max_wait_s=max_wait_s,
        elsewhere=destinations,
    )
    floor = Floor(Routing({"service": queue}, {}, "service"), Outlook("service", Standing.UNSTAFFED, 0, None, ()))
    parts: list[Twilio] = []
    callers: list[Caller] = []
    outcomes: list[Outcome] = []
    transfers: list[Transfer] = []

    async def accept(leg: CallLeg) -> None:
        twilio = parts[0]

        def left() -> None:
            transfer.caller_left()

        caller = Caller(leg, left)
        transfer = Transfer(
            Place("e1", "c1", "+15550123", 0, NOW),
            "service",
            caller=caller,
            floor=floor,
            lines=Nobody(),
            make_party=KeyedParty,
            packet=lambda _queue: PACKET,
            introduction=lambda _packet: INTRODUCTION,
            wording=Wording(),
            music=TONE,
            clock=time.monotonic,
            now=lambda: datetime.now(UTC),
            elsewhere=Ways((way_of(twilio),)),
        )
        callers.append(caller)
        transfers.append(transfer)
        try:
            outcomes.append(await transfer.run())
        finally:
            await caller.stop()

    async with twilio_served(accept, phones=phones) as twilio:
        parts.append(twilio)
        floor.twilio = twilio
        call = twilio.account.exchange.ring_in(twilio.server.base)
        await until(lambda: transfers)
        yield Stay(twilio, floor, call, callers, outcomes, transfers)
        await until(lambda: outcomes, limit_s=10)
        await until(lambda: all(one.is_over for one in twilio.account.exchange.calls.values()))
        assert twilio.limits._open == 0


async def stays(line: CarrierLine) -> None:
    await line.ended.wait()


async def presses(line: CarrierLine, key: str = "1") -> None:
    await asyncio.sleep(0.15)
    line.press(key)
    await line.ended.wait()


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
    async with handed_over(Dial(AGENT), phones={AGENT: phone}) as stay:
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


async def test_caller_and_agent_meet_in_a_conference_and_a_coach_is_heard_by_the_agent_alone() -> None:
    async with handed_over(Conference(AGENT, COACH), phones={AGENT: Phone(person=presses, talks_s=0.4)}) as stay:
        await until(lambda: stay.call.joined_with)
        agent, (room,) = stay.twilio.call_to(AGENT), stay.twilio.account.exchange.rooms.values()
        assert room.members == [agent.sid, stay.call.sid]
        assert TONE in bytes(agent.heard), "the introduction"
        await until(lambda: stay.twilio.account.asked("CreateParticipant"))
        (coach,) = stay.twilio.account.asked("CreateParticipant")
        assert (coach.form["To"], coach.form["CallSidToCoach"]) == (COACH, agent.sid)
        outcome = await stay.outcome()
        assert (outcome.ending, outcome.talked) == (Ending.SERVED, True)
        assert "transfer.thanks" in stay.caller.moves
        assert agent.is_over


async def test_the_two_talk_without_a_coach_whom_nobody_may_call() -> None:
    async with handed_over(Conference(AGENT, "+4912345678"), phones={AGENT: Phone(person=presses)}) as stay:
        assert (await stay.outcome()).ending is Ending.SERVED
        assert stay.twilio.account.asked("CreateParticipant") == []


@pytest.mark.parametrize(
    ("phone", "failure"),
    [
        (Phone("busy"), Failure.BUSY),
        (Phone(person=lambda line: presses(line, "2")), Failure.DECLINED),
        (Phone(), Failure.VOICEMAIL),
        (Phone(machine="machine_start"), Failure.VOICEMAIL),
    ],
    ids=["busy", "declines", "silent", "machine"],
)
async def test_an_agent_who_does_not_accept_is_in_no_conference(phone: Phone, failure: Failure) -> None:
    async with handed_over(Conference(AGENT), phones={AGENT: phone}) as stay:
        outcome = await stay.outcome()
        failures = {f"ElsewhereFailed {failure}"}
        if phone.machine:
            failures.add(f"ElsewhereFailed {Failure.HUNG_UP}")  # before the briefing had begun
        assert failures & set(outcome.events)
        assert not stay.twilio.account.exchange.rooms
        assert len(stay.call.lines) == 1, "the caller heard music all the time"


async def test_an_agent_whose_caller_cannot_be_moved_is_let_go() -> None:
    async with handed_over(Conference(AGENT), phones={AGENT: Phone(person=presses)}) as stay:
        # The agent is moved, the caller is not, whatever is tried.
        stay.twilio.account.troubles["UpdateCall"] = [Trouble(status=0), *[Trouble(503)] * 3]
        assert "ElsewhereFailed unreachable" in (await stay.outcome()).events
        assert stay.twilio.call_to(AGENT).is_over
        assert len(stay.call.lines) == 1


async def test_a_caller_who_hangs_up_while_both_are_moved_leaves_no_agent_alone_in_a_conference() -> None:
    async with handed_over(Conference(AGENT), phones={AGENT: Phone(person=presses)}) as stay:
        stay.twilio.account.troubles["UpdateCall"] = [Trouble(late_s=0.4)]
        await until(lambda: stay.twilio.account.asked("UpdateCall"))
        await stay.call.hang_up()
        assert (await stay.outcome()).ending is Ending.CALLER_LEFT
        await until(lambda: stay.twilio.call_to(AGENT).is_over)


async def test_a_caller_who_hangs_up_while_the_agent_is_rung_frees_the_agent() -> None:
    async with handed_over(Conference(AGENT), phones={AGENT: Phone("rings")}) as stay:
        await until(lambda: stay.twilio.account.asked("CreateCall"))
        await stay.call.hang_up()
        assert (await stay.outcome()).ending is Ending.CALLER_LEFT
        await until(lambda: stay.twilio.call_to(AGENT).is_over)


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
