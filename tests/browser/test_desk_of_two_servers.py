"""A desk page in real headless Chromium at one server takes a call of another, whose audio it opens there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.conftest import MICROPHONE_HZ, OpenBrowser, tone
from tests.browser.test_call_page import LISTEN
from tests.browser.test_desk_page import CALLER_HZ, PASSWORD, ask_for_a_person, shows, sign_in, tone_on_tape
from tests.end_to_end.server import is_over
from tests.end_to_end.test_two_servers import flows, one_database, serving
from voicebot import g711
from voicebot.simulation.carrier import Numbers
from voicebot.simulation.sip_carrier import SipCarrier

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
        await west.add_user("ana", "agent", PASSWORD)
        page = await browser.new_page()
        await sign_in(page, west, "ana", "/desk")
        await shows(page, "#my-state", "Away")
        await page.keyboard.press("Alt+a")
        await shows(page, "#my-state", "Available")
        async with SipCarrier(east.sip_uri).dial(numbers=Numbers("+15550100199", "bot")) as line:
            await ask_for_a_person(east, line)
            await shows(page, "#call-phase", "A call for you")
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
