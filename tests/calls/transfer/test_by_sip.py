"""Callers over SIP sent to agents of their own switch: by REFER alone, and introduced first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from sipmessage import Request

from tests.calls.test_notes import late_order, packet
from tests.fakes.leg import FakeLeg
from tests.telephony.sip.messages import SDP
from tests.telephony.sip.test_calls_out import Office, office
from voicebot.app.handover import context_reference
from voicebot.calls.transfer.by_sip import BySip
from voicebot.calls.transfer.elsewhere import Sending, Sent
from voicebot.calls.transfer.seams import RingFailed
from voicebot.media.tapped import TappedLeg, Unrecorded
from voicebot.routing.destinations import Dial, Refer
from voicebot.routing.queues import Failure
from voicebot.telephony.leg import CallLeg, EndCause, LegEnded
from voicebot.telephony.sip.leg import SipLeg

PACKET = packet(late_order())
SUPPORT = Refer("sip:support@pbx.example")


class AskedParty:
    """An agent who decides as the test says, once they were told who calls."""

    def __init__(self, leg: CallLeg, decision: Failure | None) -> None:
        self.leg = leg
        self._decision = decision

    async def ask(self, introduction: str, question: str, *, accept_s: float) -> Failure | None:
        assert (introduction, question, accept_s) == ("A caller.", "Will you?", 5.0)
        return self._decision

    async def tell(self, text: str, *, limit_s: float) -> None:
        """Nobody is told anything here."""

    async def entertain(self, text: str, music: Callable[[], bytes]) -> None:
        del text, music
        await asyncio.Event().wait()

    async def gone(self, pressed: Callable[[str], None] = lambda _key: None) -> None:
        """Nobody waits for that here."""


class Caller:
    """A caller on a SIP line of ours, on the way elsewhere."""

    def __init__(self, there: Office, leg: SipLeg, decision: Failure | None = None) -> None:
        self.there = there
        self.leg = leg
        self.happened: list[str] = []
        self.way = BySip(
            find_dialer=lambda: there.dialer,
            make_party=lambda agent: AskedParty(agent, decision),
            question="Will you?",
            reference=context_reference,
        )

    async def _let_go(self) -> None:
        self.happened.append("let go")

    def send(self, destination: Refer) -> asyncio.Task[Sent]:
        sending = Sending(
            leg=TappedLeg(self.leg, Unrecorded(), time.monotonic),
            destination=destination,
            packet=PACKET,
            introduction="A caller.",
            ring_s=5.0,
            accept_s=5.0,
            max_wait_s=5.0,
            let_go=self._let_go,
            answered=lambda: self.happened.append("answered"),
        )
        return asyncio.create_task(self.way.send(sending))

    async def referred(self) -> Request:
        """Accept the REFER that comes, and return it."""
        refer = await self.there.callee.request("REFER")
        self.there.answer(refer, 202)
        return refer

    def tells(self, status: str) -> None:
        """Tell how the call that was asked for went."""
        ours = self.leg.call.dialog.id
        headers = ("Event: refer", "Subscription-State: terminated", "Content-Type: message/sipfrag")
        notify = self.there.callee.raw(
            "NOTIFY",
            branch="z9hG4bKn",
            call_id=ours.call_id,
            from_tag="agent",
            to_tag=ours.local_tag,
            headers=headers,
            body=f"SIP/2.0 {status}\r\n".encode(),
        )
        self.there.callee.send(notify)


async def on_the_line(there: Office) -> SipLeg:
    dialling = there.dial()
    there.answer(await there.callee.request("INVITE"), 200, sdp=SDP)
    await there.callee.request("ACK")
    return await dialling


async def ending_of(leg: SipLeg) -> EndCause:
    async with asyncio.timeout(20):
        (cause,) = [event.cause async for event in leg.events() if isinstance(event, LegEnded)]
        return cause


async def test_the_callers_switch_calls_the_agent_with_word_of_the_packet_and_the_call_goes_on_there() -> None:
    async with office() as there:
        caller = Caller(there, await on_the_line(there))
        sending = caller.send(SUPPORT)
        refer = await caller.referred()
        named = f"voicebot-context:{PACKET.id}".encode().hex()
        assert refer.headers["Refer-To"].startswith(f"<sip:support@pbx.example?User-to-User={named}%3Bencoding%3Dhex")
        assert caller.happened == [], "the caller hears music until somebody has them"
        caller.tells("200 OK")
        assert await sending is Sent.GONE
        assert caller.happened == ["answered", "let go"]
        assert await ending_of(caller.leg) is EndCause.REDIRECTED


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        ("486 Busy Here", Failure.BUSY),
        ("480 Temporarily Unavailable", Failure.NO_ANSWER),
        ("603 Decline", Failure.DECLINED),
        ("404 Not Found", Failure.UNREACHABLE),
    ],
)
async def test_an_agent_who_is_not_reached_leaves_the_caller_with_us(status: str, failure: Failure) -> None:
    async with office() as there:
        caller = Caller(there, await on_the_line(there))
        sending = caller.send(SUPPORT)
        await caller.referred()
        caller.tells(status)
        with pytest.raises(RingFailed) as raised:
            await sending
        assert raised.value.failure is failure
        assert caller.happened == []
        assert not caller.leg.is_over


async def test_a_switch_that_refuses_to_transfer_leaves_the_caller_with_us() -> None:
    async with office() as there:
        caller = Caller(there, await on_the_line(there))
        sending = caller.send(SUPPORT)
        there.answer(await there.callee.request("REFER"), 603)
        with pytest.raises(RingFailed) as raised:
            await sending
        assert raised.value.failure is Failure.UNREACHABLE
        assert not caller.leg.is_over


async def introduced(there: Office, caller: Caller) -> tuple[asyncio.Task[Sent], Request]:
    """Have the agent answer; return what was sent, and the INVITE that they got."""
    sending = caller.send(Refer(there.target, introduced=True))
    invite = await there.callee.request("INVITE")
    there.answer(invite, 200, sdp=SDP)
    await there.callee.request("ACK")
    return sending, invite


async def test_an_agent_who_was_introduced_and_accepts_gets_the_caller_in_our_place() -> None:
    async with office() as there:
        caller = Caller(there, await on_the_line(there))
        sending, invite = await introduced(there, caller)
        assert invite.headers["X-Voicebot-Context"] == PACKET.id
        refer = await caller.referred()
        assert f"Replaces={invite.call_id}%3B" in refer.headers["Refer-To"]
        caller.tells("200 OK")
        assert await sending is Sent.GONE
        assert await ending_of(caller.leg) is EndCause.REDIRECTED


async def test_an_agent_who_was_introduced_and_declines_is_hung_up_and_the_caller_stays() -> None:
    async with office() as there:
        caller = Caller(there, await on_the_line(there), Failure.DECLINED)
        sending, _ = await introduced(there, caller)
        there.answer(await there.callee.request("BYE"), 200)
        with pytest.raises(RingFailed) as raised:
            await sending
        assert raised.value.failure is Failure.DECLINED
        assert not caller.leg.is_over
        assert caller.happened == []


async def test_only_callers_over_sip_are_sent_this_way_and_only_by_refer() -> None:
    async with office() as there:
        leg = await on_the_line(there)
        way = Caller(there, leg).way
        assert way.takes(leg, SUPPORT)
        assert not way.takes(leg, Dial("+15550123"))
        assert not way.takes(FakeLeg(), SUPPORT)
