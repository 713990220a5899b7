"""Calls that go out, to a phone that the test plays itself."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest
from sipmessage import URI, Request

from tests.fakes.sip_server import Phone, SipBot, phone, sip_bot
from tests.telephony.sip.messages import SDP
from voicebot.telephony.dialing import DialFailed, DialFailure
from voicebot.telephony.leg import EndCause, HangUpReason, LegEnded
from voicebot.telephony.numbers import DialLimits, NumberPlan
from voicebot.telephony.rtp.media import MediaPlan, RtpMedia
from voicebot.telephony.sip import uac
from voicebot.telephony.sip.dialer import Dialer, OutboundPolicy, Reach
from voicebot.telephony.sip.digest import Authenticator, Credentials
from voicebot.telephony.sip.hop import Hop, Transport
from voicebot.telephony.sip.leg import OnReferral, SipLeg
from voicebot.telephony.sip.media import Media
from voicebot.telephony.sip.message import parse_uri, respond, set_body
from voicebot.telephony.sip.resolve import DnsLookup, Resolver
from voicebot.telephony.sip.transfer import send_elsewhere

HOST = "127.0.0.1"


class Office:
    """A bot that calls, and a phone that is called."""

    def __init__(self, bot: SipBot, callee: Phone, dialer: Dialer) -> None:
        self.bot = bot
        self.callee = callee
        self.dialer = dialer
        self.target = f"sip:agent@127.0.0.1:{callee.port}"

    def dial(self, *, timeout_s: float = 5.0) -> asyncio.Task[SipLeg]:
        return asyncio.create_task(self.dialer.dial(self.target, timeout_s=timeout_s))

    def answer(
        self,
        request: Request,
        code: int,
        *,
        to_tag: str = "agent",
        headers: tuple[tuple[str, str], ...] = (),
        sdp: bytes = b"",
    ) -> None:
        response = respond(
            request, code, to_tag=to_tag, headers=[("Contact", f"<sip:agent@127.0.0.1:{self.callee.port}>"), *headers]
        )
        if sdp:
            set_body(response, sdp, "application/sdp")
        self.callee.send(bytes(response))

    async def failure(self, dialling: asyncio.Task[SipLeg]) -> DialFailed:
        with pytest.raises(DialFailed) as failed:
            await dialling
        await asyncio.sleep(0.05)
        assert self.bot.ports.lent == 0
        return failed.value


@contextlib.asynccontextmanager
async def office(
    *, per_hour: int = 100, at_once: int = 10, prefixes: tuple[str, ...] = (), proxied: bool = False
) -> AsyncIterator[Office]:
    async with sip_bot() as bot, phone(bot.port) as callee:
        proxy = parse_uri(f"sip:127.0.0.1:{callee.port}") if proxied else None
        yield Office(bot, callee, dialer_of(bot, per_hour=per_hour, at_once=at_once, prefixes=prefixes, proxy=proxy))


def dialer_of(
    bot: SipBot,
    *,
    per_hour: int = 100,
    at_once: int = 10,
    prefixes: tuple[str, ...] = (),
    proxy: URI | None = None,
    on_referral: OnReferral = lambda _leg, _call, _referral: False,
    reach: Reach | None = None,
) -> Dialer:
    """Return what places a bot's calls to loopback, and to numbers with a proxy."""

    async def open_media(local_host: str, peer_host: str) -> Media:
        return await RtpMedia.open(MediaPlan(local_host, signalling_address=peer_host), bot.ports)

    return Dialer(
        bot.endpoint,
        OutboundPolicy(proxy, frozenset({"127.0.0.1"}), "bot", Credentials("bot", "secret", lambda: "abc")),
        numbers=NumberPlan(prefixes, region="US"),
        limits=DialLimits(per_hour=per_hour, at_once=at_once, clock=time.monotonic),
        reach=reach or Resolver(DnsLookup()),
        open_media=open_media,
        on_refused=bot.refused.append,
        on_referral=on_referral,
        clock=time.monotonic,
    )


async def test_an_answered_call_becomes_a_leg_and_ends_with_our_bye() -> None:
    async with office() as there:
        dialling = there.dial()
        invite = await there.callee.request("INVITE")
        assert b"m=audio" in invite.body
        there.answer(invite, 180)
        there.answer(invite, 200, sdp=SDP)
        ack = await there.callee.request("ACK")
        assert ack.headers["CSeq"] == "1 ACK"
        leg = await dialling
        running = asyncio.create_task(leg.run())
        await leg.hang_up(HangUpReason.COMPLETED)
        there.answer(await there.callee.request("BYE"), 200)
        await running
        await there.bot.lets_go()


