"""An agent at the desk in real headless Chromium: rung by a caller of a real server, and joined with them."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.conftest import MICROPHONE_HZ, OpenBrowser, tone
from tests.browser.desks import CALLER_HZ, available, calling, shows, tone_on_tape
from tests.browser.test_call_page import LISTEN
from tests.end_to_end.server import FLOWS, has_prompt, is_over, running
from voicebot import g711

# One browser at a time: a machine that runs several starves their audio threads.
pytestmark = [pytest.mark.browser, pytest.mark.spoken, pytest.mark.timeout(300), pytest.mark.xdist_group("browser")]

QUEUES = """\
default: service
queues:
  service: {title: customer service, skills: {service: 1}, ring_s: 60, wrap_up_s: 120}
agents:
  ana: {name: Ana, skills: {service: 5}, reach: [browser]}
  ben: {name: Ben, skills: {service: 3}, reach: [browser]}
"""


def serving(tmp_path: Path) -> Any:
    flows = tmp_path / "flows"
    shutil.copytree(FLOWS, flows)
    (flows / "queues.yaml").write_text(QUEUES, encoding="utf-8")
    return running(tmp_path / "data", "--flows", str(flows), VOICEBOT_RECOGNIZER="off", VOICEBOT_DRAIN_S="1")


async def test_an_agent_is_rung_sees_who_calls_accepts_talks_and_writes_notes(
    tmp_path: Path, open_browser: OpenBrowser, microphone_file: Path
) -> None:
    async with serving(tmp_path) as server, open_browser(microphone_file) as browser:
        page = await available(browser, server)
        async with calling(server, page) as line:
            assert (await page.title()).startswith("☎ Call for customer service")
            # Who calls and why is there before the call is accepted.
            await shows(page, "#packet h2", "+15550100199")
            await shows(page, "#packet .summary", "Asked for a person")
            record = await server.record(line.call_sid)
            assert not has_prompt("transfer.joining")(record)
            await expect(page.get_by_role("button", name="Accept")).to_be_focused()

            await page.keyboard.press("Control+Enter")
            await shows(page, "#call-phase", "You are talking")
            line.speak(g711.encode(tone(CALLER_HZ, 20.0, 8000)))
            heard = await page.evaluate(LISTEN, [CALLER_HZ, 4.0])
            assert heard["share"] > 0.5, heard
            assert await tone_on_tape(line, MICROPHONE_HZ) > 0.5

            await page.keyboard.press("Alt+h")
            await shows(page, "#call-phase", "wrap up")
            await page.get_by_label("How it came out").select_option("solved")
            await page.get_by_label("Notes").last.fill("Wants a later date; card 4111 1111 1111 1111.")
            await shows(page, "#noted", "Saved")
            record = await server.until(line.call_sid, is_over)
        [note] = (await server.get(f"/api/calls/{record['id']}/notes"))["notes"]
        assert (note["agent_id"], note["disposition"]) == ("ana", "solved")
        assert note["text"].startswith("Wants a later date")
        assert "4111" not in note["text"]
        await page.keyboard.press("Alt+a")
        await shows(page, "#my-state", "Available")
        await shows(page, "#idle-title", "Nobody is calling")


async def test_an_agent_has_the_bot_take_a_payment_and_sees_that_it_was_made(
    tmp_path: Path, open_browser: OpenBrowser, microphone_file: Path
) -> None:
    async with serving(tmp_path) as server, open_browser(microphone_file) as browser:
        page = await available(browser, server)
        async with calling(server, page) as line:
            await page.keyboard.press("Control+Enter")
            await shows(page, "#call-phase", "You are talking")
            await page.get_by_label("Let the bot do a step").select_option("bill_payment")
            await page.get_by_role("button", name="Lend the caller").click()
            await shows(page, "#call-phase", "The bot has the caller: paying a bill")
            for prompt, keys in (
                ("authenticate.ask_account_number", "400121"),
                ("authenticate.ask_pin", "4071"),
                ("bill_payment.ask_whole", "1"),
                ("bill_payment.confirm", "1"),
            ):
                await server.until(line.call_sid, has_prompt(prompt))
                for key in keys:
                    line.press(key)
                    await asyncio.sleep(0.15)
            await shows(page, "#talk-status", "The bot's step is done: paying a bill")
            await shows(page, "#call-phase", "You are talking")
            # They hear each other again, and the PIN is nowhere.
            assert await tone_on_tape(line, MICROPHONE_HZ) > 0.5
            record = await server.record(line.call_sid)
            assert "4071" not in str(record)
            await page.keyboard.press("Alt+h")
            await server.until(line.call_sid, is_over)
