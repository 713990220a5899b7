"""sipp as caller and as agent, over real sockets."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.buzz import buzz
from tests.fakes.sip_server import phone, sip_bot
from tests.telephony.sip.test_calls_out import office
from tests.telephony.sip.test_transfer import accept, referrals_of
from tests.wire.sipp import (
    ANSWERED_WITH_PORT,
    HELD,
    SDP,
    VIDEO_ONLY,
    WITH_A_LAW,
    answer,
    pause,
    pcap,
    receive,
    run_sipp,
    send,
    stream,
)
from voicebot.telephony.dialing import DialFailed, DialFailure
from voicebot.telephony.leg import EndCause, HangUpReason
from voicebot.telephony.sip.digest import Credentials
from voicebot.telephony.sip.message import parse_uri
from voicebot.telephony.sip.registration import Registration, RegistrationPlan, RegistrationState
from voicebot.telephony.sip.resolve import DnsLookup, Resolver

CALL = [send("INVITE", 1, body=SDP), receive(100, optional=True), receive(180, optional=True), receive(200)]
ACK = send("ACK", 1, inside=True)
BYE = [send("BYE", 9, inside=True), receive(200)]

SCENARIOS = {
    "INVITE and BYE": [*CALL, ACK, pause(200), *BYE],
    "delayed offer": [
        send("INVITE", 1),
        receive(100, optional=True),
        receive(180, optional=True),
        receive(200),
        send("ACK", 1, inside=True, body=SDP),
        pause(200),
        *BYE,
    ],
    "hold and resume": [
        *CALL,
        ACK,
        send("INVITE", 2, inside=True, body=HELD),
        receive(200),
        send("ACK", 2, inside=True),
        send("INVITE", 3, inside=True, body=SDP),
        receive(200),
        send("ACK", 3, inside=True),
        *BYE,
    ],
    "re-INVITE": [
        *CALL,
        ACK,
        send("INVITE", 2, inside=True, body=SDP),
        receive(200, check=("Content-Type", "sdp")),
        send("ACK", 2, inside=True),
        *BYE,
    ],
    "UPDATE": [*CALL, ACK, send("UPDATE", 2, inside=True, body=HELD), receive(200), *BYE],
    "INFO with a key": [
        *CALL,
        ACK,
        send("INFO", 2, inside=True, body="Signal=5\nDuration=160", kind="application/dtmf-relay"),
        receive(200),
        *BYE,
    ],
    "OPTIONS in the call": [*CALL, ACK, send("OPTIONS", 2, inside=True), receive(200), *BYE],
    "OPTIONS outside": [send("OPTIONS", 1), receive(200, check=("Allow", "INVITE"))],
    "488 for nothing acceptable": [
        send("INVITE", 1, body=VIDEO_ONLY),
        receive(100, optional=True),
        receive(488),
        send("ACK", 1, inside=True, branch="[branch-3]"),
    ],
    "481 for no such call": [send("BYE", 1), receive(481)],
    "PRACK": [
        send("INVITE", 1, body=SDP, headers="Require: 100rel\n"),
        receive(100, optional=True),
        (
            '<recv response="180"><action><ereg regexp="[0-9]+" search_in="hdr" header="RSeq:" check_it="true" '
            'assign_to="2"/></action></recv>'
        ),
        send("PRACK", 2, inside=True, headers="RAck: [$2] 1 INVITE\n"),
        receive(200),
        receive(200),
        ACK,
        *BYE,
    ],
    "session timer refreshed": [
        send("INVITE", 1, body=SDP, headers="Supported: timer\nSession-Expires: 120;refresher=uac\n"),
        receive(100, optional=True),
        receive(180, optional=True),
        receive(200, check=("Session-Expires", "120;refresher=uac")),
        ACK,
        send("UPDATE", 2, inside=True, headers="Supported: timer\nSession-Expires: 120;refresher=uac\n"),
        receive(200, check=("Session-Expires", "120;refresher=uac")),
        *BYE,
    ],
    "session interval too small": [
        send("INVITE", 1, body=SDP, headers="Supported: timer\nSession-Expires: 10\n"),
        receive(422, check=("Min-SE", "90")),
        send("ACK", 1, inside=True, branch="[branch-2]"),
    ],
    "REFER refused": [
        *CALL,
        ACK,
        send("REFER", 2, inside=True, headers="Refer-To: <sip:other@127.0.0.1>\n"),
        receive(603),
        *BYE,
    ],
}


@pytest.mark.parametrize("transport", ["u1", "t1"])
@pytest.mark.parametrize("name", SCENARIOS)
async def test_sipp_calls_in(name: str, transport: str, tmp_path: Path) -> None:
    async with sip_bot() as bot:
        ran = await run_sipp(tmp_path, SCENARIOS[name], "-t", transport, remote_port=bot.port)
        assert ran.status == 0, ran.errors
        await bot.lets_go()


async def test_sipp_cancels_before_the_call_rings(tmp_path: Path) -> None:
    steps = [
        send("INVITE", 1, body=SDP),
        receive(100),
        send("CANCEL", 1, branch="[branch-2]"),
        receive(200),
        receive(487),
        send("ACK", 1, inside=True, branch="[branch-5]"),
    ]
    async with sip_bot(media_after_s=0.5) as bot:
        ran = await run_sipp(tmp_path, steps, remote_port=bot.port)
        assert ran.status == 0, ran.errors
        await asyncio.sleep(0.6)  # its media are there only now
        await bot.lets_go()


async def test_sipp_cancels_a_call_that_rings(tmp_path: Path) -> None:
    steps = [
        send("INVITE", 1, body=SDP),
        receive(100, optional=True),
        receive(180),
        send("CANCEL", 1, branch="[branch-3]"),
        receive(200),
        receive(487),
        send("ACK", 1, inside=True, branch="[branch-6]"),
    ]
    async with sip_bot() as bot:

        async def never(_leg: object) -> None:
            await asyncio.sleep(0)

        bot.on_call = never
        ran = await run_sipp(tmp_path, steps, remote_port=bot.port)
        assert ran.status == 0, ran.errors


async def test_many_calls_of_sipp_leave_no_task_port_or_dialog(tmp_path: Path) -> None:
    async with sip_bot() as bot:
        before = len(asyncio.all_tasks())
        # A second of so many calls is more than a socket keeps while nobody reads it.
        invite, bye = send("INVITE", 1, body=SDP, resent=True), send("BYE", 9, inside=True, resent=True)
        steps = [invite, *CALL[1:], ACK, pause(100), bye, *BYE[1:]]
        ran = await run_sipp(tmp_path, steps, "-m", "500", "-r", "60", "-l", "200", remote_port=bot.port)
        assert ran.status == 0, ran.errors
        async with asyncio.timeout(20):
            while not all(call.over.is_set() for call in bot.calls):
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.1)
        assert len(bot.calls) == 500
        assert {call.cause for call in bot.calls} == {EndCause.PEER_HUNG_UP}
        await bot.lets_go()
        assert len(asyncio.all_tasks()) <= before + 1


async def test_sipp_meets_a_full_house(tmp_path: Path) -> None:
    steps = [
        send("INVITE", 1, body=SDP),
        receive(503, check=("Retry-After", "[0-9]+")),
        send("ACK", 1, inside=True, branch="[branch-2]"),
    ]
    async with sip_bot() as bot:
        bot.open = False
        ran = await run_sipp(tmp_path, steps, remote_port=bot.port)
        assert ran.status == 0, ran.errors


async def test_sipp_streams_audio_that_reaches_the_leg(tmp_path: Path) -> None:
    audio = tmp_path / "buzz.ul"
    audio.write_bytes(b"".join(buzz(1.0)))
    async with sip_bot() as bot:
        ran = await run_sipp(tmp_path, [*CALL, ACK, stream(audio), pause(1200), *BYE], remote_port=bot.port)
        assert ran.status == 0, ran.errors
        assert bot.calls[0].loud > 5  # what comes late is dropped


async def test_the_captures_of_audio_and_keys_that_come_with_sipp_reach_the_leg(tmp_path: Path) -> None:
    invited = [send("INVITE", 1, body=WITH_A_LAW), receive(100, optional=True), receive(180, optional=True)]
    played = pcap("g711a", *(f"dtmf_2833_{key}" for key in ("1", "5", "pound")))
    steps = [*invited, ANSWERED_WITH_PORT, ACK, played, pause(4000), *BYE]
    async with sip_bot() as bot:
        ran = await run_sipp(tmp_path, steps, remote_port=bot.port)
        assert ran.status == 0, ran.errors
        assert bot.calls[0].keys == "15#"
        assert bot.calls[0].loud > 5  # what comes late is dropped


async def test_sipp_does_not_refresh_the_session_it_promised_to_and_is_hung_up(tmp_path: Path) -> None:
    steps = [
        send("INVITE", 1, body=SDP, headers="Supported: timer\nSession-Expires: 90;refresher=uac\n"),
        receive(100, optional=True),
        receive(180, optional=True),
        receive(200, check=("Session-Expires", "90;refresher=uac")),
        ACK,
        receive("BYE", check=("Reason", "session expired")),
        answer(200, tag=False),
    ]
    async with sip_bot() as bot:
        running = asyncio.create_task(run_sipp(tmp_path, steps, remote_port=bot.port))
        call = (await bot.call()).leg.call
        async with asyncio.timeout(20):
            while call.session.timer is None:
                await asyncio.sleep(0.01)
        call.session.keep(replace(call.session.timer, interval_s=1))
        ran = await running
        assert ran.status == 0, ran.errors
        await asyncio.sleep(0.1)
        assert bot.calls[0].cause is EndCause.CONNECTION_LOST
        await bot.lets_go()


async def test_a_refer_from_sipp_is_carried_out_and_its_progress_told(tmp_path: Path) -> None:
    async with sip_bot() as bot, phone(bot.port) as other:
        steps = [
            *CALL,
            ACK,
            pause(200),
            send("REFER", 2, inside=True, headers=f"Refer-To: <sip:x@127.0.0.1:{other.port}>\n"),
            receive(202),
            receive("NOTIFY", check=("Subscription-State", "active")),
            answer(200, tag=False),
            receive("NOTIFY", check=("Subscription-State", "terminated")),
            answer(200, tag=False),
            receive("BYE"),
            answer(200, tag=False),
        ]
        referrals = referrals_of(bot)
        running = asyncio.create_task(run_sipp(tmp_path, steps, remote_port=bot.port))
        call = await bot.call()
        call.leg._on_referral = referrals
        invite = await other.request("INVITE", within_s=5)
        accept(other, invite)
        ran = await running
        assert ran.status == 0, ran.errors
        assert call.leg.call.dialog.id.call_id == invite.call_id
        assert call.cause is None


AGENTS = {
    "busy": ([receive("INVITE"), answer(486), receive("ACK")], DialFailure.BUSY),
    "declines": ([receive("INVITE"), answer(603), receive("ACK")], DialFailure.DECLINED),
    "does not answer": (
        [receive("INVITE"), answer(180), receive("CANCEL"), answer(200)],
        DialFailure.NO_ANSWER,
    ),
    "asks who we are": (
        [
            receive("INVITE"),
            answer(401, headers='WWW-Authenticate: Digest realm="pbx", nonce="abc", qop="auth", algorithm=MD5\n'),
            receive("ACK"),
            receive("INVITE", check=("Authorization", "Digest")),
            answer(200, body=SDP),
            receive("ACK"),
            receive("BYE"),
            answer(200, tag=False),
        ],
        None,
    ),
    "answers": (
        [
            receive("INVITE"),
            answer(180),
            answer(200, body=SDP),
            receive("ACK"),
            receive("BYE"),
            answer(200, tag=False),
        ],
        None,
    ),
}


@pytest.mark.parametrize("name", AGENTS)
async def test_sipp_as_the_agent_we_call(name: str, tmp_path: Path) -> None:
    steps, failure = AGENTS[name]
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    async with office() as there:
        running = asyncio.create_task(run_sipp(tmp_path, steps, local_port=port))
        await asyncio.sleep(0.5)
        dialling = there.dialer.dial(f"sip:agent@127.0.0.1:{port}", timeout_s=1.5)
        if failure is None:
            leg = await dialling
            await leg.hang_up(HangUpReason.COMPLETED)
        else:
            with pytest.raises(DialFailed) as failed:
                await dialling
            assert failed.value.reason is failure
        ran = await running
        assert ran.status == 0, ran.errors


async def test_a_small_registrar_of_sipp_takes_our_registration_and_gives_it_up_again(tmp_path: Path) -> None:
    challenge = 'WWW-Authenticate: Digest realm="pbx", nonce="abc", qop="auth", algorithm=MD5\n'
    steps = [
        receive("REGISTER"),
        answer(401, headers=challenge),
        receive("REGISTER", check=("Authorization", "username=.bot.")),
        answer(200, headers="Expires: 60\n"),
        receive("REGISTER", check=("Expires", "0")),
        answer(200),
    ]
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    async with sip_bot() as bot:
        sipp = asyncio.create_task(run_sipp(tmp_path, steps, local_port=port))
        await asyncio.sleep(0.5)
        registration = Registration(
            bot.endpoint,
            RegistrationPlan(parse_uri(f"sip:127.0.0.1:{port}"), parse_uri("sip:bot@127.0.0.1"), 60),
            Credentials("bot", "secret", lambda: "c"),
            Resolver(DnsLookup()),
        )
        keeping = asyncio.create_task(registration.run())
        async with asyncio.timeout(20):
            while registration.state is not RegistrationState.REGISTERED:
                await asyncio.sleep(0.02)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        ran = await sipp
        assert ran.status == 0, ran.errors
