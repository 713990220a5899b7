"""The pages under axe-core in real headless Chromium, in light and in dark, wide and narrow."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

from tests.browser.conftest import OpenBrowser
from tests.fakes.recorded_call import recording_of, short_call
from tests.fakes.recordings import FakeRecordings
from tests.fakes.web_server import PASSWORD, FakeCalls
from tests.web.test_work_door import office
from voicebot.records.access.roles import Role
from voicebot.records.schema import call_document

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


async def faults(page: Page) -> list[str]:
    """Return what axe-core calls serious or critical, with where it is."""
    results = await Axe().run(page)
    return [
        f"{page.url}: {fault['id']} at {[node['target'] for node in fault['nodes']][:5]}"
        for fault in results.response["violations"]
        if fault["impact"] in {"serious", "critical"}
    ]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 400)])
async def test_axe_finds_no_serious_fault(
    open_browser: OpenBrowser, scheme: Literal["light", "dark"], width: int
) -> None:
    call = short_call()
    unrecorded = replace(call, id="unrecorded", recording=None)
    found: list[str] = []
    async with (
        office(
            calls=FakeCalls([call_document(call), call_document(unrecorded)]),
            recordings=FakeRecordings({"short": recording_of(call)}),
        ) as server,
        open_browser(None) as browser,
    ):
        await server.add_user("dana", Role.ADMIN)
        page = await browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
        await page.goto(server.base + "/sign-in?then=/calls")
        found += await faults(page)
        await page.get_by_label("Name").fill("dana")
        await page.get_by_label("Password").fill("wrong")
        await page.keyboard.press("Enter")
        await page.get_by_role("alert").wait_for()
        found += await faults(page)
        await page.get_by_label("Name").fill("dana")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.keyboard.press("Enter")
        await page.locator(".results").wait_for()
        for path in (
            "/calls?words=order",
            "/calls?min_duration_s=x&outcome=failed",
            "/calls/unrecorded",
            "/approvals",
            "/actions",
        ):
            await page.goto(server.base + path)
            found += await faults(page)
        await page.goto(server.base + "/calls/short")
        await page.locator("#player[data-ready]").wait_for()
        await page.keyboard.press("n")
        await page.keyboard.press("n")
        await page.keyboard.press("e")
        found += await faults(page)
        await page.goto(server.base + "/call")
        found += await faults(page)
        await page.goto(server.base + "/calls/never-was")
        found += await faults(page)

    assert found == []
