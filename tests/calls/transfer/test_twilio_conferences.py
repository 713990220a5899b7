"""Callers of Twilio's and their agents in a conference there: only who accepted is in it, and nobody is left alone."""

from __future__ import annotations

import pytest

from tests.calls.transfer.twilio_stage import (
    COACH,
    TONE,
    handed_over,
    hurry,
    presses,
)
from tests.fakes.twilio import AGENT, until
from voicebot.routing.actions import Ending
from voicebot.routing.destinations import Conference
from voicebot.routing.queues import Failure
from voicebot.simulation.twilio_account import Trouble
from voicebot.simulation.twilio_exchange import Phone


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


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
    accept_s = 0.6 if phone == Phone() else 20.0
    async with handed_over(Conference(AGENT), phones={AGENT: phone}, accept_s=accept_s) as stay:
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
