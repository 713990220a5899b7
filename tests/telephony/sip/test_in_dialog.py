"""What may happen within a call that came in: changes of the session, keys, timers, reliable responses, transfers."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.fakes.sip_server import Phone, phone, sip_bot, tag
from tests.telephony.sip.messages import SDP
from tests.telephony.sip.test_calls_in import establish, ok, over
from voicebot.telephony.leg import EndCause
from voicebot.telephony.sip.exchange import RequestRefused
from voicebot.telephony.sip.leg import SipLeg
from voicebot.telephony.sip.message import respond, set_body
from voicebot.telephony.sip.session_timer import SessionTimer

SENDONLY = SDP + b"a=sendonly\r\n"


async def hang_up(caller: Phone, to_tag: str, cseq: int = 9) -> None:
    caller.send(caller.raw("BYE", branch="z9hG4bKbye", cseq=cseq, to_tag=to_tag))
    await caller.response(200)


@pytest.mark.parametrize(
    "hold", [SENDONLY, SDP + b"a=inactive\r\n", SDP.replace(b"c=IN IP4 127.0.0.1", b"c=IN IP4 0.0.0.0")]
)
async def test_a_caller_puts_us_on_hold_and_takes_us_back(hold: bytes) -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        to_tag = await establish(caller)
        for cseq, body in ((2, hold), (3, SDP)):
            caller.send(caller.raw(branch=f"z9hG4bKre{cseq}", cseq=cseq, to_tag=to_tag, body=body))
            answered = await caller.response(200)
            assert b"m=audio" in answered.body
            caller.send(caller.raw("ACK", branch=f"z9hG4bKack{cseq}", cseq=cseq, to_tag=to_tag))
        await hang_up(caller, to_tag)
        await over(bot)
        assert bot.calls[0].holds == [True, False]


async def test_an_update_changes_the_session_without_an_ack() -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        to_tag = await establish(caller)
        caller.send(caller.raw("UPDATE", branch="z9hG4bKup", cseq=2, to_tag=to_tag, body=SENDONLY))
        assert b"recvonly" in (await caller.response(200)).body
        caller.send(caller.raw("UPDATE", branch="z9hG4bKup2", cseq=3, to_tag=to_tag))
        assert (await caller.response(200)).body == b""
        await hang_up(caller, to_tag)
        await over(bot)
        assert bot.calls[0].holds == [True]


async def test_a_change_that_cannot_be_accepted_leaves_the_call_as_it_was() -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        to_tag = await establish(caller)
        bad = SDP.replace(b"RTP/AVP 0 101", b"RTP/AVP 96").replace(b"101 telephone-event", b"96 opus")
        caller.send(caller.raw(branch="z9hG4bKre", cseq=2, to_tag=to_tag, body=bad))
        await caller.response(488)
        caller.send(caller.raw("ACK", branch="z9hG4bKre", cseq=2, to_tag=to_tag))
        assert bot.calls[0].cause is None
        await hang_up(caller, to_tag)
        await over(bot)


async def test_a_request_out_of_order_is_refused() -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        to_tag = await establish(caller)
        caller.send(caller.raw("INFO", branch="z9hG4bKa", cseq=5, to_tag=to_tag))
        await caller.response(200)
        caller.send(caller.raw("INFO", branch="z9hG4bKb", cseq=4, to_tag=to_tag))
        await caller.response(500)
        await hang_up(caller, to_tag)
        await over(bot)


async def test_a_change_from_both_sides_at_once_meets_491_and_is_tried_again() -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        to_tag = await establish(caller)
        holding = asyncio.create_task((await bot.call()).leg.hold(held=True))
        ours = await caller.request("INVITE")
        assert b"sendonly" in ours.body
        caller.send(caller.raw(branch="z9hG4bKre", cseq=2, to_tag=to_tag, body=SENDONLY))
        await caller.response(491)
        caller.send(caller.raw("ACK", branch="z9hG4bKre", cseq=2, to_tag=to_tag))
        caller.send(bytes(respond(ours, 491)))
        again = await caller.request("INVITE", within_s=4)
        answer = respond(again, 200, headers=[("Contact", f"<sip:caller@{caller.host}:{caller.port}>")])
        set_body(answer, SDP + b"a=recvonly\r\n", "application/sdp")
        caller.send(bytes(answer))
        await caller.request("ACK")
        await holding
        await hang_up(caller, to_tag)
        await over(bot)


async def test_a_hold_that_is_refused_is_forgotten() -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        to_tag = await establish(caller)
        holding = asyncio.create_task((await bot.call()).leg.hold(held=True))
        ours = await caller.request("INVITE")
        assert b"a=sendonly" in ours.body
        caller.send(bytes(respond(ours, 488)))
        with pytest.raises(RequestRefused):
            await holding
        # Whatever changes the session later has us take part, as before.
        caller.send(caller.raw(branch="z9hG4bKre", cseq=2, to_tag=to_tag, body=SDP))
        answered = await caller.response(200)
        assert b"a=sendonly" not in answered.body
        assert b"m=audio" in answered.body
        caller.send(caller.raw("ACK", branch="z9hG4bKre2", cseq=2, to_tag=to_tag))
        await hang_up(caller, to_tag)
        await over(bot)


@pytest.mark.parametrize(
    ("kind", "body", "key"),
    [
        ("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n", "5"),
        ("application/dtmf-relay", b"Signal= *\r\nDuration= 90\r\n", "*"),
        ("application/dtmf-relay", b"Signal=11\r\n", "#"),
        ("application/dtmf", b"7", "7"),
    ],
)
async def test_keys_come_in_info_requests(kind: str, body: bytes, key: str) -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        to_tag = await establish(caller)
        headers = (f"Content-Type: {kind}",)
        caller.send(caller.raw("INFO", branch="z9hG4bKi", cseq=2, to_tag=to_tag, headers=headers, body=body))
        await caller.response(200)
        await hang_up(caller, to_tag)
        await over(bot)
        assert bot.calls[0].keys == key


@pytest.mark.parametrize(("kind", "code"), [("application/dtmf-relay", 400), ("text/plain", 415)])
async def test_an_info_that_is_no_key_is_refused(kind: str, code: int) -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        to_tag = await establish(caller)
        headers = (f"Content-Type: {kind}",)
        caller.send(caller.raw("INFO", branch="z9hG4bKi", cseq=2, to_tag=to_tag, headers=headers, body=b"Signal=!"))
        await caller.response(code)


async def test_a_caller_who_demands_reliable_responses_gets_them_again_until_its_prack() -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        caller.send(caller.raw(body=SDP, headers=("Require: 100rel",)))
        first = await caller.response(180)
        again = await caller.response(180)
        assert first.headers["RSeq"] == again.headers["RSeq"]
        wrong, right = f"RAck: {int(first.headers['RSeq']) + 7} 1 INVITE", f"RAck: {first.headers['RSeq']} 1 INVITE"
        caller.send(caller.raw("PRACK", branch="z9hG4bKp", cseq=2, to_tag=tag(first), headers=(wrong,)))
        await caller.response(481)
        caller.send(caller.raw("PRACK", branch="z9hG4bKq", cseq=3, to_tag=tag(first), headers=(right,)))
        codes = [(await caller.receive()).code, (await caller.receive()).code]  # type: ignore[union-attr]  # responses
        assert codes == [200, 200]
        caller.send(caller.raw("ACK", branch="z9hG4bKack", to_tag=tag(first)))
        await hang_up(caller, tag(first))
        await over(bot)


async def test_early_media_comes_with_183() -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:

        async def announce(leg: SipLeg) -> None:
            await leg.progress()
            await asyncio.sleep(0.1)
            await leg.answer()

        bot.on_call = announce
        caller.send(caller.raw(body=SDP))
        assert b"m=audio" in (await caller.response(183)).body
        answered = await caller.response(200)
        caller.send(caller.raw("ACK", branch="z9hG4bKack", to_tag=tag(answered)))
        await hang_up(caller, tag(answered))
        await over(bot)


async def test_the_session_timer_is_agreed_as_the_caller_wishes() -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        headers = ("Supported: timer", "Session-Expires: 300;refresher=uac")
        caller.send(caller.raw(body=SDP, headers=headers))
        answered = await caller.response(200)
        assert answered.headers["Session-Expires"] == "300;refresher=uac"
        assert answered.headers["Require"] == "timer"


async def test_a_session_that_is_not_refreshed_ends() -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        to_tag = await establish(caller, headers=("Supported: timer", "Session-Expires: 90;refresher=uac"))
        call = (await bot.call()).leg.call
        assert call.session.timer is not None
        call.session.keep(_soon(call.session.timer))
        bye = await caller.request("BYE")
        assert "session expired" in bye.headers["Reason"]
        caller.send(ok(bye))
        assert await over(bot) is EndCause.CONNECTION_LOST
        assert to_tag


@pytest.mark.parametrize(("allow", "method"), [(("Allow: INVITE, UPDATE",), "UPDATE"), ((), "INVITE")])
async def test_we_refresh_the_session_in_time(allow: tuple[str, ...], method: str) -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        await establish(caller, headers=allow)
        call = (await bot.call()).leg.call
        assert call.session.timer is not None
        call.session.keep(_soon(call.session.timer))
        refresh = await caller.request(method)
        assert refresh.headers["Session-Expires"] == "1;refresher=uac"
        contact = ("Contact", f"<sip:caller@{caller.host}:{caller.port}>")
        answer = respond(refresh, 200, headers=[contact, ("Session-Expires", "1800;refresher=uac")])
        if method == "INVITE":
            set_body(answer, SDP, "application/sdp")
        caller.send(bytes(answer))
        await asyncio.sleep(0.1)
        assert call.session.timer.interval_s == 1800
        assert bot.calls[0].cause is None


async def test_a_refresh_that_nobody_knows_the_call_of_ends_it() -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        await establish(caller, headers=("Allow: INVITE, UPDATE",))
        call = (await bot.call()).leg.call
        assert call.session.timer is not None
        call.session.keep(_soon(call.session.timer))
        caller.send(bytes(respond(await caller.request("UPDATE"), 481)))
        caller.send(ok(await caller.request("BYE")))
        assert await over(bot) is EndCause.CONNECTION_LOST


async def test_a_refer_from_a_caller_is_declined() -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        to_tag = await establish(caller)
        headers = ("Refer-To: <sip:+15550199@expensive.example>",)
        caller.send(caller.raw("REFER", branch="z9hG4bKr", cseq=2, to_tag=to_tag, headers=headers))
        await caller.response(603)
        assert bot.calls[0].cause is None


async def test_a_call_is_replaced_by_another_under_the_same_leg() -> None:
    async with sip_bot() as bot, phone(bot.port) as first, phone(bot.port) as second:
        to_tag = await establish(first)
        leg = (await bot.call()).leg
        replaces = f"Replaces: call-1;to-tag={to_tag};from-tag=caller-tag"
        second_tag = await establish(second, headers=(replaces, "Require: replaces"), call_id="call-2")
        first.send(ok(await first.request("BYE")))
        assert len(bot.calls) == 1
        assert leg.call.dialog.id.call_id == "call-2"
        assert bot.calls[0].cause is None
        second.send(second.raw("BYE", branch="z9hG4bKbye", cseq=2, to_tag=second_tag, call_id="call-2"))
        await second.response(200)
        assert await over(bot) is EndCause.PEER_HUNG_UP


async def test_an_invite_that_replaces_nothing_is_told_so() -> None:
    async with sip_bot() as bot, phone(bot.port) as caller:
        caller.send(caller.raw(body=SDP, headers=("Replaces: nothing;to-tag=a;from-tag=b",)))
        await caller.response(481)
        assert bot.calls == []


def _soon(timer: SessionTimer) -> SessionTimer:
    """Return the same agreement, due within a second."""
    return replace(timer, interval_s=1)
