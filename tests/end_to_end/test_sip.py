"""Whole calls over SIP and RTP to a server process."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.end_to_end.server import FLOWS, has_prompt, holds, is_over, running
from voicebot.simulation.caller import Caller
from voicebot.simulation.carrier import Numbers
from voicebot.simulation.knowledge import knowledge_of, today
from voicebot.simulation.result import CallEnd
from voicebot.simulation.script import HangUp, Say, Script, Step
from voicebot.simulation.senses import Senses
from voicebot.simulation.sip_carrier import SipCarrier

pytestmark = [pytest.mark.spoken, pytest.mark.timeout(300)]


async def test_a_balance_is_told_over_sip_to_a_caller_who_only_uses_keys(tmp_path: Path) -> None:
    async with running(tmp_path / "data", VOICEBOT_RECOGNIZER="off", VOICEBOT_DRAIN_S="1") as server:
        async with SipCarrier(server.sip_uri).dial(numbers=Numbers("+15550100199", "bot")) as line:
            for prompt, keys in (
                ("welcome.first", "1"),
                ("authenticate.ask_account_number", "402938"),
                ("authenticate.ask_pin", "1593"),
                ("welcome.more", "9"),
            ):
                await server.until(line.call_sid, has_prompt(prompt))
                for key in keys:
                    line.press(key)
                    await asyncio.sleep(0.3)
            record = await server.until(line.call_sid, is_over)
        assert (record["outcome"], record["goal"], record["goal_reached"]) == ("completed", "balance", True)
        assert record["channel"] == "sip"
        assert not holds(str(record), "1593")
        recording = await server.recording(record["id"])
        assert recording.shape[1] == 2
        assert await server.terminate() == 0


async def test_a_spoken_question_is_answered_over_sip(tmp_path: Path) -> None:
    script = Script(
        "hours",
        (
            Step(deeds=(Say("what are your opening hours"),), timeout_s=20.0),
            Step(deeds=(HangUp(),), timeout_s=20.0),
        ),
    )
    async with (
        running(tmp_path / "data", VOICEBOT_DRAIN_S="1") as server,
        Senses(knowledge_of(FLOWS, today())) as senses,
    ):
        result = await Caller(script, senses).call(SipCarrier(server.sip_uri))
        assert result.end is CallEnd.DONE, result.detail
        record = await server.until(result.call_sid, is_over)
        assert record["goal"] == "opening_hours"
