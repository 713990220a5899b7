"""baresip as a real phone: it calls, and hears its own tone come back. A missing baresip fails (Debian: baresip)."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from tests.fakes.sip_server import SipBot, sip_bot
from tests.telephony.sip.test_transport import contexts, make_certificate
from voicebot import g711
from voicebot.telephony.leg import EndCause, FrameReceived, LegEnded
from voicebot.telephony.rtp.media import SrtpMode
from voicebot.telephony.sip.hop import Transport
from voicebot.telephony.sip.leg import SipLeg
from voicebot.wav import read_wav

TONE_HZ = 440
_CONFIG = """
sip_listen 127.0.0.1:0
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
"""


@contextlib.asynccontextmanager
async def baresip(folder: Path, address: str, *, account: str = "", seconds: int = 6) -> AsyncIterator[None]:
    """Have a phone call `address`; its module sndfile writes what it hears into `folder`."""
    program = shutil.which("baresip")
    assert program is not None, "baresip is missing; apt-get install baresip (scripts/setup --tests does it)"
    (folder / "config").write_text(_CONFIG.format(folder=folder))
    _write_tone(folder / "tone.wav")
    (folder / "accounts").write_text(f"<sip:phone@127.0.0.1>;regint=0{account}\n")
    (folder / "contacts").write_text("")
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(program, "-4", "-f", str(folder), "-t", str(seconds), "-e", f"/dial {address}"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _write_tone(path: Path) -> None:
    wave_form = 8000 * np.sin(2 * np.pi * TONE_HZ * np.arange(10 * 8000) / 8000)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(wave_form.astype("<i2").tobytes())


def loudest_hz(samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> float:
    """Return the strongest frequency of 8 kHz audio."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * 8000 / len(samples))


async def talk(bot: SipBot, folder: Path, address: str, *, account: str = "") -> None:
    """Let a phone call, and check its tone at the bot and what comes back at the phone."""
    frames: list[bytes] = []
    ended: list[EndCause] = []

    async def echo(leg: SipLeg) -> None:
        await leg.answer()
        async for event in leg.events():
            match event:
                case FrameReceived(payload=payload):
                    frames.append(payload)
                    leg.send(payload)
                case LegEnded(cause=cause):
                    ended.append(cause)
                case _:
                    pass

    bot.on_call = echo
    async with baresip(folder, address, account=account):
        try:
            async with asyncio.timeout(5):
                while len(frames) < 100:
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pytest.fail((folder / "log").read_text(errors="replace")[-1500:])
    await asyncio.sleep(0.2)
    assert ended == [EndCause.PEER_HUNG_UP]
    assert bot.ports.lent == 0
    at_bot = np.asarray(g711.decode(b"".join(frames[50:100])), np.int16)
    assert abs(loudest_hz(at_bot) - TONE_HZ) < 5
    (heard,) = folder.glob("dump-*-dec.wav")
    at_phone = read_wav(heard.read_bytes())
    samples = np.asarray(at_phone.mono(), np.float64)[-8000:]
    assert abs(loudest_hz(samples.astype(np.int16)) - TONE_HZ) < 5


async def test_baresip_calls_and_hears_its_tone_come_back(tmp_path: Path) -> None:
    async with sip_bot() as bot:
        await talk(bot, tmp_path, f"sip:bot@127.0.0.1:{bot.port}")


async def test_baresip_calls_with_mandatory_srtp(tmp_path: Path) -> None:
    async with sip_bot(srtp=SrtpMode.MANDATORY) as bot:
        await talk(bot, tmp_path, f"sip:bot@127.0.0.1:{bot.port}", account=";mediaenc=srtp-mand")


async def test_baresip_calls_over_tls(tmp_path: Path) -> None:
    server, _ = contexts(make_certificate(tmp_path), demand=False)
    async with sip_bot(tls=server) as bot:
        port = bot.endpoint.transports.ports[Transport.TLS]
        await talk(bot, tmp_path, f"sip:bot@127.0.0.1:{port};transport=tls")
