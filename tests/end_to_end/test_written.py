"""Chat and text messages on the real server, after a call of the same customer."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from multidict import MultiDict
from twilio.request_validator import RequestValidator

from tests.end_to_end.server import API_TOKEN, TWILIO_TOKEN, has_prompt, is_over, running

pytestmark = [pytest.mark.spoken, pytest.mark.timeout(300)]


async def test_who_hangs_up_in_the_middle_goes_on_by_text_message_and_is_recorded(tmp_path: Path) -> None:
    async with running(tmp_path / "data", VOICEBOT_RECOGNIZER="off", VOICEBOT_DRAIN_S="1") as server:
        async with server.carrier.dial() as line:
            await server.until(line.call_sid, has_prompt("welcome.first"))
            line.press("3")
            await server.until(line.call_sid, has_prompt("appointment.ask_day"))
            for key in f"{datetime.now(UTC) + timedelta(days=10):%m%d}":
                line.press(key)
                await asyncio.sleep(0.15)
            await server.until(line.call_sid, has_prompt("appointment.ask_time"))
            await line.hang_up()
            record = await server.until(line.call_sid, is_over)
        caller = record["caller"]
        assert caller

        form = [
            ("MessageSid", "SM1"),
            ("AccountSid", "AC1"),
            ("From", caller),
            ("To", "+15550100"),
            ("Body", "at four"),
        ]
        url = server.url + "/twilio/sms"
        signature = RequestValidator(TWILIO_TOKEN).compute_signature(url, MultiDict(form))
        async with server.http.post(url, data=form, headers={"X-Twilio-Signature": signature}) as answer:
            assert answer.status == 200
            text = await answer.text()
        assert "go on with booking an appointment" in text

        headers = {"Authorization": f"Bearer {API_TOKEN}"}
        async with server.http.post(
            server.url + "/api/chat", json={"text": "when are you open"}, headers=headers
        ) as answer:
            assert answer.status == 200
            assert "open" in " ".join((await answer.json())["messages"])
        async with asyncio.timeout(10):
            while {"sms", "chat", "twilio"} != {call["channel"] for call in (await server.get("/api/calls"))["calls"]}:
                await asyncio.sleep(0.2)


async def test_a_chat_in_which_somebody_proved_who_they_are_is_remembered_for_their_next_call(tmp_path: Path) -> None:
    async with running(tmp_path / "data", VOICEBOT_RECOGNIZER="off", VOICEBOT_DRAIN_S="1") as server:
        url, headers = server.url + "/api/chat", {"Authorization": f"Bearer {API_TOKEN}"}
        reply: dict[str, Any] = {}
        written: tuple[dict[str, str], ...] = (
            {},
            {"text": "what's my balance"},
            {"text": "402938"},
            {"text": "1593"},
            {"button": "9"},
        )
        for message in written:
            body = message | ({"session": reply["session"]} if reply else {})
            async with server.http.post(url, json=body, headers=headers) as answer:
                assert answer.status == 200, await answer.text()
                reply = await answer.json()
        assert reply["ended"] == "completed"
        kept = "select channel, goal, summary from after_calls join calls on id = call_id where customer is not null"
        async with asyncio.timeout(20):
            while not (found := server.rows(f"{kept} and summary is not null")):
                await asyncio.sleep(0.2)
        ((channel, goal, summary),) = found
        assert (channel, goal) == ("chat", "balance")
        assert "1593" not in summary
