"""Measures how soon the page of a half-hour call with 300 turns is there, in headless Chromium with an empty cache.

The call is made up and lies in an SQLite database; its recording is FLAC, a tone wherever somebody speaks. Time counts
from the navigation's begin until waveform and transcript are drawn and can be used, by the browser's own clock.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from _report import Report, parser, percentile
from playwright.async_api import BrowserContext, async_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fakes.recorded_call import keep, long_call, recording_of
from tests.fakes.recordings import FakeRecordings
from tests.fakes.web_server import PASSWORD, RunningServer, serving
from voicebot.records.access.roles import Role
from voicebot.records.record import CallRecord
from voicebot.records.store import Store

WARM_UPS = 2
#: Notes when the page has said that it is ready and the frame after that was drawn.
NOTE_READY = """new MutationObserver(() => {
  if (window.readyMs || !document.querySelector("#player[data-ready]")) return;
  window.readyMs = -1;
  requestAnimationFrame(() => requestAnimationFrame(() => (window.readyMs = performance.now())));
}).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-ready"] });"""
ANSWERED = "performance.getEntriesByType('navigation')[0].responseEnd"
SOUNDS = "document.getElementById('audio').currentTime > 0.05"


async def until(context: BrowserContext, condition: str) -> float:
    """Return what the condition says once it says something above nothing."""
    page = context.pages[0]
    async with asyncio.timeout(30):
        while not (found := await page.evaluate(condition)) or found < 0:
            await asyncio.sleep(0.005)
    return float(found)


@asynccontextmanager
async def served(call: CallRecord) -> AsyncIterator[RunningServer]:
    with tempfile.TemporaryDirectory() as folder:
        async with Store.open(Path(folder), instance="bench", on_failure=print) as store:
            await keep(store, call)
            recordings = FakeRecordings({call.id: recording_of(call)})
            async with serving(store=store, recordings=recordings) as server:
                await server.add_user("dana", Role.QA)
                yield server


async def signed_in(context: BrowserContext, server: RunningServer) -> None:
    page = await context.new_page()
    await page.goto(server.base + "/calls")
    await page.get_by_label("Name").fill("dana")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url(server.base + "/calls")


async def main() -> None:
    options = parser(__doc__.partition("\n")[0])
    options.add_argument("--repeats", type=int, default=20)
    options.add_argument("--minutes", type=int, default=30)
    options.add_argument("--turns", type=int, default=300)
    given = options.parse_args()
    report = Report("pages")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        report.missing("everything", "Chromium is not installed")
        report.finish(given.json)
        return
    call = long_call(minutes=given.minutes, turns=given.turns)
    answered, ready, sounds = [], [], []
    async with served(call) as server, async_playwright() as driver:
        flags = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        browser = await driver.chromium.launch(executable_path=chromium, args=flags)
        # One session for all: what is measured is not signing in. The cache is emptied before each.
        context = await browser.new_context(viewport={"width": 1280, "height": 900})
        await signed_in(context, server)
        await context.add_init_script(NOTE_READY)
        page = context.pages[0]
        devtools = await context.new_cdp_session(page)
        for number in range(WARM_UPS + given.repeats):
            await devtools.send("Network.clearBrowserCache")
            await page.goto(f"{server.base}/calls/{call.id}", wait_until="commit")
            ready_ms = await until(context, "window.readyMs || 0")
            answered_ms = await until(context, ANSWERED)
            before = await page.evaluate("performance.now()")
            await page.keyboard.press("Space")
            await until(context, f"{SOUNDS} ? 1 : 0")
            if number >= WARM_UPS:
                ready.append(ready_ms)
                answered.append(answered_ms)
                sounds.append(await page.evaluate("performance.now()") - before)
        await browser.close()
    section, n = f"a call of {given.minutes} minutes, {given.turns} turns", given.repeats
    report.figure(section, "page sent by the server, p50", percentile(answered, 0.5), "ms", n=n)
    report.figure(section, "waveform and transcript drawn, p50", percentile(ready, 0.5), "ms", n=n)
    report.figure(
        section, "waveform and transcript drawn, p95", percentile(ready, 0.95), "ms", n=n, yardstick="under 1000"
    )
    report.figure(section, "from the key to 50 ms of sound, p95", percentile(sounds, 0.95), "ms", n=n)
    report.finish(given.json)


if __name__ == "__main__":
    asyncio.run(main())
