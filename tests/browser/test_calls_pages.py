"""The pages of calls in real headless Chromium: looked for, opened, listened to, by mouse and by keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenBrowser
from tests.fakes.recorded_call import BEGAN, long_call, recording_of, short_call
from tests.fakes.recordings import FakeRecordings
from tests.fakes.web_server import PASSWORD, FakeCalls, RunningServer, serving
from voicebot.records.access.roles import Role
from voicebot.records.record import CallRecord, HeardWord, Speaker, TurnRecord
from voicebot.records.schema import call_document

# One browser at a time: a machine that runs several starves their audio threads.
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

AT = "document.getElementById('audio').currentTime"


@asynccontextmanager
async def reviewing(
    open_browser: OpenBrowser, *calls: CallRecord, role: Role = Role.QA, path: str = "/calls"
) -> AsyncIterator[tuple[Page, RunningServer]]:
    """Give a page on which somebody has signed in, and the server with recorded calls behind it."""
    recordings = FakeRecordings({call.id: recording_of(call) for call in calls})
    reader = FakeCalls([call_document(call) for call in calls])
    async with serving(calls=reader, recordings=recordings) as server, open_browser(None) as browser:
        await server.add_user("dana", role)
        page = await browser.new_page()
        await page.goto(server.base + path)
        await page.get_by_label("Name").fill("dana")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.keyboard.press("Enter")
        await page.wait_for_url(server.base + path)
        yield page, server


async def until(page: Page, condition: str, timeout_s: float = 8) -> None:
    """Wait until a condition holds on the page, whose policy forbids what Playwright's own waiting does."""
    async with asyncio.timeout(timeout_s):
        while not await page.evaluate(condition):
            await asyncio.sleep(0.05)


async def is_ready(page: Page) -> None:
    await expect(page.locator("#player[data-ready]")).to_be_visible(timeout=20_000)


async def test_a_reviewer_searches_opens_and_hears_a_call(open_browser: OpenBrowser) -> None:
    async with reviewing(open_browser, short_call()) as (page, server):
        await page.get_by_label("Words said", exact=True).fill('"my order"')
        await page.keyboard.press("Enter")
        await page.get_by_role("link", name="where is my order").click()
        await is_ready(page)

        # The words found are where the listening begins.
        await expect(page.locator("#turn-1.now")).to_be_visible()
        assert await page.evaluate(AT) == pytest.approx(3.6, abs=0.1)
        await page.get_by_role("button", name="Play the recording").click()
        await until(page, f"{AT} > 4.2")
        await page.get_by_role("button", name="Pause").click()
        assert await page.evaluate("document.getElementById('audio').paused")
        assert [entry.action for entry in server.audited].count("recording_played") == 1


async def test_a_click_in_the_transcript_leads_the_sound_and_the_sound_the_transcript(
    open_browser: OpenBrowser,
) -> None:
    async with reviewing(open_browser, short_call(), path="/calls/short") as (page, _):
        await is_ready(page)
        await page.locator("[data-word]", has_text="order").click()
        assert await page.evaluate(AT) == pytest.approx(4.8, abs=0.05)
        await expect(page.locator("[data-word].now")).to_have_text("order")

        await page.get_by_role("link", name="Listen from 0:23").click()
        await until(page, f"{AT} > 23.8")
        await expect(page.locator(".turn[aria-current]")).to_have_id("turn-5")
        await until(page, f"{AT} > 27.2", timeout_s=15)
        await expect(page.locator(".turn[aria-current]")).to_have_id("turn-6")
        await expect(page.locator("#turn-6")).to_be_in_viewport()


async def test_a_click_into_the_waveform_goes_there(open_browser: OpenBrowser) -> None:
    async with reviewing(open_browser, short_call(), path="/calls/short") as (page, _):
        await is_ready(page)
        lanes = await page.locator("#lanes").bounding_box()
        assert lanes is not None
        await page.mouse.click(lanes["x"] + 0.75 * lanes["width"], lanes["y"] + 30)

        assert await page.evaluate(AT) == pytest.approx(30, abs=0.3)
        await expect(page.locator("#position")).to_have_text("0:30 / 0:40")


