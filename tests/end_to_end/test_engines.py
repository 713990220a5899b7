"""A running server whose recogniser is somebody else's: a Wyoming server, killed while a caller speaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.server import has_prompt, running
from tests.end_to_end.talker import Voices
from tests.fakes.wyoming_servers import wyoming_server

pytestmark = [pytest.mark.spoken, pytest.mark.timeout(200)]


@pytest.fixture
async def voices() -> AsyncIterator[Voices]:
    made = Voices()
    yield made
    made.close()


def said(record: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what the caller said and who heard it."""
    return [(turn["text"], turn["engine"]) for turn in record["turns"] if turn["speaker"] == "caller"]


async def test_the_call_goes_on_with_the_next_engine_and_the_server_says_which_one_runs(
    tmp_path: Path, voices: Voices, unused_tcp_port: int
) -> None:
    first, second = await voices.speak("What are your opening hours?"), await voices.speak("Where is my order?")
    async with wyoming_server("hears", unused_tcp_port, "when are you open") as recogniser:
        settings = {"VOICEBOT_RECOGNIZER": "auto", "VOICEBOT_RECOGNITION_SERVERS": f'["{recogniser.address}"]'}
        async with running(tmp_path / "data", **settings) as server:
            assert (await server.get("/readyz"))["parts"]["asr"] == "ready: hears"
            async with server.carrier.dial() as line:
                await server.until(line.call_sid, has_prompt("welcome.first"))
                await line.speak(first).finished.wait()
                await server.until(line.call_sid, lambda record: record["goal"] == "opening_hours")
                await asyncio.sleep(3)
                speaking = line.speak(second)
                await asyncio.sleep(0.5)
                await recogniser.kill()
                await speaking.finished.wait()
                record = await server.until(line.call_sid, lambda record: len(said(record)) == 2)
                assert record["ended_at"] is None
            assert (await server.get("/readyz"))["parts"]["asr"] == "ready: pocketsphinx in place of hears"
        assert "utterance moves to another worker" in server.log.read_text(encoding="utf-8")
    assert said(record) == [("when are you open", "hears"), ("where is my order", "pocketsphinx")]
