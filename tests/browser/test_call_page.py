"""The call page in real headless Chromium, against the real server with a leg that the test answers by hand."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import MICROPHONE_HZ, OpenBrowser, tone
from tests.fakes.socket import until
from tests.fakes.web_server import Listener, RunningServer, serving
from voicebot import g711
from voicebot.telephony.leg import (
    SAMPLE_RATE_HZ,
    SILENT_FRAME,
    AudioPlayed,
    CallLeg,
    EndCause,
    FrameReceived,
    HangUpReason,
    KeyPressed,
    LegEnded,
)

# One browser at a time: a machine that runs several starves their audio threads.
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

REPLY_HZ = 1000
#: Listens to what the page really plays, from then on, and gives the share of its energy that lies at one frequency.
LISTEN = """async ([frequency, seconds]) => {
  const { context, playback } = window.voicebotLine;
  const analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0 });
  playback.connect(analyser);
  const bins = new Float32Array(analyser.frequencyBinCount);
  const until = context.currentTime + seconds;
  let best = { level: -200, share: 0 };
  while (context.currentTime < until) {
    await new Promise((done) => setTimeout(done, 40));
    analyser.getFloatFrequencyData(bins);
    const power = [...bins].map((decibels) => 10 ** (decibels / 10));
    const total = power.reduce((sum, each) => sum + each, 0);
    const middle = Math.round((frequency * 8192) / context.sampleRate);
    const near = power.slice(middle - 6, middle + 7).reduce((sum, each) => sum + each, 0);
    const level = 10 * Math.log10(total);
    if (level > best.level) best = { level, share: near / total };
  }
  return best;
}"""


def share_at(audio: np.ndarray, frequency_hz: float) -> float:
    """Return the share of a signal's energy that lies within 20 Hz of a frequency."""
    power = np.abs(np.fft.rfft(audio * np.hanning(len(audio)))) ** 2
    frequencies = np.fft.rfftfreq(len(audio), 1 / SAMPLE_RATE_HZ)
    return float(power[np.abs(frequencies - frequency_hz) < 20].sum() / power.sum())


async def call(page: Page, server: RunningServer) -> None:
    await page.goto(server.base + "/call")
    await page.get_by_role("button", name="Call", exact=True).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("You are connected")


async def played(listener: Listener, position: int) -> None:
    await until(lambda: any(isinstance(e, AudioPlayed) and e.position_samples >= position for e in listener.events))


async def test_the_microphone_reaches_the_server(open_browser: OpenBrowser, microphone_file: Path) -> None:
    listener = Listener()
    async with serving(listener) as server, open_browser(microphone_file) as browser:
        page = await browser.new_page()
        await call(page, server)
        await asyncio.sleep(2.5)
        await page.get_by_role("button", name="Hang up").click()
        await until(listener.ended.is_set)

    frames = [event for event in listener.events if isinstance(event, FrameReceived)]
    audio = g711.decode(b"".join(event.payload for event in frames)).astype(np.float64)
    seconds = frames[-1].arrived_s - frames[0].arrived_s
    assert 0.85 < len(frames) * 0.02 / seconds < 1.15
    # Energy comes in bursts, as in the file, and where it comes it is the file's tone.
    windows = [audio[begin : begin + 1600] for begin in range(0, len(audio) - 1600, 1600)]
    loudest = max(windows, key=lambda window: float(np.square(window).mean()))
    quietest = min(windows, key=lambda window: float(np.square(window).mean()))
    assert np.square(loudest).mean() > 200**2
    assert share_at(loudest, MICROPHONE_HZ) > 0.9
    assert np.square(quietest).mean() < np.square(loudest).mean() / 30
    assert isinstance(listener.events[-1], LegEnded)
    assert listener.events[-1].cause is EndCause.PEER_HUNG_UP


async def test_the_reply_is_heard_on_the_page_and_its_end_is_reported(
    open_browser: OpenBrowser, microphone_file: Path
) -> None:
    listener = Listener()
    reply = g711.encode(tone(REPLY_HZ, 1.2, SAMPLE_RATE_HZ))
    async with serving(listener) as server, open_browser(microphone_file) as browser:
        page = await browser.new_page()
        await call(page, server)
        leg = listener.legs[0]
        heard = asyncio.create_task(page.evaluate(LISTEN, [REPLY_HZ, 1.5]))
        await asyncio.sleep(0.2)
        began_s = asyncio.get_running_loop().time()
        for begin in range(0, len(reply), 160):
            leg.send(reply[begin : begin + 160])
        loudest = await heard
        await played(listener, len(reply))
        took_s = asyncio.get_running_loop().time() - began_s

    assert loudest["level"] > -30
    assert loudest["share"] > 0.95
    positions = [event.position_samples for event in listener.events if isinstance(event, AudioPlayed)]
    assert positions == sorted(positions)
    assert positions[-1] == len(reply)
    assert len(positions) > 5
    assert took_s > 1.2


async def test_clearing_silences_the_page_at_once(open_browser: OpenBrowser, microphone_file: Path) -> None:
    listener = Listener()
    async with serving(listener) as server, open_browser(microphone_file) as browser:
        page = await browser.new_page()
        await call(page, server)
        leg = listener.legs[0]
        for _ in range(150):
            leg.send(g711.encode(tone(REPLY_HZ, 0.02, SAMPLE_RATE_HZ)))
        await played(listener, 4000)
        position = leg.clear()
        await page.wait_for_function("window.voicebotLine.stats.clears === 1")
        heard = await page.evaluate(LISTEN, [REPLY_HZ, 0.6])
        leg.send(SILENT_FRAME)
        await played(listener, 150 * 160 + 160)

    assert 4000 <= position < 24_000
    assert heard["level"] < -90