async def test_a_2xx_that_comes_again_is_acknowledged_again() -> None:
    async with office() as there:
        dialling = there.dial()
        invite = await there.callee.request("INVITE")
        for _ in range(3):
            there.answer(invite, 200, sdp=SDP)
            await there.callee.request("ACK")
        await (await dialling).hang_up(HangUpReason.COMPLETED)


async def test_the_slower_branch_of_a_fork_is_hung_up() -> None:
    async with office() as there:
        dialling = there.dial()
        invite = await there.callee.request("INVITE")
        there.answer(invite, 200, to_tag="first", sdp=SDP)
        there.answer(invite, 200, to_tag="second", sdp=SDP)
        bye = await there.callee.request("BYE")
        assert bye.headers["To"].endswith("tag=second")
        there.answer(bye, 200)
        leg = await dialling
        assert leg.call.dialog.id.remote_tag == "first"
        await leg.hang_up(HangUpReason.COMPLETED)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (486, DialFailure.BUSY),
        (600, DialFailure.BUSY),
        (480, DialFailure.NO_ANSWER),
        (408, DialFailure.NO_ANSWER),
        (603, DialFailure.DECLINED),
        (403, DialFailure.DECLINED),
        (404, DialFailure.NOT_FOUND),
        (484, DialFailure.NOT_FOUND),
        (488, DialFailure.NOT_ACCEPTABLE),
        (500, DialFailure.UNREACHABLE),
        (503, DialFailure.UNREACHABLE),
    ],
)
async def test_every_refusal_has_a_reason(code: int, reason: DialFailure) -> None:
    async with office() as there:
        dialling = there.dial()
        there.answer(await there.callee.request("INVITE"), code)
        await there.callee.request("ACK")
        failed = await there.failure(dialling)
        assert (failed.reason, failed.status) == (reason, code)
        await there.bot.lets_go()


async def test_a_callee_who_rings_and_does_not_answer_is_cancelled() -> None:
    async with office() as there:
        dialling = there.dial(timeout_s=0.3)
        invite = await there.callee.request("INVITE")
        there.answer(invite, 180)
        cancel = await there.callee.request("CANCEL")
        assert cancel.headers["Via"] == invite.headers["Via"]
        there.answer(cancel, 200)
        there.answer(invite, 487)
        await there.callee.request("ACK")
        assert (await there.failure(dialling)).reason is DialFailure.NO_ANSWER
        await there.bot.lets_go()


async def test_a_cancel_waits_for_a_provisional_response() -> None:
    async with office() as there:
        dialling = there.dial(timeout_s=0.2)
        invite = await there.callee.request("INVITE")
        assert (await there.failure(dialling)).reason is DialFailure.NO_ANSWER
        assert all(
            isinstance(message, Request) and message.method == "INVITE" for message in await there.callee.silence(0.2)
        )
        there.answer(invite, 180)
        await there.callee.request("CANCEL")
        there.answer(invite, 487)
        await there.callee.request("ACK")


async def test_an_answer_that_crosses_the_cancel_is_hung_up() -> None:
    async with office() as there:
        dialling = there.dial(timeout_s=0.3)
        invite = await there.callee.request("INVITE")
        there.answer(invite, 180)
        await there.callee.request("CANCEL")
        there.answer(invite, 200, sdp=SDP)
        await there.callee.request("ACK")
        there.answer(await there.callee.request("BYE"), 200)
        assert (await there.failure(dialling)).reason is DialFailure.NO_ANSWER
        await there.bot.lets_go()


@pytest.mark.parametrize(
    ("code", "asks", "given"), [(401, "WWW", "Authorization"), (407, "Proxy", "Proxy-Authorization")]
)
async def test_a_callee_who_asks_who_we_are_is_told(code: int, asks: str, given: str) -> None:
    authenticator = Authenticator({"bot": "secret"}, realm="pbx", key=b"k", clock=time.monotonic)
    async with office() as there:
        dialling = there.dial()
        invite = await there.callee.request("INVITE")
        challenges = tuple((f"{asks}-Authenticate", value) for _, value in authenticator.challenges(HOST, stale=False))
        there.answer(invite, code, headers=challenges)
        await there.callee.request("ACK")
        again = await there.callee.request("INVITE")
        assert "SHA-256" in again.headers[given]
        assert again.headers["CSeq"] == "2 INVITE"
        again.headers.set("Authorization", again.headers[given])
        assert authenticator.check(again, HOST) == "bot"
        there.answer(again, 200, sdp=SDP)
        await (await dialling).hang_up(HangUpReason.COMPLETED)


