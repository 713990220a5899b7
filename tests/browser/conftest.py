from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import wave
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import Browser, async_playwright

from voicebot.g711 import Pcm

#: What the fake microphone plays, over and over: a tone that survives echo cancellation and mu-law.
MICROPHONE_HZ = 440
_RATE_HZ = 48_000

OpenBrowser = Callable[..., AbstractAsyncContextManager[Browser]]


def tone(frequency_hz: float, seconds: float, rate_hz: int) -> Pcm:
    at_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return np.asarray(9000 * np.sin(2 * np.pi * frequency_hz * at_s), dtype=np.int16)


@pytest.fixture(scope="session")
def microphone_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WAV of half a second of tone and half a second of silence, for the browser's fake microphone."""
    path = tmp_path_factory.mktemp("microphone") / "tone.wav"
    write_microphone(path, np.concatenate([tone(MICROPHONE_HZ, 0.5, _RATE_HZ), np.zeros(_RATE_HZ // 2, np.int16)]))
    return path


def write_microphone(path: Path, pcm: Pcm) -> None:
    """Write what a fake microphone hears, at 48 kHz."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE_HZ)
        file.writeframes(pcm.tobytes())


@pytest.fixture
def open_browser() -> OpenBrowser:
    """Return what opens headless Chromium; `microphone` is a WAV file that it hears, or None for a machine without."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("Chromium is not installed")

    @asynccontextmanager
    async def opened(microphone: Path | str | None, *, allowed: bool = True) -> AsyncIterator[Browser]:
        flags = ["--no-sandbox", "--disable-background-networking", "--autoplay-policy=no-user-gesture-required"]
        if microphone is not None:
            flags += ["--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={microphone}"]
            # Headless, nobody can answer the question for permission, so without this the answer is no.
            flags += ["--use-fake-ui-for-media-stream"] if allowed else []
        async with async_playwright() as driver:
            browser = await driver.chromium.launch(executable_path=chromium, args=flags)
            try:
                yield browser
            finally:
                await browser.close()

    return opened


@dataclass(frozen=True)
class RunningBot:
    """The whole server with the bot that ships, in a process of its own."""

    url: str
    api_token: str


@pytest.fixture(scope="module")
def running_bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBot]:
    token = "token-of-the-browser-tests"  # opens nothing but this test's server
    command = [str(Path(sys.executable).with_name("voicebot")), "serve", "--port", "0", "--sip-port", "0"]
    data = tmp_path_factory.mktemp("data")
    # The tests beside this one may keep the machine busy, which is no reason to refuse its calls.
    environment = os.environ | {"VOICEBOT_API_TOKEN": token, "VOICEBOT_DRAIN_S": "1", "VOICEBOT_MAX_CPU_PERCENT": "100"}
    with subprocess.Popen(
        [*command, "--data", str(data)],
        cwd=Path(__file__).parents[2],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        assert server.stdout is not None
        lines: list[str] = []
        for line in server.stdout:
            lines.append(line)
            if line.startswith("ready "):
                break
        else:
            pytest.fail("the server did not start:\n" + "".join(lines[-20:]))
        # What it logs from now on must be read, or it would block on a full pipe.
        reader = threading.Thread(target=server.stdout.read, daemon=True)
        reader.start()
        try:
            yield RunningBot(line.split()[1], token)
        finally:
            server.terminate()
            server.wait(30)
            reader.join(5)
