"""baresip as a real phone: it calls, keys, is called and transferred. A missing baresip fails (Debian: baresip)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from tests.fakes.sip_server import SipBot, sip_bot
from tests.telephony.sip.test_calls_out import dialer_of
from tests.telephony.sip.test_transport import contexts, make_certificate
from tests.wire.baresip import TONE_HZ, baresip, command, free_port, heard_hz, listens, loudest_hz
from voicebot import g711
from voicebot.media.bridge import Bridge, BridgeEnded, Side
from voicebot.telephony.leg import (
    EndCause,
    FrameReceived,
    HangUpReason,
    LegEnded,
    LegHeld,
)
from voicebot.telephony.rtp.media import SrtpMode
from voicebot.telephony.sip.hop import Transport
from voicebot.telephony.sip.leg import SipLeg
from voicebot.telephony.sip.transfer import join


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
            async with asyncio.timeout(20):
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
        async with asyncio.timeout(20):
            while not call.frames:
                await asyncio.sleep(0.02)
            for key in "150#":
                await command(control, "sndcode", key)
            while len(call.keys) < 4:
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        assert call.keys == "150#"


class Listener:
    """Keeps what a leg's party says; says silence itself."""

    def __init__(self, leg: SipLeg) -> None:
        self.leg = leg
        self.heard: list[bytes] = []
        self.holds: list[bool] = []
        self._running = asyncio.create_task(leg.run())
        self.listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for event in self.leg.events():
            match event:
                case FrameReceived(payload=payload):
                    self.heard.append(payload)
                case LegHeld(held=held):
                    self.holds.append(held)
                case _:
                    pass

    async def hears(self, for_s: float) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
        """Return what the party says within this time."""
        begin = len(self.heard)
        await asyncio.sleep(for_s)
        return np.asarray(g711.decode(b"".join(self.heard[begin:])), np.int16)

    async def over(self) -> None:
        await self.leg.hang_up(HangUpReason.COMPLETED)
        await asyncio.gather(self._running, self.listening)


@contextlib.asynccontextmanager
async def connected(
    bot: SipBot, folder: Path, *, phone_calls: bool, port: int = 0
) -> AsyncIterator[tuple[Listener, int]]:
    """Have a phone call the bot, or the bot the phone; yield the bot's end and where the phone takes commands."""
    listeners: asyncio.Queue[Listener] = asyncio.Queue()

    async def take(leg: SipLeg) -> None:
        await leg.answer()
        listener = Listener(leg)
        listeners.put_nowait(listener)
        await listener.listening

    bot.on_call = take
    port = port or free_port()
    address = f"sip:bot@127.0.0.1:{bot.port}" if phone_calls else None
    async with baresip(folder, address, account=";answermode=auto", port=port, seconds=15) as control:
        if phone_calls:
            listener = await asyncio.wait_for(listeners.get(), 5)
        else:
            await listens(control)
            leg = await dialer_of(bot).dial(f"sip:phone@127.0.0.1:{port}", timeout_s=4)
            listener = Listener(leg)
        yield listener, control
        await listener.over()


@pytest.mark.parametrize("phone_calls", [True, False])
async def test_after_our_hold_and_resume_audio_goes_both_ways_again(tmp_path: Path, phone_calls: bool) -> None:
    """By our keys the phone tells what reaches it: this version's recorder stops at the first change of a call."""
    async with sip_bot() as bot, connected(bot, tmp_path, phone_calls=phone_calls) as (listener, _):
        # At once: the phone names an address that loopback cannot reach, and may not have been heard from yet.
        await listener.leg.hold(held=True)
        await asyncio.sleep(0.3)
        listener.leg.send_keys("7")
        while_held = await listener.hears(1.0)
        await listener.leg.hold(held=False)
        await asyncio.sleep(0.3)
        listener.leg.send_keys("5")
        again = await listener.hears(1.0)
    assert int(np.abs(while_held).max(initial=0)) < 100
    assert abs(loudest_hz(again) - TONE_HZ) < 5
    told = (tmp_path / "log").read_text(errors="replace")
    assert "received event: '7' (end=1)" in told, "the one who is held hears the music"
    assert "received event: '5' (end=1)" in told
    await bot.lets_go()


async def test_a_phone_holds_us_and_takes_us_back(tmp_path: Path) -> None:
    async with sip_bot() as bot, connected(bot, tmp_path, phone_calls=True) as (listener, control):
        before = await listener.hears(1.0)
        await command(control, "hold")
        async with asyncio.timeout(20):
            while listener.holds != [True]:
                await asyncio.sleep(0.02)
        await command(control, "resume")
        async with asyncio.timeout(20):
            while listener.holds != [True, False]:
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        listener.leg.send_keys("5")
        after = await listener.hears(1.0)
    for heard in (before[-4000:], after):
        assert abs(loudest_hz(heard) - TONE_HZ) < 5
    assert "received event: '5' (end=1)" in (tmp_path / "log").read_text(errors="replace")


async def test_attended_transfer_by_a_local_bridge_joins_two_baresips(tmp_path: Path) -> None:
    """While the caller is on the line the agent is called; then each hears the other."""
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
            async with asyncio.timeout(20):
                await over.wait()
        assert bridged == [BridgeEnded(Side.CALLER, EndCause.PEER_HUNG_UP)], [
            (folder / "log").read_text(errors="replace")[-800:] for folder in folders
        ]
        assert abs(heard_hz(folders[0]) - agent_hz) < 5
        assert abs(heard_hz(folders[1]) - TONE_HZ) < 5
        await bot.lets_go()


async def test_attended_transfer_by_refer_and_replaces_joins_two_baresips_without_us(tmp_path: Path) -> None:
    """The caller's phone is sent to the agent's, with the dialog to replace; we leave both calls and the media."""
    agent_hz = 1000
    port = free_port()
    folders = [tmp_path / name for name in ("caller", "agent")]
    for folder in folders:
        folder.mkdir()
    async with (
        sip_bot() as bot,
        baresip(folders[1], None, account=";answermode=auto", port=port, tone_hz=agent_hz, seconds=15) as agent_control,
        connected(bot, folders[0], phone_calls=True, port=free_port()) as (caller, _),
    ):
        await listens(agent_control)
        leg = await dialer_of(bot).dial(f"sip:phone@127.0.0.1:{port}", timeout_s=4)
        agent = Listener(leg)
        # The agent hears about the caller, who waits meanwhile.
        await caller.leg.hold(held=True)
        assert abs(loudest_hz(await agent.hears(1.0)) - agent_hz) < 5
        outcome = await join(caller.leg, agent.leg)
        assert (outcome.accepted, outcome.status) == (True, 200), [
            (folder / "log").read_text(errors="replace")[-800:] for folder in folders
        ]
        await asyncio.gather(caller.listening, agent.listening)
        await bot.lets_go()  # we are out of it
        await asyncio.sleep(2.5)
    for folder, hz in zip(folders, (agent_hz, TONE_HZ), strict=True):
        assert abs(heard_hz(folder) - hz) < 5, folder.name
