"""What an agent can do with a caller, driven by mouse and keyboard in real headless Chromium, under axe-core."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenBrowser
from tests.browser.test_desk_faults import PATIENCE_MS, Office, faults, office, shows
from voicebot.calls.transfer.seams import FlowRun, TalkNews
from voicebot.records.access.roles import Role
from voicebot.routing.events import Claim
from voicebot.telephony.leg import CallLeg, KeyPressed

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180), pytest.mark.xdist_group("browser")]

#: A folder for pictures of the pages as they are driven; none are taken without it.
PICTURES = os.environ.get("VOICEBOT_TEST_PICTURES")


@dataclass
class Talk:
    """Ana, who talks with a caller in her page."""

    office: Office
    page: Page
    claim: Claim
    leg: CallLeg

    def stands(self, **news: Any) -> None:
        """Have the page told how the call stands."""
        self.office.centre.parts.desks.talk_changed(self.claim, TalkNews(**news))

    async def did(self, *wanted: tuple[str, str, bool | str]) -> None:
        """Wait until these were asked for, and nothing else."""
        async with asyncio.timeout(PATIENCE_MS / 1000):
            while len(self.office.centre.done) < len(wanted):
                await asyncio.sleep(0.02)
        assert self.office.centre.done == list(wanted)
        self.office.centre.done.clear()


@asynccontextmanager
async def talking(open_browser: OpenBrowser, microphone: Path, **context: Any) -> AsyncIterator[Talk]:
    async with office(open_browser, microphone) as it:
        page = await it.sign_in("ana", Role.AGENT, "/desk", **context)
        place, claim, ringing = await it.call_for(page)
        await page.keyboard.press("Control+Enter")
        leg = await ringing
        assert await it.centre.centre.joined(place, claim)
        talk = Talk(it, page, claim, leg)
        talk.stands(state="joined")
        await shows(page, "#call-phase", "You are talking")
        await expect(page.get_by_role("group", name="More with this caller")).to_be_visible()
        yield talk


async def test_by_keyboard_a_caller_is_held_lent_and_sent_on(open_browser: OpenBrowser, microphone_file: Path) -> None:
    async with talking(open_browser, microphone_file) as talk:
        page = talk.page
        await page.keyboard.press("Alt+o")
        talk.stands(state="held")
        await shows(page, "#call-phase", "The caller is on hold and hears music")
        await expect(page.get_by_role("button", name="Hold")).to_have_attribute("aria-pressed", "true")
        await page.keyboard.press("Alt+o")
        await talk.did(("hold", "ana", True), ("hold", "ana", False))
        talk.stands(state="joined")
        await shows(page, "#call-phase", "You are talking")

        await page.keyboard.press("Alt+s")
        await talk.did(("lend", "ana", "bill_payment"))
        talk.stands(state="with_bot", flow="bill_payment")
        await shows(page, "#call-phase", "The bot has the caller: paying a bill")
        await expect(page.get_by_role("button", name="End with a survey")).to_be_disabled()
        await page.keyboard.press("Alt+s")
        await talk.did(("take_back", "ana", ""))
        talk.stands(state="joined", flow="bill_payment", run=FlowRun(done=True, reached=("pay_bill",)))
        await shows(page, "#talk-status", "The bot's step is done: paying a bill.")

        await page.get_by_label("Somebody else").select_option("technical")
        await page.keyboard.press("Escape")
        await page.keyboard.press("Alt+t")
        await talk.did(("send_on", "ana", "technical"))


async def test_by_mouse_somebody_is_asked_in_and_the_call_ends_with_a_survey(
    open_browser: OpenBrowser, microphone_file: Path
) -> None:
    async with talking(open_browser, microphone_file) as talk:
        page = talk.page
        await page.get_by_label("Somebody else").select_option("technical")
        await page.get_by_role("button", name="Ask in").click()
        await talk.did(("invite", "ana", "technical"))
        talk.stands(state="joined", inviting="technical")
        await shows(page, "#talk-status", "Ringing somebody of technical support. You go on talking.")
        talk.stands(state="joined", third="Ben")
        await shows(page, "#call-phase", "You are talking with Ben too")
        await expect(page.get_by_role("button", name="Send on")).to_be_disabled()
        await page.get_by_role("button", name="Let Ben go").click()
        await talk.did(("let_third_go", "ana", ""))
        talk.stands(state="joined")
        await page.get_by_role("button", name="End with a survey").click()
        await talk.did(("finish", "ana", True))


async def test_keys_of_the_keypad_reach_the_caller_s_line(open_browser: OpenBrowser, microphone_file: Path) -> None:
    async with talking(open_browser, microphone_file) as talk:
        await talk.page.keyboard.press("Alt+k")
        await talk.page.get_by_role("group", name="Keypad").get_by_role("button", name="5").click()
        await talk.page.get_by_role("button", name="hash").click()
        keys = ""
        async with asyncio.timeout(PATIENCE_MS / 1000):
            async for event in talk.leg.events():
                if isinstance(event, KeyPressed):
                    keys += event.key
                if keys == "5#":
                    break


async def test_callbacks_are_listed_and_called_off(open_browser: OpenBrowser, microphone_file: Path) -> None:
    async with office(open_browser, microphone_file) as it:
        book = it.centre.parts.callbacks
        at = datetime.now(UTC) + timedelta(hours=2)
        for call_id, number in (("call-1", "+15550100199"), ("call-2", "+15550100255")):
            await book.book(
                call_id=call_id, queue="service", number=number, zone="UTC", consent=True, reason="asked", at=at
            )
        page = await it.sign_in("ana", Role.AGENT, "/desk")
        await shows(page, "#callbacks", "+15550100199")
        assert await faults(page) == []
        await page.get_by_role("button", name="Cancel the callback of +15550100199").click()
        await expect(page.locator("#callbacks")).not_to_contain_text("+15550100199", timeout=PATIENCE_MS)
        await shows(page, "#callbacks", "+15550100255")


@pytest.mark.parametrize(("colours", "width"), [("light", 1280), ("dark", 480)])
async def test_axe_finds_no_serious_fault_whatever_is_done_with_the_caller(
    colours: str, width: int, open_browser: OpenBrowser, microphone_file: Path
) -> None:
    viewport = {"width": width, "height": 900}
    async with talking(open_browser, microphone_file, color_scheme=colours, viewport=viewport) as talk:
        for news in (
            {"state": "held"},
            {"state": "with_bot", "flow": "bill_payment"},
            {"state": "joined", "inviting": "technical"},
            {"state": "joined", "third": "Ben"},
            {"state": "joined", "flow": "bill_payment", "run": FlowRun(done=True, reached=("pay_bill",))},
        ):
            talk.stands(**news)
            await asyncio.sleep(0.2)
            assert await faults(talk.page) == [], news
        if PICTURES:
            await talk.page.screenshot(path=Path(PICTURES) / f"desk-talking-{colours}.png", full_page=True)