async def test_silence_is_skipped_and_speed_changes(open_browser: OpenBrowser) -> None:
    async with reviewing(open_browser, short_call(), path="/calls/short") as (page, _):
        await is_ready(page)
        await page.get_by_label("Skip silence").check()
        await page.get_by_label("Speed").select_option("2")
        assert await page.evaluate("document.getElementById('audio').playbackRate") == 2
        await page.get_by_role("link", name="Listen from 0:10").click()
        # Twelve seconds of silence follow; without skipping them it would take six even at this speed.
        await until(page, f"{AT} > 23", timeout_s=4)

        await page.reload()
        await is_ready(page)
        await expect(page.get_by_label("Skip silence")).to_be_checked()


async def test_everything_can_be_done_by_keys(open_browser: OpenBrowser) -> None:
    async with reviewing(open_browser, short_call(), path="/calls/short") as (page, _):
        await is_ready(page)
        keys = page.keyboard

        async def at(seconds: float) -> None:
            await until(page, f"Math.abs({AT} - {seconds}) < 0.1")

        await keys.press("ArrowRight")
        await at(5)
        await keys.press("ArrowLeft")
        await at(0)
        await keys.press("n")  # where the bot was interrupted
        await at(4)
        await keys.press("n")  # where the policy acted
        await at(27)
        await expect(page.locator("#turn-6.now")).to_be_in_viewport()
        await keys.press("e")
        await expect(page.locator("#turn-6 table")).to_be_visible()
        await keys.press("p")
        await at(4)
        await keys.press("ArrowDown")
        await at(5.9)
        await keys.press("ArrowUp")
        await at(3.6)
        await keys.press("+")
        await expect(page.get_by_label("Speed")).to_have_value("1.25")
        await keys.press("Space")
        await until(page, f"{AT} > 4")
        await keys.press("k")
        assert await page.evaluate("document.getElementById('audio').paused")
        await keys.press("?")
        await expect(page.get_by_text("turn before, after")).to_be_visible()

        await page.get_by_label("Keys work on this page").uncheck()
        before = await page.evaluate(AT)
        await keys.press("ArrowRight")
        await page.wait_for_timeout(200)
        assert await page.evaluate(AT) == before


async def test_half_an_hour_with_300_turns_is_drawn_whole(open_browser: OpenBrowser) -> None:
    async with reviewing(open_browser, long_call(), path="/calls/long") as (page, _):
        await is_ready(page)

        assert await page.locator(".turn").count() == 300
        await expect(page.locator("#position")).to_have_text("0:00 / 30:00")
        # Both lanes are drawn to their ends, and marks below them.
        drawn = await page.evaluate(
            """() => {
              const canvas = document.getElementById("waveform");
              const pen = canvas.getContext("2d");
              const inked = (...box) => pen.getImageData(...box).data.filter((value, n) => n % 4 === 3 && value).length;
              const [end, lane] = [canvas.width - 60, Math.floor((canvas.height - 16) / 2)];
              return [inked(end, 0, 60, lane), inked(end, lane, 60, lane), inked(end, 2 * lane, 60, 16)];
            }"""
        )
        assert min(drawn) > 40
        await page.get_by_role("link", name="Listen from 29:42").click()
        await until(page, f"{AT} > 1782.2")
        await expect(page.locator("#turn-297")).to_be_in_viewport()


async def test_both_pages_work_without_script(open_browser: OpenBrowser) -> None:
    async with (
        serving(
            calls=FakeCalls([call_document(short_call())]),
            recordings=FakeRecordings({"short": recording_of(short_call())}),
        ) as server,
        open_browser(None) as browser,
    ):
        await server.add_user("dana", Role.QA)
        page = await (await browser.new_context(java_script_enabled=False)).new_page()
        await page.goto(server.base + "/calls")
        await page.get_by_label("Name").fill("dana")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.keyboard.press("Enter")
        await page.get_by_text("Caller, intent, outcome").click()
        await page.get_by_label("Outcome").select_option("completed")
        await page.get_by_role("button", name="Search").click()
        assert [str(search.outcome) for search in server.calls.searches][-1] == "completed"
        await page.locator(".results a").first.click()

        await expect(page.get_by_text("where is my order", exact=True)).to_be_visible()
        await expect(page.locator("audio[controls]")).to_be_visible()
        await expect(page.locator("#tools")).to_be_hidden()


