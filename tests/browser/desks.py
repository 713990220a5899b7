"""An agent's desk in a browser, and a caller of a real server who asks for a person."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
from playwright.async_api import Browser, Page, expect

from tests.browser.test_call_page import share_at
from tests.end_to_end.server import Server, has_prompt
from voicebot import g711
from voicebot.simulation.carrier import Numbers
from voicebot.simulation.line import CarrierLine
from voicebot.simulation.sip_carrier import SipCarrier

CALLER_HZ = 1000
PASSWORD = "correct horse battery staple"  # opens nothing but a test's own server
#: On a machine whose cores are busy everything takes longer; nothing here waits when it need not.
PATIENCE_MS = 60_000


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


async def available(browser: Browser, server: Server) -> Page:
    """Open Ana's desk at a server, and have her available."""
    await server.add_user("ana", "agent", PASSWORD)
    page = await browser.new_page()
    await sign_in(page, server, "ana", "/desk")
    await shows(page, "#my-state", "Away")
    await page.keyboard.press("Alt+a")
    await shows(page, "#my-state", "Available")
    return page


@asynccontextmanager
async def calling(server: Server, page: Page) -> AsyncIterator[CarrierLine]:
    """Have somebody call a server and ask for a person, until the desk rings."""
    async with SipCarrier(server.sip_uri).dial(numbers=Numbers("+15550100199", "bot")) as line:
        await ask_for_a_person(server, line)
        await shows(page, "#call-phase", "A call for you")
        yield line
