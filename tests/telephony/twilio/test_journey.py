"""A caller's leg over one stream after the other: one leg, one end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from tests.fakes.twilio import AGENT, Twilio, twilio_served, until
from voicebot.simulation.line import CarrierLine
from voicebot.simulation.twilio_exchange import Phone, PlayedCall
from voicebot.telephony.leg import (
    AudioPlayed,
    CallLeg,
    EndCause,
    HangUpReason,
    KeyPressed,
    LegEnded,
    LegEvent,
)
from voicebot.telephony.twilio.journey import Journey, TravellingLeg
from voicebot.telephony.twilio.twiml import enqueue_twiml

TONE = b"\x10\x90" * 80


@dataclass
class Held:
    """A caller whose leg the test has."""

    twilio: Twilio
    call: PlayedCall
    leg: TravellingLeg
    events: list[LegEvent]

    @property
    def ends(self) -> list[EndCause]:
        return [event.cause for event in self.events if isinstance(event, LegEnded)]

    async def send_away(self) -> Journey:
        """Let the caller's call go to a queue, and return when it is there."""
        journey = self.twilio.journeys.depart(self.leg)
        action = self.twilio.addresses.action(journey.id)
        twiml = enqueue_twiml(workflow="WW" + "2" * 32, action_url=action, attributes={"call": "c1"})
        await self.twilio.rest.direct(self.call.sid, twiml)
        await until(lambda: not self.leg.is_streaming and self.twilio.account.exchange.tasks)
        return journey

    async def come_back(self, journey: Journey) -> None:
        self.twilio.account.exchange.tasks[self.call.sid].done.set_result("bridged")
        async with asyncio.timeout(20):
            assert await journey.over

    async def until_ended(self) -> EndCause:
        await until(lambda: self.ends)
        return self.ends[0]


@asynccontextmanager
async def held() -> AsyncIterator[Held]:
    legs: list[TravellingLeg] = []
    events: list[LegEvent] = []
    done = asyncio.Event()

    async def accept(leg: CallLeg) -> None:
        assert isinstance(leg, TravellingLeg)
        legs.append(leg)
        async for event in leg.events():
            events.append(event)  # noqa: PERF401  # they are looked at while they come
        await done.wait()

    async with twilio_served(accept) as twilio:
        call = twilio.account.exchange.ring_in(twilio.server.base)
        await until(lambda: legs and call.line)
        yield Held(twilio, call, legs[0], events)
        done.set()


async def test_what_the_caller_heard_is_counted_over_all_streams() -> None:
    async with held() as caller:
        for _ in range(10):
            caller.leg.send(TONE)
        await until(lambda: any(isinstance(event, AudioPlayed) for event in caller.events))
        before = caller.leg.sent_samples
        assert before == 1600
        journey = await caller.send_away()
        caller.leg.send(TONE)  # nobody hears it
        await caller.come_back(journey)
        assert caller.leg.sent_samples == before
        for _ in range(10):
            caller.leg.send(TONE)
        await until(
            lambda: any(isinstance(event, AudioPlayed) and event.position_samples == 3200 for event in caller.events)
        )
        assert caller.ends == []


async def test_keys_are_read_from_the_new_stream_and_the_end_of_the_old_one_is_none() -> None:
    async with held() as caller:
        await caller.come_back(await caller.send_away())
        await until(lambda: caller.call.line)
        assert caller.call.line is not None
        caller.call.line.press("7")
        await until(lambda: any(isinstance(event, KeyPressed) and event.key == "7" for event in caller.events))
        await caller.call.hang_up()
        assert await caller.until_ended() is EndCause.PEER_HUNG_UP
        assert len(caller.ends) == 1


async def test_a_caller_can_be_away_twice() -> None:
    async with held() as caller:
        for _ in range(2):
            await caller.come_back(await caller.send_away())
            await until(lambda: caller.call.line)
        assert len(caller.call.lines) == 3
        assert caller.ends == []


async def test_a_caller_who_hangs_up_elsewhere_ends_the_leg() -> None:
    async with held() as caller:
        journey = await caller.send_away()
        await caller.call.hang_up()
        assert await caller.until_ended() is EndCause.PEER_HUNG_UP
        assert not await journey.over


@pytest.mark.parametrize(
    ("reason", "cause", "goes_on"),
    [
        (HangUpReason.COMPLETED, EndCause.WE_HUNG_UP, False),
        (HangUpReason.SHUTTING_DOWN, EndCause.REDIRECTED, True),
    ],
)
async def test_a_call_elsewhere_is_ended_by_us_but_not_by_a_server_that_shuts_down(
    reason: HangUpReason, cause: EndCause, goes_on: bool
) -> None:
    async with held() as caller:
        await caller.send_away()
        await caller.leg.hang_up(reason)
        assert await caller.until_ended() is cause
        assert caller.call.is_over is not goes_on


async def test_a_call_that_was_not_taken_anywhere_stays_as_it_was() -> None:
    async with held() as caller:
        caller.twilio.journeys.depart(caller.leg)
        caller.leg.stay()
        assert caller.leg.is_streaming
        await caller.call.hang_up()
        assert await caller.until_ended() is EndCause.PEER_HUNG_UP


async def test_a_stream_that_comes_back_to_a_caller_who_never_left_is_closed() -> None:
    async with held() as caller:
        twiml = caller.twilio.addresses.return_twiml(caller.call.sid)
        thief = PlayedCall(caller.twilio.account.exchange, caller.call.numbers, "inbound", caller.call.phone)
        thief.sid = caller.call.sid
        thief.run(twiml)
        await until(lambda: thief.is_over)
        assert caller.leg.is_streaming
        assert caller.ends == []


async def stays(line: CarrierLine) -> None:
    await line.ended.wait()


async def test_a_customer_who_is_there_is_no_machine_whatever_twilio_thinks() -> None:
    phone = Phone(machine="machine_start", detected_after_s=0.1, person=stays)
    async with twilio_served(phones={AGENT: phone}) as twilio:
        leg = twilio.journeys.follow(await twilio.dialer.dial(AGENT, timeout_s=5.0))
        leg.confirm()
        await asyncio.sleep(0.3)
        assert leg.is_streaming
        await leg.hang_up(HangUpReason.COMPLETED)