async def test_an_auditor_follows_the_waveform_without_a_sound(open_browser: OpenBrowser) -> None:
    async with reviewing(open_browser, short_call(), role=Role.AUDITOR, path="/calls/short") as (page, _):
        await is_ready(page)
        await page.keyboard.press("n")

        await expect(page.locator("#position")).to_have_text("0:04 / 0:40")
        await expect(page.locator("audio")).to_have_count(0)


async def test_a_recording_that_cannot_be_read_is_said_to_be_unplayable(open_browser: OpenBrowser) -> None:
    async with reviewing(open_browser, short_call()) as (page, server):
        await page.route("**/recording", lambda route: route.fulfill(status=500, body="broken"))
        await page.goto(server.base + "/calls/short")
        await is_ready(page)

        await expect(page.get_by_role("alert")).to_contain_text("The recording cannot be played.")
        await expect(page.get_by_text("Your order leaves our house tomorrow.")).to_be_visible()


SCRIPTS = (
    "<script>window.hurt = 1; alert(1)</script>",
    "<img src=x onerror='window.hurt = 1; alert(1)'>",
    "\"><svg onload='window.hurt = 1; alert(1)'>",
    "' autofocus onfocus='window.hurt = 1; alert(1)' x='",
    "{{ 7 * 7 }}${7 * 7}",
    "javascript:alert(1)",
    "</textarea></title><script src='https://example.com/x.js'></script>",
)


async def test_nothing_that_a_caller_says_runs_in_a_reviewers_browser(open_browser: OpenBrowser) -> None:
    said = " ".join(SCRIPTS)
    turns = tuple(
        TurnRecord(
            speaker,
            text,
            at_ms=1000 * n,
            heard_ms=900,
            heard_text=text[:9] if speaker is Speaker.BOT else None,
            prompt=text,
            engine=text,
            intent=text,
            confidence=0.5,
            slots={text: text},
            decision=f"{text}; {text}",
            alternatives=(text,),
            words=tuple(HeardWord(word, 1000 * n, 1000 * n + 10, 0.1) for word in text.split()),
            timings_ms={"final": 300.0, text: 3.0},
            signals={text: text, "decision": {"rung": text, "rule": text, "held": text, "parts": [[text, 1, 1, 1]]}},
        )
        for n, text in enumerate(SCRIPTS)
        for speaker in (Speaker.CALLER, Speaker.BOT)
    )
    call = replace(short_call(), turns=turns, goal=said, caller=said, cause=said, channel=said, flow_version=said)
    asked: list[str] = []
    trouble: list[str] = []
    async with reviewing(open_browser, call) as (page, server):
        page.on("dialog", lambda dialog: trouble.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
        await page.goto(server.base + "/calls?words=script&caller=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
        await expect(page.locator(".results mark")).to_have_text("script")
        await page.goto(server.base + "/calls/short")
        await is_ready(page)
        await page.keyboard.press("ArrowDown")
        for summary in await page.locator(".behind summary").all():
            await summary.click()

        assert await page.evaluate("window.hurt") is None
        assert await page.locator("main script, main img, main [onload], main [onerror], main [onfocus]").count() == 0
        await expect(page.locator("#turn-0 .said")).to_contain_text(SCRIPTS[0])
        await expect(page.locator("#turn-8 .said")).to_contain_text("{{ 7 * 7 }}${7 * 7}")
    assert trouble == []
    assert {url.split("/")[2] for url in asked} == {server.base.split("/")[2]}


async def test_times_that_are_not_in_order_lead_to_the_right_turn(open_browser: OpenBrowser) -> None:
    """A turn of the bot is written down when it is over, so what interrupts it may stand before it."""
    bot = TurnRecord(Speaker.BOT, "one two", at_ms=0, heard_ms=9000)
    caller = TurnRecord(Speaker.CALLER, "three", at_ms=4000, heard_ms=900)
    call = replace(short_call(), turns=(caller, bot), started_at=BEGAN)
    async with reviewing(open_browser, call, path="/calls/short") as (page, _):
        await is_ready(page)
        await page.keyboard.press("ArrowRight")
        await expect(page.locator(".turn[aria-current]")).to_have_id("turn-0")
        await page.keyboard.press("ArrowLeft")
        await page.evaluate("document.getElementById('audio').currentTime = 2")
        await expect(page.locator(".turn[aria-current]")).to_have_id("turn-1")
