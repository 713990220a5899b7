"""Transfers that a trusted peer asks for, and two legs of ours joined to each other."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.fakes.sip_server import Phone, phone, sip_bot
from tests.telephony.sip.messages import SDP
from tests.telephony.sip.test_calls_in import establish, ok
from tests.telephony.sip.test_calls_out import office
from voicebot.telephony.leg import EndCause
from voicebot.telephony.rtp.media import MediaPlan, RtpMedia
from voicebot.telephony.sip.dialer import Dialer, OutboundPolicy
from voicebot.telephony.sip.media import Media
from voicebot.telephony.sip.message import respond, set_body
from voicebot.telephony.sip.numbers import DialLimits, NumberPlan
from voicebot.telephony.sip.resolve import DnsLookup, Resolver
from voicebot.telephony.sip.transfer import Referrals, join


def accept(callee: Phone, request: object, sdp: bytes = SDP) -> None:
    response = respond(request, 200, to_tag="callee", headers=[("Contact", f"<sip:x@127.0.0.1:{callee.port}>")])  # type: ignore[arg-type]
    set_body(response, sdp, "application/sdp")
    callee.send(bytes(response))


@pytest.mark.parametrize("status", [200, 486])
async def test_a_transfer_that_a_trusted_peer_asks_for_is_carried_out_and_its_progress_told(status: int) -> None:
    async with sip_bot() as bot, phone(bot.port) as agent, phone(bot.port) as other:

        async def open_media(local_host: str, peer_host: str) -> Media:
            return await RtpMedia.open(MediaPlan(local_host, signalling_address=peer_host), bot.ports)

        referrals = Referrals(bot.endpoint, trusted=lambda _call: True)
        referrals.dial_with(
            Dialer(
                bot.endpoint,
                OutboundPolicy(None, frozenset({"127.0.0.1"}), "bot", None),
                numbers=NumberPlan((), region="US"),
                limits=DialLimits(per_hour=9, at_once=9, clock=time.monotonic),
                reach=Resolver(DnsLookup()),
                open_media=open_media,
                on_refused=bot.refused.append,
                on_referral=referrals,
                clock=time.monotonic,
            )
        )
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
            assert [event.cause async for event in leg.events() if hasattr(event, "cause")] == [EndCause.REDIRECTED]