async def test_the_keypad_and_the_keyboard_send_keys(open_browser: OpenBrowser, microphone_file: Path) -> None:
    listener = Listener()
    async with serving(listener) as server, open_browser(microphone_file) as browser:
        page = await browser.new_page()
        await call(page, server)
        await page.get_by_role("button", name="Keys").click()
        for name in ("1", "star", "0"):
            await page.get_by_role("group", name="Keypad").get_by_role("button", name=name).click()
        await page.keyboard.press("#")
        await page.get_by_role("group", name="Keypad").get_by_role("button", name="7").focus()
        await page.keyboard.press("Enter")
        await page.keyboard.type("25")
        await until(lambda: sum(isinstance(event, KeyPressed) for event in listener.events) == 7)

    assert "".join(event.key for event in listener.events if isinstance(event, KeyPressed)) == "1*0#725"


async def test_captions_of_both_sides_are_shown_as_text(open_browser: OpenBrowser, microphone_file: Path) -> None:
    listener = Listener()
    async with serving(listener) as server, open_browser(microphone_file) as browser:
        page = await browser.new_page()
        await call(page, server)
        log = page.get_by_role("log", name="Conversation")
        leg = listener.legs[0]
        leg.show_caption("bot", "How can I <i>help</i>?", final=True)
        leg.show_caption("caller", "where is", final=False)
        await expect(log.locator(".bubble.you.partial")).to_have_text("Youwhere is")
        leg.show_caption("caller", "where is my order", final=True)

        await expect(log.locator(".bubble")).to_have_text(["BotHow can I <i>help</i>?", "Youwhere is my order"])
        await expect(log.locator(".partial")).to_have_count(0)


async def test_a_refused_microphone_is_explained_and_keys_still_work(
    open_browser: OpenBrowser, microphone_file: Path
) -> None:
    listener = Listener()
    async with serving(listener) as server, open_browser(microphone_file, allowed=False) as browser:
        page = await browser.new_page()
        await page.goto(server.base + "/call")
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("The microphone is blocked.")
        assert listener.legs == []

        await page.get_by_role("button", name="Call with the keypad only").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("You are connected")
        await page.keyboard.press("4")
        await until(lambda: any(isinstance(event, KeyPressed) for event in listener.events))
        await until(lambda: sum(isinstance(event, FrameReceived) for event in listener.events) > 20)

    assert {event.payload for event in listener.events if isinstance(event, FrameReceived)} == {SILENT_FRAME}


async def test_a_machine_without_a_microphone_is_told_so(open_browser: OpenBrowser) -> None:
    async with serving() as server, open_browser(None) as browser:
        context = await browser.new_context(permissions=["microphone"])
        page = await context.new_page()
        await page.goto(server.base + "/call")
        await page.get_by_role("button", name="Call", exact=True).click()

        await expect(page.get_by_role("alert")).to_contain_text("No microphone was found.")
        await expect(page.get_by_role("button", name="Call", exact=True)).to_be_visible()


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        (HangUpReason.COMPLETED, None),
        (HangUpReason.SHUTTING_DOWN, "The server is going down"),
        (HangUpReason.FAILED, "Something went wrong on our side"),
    ],
)
async def test_the_page_says_why_the_call_ended(
    open_browser: OpenBrowser, microphone_file: Path, reason: HangUpReason, shown: str | None
) -> None:
    async def hang_up(leg: CallLeg) -> None:
        await asyncio.sleep(0.3)
        await leg.hang_up(reason)

    async with serving(hang_up) as server, open_browser(microphone_file) as browser:
        page = await browser.new_page()
        await page.goto(server.base + "/call")
        await page.get_by_role("button", name="Call", exact=True).click()

        await expect(page.get_by_role("heading", level=1)).to_have_text("Call ended")
        if shown is None:
            await expect(page.get_by_role("alert")).to_be_hidden()
        else:
            await expect(page.get_by_role("alert")).to_contain_text(shown)


async def test_a_full_server_is_explained_and_one_can_call_again(
    open_browser: OpenBrowser, microphone_file: Path
) -> None:
    async with serving() as server, open_browser(microphone_file) as browser:
        server.admission.refuse_with = "overloaded"
        page = await browser.new_page()
        await page.goto(server.base + "/call")
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("All lines are busy.")

        server.admission.refuse_with = None
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("You are connected")
        await expect(page.get_by_role("alert")).to_be_hidden()


async def test_muting_sends_silence_and_keeps_the_line_alive(open_browser: OpenBrowser, microphone_file: Path) -> None:
    listener = Listener()
    async with serving(listener) as server, open_browser(microphone_file) as browser:
        page = await browser.new_page()
        await call(page, server)
        await page.get_by_role("button", name="Mute").click()
        await expect(page.get_by_role("button", name="Unmute")).to_have_attribute("aria-pressed", "true")
        await asyncio.sleep(0.2)
        listener.events.clear()
        await asyncio.sleep(1.2)
        frames = [event.payload for event in listener.events if isinstance(event, FrameReceived)]

    assert len(frames) > 30
    assert set(frames) == {SILENT_FRAME}


async def test_the_page_works_under_its_own_content_security_policy(
    open_browser: OpenBrowser, microphone_file: Path
) -> None:
    complaints: list[str] = []
    async with serving() as server, open_browser(microphone_file) as browser:
        page = await browser.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await call(page, server)
        await page.get_by_role("button", name="Hang up").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Call ended")

    assert complaints == []
