"""An agent at the desk in real headless Chromium: rung by a caller of a real server, and joined with them."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import MICROPHONE_HZ, OpenBrowser, tone
from tests.browser.test_call_page import LISTEN, share_at
from tests.end_to_end.server import FLOWS, Server, has_prompt, is_over, running
from voicebot import g711
from voicebot.simulation.carrier import Numbers
from voicebot.simulation.line import CarrierLine
from voicebot.simulation.sip_carrier import SipCarrier

# One browser at a time: a machine that runs several starves their audio threads.
pytestmark = [pytest.mark.browser, pytest.mark.spoken, pytest.mark.timeout(300), pytest.mark.xdist_group("browser")]

CALLER_HZ = 1000
PASSWORD = "correct horse battery staple"  # opens nothing but a test's own server
#: On a machine whose cores are busy everything takes longer; nothing here waits when it need not.
PATIENCE_MS = 60_000
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


async def sign_in(page: Page, server: Server, name: str, path: str) -> None:
    page.set_default_timeout(PATIENCE_MS)
    await page.goto(server.url + path)
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(server.url + path)


async def shows(page: Page, selector: str, text: str) -> None:
    await expect(page.locator(selector)).to_contain_text(text, timeout=PATIENCE_MS)


async def ask_for_a_person(server: Server, line: CarrierLine) -> None:
    await server.until(line.call_sid, has_prompt("welcome.first"))
    line.press("0")


async def tone_on_tape(line: CarrierLine, frequency_hz: float) -> float:
    """Speak to the caller's side until what comes back is mostly one tone; return the best share of it there was."""
    best = 0.0
    async with asyncio.timeout(PATIENCE_MS / 1000):
        while best < 0.5:
            await asyncio.sleep(0.5)
            heard = g711.decode(bytes(line.tape.bot[-8000:])).astype(np.float64)
            windows = [heard[begin : begin + 1600] for begin in range(0, len(heard) - 1599, 1600)]
            best = max([best, *(share_at(each, frequency_hz) for each in windows if np.square(each).mean() > 100**2)])
    return best


async def test_an_agent_is_rung_sees_who_calls_accepts_talks_and_writes_notes(
    tmp_path: Path, open_browser: OpenBrowser, microphone_file: Path
) -> None:
    async with serving(tmp_path) as server, open_browser(microphone_file) as browser:
        await server.add_user("ana", "agent", PASSWORD)
        page = await browser.new_page()
        await sign_in(page, server, "ana", "/desk")
        await shows(page, "#my-state", "Away")
        await page.keyboard.press("Alt+a")
        await shows(page, "#my-state", "Available")
        async with SipCarrier(server.sip_uri).dial(numbers=Numbers("+15550100199", "bot")) as line:
            await ask_for_a_person(server, line)
            await shows(page, "#call-phase", "A call for you")
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
        await server.add_user("ana", "agent", PASSWORD)
        page = await browser.new_page()
        await sign_in(page, server, "ana", "/desk")
        await shows(page, "#my-state", "Away")
        await page.keyboard.press("Alt+a")
        await shows(page, "#my-state", "Available")
        async with SipCarrier(server.sip_uri).dial(numbers=Numbers("+15550100199", "bot")) as line:
            await ask_for_a_person(server, line)
            await shows(page, "#call-phase", "A call for you")
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
