"""A person's call from the page to the bot that ships: the microphone hears real speech, the page plays the answer."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import soxr
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenBrowser, RunningBot, write_microphone
from voicebot import g711
from voicebot.errors import EngineUnavailable
from voicebot.g711 import Pcm
from voicebot.simulation import ears, voice
from voicebot.simulation.loudness import is_audible
from voicebot.simulation.phrasebook import Phrasebook, words_of

# One browser at a time: a machine that runs several starves their audio threads.
pytestmark = [pytest.mark.browser, pytest.mark.spoken, pytest.mark.xdist_group("browser")]

#: What else the bot could have said, so that hearing the right sentences is a choice.
OTHER_SENTENCES = (
    "Hello, and thank you for calling Harbour and Finch. I'm the automated assistant.",
    "How can I help you today?",
    "Your balance is {money}.",
    "Sorry, I didn't hear anything.",
    "Thank you for calling. Goodbye.",
    "Please tell me your order number, or key it in.",
)
#: Keeps what the page plays, in pieces.
RECORD = """() => {
  const { context, playback } = window.voicebotLine;
  const tap = context.createScriptProcessor(4096, 1, 1);
  window.played = [];
  tap.onaudioprocess = ({ inputBuffer }) => window.played.push(Float32Array.from(inputBuffer.getChannelData(0)));
  playback.connect(tap);
  tap.connect(context.destination);
}"""
TAKE = """() => {
  const bytes = new Uint8Array(Float32Array.from(window.played.splice(0).flatMap((piece) => [...piece])).buffer);
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return [window.voicebotLine.context.sampleRate, btoa(text)];
}"""


def write_request(path: Path, text: str, after_s: float) -> str:
    """Write a microphone that hears `text` once, `after_s` from when the page opens it; return it as Chromium wants."""
    try:
        mulaw = voice.speak(voice.first_present(voice.CALLER_VOICES), text)
    except EngineUnavailable as error:
        pytest.skip(str(error))
    spoken = soxr.resample(g711.decode(mulaw).astype(np.float32), 8000, 48_000)
    heard = np.concatenate([np.zeros(round(48_000 * after_s)), spoken, np.zeros(48_000 * 60)])
    write_microphone(path, heard.astype(np.int16))
    return f"{path}%noloop"


async def call(page: Page, bot: RunningBot) -> None:
    await page.goto(bot.url + "/call")
    await page.get_by_role("button", name="Call", exact=True).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("You are connected", timeout=15_000)
    await page.evaluate(RECORD)


async def played(page: Page) -> bytes:
    """Return what the page has played since last asked, as mu-law at 8 kHz."""
    rate_hz, encoded = await page.evaluate(TAKE)
    wave = np.frombuffer(base64.b64decode(encoded), dtype=np.float32)
    narrow: Pcm = np.clip(soxr.resample(wave, rate_hz, 8000) * 32768, -32768, 32767).astype(np.int16)
    return g711.encode(narrow)


async def heard_to_the_end(page: Page) -> None:
    """Wait until the page has played all it got, and nothing more came for a second."""
    await page.wait_for_function(
        """() => {
          const { stats } = window.voicebotLine;
          const done = stats.played === stats.bytesReceived && stats.played > 0;
          window.quietSince = done && window.quietAt === stats.played ? window.quietSince : performance.now();
          window.quietAt = stats.played;
          return performance.now() - window.quietSince > 1000;
        }""",
        timeout=30_000,
    )


async def the_record(bot: RunningBot) -> dict[str, Any]:
    """Return the record of the latest call, once it has ended."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {bot.api_token}"}) as http:
        async with asyncio.timeout(10):
            while True:
                answer = await (await http.get(bot.url + "/api/calls", params={"limit": "1"})).json()
                if answer["calls"] and answer["calls"][0]["ended_at"] is not None:
                    record: dict[str, Any] = answer["calls"][0]
                    return record
                await asyncio.sleep(0.1)


async def test_a_spoken_request_is_answered_and_the_answer_is_heard(
    open_browser: OpenBrowser, running_bot: RunningBot, tmp_path: Path
) -> None:
    microphone = write_request(tmp_path / "request.wav", "What are your opening hours?", after_s=14)
    async with open_browser(microphone) as browser:
        page = await browser.new_page()
        await call(page, running_bot)
        await heard_to_the_end(page)
        greeting = await page.locator(".bubble.bot span:last-child").all_inner_texts()
        before = await played(page)
        await expect(page.locator(".bubble.you:not(.partial)")).to_contain_text("opening hours", timeout=30_000)
        answering = page.locator(".bubble.you ~ .bubble.bot span:last-child")
        await expect(answering.first).to_be_visible(timeout=10_000)
        await heard_to_the_end(page)
        answer = await answering.all_inner_texts()
        reply = await played(page)
        await page.get_by_role("button", name="Hang up").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Call ended")

    assert is_audible(before)
    assert is_audible(reply)
    # What came out of the page's loudspeaker is what its captions say, and not any other sentence.
    heard = await asyncio.to_thread(ears.hear, Phrasebook((*answer, *greeting, *OTHER_SENTENCES)), reply)
    assert heard == ears.Heard(" ".join(words_of(" ".join(answer))), sure=True)
    assert "open" in heard.text or "closed" in heard.text
    record = await the_record(running_bot)
    assert record["channel"] == "browser"
    assert record["goal"] == "opening_hours"
    assert record["cause"] == "peer_hung_up"


async def test_speaking_over_the_greeting_stops_it_on_the_page(
    open_browser: OpenBrowser, running_bot: RunningBot, tmp_path: Path
) -> None:
    microphone = write_request(tmp_path / "request.wav", "What are your opening hours?", after_s=4)
    async with open_browser(microphone) as browser:
        page = await browser.new_page()
        await call(page, running_bot)
        await expect(page.locator(".bubble.you:not(.partial)")).to_contain_text("opening hours", timeout=30_000)
        stats = await page.evaluate("window.voicebotLine.stats")
        await page.get_by_role("button", name="Hang up").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Call ended")

    assert stats["clears"] >= 1
    record = await the_record(running_bot)
    cut = [turn for turn in record["turns"] if turn["speaker"] == "bot" and turn["heard_text"] is not None]
    assert cut, "no prompt was cut short"
    assert any(turn["over_prompt"] for turn in record["turns"] if turn["speaker"] == "caller")
