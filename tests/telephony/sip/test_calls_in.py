"""Calls that come in, over real sockets, from a phone that the test plays itself."""

from __future__ import annotations

import asyncio

import pytest
from sipmessage import Request, Response

from tests.fakes.sip_server import Phone, SipBot, phone, sip_bot, tag
from tests.telephony.sip.messages import SDP
from voicebot.telephony.leg import EndCause, HangUpReason
from voicebot.telephony.sip.message import respond


async def establish(caller: Phone, *, headers: tuple[str, ...] = (), body: bytes = SDP, call_id: str = "call-1") -> str:
    """Place a call and return the bot's tag."""
    caller.send(caller.raw(body=body, headers=headers, call_id=call_id, branch=f"z9hG4bK{call_id}"))
    answered = await caller.response(200)
    caller.send(caller.raw("ACK", branch="z9hG4bKack", to_tag=tag(answered), call_id=call_id))
    return tag(answered)


async def over(bot: SipBot, number: int = 0) -> EndCause | None:
    call = await bot.call(number)
    async with asyncio.timeout(20):
        await call.over.wait()
    await bot.lets_go()
    return call.cause


async def test_a_call_is_answered_and_ends_with_the_callers_bye() -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        to_tag = await establish(caller)
        caller.send(caller.raw("BYE", branch="z9hG4bKbye", cseq=2, to_tag=to_tag, headers=("Reason: Q.850;cause=16",)))
        await caller.response(200)
        assert await over(bot) is EndCause.PEER_HUNG_UP
        assert bot.calls[0].leg.info.caller == "+15550100199"
        assert bot.calls[0].leg.info.called == "bot"
        assert bot.calls[0].leg.info.carrier_call_id == "call-1"


async def test_behind_nat_peers_are_told_the_public_address() -> None:
    async with sip_bot(public_address="203.0.113.7") as bot, phone(bot.port) as caller:
        caller.send(caller.raw(body=SDP))
        answered = await caller.response(200)
        assert f"203.0.113.7:{bot.port}" in answered.headers["Contact"]
        assert b"c=IN IP4 203.0.113.7" in answered.body
        assert b"127.0.0.1" not in answered.body


@pytest.mark.parametrize("port", [65536, 99999])
async def test_a_port_that_cannot_be_costs_its_own_call_and_no_other(port: int) -> None:
    """asyncio closes a socket for good when it is to send to such a port: one datagram would silence the server."""
    async with sip_bot() as bot, phone(bot.port) as caller:
        nowhere = caller.raw("OPTIONS", via=f"SIP/2.0/UDP 127.0.0.1:{port}", branch="z9hG4bKa", call_id="a")
        caller.send(nowhere.replace(b";rport", b""))
        for number, transport in enumerate(("", ";transport=tcp")):
            contact = f"<sip:caller@127.0.0.1:{port}{transport}>"
            caller.send(caller.raw(body=SDP, contact=contact, branch=f"z9hG4bKb{number}", call_id=f"b{number}"))
            answered = await caller.response(200)
            ack = caller.raw("ACK", branch=f"z9hG4bKc{number}", to_tag=tag(answered), call_id=f"b{number}")
            caller.send(ack)
            await (await bot.call(number)).leg.hang_up(HangUpReason.COMPLETED)
        await establish(caller, call_id="good")
        assert "impossible_port" in bot.violations


async def test_a_duplicate_invite_is_answered_and_makes_no_second_call() -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        for _ in range(3):
            caller.send(caller.raw(body=SDP))
        answered = await caller.response(200)
        caller.send(caller.raw(body=SDP))
        again = await caller.response(200)  # without an ACK the 200 comes again
        assert tag(again) == tag(answered)
        caller.send(caller.raw("ACK", branch="z9hG4bKack", to_tag=tag(answered)))
        assert len(bot.calls) == 1
        await asyncio.sleep(0.1)
        await caller.silence(0)
        assert await caller.silence(1.2) == [], "after the ACK it comes no more"
        caller.send(caller.raw("BYE", branch="z9hG4bKbye", cseq=2, to_tag=tag(answered)))
        await caller.response(200)
        await over(bot)


async def test_the_same_invite_by_another_way_is_a_loop() -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        caller.send(caller.raw(body=SDP))
        caller.send(caller.raw(body=SDP, branch="z9hG4bKother-way"))
        codes = {message.code for message in await caller.silence(0.3) if isinstance(message, Response)}
        assert 482 in codes
        assert len(bot.calls) == 1


async def test_we_hang_up_with_a_bye_that_says_why() -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        to_tag = await establish(caller)
        call = await bot.call()
        await call.leg.hang_up(HangUpReason.COMPLETED)
        bye = await caller.request("BYE")
        assert bye.headers["Reason"] == "Q.850;cause=16"
        assert bye.headers["From"].endswith(to_tag)
        caller.send(ok(bye))
        assert await over(bot) is EndCause.WE_HUNG_UP


async def test_a_bye_waits_for_the_ack_that_must_come_first() -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        caller.send(caller.raw(body=SDP))
        answered = await caller.response(200)
        await (await bot.call()).leg.hang_up(HangUpReason.COMPLETED)
        assert all(isinstance(message, Response) for message in await caller.silence(0.3))
        caller.send(caller.raw("ACK", branch="z9hG4bKack", to_tag=tag(answered)))
        caller.send(ok(await caller.request("BYE")))
        await over(bot)


async def test_an_invite_without_an_offer_gets_one_and_the_answer_comes_in_the_ack() -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        caller.send(caller.raw())
        answered = await caller.response(200)
        assert b"m=audio" in answered.body
        caller.send(caller.raw("ACK", branch="z9hG4bKack", to_tag=tag(answered), body=SDP))
        caller.send(caller.raw("BYE", branch="z9hG4bKbye", cseq=2, to_tag=tag(answered)))
        await caller.response(200)
        assert await over(bot) is EndCause.PEER_HUNG_UP


