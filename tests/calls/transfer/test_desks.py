"""Agents' desks: who is offered to whom, and what taking and declining does."""

from __future__ import annotations

import asyncio

import pytest

from tests.calls.test_notes import notes, packet
from tests.fakes.leg import FakeLeg
from voicebot.calls.transfer.desks import CallOffered, DeskEvent, Desks, DeskSession, OfferWithdrawn, Withdrawal
from voicebot.calls.transfer.seams import RingFailed
from voicebot.routing.agents import Agent, Reach, ReachKind
from voicebot.routing.events import Claim
from voicebot.routing.queues import Failure
from voicebot.telephony.leg import CallLeg

ANA = Agent("ana", "Ana", {}, (Reach(ReachKind.BROWSER),))
CLAIM = Claim("ana", 3)
PACKET = packet(notes())


async def next_event(session: DeskSession) -> DeskEvent:
    async with asyncio.timeout(20):
        return await anext(aiter(session.events()))


def ringing(desks: Desks, timeout_s: float = 5.0) -> asyncio.Task[CallLeg]:
    return asyncio.create_task(desks.ring(ANA, CLAIM, PACKET, timeout_s=timeout_s))


async def test_an_agent_sees_who_calls_before_answering_and_takes_it_in_the_page() -> None:
    desks, leg = Desks(), FakeLeg()
    async with desks.attached("ana") as session:
        ring = ringing(desks)
        offered = await next_event(session)
        assert isinstance(offered, CallOffered)
        assert offered.packet.summary
        assert desks.may_take("ana", 3)
        bringing = asyncio.create_task(desks.bring("ana", 3, leg))
        assert await ring is leg
        assert await next_event(session) == OfferWithdrawn(CLAIM, Withdrawal.TAKEN)
        desks.release(leg)
        await bringing


async def test_a_call_that_is_declined_is_offered_no_more() -> None:
    desks = Desks()
    async with desks.attached("ana") as session:
        ring = ringing(desks)
        await next_event(session)
        assert desks.decline("ana", 3)
        with pytest.raises(RingFailed) as raised:
            await ring
        assert raised.value.failure is Failure.DECLINED
        assert not desks.decline("ana", 3)
        assert await next_event(session) == OfferWithdrawn(CLAIM, Withdrawal.DECLINED)


async def test_nobody_answers_at_a_desk() -> None:
    desks = Desks()
    async with desks.attached("ana"):
        with pytest.raises(RingFailed) as raised:
            await ringing(desks, timeout_s=0.05)
    assert raised.value.failure is Failure.NO_ANSWER


async def test_nobody_sits_at_a_desk() -> None:
    with pytest.raises(RingFailed) as raised:
        await ringing(Desks())
    assert raised.value.failure is Failure.UNREACHABLE


async def test_a_caller_who_leaves_is_offered_no_more() -> None:
    desks = Desks()
    async with desks.attached("ana") as session:
        ring = ringing(desks)
        await next_event(session)
        ring.cancel()
        assert await next_event(session) == OfferWithdrawn(CLAIM, Withdrawal.CALLER_LEFT)


async def test_another_agent_can_neither_take_nor_decline_it() -> None:
    desks, leg = Desks(), FakeLeg()
    async with desks.attached("ana") as session:
        ring = ringing(desks)
        await next_event(session)
        assert not desks.may_take("ben", 3)
        assert not desks.decline("ben", 3)
        await desks.bring("ben", 3, leg)
        assert leg.hung_up is not None
        assert not ring.done()
        ring.cancel()


async def test_a_page_opened_while_it_rings_shows_the_call() -> None:
    desks = Desks()
    async with desks.attached("ana") as first:
        ring = ringing(desks)
        await next_event(first)
        async with desks.attached("ana") as second:
            assert isinstance(await next_event(second), CallOffered)
        ring.cancel()
