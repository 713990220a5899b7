"""A running server speaks with what lies in the bot's folder: recordings and its own pronunciations."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.end_to_end.server import FLOWS, has_prompt, running
from voicebot import g711
from voicebot.g711 import Pcm
from voicebot.speech.synthesis.recorded import text_id
from voicebot.wav import write_wav_mulaw

pytestmark = [pytest.mark.spoken, pytest.mark.timeout(200)]

RATE_HZ = 8000
TONE_HZ = 650
GREETING = "Hello, and thank you for calling Harbour and Finch. I'm the automated assistant."
WORDY = "help and help and help and help and help and help and help and help"


def tone(duration_s: float) -> bytes:
    seconds = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    return g711.encode((8000 * np.sin(2 * np.pi * TONE_HZ * seconds)).astype(np.int16))


def share_of_tone(pcm: Pcm) -> float:
    """Return how much of the energy lies within 15 Hz of the tone."""
    power = np.abs(np.fft.rfft(pcm.astype(np.float64))) ** 2
    near = np.abs(np.fft.rfftfreq(pcm.size, 1 / RATE_HZ) - TONE_HZ) < 15
    return float(power[near].sum() / power.sum())


async def test_a_recorded_prompt_and_the_bots_lexicon_are_heard_on_a_call(tmp_path: Path) -> None:
    flows = tmp_path / "flows"
    shutil.copytree(FLOWS, flows)
    (flows / "recordings").mkdir()
    (flows / "recordings" / f"{text_id(GREETING)}.wav").write_bytes(write_wav_mulaw(tone(1.5)))
    (flows / "lexicon.yaml").write_text(f"help: {WORDY}\n", encoding="utf-8")
    async with running(tmp_path / "data", "--flows", str(flows), VOICEBOT_RECOGNIZER="off") as server:
        async with server.carrier.dial() as line:
            record = await server.until(line.call_sid, has_prompt("welcome.first"))
        record = await server.until(line.call_sid, lambda record: record["ended_at"] is not None)
        pcm = await server.recording(record["id"])
    greeting, question = (next(turn for turn in record["turns"] if turn["prompt"] == name) for name in PROMPTS)
    begin, end = (round(at_ms * RATE_HZ / 1000) for at_ms in (greeting["at_ms"], greeting["at_ms"] + 1300))
    assert share_of_tone(pcm[begin + 800 : end, 1]) > 0.9
    assert 1200 < greeting["heard_ms"] < 1800, "the voice needs five seconds for these words"
    assert question["text"] == "How can I help you today?", "the record shows the words, not how they are pronounced"
    assert question["heard_ms"] > 3000, "as it is written it takes one and a half"


PROMPTS = ("welcome.say", "welcome.first")