async def test_an_ack_without_the_answer_it_owes_ends_the_call() -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        caller.send(caller.raw())
        answered = await caller.response(200)
        caller.send(caller.raw("ACK", branch="z9hG4bKack", to_tag=tag(answered)))
        caller.send(ok(await caller.request("BYE")))
        assert await over(bot) is EndCause.PROTOCOL_ERROR


async def test_a_cancel_before_the_answer_ends_the_call_with_487() -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:

        async def never(_leg: object) -> None:
            await asyncio.sleep(0)

        bot.on_call = never
        caller.send(caller.raw(body=SDP))
        await caller.response(180)
        caller.send(caller.raw("CANCEL"))
        codes = {(await caller.response(code)).code for code in (200, 487)}
        assert codes == {200, 487}
        caller.send(caller.raw("ACK"))
        assert await over(bot) is EndCause.PEER_HUNG_UP


async def test_a_cancel_after_the_answer_changes_nothing() -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        to_tag = await establish(caller)
        caller.send(caller.raw("CANCEL", branch="z9hG4bKcall-1"))
        await caller.response(200)
        caller.send(caller.raw("INFO", branch="z9hG4bKinfo", cseq=2, to_tag=to_tag))
        await caller.response(200)
        assert bot.calls[0].cause is None


async def test_a_cancel_for_nothing_is_told_so() -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        caller.send(caller.raw("CANCEL"))
        await caller.response(481)


async def test_strangers_are_forbidden_counted_and_cost_no_memory() -> None:
    async with sip_bot(trunks=("192.0.2.0/24",)) as bot, phone(bot.port) as caller:
        for number in range(20):
            caller.send(caller.raw(body=SDP, branch=f"z9hG4bK{number}", call_id=f"call-{number}"))
            await caller.response(403)
        assert bot.refused == ["stranger"] * 20
        assert len(bot.endpoint.transactions) == 0
        assert bot.calls == []


async def test_a_full_house_says_when_to_come_again() -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        bot.open = False
        caller.send(caller.raw(body=SDP))
        assert int((await caller.response(503)).headers["Retry-After"]) > 0
        caller.send(caller.raw("OPTIONS", branch="z9hG4bKopt"))
        assert int((await caller.response(503)).headers["Retry-After"]) > 0


async def test_options_from_any_address_say_what_we_can_do() -> None:
    async with sip_bot(trunks=("192.0.2.0/24",)) as bot, phone(bot.port) as caller:
        caller.send(caller.raw("OPTIONS"))
        told = await caller.response(200)
        assert "INVITE" in told.headers["Allow"]
        assert "timer" in told.headers["Supported"]
        assert "application/sdp" in told.headers["Accept"]


async def test_nonsense_bars_nobody_from_its_address() -> None:
    """A UDP source is easily forged: who is banned by it is the trunk."""
    async with sip_bot(trunks=("192.0.2.0/24",)) as bot, phone(bot.port) as caller:
        for number in range(300):
            caller.send(b"INVITE nonsense %d\r\n\r\n" % number)
        await caller.silence(0.2)
        assert len(bot.violations) > 200
        caller.send(caller.raw("OPTIONS"))
        await caller.response(200)


async def test_an_answer_goes_where_the_request_came_from_and_says_so() -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        caller.send(caller.raw("OPTIONS", via="SIP/2.0/UDP 192.0.2.55:5099"))
        told = await caller.response(200)
        assert f";rport={caller.port}" in told.headers["Via"]
        assert ";received=127.0.0.1" in told.headers["Via"]


async def test_no_free_port_refuses_the_call_and_the_next_is_taken_when_one_is_back() -> None:
    async with sip_bot(rtp_ports=(30000, 30001)) as bot, phone(bot.port) as caller:
        to_tag = await establish(caller)
        caller.send(caller.raw(body=SDP, branch="z9hG4bKtwo", call_id="call-2"))
        await caller.response(503)
        assert bot.refused == ["no_ports"]
        caller.send(caller.raw("ACK", branch="z9hG4bKtwo", call_id="call-2"))
        caller.send(caller.raw("BYE", branch="z9hG4bKbye", cseq=2, to_tag=to_tag))
        await caller.response(200)
        await over(bot)
        caller.send(caller.raw(body=SDP, branch="z9hG4bKthree", call_id="call-3"))
        await caller.response(200)


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        (("Require: teleportation",), SDP, 420),
        (("Content-Type: application/unknown",), b"what?", 415),
        (("Accept: text/nobodyKnowsThis",), SDP, 406),
        (("Session-Expires: 30", "Supported: timer"), SDP, 422),
        ((), SDP.replace(b"RTP/AVP 0 101", b"RTP/AVP 96").replace(b"101 telephone-event", b"96 opus"), 488),
    ],
)
async def test_what_cannot_be_accepted_is_refused_with_the_code_that_says_why(
    headers: tuple[str, ...], body: bytes, code: int
) -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        caller.send(caller.raw(body=body, headers=headers))
        refused = await caller.response(code)
        assert refused.code == code
        caller.send(caller.raw("ACK"))
        await asyncio.sleep(0.05)
        assert bot.calls == []
        await bot.lets_go()


@pytest.mark.parametrize("method", ["BYE", "INFO", "NOTIFY", "PRACK", "UPDATE", "OPTIONS"])
async def test_requests_for_a_dialog_that_is_not_there_are_told_so(method: str) -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        caller.send(caller.raw(method, to_tag="nowhere"))
        await caller.response(481)


def ok(request: Request) -> bytes:
    return bytes(respond(request, 200))
