"""The simulated caller's calls over SIP, to a real SIP server on loopback."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.buzz import buzz
from tests.fakes.sip_server import sip_bot
from voicebot.simulation.carrier import CallRefused, CarrierError, Numbers
from voicebot.simulation.line import LineEnd
from voicebot.simulation.sip_carrier import SipCarrier
from voicebot.telephony.leg import EndCause, HangUpReason


async def test_a_caller_hears_what_comes_back_over_sip_and_presses_keys() -> None:
    async with sip_bot() as bot:
        async with SipCarrier(f"sip:127.0.0.1:{bot.port}").dial(
            numbers=Numbers("+15550100777", "+15550100888")
        ) as line:
            await asyncio.wait_for(line.speak(b"".join(buzz(0.5))).finished.wait(), 5)
            line.press("7")
            await asyncio.sleep(0.8)
        call = await bot.call()
        await asyncio.wait_for(call.over.wait(), 5)
        assert len(line.heard_s) > 15
        assert call.keys == "7"
        assert call.cause is EndCause.PEER_HUNG_UP
        assert (call.leg.info.caller, call.leg.info.called) == ("+15550100777", "+15550100888")
        assert line.report().end is LineEnd.CALLER_HUNG_UP
        await bot.lets_go()


async def test_the_line_ends_when_the_server_hangs_up() -> None:
    async with sip_bot() as bot, SipCarrier(f"sip:127.0.0.1:{bot.port}").dial() as line:
        await (await bot.call()).leg.hang_up(HangUpReason.COMPLETED)
        await asyncio.wait_for(line.ended.wait(), 5)
        assert line.end is LineEnd.SERVER_CLOSED


async def test_a_full_server_refuses_the_caller() -> None:
    async with sip_bot() as bot:
        bot.open = False
        with pytest.raises(CallRefused, match="refused"):
            async with SipCarrier(f"sip:127.0.0.1:{bot.port}").dial():
                pytest.fail("the call was taken")


def test_what_is_no_sip_address_is_told_so() -> None:
    with pytest.raises(CarrierError, match="no SIP address"):
        SipCarrier("sip:")
