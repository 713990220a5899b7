"""Two calls' media against each other over real sockets on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest

from tests.fakes.ports import few_ports
from voicebot import g711
from voicebot.telephony.leg import (
    FRAME_BYTES,
    SAMPLE_RATE_HZ,
    AudioPlayed,
    EndCause,
    FrameReceived,
    KeyPressed,
    LegEnded,
    LegEvent,
    LegHeld,
)
from voicebot.telephony.rtp.codecs import G722, L16, PCMA, PCMU, Codec
from voicebot.telephony.rtp.media import MediaPlan, NotAcceptable, PortRange, PortsExhausted, RtpMedia, SrtpMode
from voicebot.telephony.rtp.packet import RtpPacket, build
from voicebot.telephony.rtp.quality import Quality

PLAN = MediaPlan("127.0.0.1", media_timeout_s=0.3)


@pytest.fixture
def ports() -> PortRange:
    return PortRange(42000, 42199)


@asynccontextmanager
async def a_pair(
    ports: PortRange, caller: MediaPlan = PLAN, callee: MediaPlan = PLAN
) -> AsyncIterator[tuple[RtpMedia, RtpMedia]]:
    one = await RtpMedia.open(caller, ports)
    other = await RtpMedia.open(callee, ports)
    try:
        one.accept(other.answer(one.offer()))
        yield one, other
    finally:
        await one.close()
        await other.close()
        assert ports.lent == 0


def tone(hertz: int, seconds: float) -> list[bytes]:
    at_s = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    audio = g711.encode((8000 * np.sin(2 * np.pi * hertz * at_s)).astype(np.int16))
    return [audio[start : start + FRAME_BYTES] for start in range(0, len(audio), FRAME_BYTES)]


def loudest_hz(frames: list[bytes]) -> float:
    samples = g711.decode(b"".join(frames)).astype(np.float64)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax()) * SAMPLE_RATE_HZ / len(samples)


async def until(media: RtpMedia, wanted: Callable[[LegEvent], bool], within_s: float = 20.0) -> list[LegEvent]:
    """Return the events up to the wanted one."""
    seen = []
    async with asyncio.timeout(within_s):
        async for event in media.events():
            seen.append(event)
            if wanted(event):
                break
    return seen


def is_loud(frame: bytes) -> bool:
    return bool(np.abs(g711.decode(frame).astype(int)).max() > 4000)


@pytest.mark.parametrize("codec", [PCMU, PCMA, L16, G722], ids=lambda codec: codec.encoding)
async def test_a_tone_goes_both_ways_in_every_codec(ports: PortRange, codec: Codec) -> None:
    plan = replace(PLAN, codecs=(codec,))
    async with a_pair(ports, plan) as (one, other):
        for frame_one, frame_other in zip(tone(700, 0.6), tone(1100, 0.6), strict=True):
            one.send(frame_one)
            other.send(frame_other)
        for media, hertz in ((one, 1100), (other, 700)):
            events = await until(media, lambda event: isinstance(event, AudioPlayed) and event.position_samples >= 4800)
            frames = [event.payload for event in events if isinstance(event, FrameReceived) and is_loud(event.payload)]
            assert len(frames) >= 20
            assert abs(loudest_hz(frames[2:18]) - hertz) < 10


async def test_keys_arrive_once_each_with_their_duration(ports: PortRange) -> None:
    async with a_pair(ports) as (one, other):
        one.send_keys("1*d")
        events = await until(other, lambda event: isinstance(event, KeyPressed) and event.key == "D")
        keys = [(event.key, event.duration_ms) for event in events if isinstance(event, KeyPressed)]
        assert keys == [("1", 120), ("*", 120), ("D", 120)]


async def test_a_peer_without_telephone_events_gets_tones(ports: PortRange) -> None:
    async with a_pair(ports, replace(PLAN, key_events=False)) as (_, other):
        assert other.agreed is not None
        assert other.agreed.events_out is None
        assert other.agreed.codec is PCMU
        other.send_keys("5")
        await asyncio.sleep(0.3)


async def test_ports_are_refused_when_all_are_taken_and_lent_again_afterwards() -> None:
    few = few_ports(4)
    first, second = await RtpMedia.open(PLAN, few), await RtpMedia.open(PLAN, few)
    with pytest.raises(PortsExhausted):
        await RtpMedia.open(PLAN, few)
    await first.close()
    await (await RtpMedia.open(PLAN, few)).close()
    await second.close()
    assert few.lent == 0


async def test_clear_drops_what_has_not_left_and_says_what_has(ports: PortRange) -> None:
    async with a_pair(ports) as (one, _):
        for frame in tone(700, 2):
            one.send(frame)
        await asyncio.sleep(0.1)
        position = one.clear()
        assert 0 < position < 4000
        assert one.queued_samples <= FRAME_BYTES, "the wait for the next deadline is all that is left"
        assert one.sent_samples == 16000
        events = await until(one, lambda event: isinstance(event, AudioPlayed))
        assert events[-1] == AudioPlayed(position, events[-1].at_s)  # type: ignore[union-attr]  # checked by `until`


async def test_a_peer_that_falls_silent_ends_the_leg(ports: PortRange) -> None:
    async with a_pair(ports) as (one, other):
        one.expect_media()
        await other.close()
        events = await until(one, lambda event: isinstance(event, LegEnded))
        assert isinstance(events[-1], LegEnded)
        assert events[-1].cause is EndCause.MEDIA_TIMEOUT
        assert one.timed_out.is_set()


async def test_hold_silences_the_peer_and_is_told_to_them(ports: PortRange) -> None:
    async with a_pair(ports) as (one, other):
        one.accept(other.answer(one.hold(True)))
        await until(
            other, lambda event: event == LegHeld(True, getattr(event, "at_s", 0.0)) or isinstance(event, LegHeld)
        )


class Notebook:
    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.readings: list[Quality] = []

    def violated(self, kind: str) -> None:
        self.kinds.append(kind)

    def late(self, frames: int) -> None:
        pass

    def measured(self, quality: Quality) -> None:
        self.readings.append(quality)


async def test_reports_tell_loss_jitter_and_round_trip(ports: PortRange) -> None:
    notebook = Notebook()
    plan = replace(PLAN, report_every_s=0.1)
    one = await RtpMedia.open(plan, ports, observer=notebook)
    other = await RtpMedia.open(plan, ports)
    one.accept(other.answer(one.offer()))
    async with asyncio.timeout(20):
        while not notebook.readings or notebook.readings[-1].round_trip_ms is None:
            await asyncio.sleep(0.05)
    reading = notebook.readings[-1]
    assert reading.lost_in == reading.lost_out == 0
    assert reading.round_trip_ms is not None
    assert 0 <= reading.round_trip_ms < 500
    await one.close()
    await other.close()
    assert notebook.kinds == []


@pytest.mark.parametrize(
    ("caller", "callee", "encrypted"),
    [
        (SrtpMode.MANDATORY, SrtpMode.MANDATORY, True),
        (SrtpMode.OPTIONAL, SrtpMode.MANDATORY, True),
        (SrtpMode.OPTIONAL, SrtpMode.OPTIONAL, True),
        (SrtpMode.OPTIONAL, SrtpMode.OFF, False),
        (SrtpMode.OFF, SrtpMode.OPTIONAL, False),
    ],
)
async def test_media_is_encrypted_where_both_sides_may(
    ports: PortRange, caller: SrtpMode, callee: SrtpMode, encrypted: bool
) -> None:
    async with a_pair(ports, replace(PLAN, srtp=caller), replace(PLAN, srtp=callee)) as (one, other):
        assert one.agreed is not None
        assert (one.agreed.peer_crypto is not None) is encrypted
        for frame in tone(700, 0.3):
            one.send(frame)
        events = await until(other, lambda event: isinstance(event, FrameReceived) and is_loud(event.payload))
        assert events


@pytest.mark.parametrize(("caller", "callee"), [(SrtpMode.MANDATORY, SrtpMode.OFF), (SrtpMode.OFF, SrtpMode.MANDATORY)])
async def test_one_side_that_must_encrypt_and_one_that_may_not_do_not_meet(
    ports: PortRange, caller: SrtpMode, callee: SrtpMode
) -> None:
    one = await RtpMedia.open(replace(PLAN, srtp=caller), ports)
    other = await RtpMedia.open(replace(PLAN, srtp=callee), ports)
    with pytest.raises(NotAcceptable):
        other.answer(one.offer())
    await one.close()
    await other.close()


async def test_strangers_cannot_put_sound_on_a_call(ports: PortRange) -> None:
    notebook = Notebook()
    one = await RtpMedia.open(PLAN, ports, observer=notebook)
    one.answer(b"v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\nm=audio 42300 RTP/AVP 0\r\n")
    loop = asyncio.get_running_loop()
    stranger, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0), remote_addr=("127.0.0.1", one.rtp_port)
    )
    stranger.sendto(build(RtpPacket(0, 1, 1, 1, bytes(160))))
    async with asyncio.timeout(20):
        while not notebook.kinds:
            await asyncio.sleep(0.01)
    assert notebook.kinds == ["stranger"]
    stranger.close()
    await one.close()