async def test_a_wrong_password_is_not_tried_twice() -> None:
    authenticator = Authenticator({"bot": "other"}, realm="pbx", key=b"k", clock=time.monotonic)
    async with office() as there:
        dialling = there.dial()
        for _ in range(2):
            there.answer(
                await there.callee.request("INVITE"),
                401,
                headers=tuple(authenticator.challenges(HOST, stale=False)),
            )
            await there.callee.request("ACK")
        assert (await there.failure(dialling)).reason is DialFailure.UNAUTHORISED


class Servers(Resolver):
    """A DNS that knows several servers for every address without a port."""

    def __init__(self, *servers: Phone) -> None:
        super().__init__(DnsLookup())
        self._servers = servers

    async def resolve(self, uri: URI) -> list[Hop]:
        if uri.port is not None:
            return await super().resolve(uri)
        return [Hop(Transport.UDP, "127.0.0.1", server.port) for server in self._servers]


@pytest.mark.parametrize("says", [503, None], ids=["full", "silent"])
async def test_the_next_server_is_tried_when_one_is_full_or_silent(
    says: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uac, "NEXT_SERVER_AFTER_S", 0.3)
    async with sip_bot() as bot, phone(bot.port) as first, phone(bot.port) as second:
        dialer = dialer_of(bot, reach=Servers(first, second))
        dialling = asyncio.create_task(dialer.dial("sip:agent@127.0.0.1", timeout_s=5))
        invite = await first.request("INVITE")
        if says:
            first.send(bytes(respond(invite, says)))
        there = Office(bot, second, dialer)
        again = await second.request("INVITE")
        assert again.headers["CSeq"] == "2 INVITE"
        there.answer(again, 200, sdp=SDP)
        await second.request("ACK")
        leg = await dialling
        if not says:
            # What the silent one says too late is taken back.
            Office(bot, first, dialer).answer(invite, 200, to_tag="late", sdp=SDP)
            bye = await first.request("BYE")
            assert bye.headers["To"].endswith("tag=late")
            first.send(bytes(respond(bye, 200)))
        running = asyncio.create_task(leg.run())
        await leg.hang_up(HangUpReason.COMPLETED)
        there.answer(await second.request("BYE"), 200)
        await running
        await bot.lets_go()


async def test_a_redirect_goes_to_the_host_that_it_names() -> None:
    async with office() as there, phone(there.bot.port) as other:
        dialling = there.dial()
        invite = await there.callee.request("INVITE")
        there.answer(invite, 302, headers=(("Contact", f"<sip:moved@127.0.0.1:{other.port}>"),))
        await there.callee.request("ACK")
        moved = await other.request("INVITE")
        assert moved.uri.user == "moved"
        other.send(bytes(respond(moved, 486)))
        await other.request("ACK")
        assert (await there.failure(dialling)).reason is DialFailure.BUSY


async def test_a_redirect_is_followed_where_we_may_call_and_not_for_ever() -> None:
    async with office() as there:
        dialling = there.dial()
        for number in range(6):
            invite = await there.callee.request("INVITE")
            there.answer(invite, 302, headers=(("Contact", f"<sip:hop{number}@127.0.0.1:{there.callee.port}>"),))
            await there.callee.request("ACK")
        await there.failure(dialling)
        assert not [message for message in await there.callee.silence(0.1) if isinstance(message, Request)]


async def test_a_redirect_to_elsewhere_is_not_followed() -> None:
    async with office() as there:
        dialling = there.dial()
        invite = await there.callee.request("INVITE")
        response = respond(invite, 302, headers=[("Contact", "<sip:+15550100@expensive.example>")])
        there.callee.send(bytes(response))
        assert (await there.failure(dialling)).status == 302
        assert there.bot.refused == ["dial_host"]


async def test_reliable_responses_of_the_callee_are_acknowledged_once_each() -> None:
    async with office() as there:
        dialling = there.dial()
        invite = await there.callee.request("INVITE")
        for _ in range(2):
            there.answer(invite, 183, headers=(("Require", "100rel"), ("RSeq", "7")), sdp=SDP)
        prack = await there.callee.request("PRACK")
        assert prack.headers["RAck"] == "7 1 INVITE"
        there.answer(prack, 200)
        there.answer(invite, 200)
        await there.callee.request("ACK")
        await (await dialling).hang_up(HangUpReason.COMPLETED)
        bye = await there.callee.request("BYE")
        assert bye.headers["CSeq"] == "3 BYE"


async def test_a_longer_session_interval_is_granted() -> None:
    async with office() as there:
        dialling = there.dial()
        there.answer(await there.callee.request("INVITE"), 422, headers=(("Min-SE", "3600"),))
        await there.callee.request("ACK")
        again = await there.callee.request("INVITE")
        assert again.headers["Session-Expires"] == "3600"
        there.answer(again, 486)
        assert (await there.failure(dialling)).reason is DialFailure.BUSY


