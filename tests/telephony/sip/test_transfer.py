"""Transfers that a trusted peer asks for, and two legs of ours joined to each other."""

from __future__ import annotations

import asyncio

import pytest
from sipmessage import Request

from tests.fakes.sip_server import Phone, SipBot, phone, sip_bot
from tests.telephony.sip.messages import SDP
from tests.telephony.sip.test_calls_in import establish, ok, over
from tests.telephony.sip.test_calls_out import dialer_of, office
from voicebot.telephony.leg import EndCause, HangUpReason, LegEnded
from voicebot.telephony.sip.message import respond, set_body, tag_of
from voicebot.telephony.sip.transfer import Referrals, join


def accept(callee: Phone, request: object, sdp: bytes = SDP) -> None:
    response = respond(request, 200, to_tag="callee", headers=[("Contact", f"<sip:x@127.0.0.1:{callee.port}>")])  # type: ignore[arg-type]
    set_body(response, sdp, "application/sdp")
    callee.send(bytes(response))


def referrals_of(bot: SipBot, *, per_hour: int = 9, at_once: int = 9) -> Referrals:
    """Return what carries out every peer's REFER to loopback, within limits."""
    referrals = Referrals(bot.endpoint, trusted=lambda _call: True)
    referrals.dial_with(dialer_of(bot, per_hour=per_hour, at_once=at_once, on_referral=referrals))
    return referrals


async def ask_for_transfer(caller: Phone, to_tag: str, target: str, *, call_id: str = "call-1", cseq: int = 2) -> None:
    """Send a REFER and take the 202 and the first news."""
    headers = (f"Refer-To: <{target}>",)
    branch = f"z9hG4bK{call_id}r{cseq}"
    caller.send(caller.raw("REFER", branch=branch, cseq=cseq, to_tag=to_tag, headers=headers, call_id=call_id))
    await caller.response(202)
    caller.send(ok(await caller.request("NOTIFY")))


@pytest.mark.parametrize("status", [200, 486])
async def test_a_transfer_that_a_trusted_peer_asks_for_is_carried_out_and_its_progress_told(status: int) -> None:
    async with sip_bot() as bot, phone(bot.port) as agent, phone(bot.port) as other:
        referrals = referrals_of(bot)
        to_tag = await establish(agent)
        call = await bot.call()
        call.leg._on_referral = referrals
        replaces = "%3Bto-tag%3Dy%3Bfrom-tag%3Dz"
        headers = (f"Refer-To: <sip:x@127.0.0.1:{other.port}?Replaces=abc{replaces}>", "Referred-By: <sip:agent@pbx>")
        agent.send(agent.raw("REFER", branch="z9hG4bKr", cseq=2, to_tag=to_tag, headers=headers))
        await agent.response(202)
        trying = await agent.request("NOTIFY")
        assert trying.body.startswith(b"SIP/2.0 100")
        agent.send(ok(trying))
        invite = await other.request("INVITE")
        assert invite.headers["Replaces"] == "abc;to-tag=y;from-tag=z"
        assert invite.headers["Referred-By"] == "<sip:agent@pbx>"
        if status != 200:
            other.send(bytes(respond(invite, status)))
            told = await agent.request("NOTIFY")
            assert told.body.startswith(b"SIP/2.0 486")
            agent.send(ok(told))
            assert call.cause is None
            return
        accept(other, invite)
        await other.request("ACK")
        done = {(await agent.receive()).headers["CSeq"].split()[1] for _ in range(2)}
        assert "NOTIFY" in done or "BYE" in done
        await asyncio.sleep(0.05)
        assert call.leg.call.dialog.id.call_id == invite.call_id
        assert call.cause is None


async def test_transfers_that_peers_ask_for_are_limited_at_once_and_an_hour() -> None:
    async with sip_bot() as bot, phone(bot.port) as agent, phone(bot.port) as other:
        referrals = referrals_of(bot, per_hour=2, at_once=1)
        target = f"sip:x@127.0.0.1:{other.port}"
        tags = {}
        for number in (1, 2, 3):
            tags[number] = await establish(agent, call_id=f"call-{number}")
            (await bot.call(number - 1)).leg._on_referral = referrals

        async def refused(number: int, cseq: int) -> None:
            await ask_for_transfer(agent, tags[number], target, call_id=f"call-{number}", cseq=cseq)
            told = await agent.request("NOTIFY")
            assert told.body.startswith(b"SIP/2.0 503")
            agent.send(ok(told))

        async def carried_out(number: int, cseq: int) -> Request:
            await ask_for_transfer(agent, tags[number], target, call_id=f"call-{number}", cseq=cseq)
            invite = await other.request("INVITE")
            accept(other, invite)
            await other.request("ACK")
            agent.send(ok(await agent.request("NOTIFY")))
            agent.send(ok(await agent.request("BYE")))
            return invite

        first = await carried_out(1, 2)
        await refused(2, 2)
        ours = tag_of(first.headers["From"])
        bye = other.raw("BYE", branch="z9hG4bKb", cseq=7, call_id=first.call_id, from_tag="callee", to_tag=ours)
        other.send(bye)
        await other.response(200)
        await carried_out(2, 3)
        await (await bot.call(1)).leg.hang_up(HangUpReason.COMPLETED)
        other.send(ok(await other.request("BYE")))
        await refused(3, 2)
        assert bot.refused == ["dial_limit"] * 2


async def test_whom_a_transfer_reached_too_late_is_hung_up() -> None:
    async with sip_bot() as bot, phone(bot.port) as agent, phone(bot.port) as other:
        to_tag = await establish(agent)
        call = await bot.call()
        call.leg._on_referral = referrals_of(bot)
        await ask_for_transfer(agent, to_tag, f"sip:x@127.0.0.1:{other.port}")
        invite = await other.request("INVITE")
        agent.send(agent.raw("BYE", branch="z9hG4bKb", cseq=3, to_tag=to_tag))
        await agent.response(200)
        accept(other, invite)
        other.send(ok(await other.request("BYE")))
        assert await over(bot) is EndCause.PEER_HUNG_UP


async def test_two_of_our_legs_are_joined_and_left() -> None:
    async with office() as there:
        legs = []
        for _ in range(2):
            dialling = there.dial()
            there.answer(await there.callee.request("INVITE"), 200, sdp=SDP)
            await there.callee.request("ACK")
            legs.append(await dialling)
        first, second = legs
        joining = asyncio.create_task(join(first, second))
        refer = await there.callee.request("REFER")
        dialog = second.call.dialog.id
        assert f"Replaces={dialog.call_id}%3Bto-tag%3D{dialog.remote_tag}" in refer.headers["Refer-To"]
        there.answer(refer, 202)
        headers = ("Event: refer", "Subscription-State: terminated", "Content-Type: message/sipfrag")
        ours = first.call.dialog.id
        there.callee.send(
            there.callee.raw(
                "NOTIFY",
                branch="z9hG4bKn",
                call_id=ours.call_id,
                from_tag="agent",
                to_tag=ours.local_tag,
                headers=headers,
                body=b"SIP/2.0 200 OK\r\n",
            )
        )
        assert (await joining).status == 200
        for leg in legs:
            assert [event.cause async for event in leg.events() if isinstance(event, LegEnded)] == [EndCause.REDIRECTED]
