"""baresip as a real phone: it calls, keys, is called and transferred. A missing baresip fails (Debian: baresip)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import time
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from tests.fakes.sip_server import SipBot, sip_bot
from tests.telephony.sip.test_calls_out import dialer_of
from tests.telephony.sip.test_transport import contexts, make_certificate
from voicebot import g711
from voicebot.media.bridge import Bridge, BridgeEnded, Side
from voicebot.telephony.leg import EndCause, FrameReceived, HangUpReason, LegEnded
from voicebot.telephony.rtp.media import SrtpMode
from voicebot.telephony.sip.hop import Transport
from voicebot.telephony.sip.leg import SipLeg
from voicebot.wav import read_wav

TONE_HZ = 440
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


async def command(control: int, name: str, parameters: str = "") -> None:
    """Have a phone do something, by a netstring of JSON."""
    _, writer = await asyncio.open_connection("127.0.0.1", control)
    text = json.dumps({"command": name, "params": parameters, "token": "test"})
    writer.write(f"{len(text)}:{text},".encode())
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.close()


def heard_hz(folder: Path) -> float:
    """Return the strongest frequency of the last second that a phone heard."""
    (heard,) = folder.glob("dump-*-dec.wav")
    samples = np.asarray(read_wav(heard.read_bytes()).mono(), np.float64)[-8000:]
    return loudest_hz(samples.astype(np.int16))


def _write_tone(path: Path, tone_hz: int) -> None:
    wave_form = 8000 * np.sin(2 * np.pi * tone_hz * np.arange(10 * 8000) / 8000)
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
    assert abs(heard_hz(folder) - TONE_HZ) < 5


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


async def test_keys_that_baresip_sends_as_telephone_events_arrive_once_each(tmp_path: Path) -> None:
    async with sip_bot() as bot, baresip(tmp_path, f"sip:bot@127.0.0.1:{bot.port}") as control:
        call = await bot.call()
        async with asyncio.timeout(5):
            while not call.frames:
                await asyncio.sleep(0.02)
            for key in "150#":
                await command(control, "sndcode", key)
            while len(call.keys) < 4:
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        assert call.keys == "150#"


async def test_a_baresip_is_transferred_to_another_after_the_two_were_announced(tmp_path: Path) -> None:
    """By a local bridge: while the caller is on the line the agent is called; then each hears the other."""
    agent_hz = 1000
    bridged: list[BridgeEnded] = []
    over = asyncio.Event()
    port = free_port()
    folders = [tmp_path / name for name in ("caller", "agent")]
    for folder in folders:
        folder.mkdir()
    async with sip_bot() as bot:

        async def transfer(leg: SipLeg) -> None:
            await leg.answer()
            agent = await dialer_of(bot).dial(f"sip:phone@127.0.0.1:{port}", timeout_s=4)
            running = asyncio.create_task(agent.run())
            bridge = Bridge(leg, agent, clock=time.monotonic, observe=lambda _side, _event: None)
            bridged.append(await bridge.run())
            await agent.hang_up(HangUpReason.COMPLETED)
            await running
            over.set()

        bot.on_call = transfer
        async with (
            baresip(folders[1], None, account=";answermode=auto", port=port, tone_hz=agent_hz, seconds=9),
            baresip(folders[0], f"sip:bot@127.0.0.1:{bot.port}") as control,
        ):
            await bot.call()
            await asyncio.sleep(4)
            await command(control, "hangup")
            async with asyncio.timeout(5):
                await over.wait()
        assert bridged == [BridgeEnded(Side.CALLER, EndCause.PEER_HUNG_UP)], [
            (folder / "log").read_text(errors="replace")[-800:] for folder in folders
        ]
        assert abs(heard_hz(folders[0]) - agent_hz) < 5
        assert abs(heard_hz(folders[1]) - TONE_HZ) < 5
        await asyncio.sleep(0.2)
        assert bot.leaks == {"dialogs": 0, "ports": 0}
