"""Calls that we place by Twilio: answered, failed, or given up, and never ringing on."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.twilio import AGENT, OUR_NUMBER, twilio_served, until
from tests.fakes.web_server import sign
from voicebot.simulation.carrier import Numbers
from voicebot.simulation.line import CarrierLine
from voicebot.simulation.twilio_account import Trouble
from voicebot.simulation.twilio_exchange import Phone, PlayedCall
from voicebot.telephony.dialing import DialFailed, DialFailure
from voicebot.telephony.leg import Direction, EndCause, FrameReceived, HangUpReason, KeyPressed, LegEnded
from voicebot.telephony.twilio import outgoing, rest
from voicebot.telephony.twilio.outgoing import OutgoingLeg

RING_S = 2.0


@pytest.fixture(autouse=True)
def again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "RETRY_AFTER_S", (0.0, 0.0))
    monkeypatch.setattr(outgoing, "OPENING_S", 0.3)


async def keeps_quiet(line: CarrierLine) -> None:
    await line.ended.wait()


async def ended(leg: OutgoingLeg) -> EndCause:
    async with asyncio.timeout(20):
        async for event in leg.events():
            if isinstance(event, LegEnded):
                return event.cause
    raise AssertionError("the leg has no end")


async def test_a_number_that_answers_is_a_leg_that_hears_and_is_heard() -> None:
    tone = b"\x10\x90" * 80

    async def person(line: CarrierLine) -> None:
        line.speak(tone * 20)
        line.press("1")
        await line.ended.wait()

    async with twilio_served(phones={AGENT: Phone(person=person)}) as twilio:
        leg = await twilio.dialer.dial(AGENT, timeout_s=RING_S)
        call = twilio.call_to(AGENT)
        assert (leg.info.direction, leg.info.caller, leg.info.called) == (Direction.OUTBOUND, OUR_NUMBER, AGENT)
        assert leg.info.carrier_call_id == call.sid
        heard, keys = bytearray(), ""
        for _ in range(20):
            leg.send(tone)
        async for event in leg.events():
            match event:
                case FrameReceived(payload):
                    heard += payload
                case KeyPressed(key):
                    keys += key
                case _:
                    pass
            if tone in heard and keys and tone in bytes(call.heard):
                break
        assert keys == "1"
        await leg.hang_up(HangUpReason.COMPLETED)
        await leg.run()
        await until(lambda: call.is_over)
        assert twilio.limits._open == 0


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        ("busy", DialFailure.BUSY),
        ("no-answer", DialFailure.NO_ANSWER),
        ("failed", DialFailure.UNREACHABLE),
        ("canceled", DialFailure.NO_ANSWER),
        ("completed", DialFailure.DECLINED),
    ],
)
async def test_a_call_that_is_not_answered_fails_for_a_reason(outcome: str, reason: DialFailure) -> None:
    async with twilio_served(phones={AGENT: Phone(outcome)}) as twilio:
        with pytest.raises(DialFailed) as failed:
            await twilio.dialer.dial(AGENT, timeout_s=RING_S)
        assert failed.value.reason is reason
        assert twilio.limits._open == 0
        assert twilio.account.asked("UpdateCall") == []


async def test_nobody_is_rung_longer_than_asked() -> None:
    async with twilio_served(phones={AGENT: Phone("rings")}) as twilio:
        with pytest.raises(DialFailed) as failed:
            await twilio.dialer.dial(AGENT, timeout_s=0.2)
        assert failed.value.reason is DialFailure.NO_ANSWER
        await until(lambda: twilio.call_to(AGENT).is_over)
        assert twilio.account.asked("CreateCall")[0].form["Timeout"] == "5"


async def test_a_call_that_is_given_up_while_it_rings_rings_no_more() -> None:
    async with twilio_served(phones={AGENT: Phone("rings")}) as twilio:
        dialling = asyncio.create_task(twilio.dialer.dial(AGENT, timeout_s=RING_S))
        await until(lambda: twilio.account.exchange.calls and twilio.call_to(AGENT).status == "ringing")
        dialling.cancel()
        await asyncio.gather(dialling, return_exceptions=True)
        await until(lambda: twilio.call_to(AGENT).is_over)
        (asked,) = twilio.account.asked("UpdateCall")
        assert asked.form["Status"] == "completed"
        assert twilio.limits._open == 0


async def test_a_call_that_is_given_up_while_it_is_being_placed_is_ended_once_its_name_is_known() -> None:
    async with twilio_served(phones={AGENT: Phone("rings")}) as twilio:
        twilio.account.troubles["CreateCall"] = [Trouble(late_s=0.3)]
        dialling = asyncio.create_task(twilio.dialer.dial(AGENT, timeout_s=RING_S))
        await until(lambda: twilio.account.asked("CreateCall"))
        dialling.cancel()
        await asyncio.gather(dialling, return_exceptions=True)
        await until(lambda: twilio.account.exchange.calls and twilio.call_to(AGENT).is_over)


async def test_a_call_whose_placing_seemed_to_fail_is_ended_when_it_is_heard_of() -> None:
    async with twilio_served(phones={AGENT: Phone("rings")}) as twilio:
        twilio.account.troubles["CreateCall"] = [Trouble(status=500, done=True)]
        with pytest.raises(DialFailed) as failed:
            await twilio.dialer.dial(AGENT, timeout_s=RING_S)
        assert failed.value.reason is DialFailure.UNREACHABLE
        await until(lambda: twilio.call_to(AGENT).is_over)


async def test_an_agent_who_answers_a_call_that_was_given_up_is_not_put_through_to_anybody() -> None:
    async with twilio_served(phones={AGENT: Phone(person=keeps_quiet)}) as twilio:
        twilio.account.troubles["CreateCall"] = [Trouble(status=500, done=True)]
        twilio.account.troubles["UpdateCall"] = [Trouble(status=503)] * 9
        with pytest.raises(DialFailed):
            await twilio.dialer.dial(AGENT, timeout_s=RING_S)
        await until(lambda: twilio.call_to(AGENT).is_over)
        assert twilio.limits._open == 0


@pytest.mark.parametrize(
    ("code", "reason"),
    [(21211, DialFailure.NOT_FOUND), (21215, DialFailure.NOT_ALLOWED), (21210, DialFailure.UNREACHABLE)],
)
async def test_what_twilio_says_of_a_number_is_understood(code: int, reason: DialFailure) -> None:
    async with twilio_served(phones={AGENT: Phone()}) as twilio:
        twilio.account.troubles["CreateCall"] = [Trouble(status=400, code=code)]
        with pytest.raises(DialFailed) as failed:
            await twilio.dialer.dial(AGENT, timeout_s=RING_S)
        assert (failed.value.reason, failed.value.status) == (reason, 400)


async def test_a_number_that_may_not_be_called_is_not_called() -> None:
    async with twilio_served() as twilio:
        for number, reason in (("+4912345678", DialFailure.NOT_ALLOWED), ("nonsense", DialFailure.NOT_FOUND)):
            with pytest.raises(DialFailed) as failed:
                await twilio.dialer.dial(number, timeout_s=RING_S)
            assert failed.value.reason is reason
        assert twilio.account.requests == []
        assert twilio.refused == ["dial_number"]


async def test_no_more_calls_are_placed_at_once_than_every_carrier_together_may() -> None:
    async with twilio_served(phones={AGENT: Phone(person=keeps_quiet)}, at_once=1) as twilio:
        leg = await twilio.dialer.dial(AGENT, timeout_s=RING_S)
        with pytest.raises(DialFailed):
            await twilio.dialer.dial(AGENT, timeout_s=RING_S)
        assert twilio.refused == ["dial_limit"]
        await leg.hang_up(HangUpReason.COMPLETED)
        await leg.run()
        await until(lambda: twilio.limits._open == 0)
        again = await twilio.dialer.dial(AGENT, timeout_s=RING_S)
        await again.hang_up(HangUpReason.COMPLETED)


@pytest.mark.parametrize("machine", ["machine_start", "fax"])
async def test_a_machine_that_answers_is_hung_up_on(machine: str) -> None:
    phone = Phone(machine=machine, detected_after_s=0.1, person=keeps_quiet)
    async with twilio_served(phones={AGENT: phone}) as twilio:
        leg = await twilio.dialer.dial(AGENT, timeout_s=RING_S)
        assert await ended(leg) is EndCause.VOICEMAIL
        await until(lambda: twilio.call_to(AGENT).is_over)


async def test_somebody_who_has_accepted_is_no_machine_whatever_twilio_thinks() -> None:
    phone = Phone(machine="machine_start", detected_after_s=0.1, person=keeps_quiet)
    async with twilio_served(phones={AGENT: phone}) as twilio:
        leg = await twilio.dialer.dial(AGENT, timeout_s=RING_S)
        leg.confirm()
        await asyncio.sleep(0.3)
        assert leg.is_open
        await leg.hang_up(HangUpReason.COMPLETED)


@pytest.mark.parametrize("answered_by", ["human", "unknown"])
async def test_a_person_and_a_doubt_stay_on_the_line(answered_by: str) -> None:
    phone = Phone(machine=answered_by, detected_after_s=0.05, person=keeps_quiet)
    async with twilio_served(phones={AGENT: phone}) as twilio:
        leg = await twilio.dialer.dial(AGENT, timeout_s=RING_S)
        await asyncio.sleep(0.2)
        assert leg.is_open
        await leg.hang_up(HangUpReason.COMPLETED)


async def test_nobody_but_twilio_can_say_how_a_call_is() -> None:
    async with twilio_served(phones={AGENT: Phone("rings")}) as twilio:
        dialling = asyncio.create_task(twilio.dialer.dial(AGENT, timeout_s=RING_S))
        await until(lambda: twilio.account.exchange.calls and twilio.call_to(AGENT).status == "ringing")
        url = twilio.account.asked("CreateCall")[0].form["StatusCallback"]
        form = {"CallSid": twilio.call_to(AGENT).sid, "CallStatus": "busy"}
        async with twilio.server.http.post(url, data=form) as answer:
            assert answer.status == 403
        forged = {"X-Twilio-Signature": sign(url + "1", list(form.items()))}
        async with twilio.server.http.post(url, data=form, headers=forged) as answer:
            assert answer.status == 403
        await asyncio.sleep(0.05)
        assert not dialling.done()
        dialling.cancel()
        await asyncio.gather(dialling, return_exceptions=True)


async def test_the_stream_of_a_call_cannot_be_opened_with_another_calls_ticket() -> None:
    async with twilio_served(phones={AGENT: Phone(person=keeps_quiet)}) as twilio:
        leg = await twilio.dialer.dial(AGENT, timeout_s=RING_S)
        used = twilio.account.asked("CreateCall")[0].form["Twiml"]
        thief = PlayedCall(twilio.account.exchange, Numbers(), "inbound", Phone())
        thief.run(used)
        await until(lambda: thief.is_over)
        assert "ticket_used" in twilio.server.kinds()
        assert leg.is_open
        await leg.hang_up(HangUpReason.COMPLETED)
