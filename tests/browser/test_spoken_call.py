"""A person's call from the page to the bot that ships: the microphone hears real speech, the page plays the answer."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
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


def write_request(path: Path, text: str, at_s: tuple[float, ...]) -> str:
    """Write a microphone that hears `text` at some seconds from when it is opened; return it as Chromium wants it."""
    try:
        mulaw = voice.speak(voice.first_present(voice.CALLER_VOICES), text)
    except EngineUnavailable as error:
        pytest.skip(str(error))
    spoken = soxr.resample(g711.decode(mulaw).astype(np.float32), 8000, 48_000)
    heard = np.zeros(round(48_000 * (at_s[-1] + 60)), np.int16)
    for begin in (round(48_000 * second) for second in at_s):
        heard[begin : begin + len(spoken)] = spoken.astype(np.int16)
    write_microphone(path, heard)
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


@dataclass(frozen=True)
class Exchange:
    """What the page showed of a request and its answer, and what a listener understood of the answer."""

    request: str
    answer: str
    heard: ears.Heard


async def next_exchange(page: Page, number: int) -> Exchange:
    """Wait for the caller's turn of that number and for the bot's answer to be over."""
    asked = page.locator(".bubble.you:not(.partial)").nth(number)
    await expect(asked).to_be_visible(timeout=40_000)
    await played(page)
    answering = asked.locator("xpath=following-sibling::p[contains(@class, 'bot')]/span[last()]")
    await expect(answering.first).to_be_visible(timeout=15_000)
    await heard_to_the_end(page)
    answer = await answering.all_inner_texts()
    book = Phrasebook((*answer, *OTHER_SENTENCES))
    heard = await asyncio.to_thread(ears.hear, book, await played(page))
    request = await asked.locator("span").last.inner_text()
    return Exchange(request, " ".join(words_of(" ".join(answer))), heard)


async def test_a_spoken_request_is_answered_and_the_answer_is_heard(
    open_browser: OpenBrowser, running_bot: RunningBot, tmp_path: Path
) -> None:
    # A browser starved of processor time drops audio both ways, and a person who is not understood asks again.
    microphone = write_request(tmp_path / "request.wav", "What are your opening hours?", at_s=(14, 34, 54))
    exchanges: list[Exchange] = []
    async with open_browser(microphone) as browser:
        page = await browser.new_page()
        await call(page, running_bot)
        await heard_to_the_end(page)
        assert is_audible(await played(page))
        while len(exchanges) < 3:
            exchanges.append(await next_exchange(page, len(exchanges)))
            if "opening hours" in exchanges[-1].request and exchanges[-1].heard.sure:
                break
        await page.get_by_role("button", name="Hang up").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Call ended")

    # What came out of the page's loudspeaker is what its captions say, and not any other sentence.
    last = exchanges[-1]
    assert last.heard == ears.Heard(last.answer, sure=True), exchanges
    assert "open" in last.answer or "closed" in last.answer
    record = await the_record(running_bot)
    assert record["channel"] == "browser"
    assert record["goal"] == "opening_hours"
    assert record["cause"] == "peer_hung_up"


async def test_speaking_over_the_greeting_stops_it_on_the_page(
    open_browser: OpenBrowser, running_bot: RunningBot, tmp_path: Path
) -> None:
    microphone = write_request(tmp_path / "request.wav", "What are your opening hours?", at_s=(4,))
    async with open_browser(microphone) as browser:
        page = await browser.new_page()
        await call(page, running_bot)
        await expect(page.locator(".bubble.you:not(.partial)").first).to_be_visible(timeout=30_000)
        stats = await page.evaluate("window.voicebotLine.stats")
        await page.get_by_role("button", name="Hang up").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Call ended")

    assert stats["clears"] >= 1
    record = await the_record(running_bot)
    cut = [turn for turn in record["turns"] if turn["speaker"] == "bot" and turn["heard_text"] is not None]
    assert cut, "no prompt was cut short"
    assert any(turn["over_prompt"] for turn in record["turns"] if turn["speaker"] == "caller")
