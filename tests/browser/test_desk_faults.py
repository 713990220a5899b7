"""The desk and the floor with a real contact centre behind them and no call: what must hold in every phase."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import OpenBrowser
from tests.fakes.contact_centre import WRAP_UP_S, Centre
from tests.fakes.web_server import PASSWORD, FakeCalls, RunningServer, serving
from voicebot.calls.transfer.seams import Place, RingFailed, TalkLine, TalkNews
from voicebot.records.access.roles import Role
from voicebot.records.database import Database
from voicebot.routing.events import Claim
from voicebot.routing.queues import Failure
from voicebot.telephony.leg import CallLeg

# One browser at a time: a machine that runs several starves their audio threads.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(180), pytest.mark.xdist_group("browser")]

PATIENCE_MS = 30_000


@dataclass
class Office:
    server: RunningServer
    centre: Centre
    browser: Browser
    #: What pages complained about: a broken policy or script would show here.
    complaints: list[str]

    async def sign_in(self, name: str, role: Role, path: str, **context: Any) -> Page:
        await self.server.add_user(name, role)
        page = await (await self.browser.new_context(**context)).new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        await page.goto(self.server.base + path)
        await page.get_by_label("Name").fill(name)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url(self.server.base + path)
        if path == "/desk":
            await shows(page, "#my-state", "Away")
        return page

    async def call_for(self, page: Page) -> tuple[Place, Claim, asyncio.Task[CallLeg]]:
        """Have the agent of the page available and rung."""
        await page.keyboard.press("Alt+a")
        await shows(page, "#my-state", "Available")
        place, claimed = await self.centre.wait_in("service")
        claim = await claimed
        ringing = asyncio.create_task(self.centre.ring(claim))
        await shows(page, "#call-phase", "A call for you")
        return place, claim, ringing


@asynccontextmanager
async def office(open_browser: OpenBrowser, microphone: Path | None) -> AsyncIterator[Office]:
    made: list[Centre] = []

    def desks(database: Database) -> Any:
        made.append(Centre(database))
        return made[0].parts

    calls = FakeCalls([{"id": "call-1"}])
    calls.given_to["call-1"] = frozenset({"ana"})
    async with serving(desks=desks, calls=calls) as server, made[0].running(), open_browser(microphone) as browser:
        complaints: list[str] = []
        yield Office(server, made[0], browser, complaints)
        assert complaints == []


async def shows(page: Page, selector: str, text: str) -> None:
    await expect(page.locator(selector)).to_contain_text(text, timeout=PATIENCE_MS)


async def faults(page: Page) -> list[tuple[str, str]]:
    """Return what axe-core holds for serious, with the first element it is about."""
    found = await Axe().run(page)
    return [
        (each["id"], each["nodes"][0]["html"])
        for each in found.response["violations"]
        if each["impact"] in {"serious", "critical"}
    ]


@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_axe_finds_no_serious_fault_in_any_phase(
    colours: str, open_browser: OpenBrowser, microphone_file: Path
) -> None:
    async with office(open_browser, microphone_file) as it:
        watched = await it.sign_in("dana", Role.SUPERVISOR, "/floor", color_scheme=colours)
        page = await it.sign_in("ana", Role.AGENT, "/desk", color_scheme=colours)
        await shows(page, "#idle-title", "You are away")
        assert await faults(page) == []
        place, claim, ringing = await it.call_for(page)
        await shows(page, "#packet .summary", "Gold customer Jane Doe, authenticated.")
        assert await faults(page) == []
        await page.keyboard.press("Control+Enter")
        leg = await ringing
        assert await it.centre.centre.joined(place, claim)
        await shows(page, "#call-phase", "You are talking")
        it.centre.parts.desks.talk_changed(claim, TalkNews("joined", writing="Written down by a scripted engine."))
        it.centre.parts.desks.talk_written(claim, TalkLine("caller", 21_000, "It is the blue one."))
        await shows(page, "#said-turns", "It is the blue one.")
        await page.keyboard.press("Alt+k")
        await expect(page.get_by_role("group", name="Keypad")).to_be_visible()
        assert await faults(page) == []
        await shows(watched, "#agents", "On a call")
        assert await faults(watched) == []
        await page.keyboard.press("Alt+h")
        it.centre.parts.desks.release(leg)
        await it.centre.centre.free(claim, None, talked=True, wrap_up_s=WRAP_UP_S)
        await shows(page, "#call-phase", "wrap up")
        assert await faults(page) == []


async def test_on_a_telephone_the_bar_takes_one_line_and_a_state_stands_beside_its_mark(
    open_browser: OpenBrowser, microphone_file: Path
) -> None:
    async with office(open_browser, microphone_file) as it:
        page = await it.sign_in("dana", Role.ADMIN, "/floor", viewport={"width": 390, "height": 800})
        await shows(page, "#agents", "Away")
        links = [await link.bounding_box() for link in await page.locator("nav.places a").all()]
        assert len(links) >= 4
        assert len({box["y"] for box in links if box}) == 1
        # All parts of the cell have a height in common.
        assert await page.evaluate(
            "(() => { const range = document.createRange();"
            " range.selectNodeContents(document.querySelector('#agents td:has(.dot)'));"
            " const boxes = [...range.getClientRects()];"
            " return Math.max(...boxes.map((box) => box.top)) < Math.min(...boxes.map((box) => box.bottom)); })()"
        )


async def test_what_is_said_is_shown_while_they_talk_and_after_the_page_was_loaded_anew(
    open_browser: OpenBrowser, microphone_file: Path
) -> None:
    async with office(open_browser, microphone_file) as it:
        page = await it.sign_in("ana", Role.AGENT, "/desk")
        place, claim, ringing = await it.call_for(page)
        await expect(page.locator("#said")).to_be_hidden()
        await page.keyboard.press("Control+Enter")
        leg = await ringing
        assert await it.centre.centre.joined(place, claim)
        await shows(page, "#call-phase", "You are talking")
        desks = it.centre.parts.desks
        desks.talk_changed(claim, TalkNews("joined", writing="Written down by a scripted engine."))
        desks.talk_written(claim, TalkLine("agent", 20_000, "Which jacket is it?"))
        desks.talk_written(claim, TalkLine("caller", 21_000, "<b>The blue one.</b>"))
        desks.talk_written(claim, TalkLine("caller", 23_000, ""))
        await shows(page, "#writing", "Written down by a scripted engine.")
        lines = page.locator("#said-turns li")
        shown = ["AgentWhich jacket is it?", "Caller<b>The blue one.</b>", "Callerno words"]
        await expect(lines).to_have_text(shown, timeout=PATIENCE_MS)
        # Whoever has another page open, or loads it anew on a telephone, sees it too.
        other = await page.context.new_page()
        await other.goto(it.server.base + "/desk")
        await expect(other.locator("#said-turns li")).to_have_text(shown, timeout=PATIENCE_MS)
        await page.keyboard.press("Alt+h")
        desks.release(leg)
        await it.centre.centre.free(claim, None, talked=True, wrap_up_s=WRAP_UP_S)
        desks.talk_changed(claim, None)
        await shows(page, "#call-phase", "wrap up")
        await expect(lines).to_have_text(shown, timeout=PATIENCE_MS)


async def test_what_somebody_needs_to_know_comes_in_order(open_browser: OpenBrowser, microphone_file: Path) -> None:
    async with office(open_browser, microphone_file) as it:
        page = await it.sign_in("ana", Role.AGENT, "/desk")
        *_, ringing = await it.call_for(page)
        text = await page.locator("#packet").inner_text()
        titles = ["Gold customer Jane Doe", "Conversation", "Done so far", "Data", "Before this call", "Next steps"]
        places = [text.index(title) for title in titles]
        assert places == sorted(places)
        assert "kept secret" in text
        await page.keyboard.press("Escape")
        with pytest.raises(RingFailed) as failed:
            await ringing
        assert failed.value.failure is Failure.DECLINED
        await shows(page, "#notice", "You declined the call.")


async def test_a_caller_who_gives_up_stops_the_ringing(open_browser: OpenBrowser, microphone_file: Path) -> None:
    async with office(open_browser, microphone_file) as it:
        page = await it.sign_in("ana", Role.AGENT, "/desk")
        _, claim, ringing = await it.call_for(page)
        assert (await page.title()).startswith("☎")
        ringing.cancel()
        await it.centre.centre.free(claim, None, talked=False, wrap_up_s=0)
        await shows(page, "#notice", "The caller is gone.")
        await shows(page, "#my-state", "Available")
        assert not (await page.title()).startswith("☎")
        await expect(page.locator("#packet")).to_be_hidden()


async def test_without_a_microphone_the_call_goes_on_ringing_and_the_page_says_why(open_browser: OpenBrowser) -> None:
    async with office(open_browser, None) as it:
        page = await it.sign_in("ana", Role.AGENT, "/desk")
        *_, ringing = await it.call_for(page)
        await page.get_by_role("button", name="Accept").click()
        await shows(page, "#notice", "microphone")
        assert not ringing.done()
        ringing.cancel()


async def test_a_lost_connection_is_said_and_found_again(open_browser: OpenBrowser, microphone_file: Path) -> None:
    async with office(open_browser, microphone_file) as it:
        page = await it.sign_in("ana", Role.AGENT, "/desk")
        await page.evaluate("window.voicebotDesk.socket.close()")
        await shows(page, "#notice", "The connection to the server was lost.")
        await expect(page.locator("#notice")).to_be_hidden(timeout=PATIENCE_MS)
        await page.keyboard.press("Alt+b")
        await shows(page, "#my-state", "Break")
