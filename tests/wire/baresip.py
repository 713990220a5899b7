"""Runs baresip, a telephone. A missing one fails: it is a Debian package (`baresip`)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np

from voicebot.wav import read_wav

TONE_HZ = 440
Samples = np.ndarray[tuple[int], np.dtype[np.int16]]
_CONFIG = """
sip_listen 127.0.0.1:{port}
ctrl_tcp_listen 127.0.0.1:{control}
sip_verify_server no
call_max_calls 4
audio_source aufile,{folder}/tone.wav
audio_player aubridge,nowhere
audio_alert aubridge,nowhere
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
module_path /usr/lib/baresip/modules
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
snd_path {folder}
module srtp.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
"""


@contextlib.asynccontextmanager
async def baresip(
    folder: Path, address: str | None, *, account: str = "", seconds: int = 6, port: int = 0, tone_hz: int = TONE_HZ
) -> AsyncIterator[int]:
    """Have a phone call `address`, or wait on `port`; its module sndfile writes what it hears into `folder`.

    Yields the port where it takes commands.
    """
    control = free_port()
    program = shutil.which("baresip")
    assert program is not None, "baresip is missing; apt-get install baresip (scripts/setup --tests does it)"
    (folder / "config").write_text(_CONFIG.format(folder=folder, port=port, control=control))
    _write_tone(folder / "tone.wav", tone_hz)
    (folder / "accounts").write_text(f"<sip:phone@127.0.0.1>;regint=0{account}\n")
    (folder / "contacts").write_text("")
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(program, "-4", "-f", str(folder), "-t", str(seconds)),
            *(["-e", f"/dial {address}"] if address else []),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield control
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def free_port() -> int:
    """Return a port that nobody has, of both UDP and TCP."""
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        port = int(tcp.getsockname()[1])
        udp.bind(("127.0.0.1", port))
        return port


async def listens(control: int) -> None:
    """Wait until a phone has started."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", control)
                writer.close()
                return
            await asyncio.sleep(0.05)


async def command(control: int, name: str, parameters: str = "") -> None:
    """Have a phone do something, by a netstring of JSON."""
    _, writer = await asyncio.open_connection("127.0.0.1", control)
    text = json.dumps({"command": name, "params": parameters, "token": "test"})
    writer.write(f"{len(text)}:{text},".encode())
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.close()


def heard_hz(folder: Path) -> float:
    """Return the strongest frequency of the last second that a phone heard in its last call."""
    heard = max(folder.glob("dump-*-dec.wav"), key=lambda file: file.name)
    samples = np.asarray(read_wav(heard.read_bytes()).mono(), np.float64)[-8000:]
    return loudest_hz(samples.astype(np.int16))


def _write_tone(path: Path, tone_hz: int) -> None:
    wave_form = 8000 * np.sin(2 * np.pi * tone_hz * np.arange(10 * 8000) / 8000)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(wave_form.astype("<i2").tobytes())


def loudest_hz(samples: Samples) -> float:
    """Return the strongest frequency of 8 kHz audio."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * 8000 / len(samples))