@pytest.mark.parametrize("sdp", [b"", b"v=0\r\n", SDP.replace(b"RTP/AVP 0 101", b"RTP/AVP 97")])
async def test_an_answer_without_usable_audio_is_hung_up(sdp: bytes) -> None:
    async with office() as there:
        dialling = there.dial()
        there.answer(await there.callee.request("INVITE"), 200, sdp=sdp)
        await there.callee.request("ACK")
        there.answer(await there.callee.request("BYE"), 200)
        assert (await there.failure(dialling)).reason is DialFailure.NOT_ACCEPTABLE


async def test_only_allowed_numbers_and_hosts_are_called() -> None:
    async with office(prefixes=("+1555",), proxied=True) as there:
        for reach in ("+44 20 7946 0018", "sip:x@expensive.example", "900 555 0100"):
            with pytest.raises(DialFailed) as failed:
                await there.dialer.dial(reach, timeout_s=1)
            assert failed.value.reason is DialFailure.NOT_ALLOWED
        assert there.bot.refused == ["dial_number", "dial_host", "dial_number"]
        dialling = asyncio.create_task(there.dialer.dial("(555) 201-0100", timeout_s=1))
        invite = await there.callee.request("INVITE")
        assert invite.uri.user == "+15552010100"
        there.answer(invite, 486)
        await there.failure(dialling)


async def test_calls_at_once_and_an_hour_are_limited() -> None:
    async with office(per_hour=2, at_once=1) as there:
        first = there.dial()
        invite = await there.callee.request("INVITE")
        with pytest.raises(DialFailed):
            await there.dial()
        there.answer(invite, 486)
        await there.failure(first)
        second = there.dial()
        there.answer(await there.callee.request("INVITE"), 486)
        await there.failure(second)
        with pytest.raises(DialFailed) as failed:
            await there.dial()
        assert failed.value.reason is DialFailure.NOT_ALLOWED
        assert there.bot.refused == ["dial_limit", "dial_limit"]


async def test_the_peers_bye_ends_the_leg() -> None:
    async with office() as there:
        dialling = there.dial()
        there.answer(await there.callee.request("INVITE"), 200, sdp=SDP)
        leg = await dialling
        running = asyncio.create_task(leg.run())
        dialog = leg.call.dialog.id
        there.callee.send(
            there.callee.raw(
                "BYE", branch="z9hG4bKb", call_id=dialog.call_id, from_tag="agent", to_tag=dialog.local_tag, cseq=1
            )
        )
        await there.callee.response(200)
        await running
        assert [event.cause async for event in leg.events() if isinstance(event, LegEnded)] == [EndCause.PEER_HUNG_UP]


async def test_a_refer_of_ours_ends_the_leg_once_the_party_got_through() -> None:
    async with office() as there:
        dialling = there.dial()
        there.answer(await there.callee.request("INVITE"), 200, sdp=SDP)
        leg = await dialling
        transferring = asyncio.create_task(send_elsewhere(leg, parse_uri("sip:other@127.0.0.1")))
        refer = await there.callee.request("REFER")
        assert refer.headers["Refer-To"] == "<sip:other@127.0.0.1>"
        there.answer(refer, 202)
        dialog = leg.call.dialog.id
        for cseq, state, line in ((1, "active", b"SIP/2.0 180 Ringing\r\n"), (2, "terminated", b"SIP/2.0 200 OK\r\n")):
            headers = ("Event: refer", f"Subscription-State: {state}", "Content-Type: message/sipfrag")
            there.callee.send(
                there.callee.raw(
                    "NOTIFY",
                    branch=f"z9hG4bKn{cseq}",
                    call_id=dialog.call_id,
                    from_tag="agent",
                    to_tag=dialog.local_tag,
                    cseq=cseq,
                    headers=headers,
                    body=line,
                )
            )
            await there.callee.response(200)
        outcome = await transferring
        assert (outcome.accepted, outcome.status) == (True, 200)
        there.answer(await there.callee.request("BYE"), 200)
        assert [event.cause async for event in leg.events() if isinstance(event, LegEnded)] == [EndCause.REDIRECTED]


async def test_a_refer_that_is_refused_leaves_the_call_as_it_was() -> None:
    async with office() as there:
        dialling = there.dial()
        there.answer(await there.callee.request("INVITE"), 200, sdp=SDP)
        leg = await dialling
        transferring = asyncio.create_task(send_elsewhere(leg, parse_uri("sip:other@127.0.0.1")))
        there.answer(await there.callee.request("REFER"), 603)
        outcome = await transferring
        assert (outcome.accepted, outcome.status) == (False, 603)
        assert leg.call.state == "confirmed"
        await leg.hang_up(HangUpReason.COMPLETED)
