"""A desk page in real headless Chromium at one server takes a call of another, whose audio it opens there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.conftest import MICROPHONE_HZ, OpenBrowser, tone
from tests.browser.desks import CALLER_HZ, available, calling, shows, tone_on_tape
from tests.browser.test_call_page import LISTEN
from tests.end_to_end.server import is_over
from tests.end_to_end.test_two_servers import flows, one_database, serving
from voicebot import g711

pytestmark = [
    pytest.mark.browser,
    pytest.mark.spoken,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("browser"),
    pytest.mark.usefixtures("one_database"),
]
__all__ = ["flows", "one_database"]  # fixtures


async def test_a_page_at_one_server_takes_the_call_of_another(
    tmp_path: Path,
    flows: Path,  # the fixture
    open_browser: OpenBrowser,
    microphone_file: Path,
) -> None:
    async with (
        serving(tmp_path, flows, "east") as east,
        serving(tmp_path, flows, "west") as west,
        open_browser(microphone_file) as browser,
    ):
        page = await available(browser, west)
        async with calling(east, page) as line:
            await shows(page, "#packet .summary", "Asked for a person")
            await page.keyboard.press("Control+Enter")
            await shows(page, "#call-phase", "You are talking")
            line.speak(g711.encode(tone(CALLER_HZ, 20.0, 8000)))
            heard = await page.evaluate(LISTEN, [CALLER_HZ, 4.0])
            assert heard["share"] > 0.5, heard
            assert await tone_on_tape(line, MICROPHONE_HZ) > 0.5
            await page.keyboard.press("Alt+h")
            await shows(page, "#call-phase", "wrap up")
            record = await east.until(line.call_sid, is_over)
        assert record["outcome"] == "person"
