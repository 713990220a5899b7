"""One call's media against a peer that the test plays itself, packet by packet, over real sockets."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from prometheus_client import CollectorRegistry

from tests.fakes.ports import few_ports
from voicebot import g711
from voicebot.app.sip import MetricsObserver
from voicebot.errors import LocalProtocolError
from voicebot.records.metrics import Metrics
from voicebot.speech.listening.dtmf import DtmfDetector
from voicebot.telephony.leg import FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENT_FRAME, FrameReceived, LegEvent
from voicebot.telephony.rtp.media import MediaPlan, NotAcceptable, PortRange, PortsExhausted, RtpMedia, SrtpMode
from voicebot.telephony.rtp.packet import RtpPacket, build, is_rtcp, parse
from voicebot.telephony.rtp.plan import MediaObserver
from voicebot.telephony.rtp.quality import Quality

PLAN = MediaPlan("127.0.0.1")
_PER_MS = SAMPLE_RATE_HZ // 1000


@pytest.fixture
def ports() -> PortRange:
    return PortRange(43000, 43199)


@dataclass
class Peer(asyncio.DatagramProtocol):
    """A telephone's socket; `heard` are the RTP packets that came."""

    address: tuple[str, int] = ("", 0)
    heard: list[RtpPacket] = field(default_factory=list)
    sequence: int = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]  # that is what it is here
        self.address = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not is_rtcp(data):
            self.heard.append(parse(data))

    def offer(self, *, address: str = "", port: int = 0, formats: str = "0 101", more: str = "") -> bytes:
        """Return the offer of a telephone that may say another address than it sends from."""
        host = address or self.address[0]
        family = "IP6" if ":" in host else "IP4"
        return (
            f"v=0\r\no=- 1 1 IN {family} {host}\r\ns=-\r\nc=IN {family} {host}\r\nt=0 0\r\n"
            f"m=audio {port or self.address[1]} RTP/AVP {formats}\r\n{more}"
            f"{'a=rtpmap:101 telephone-event/8000' + chr(13) + chr(10) if '101' in formats else ''}"
        ).encode()

    def speak(self, media: RtpMedia, timestamp: int, payload: bytes, *, ssrc: int = 7, payload_type: int = 0) -> None:
        packet = RtpPacket(payload_type, self.sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc, payload)
        self.sequence += 1
        self.transport.sendto(build(packet), (media_host(self), media.rtp_port))

    async def talk(self, media: RtpMedia, packet_ms: int, seconds: float, mark: int, *, ssrc: int = 7) -> None:
        """Send `mark` as every sample, in packets of this length, paced by deadlines."""
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        for index in range(round(seconds * 1000 / packet_ms)):
            await asyncio.sleep(max(0.0, start_s + index * packet_ms / 1000 - loop.time()))
            self.speak(media, index * packet_ms * _PER_MS, bytes([mark]) * (packet_ms * _PER_MS), ssrc=ssrc)


def media_host(peer: Peer) -> str:
    return "::1" if ":" in peer.address[0] else "127.0.0.1"


@asynccontextmanager
async def a_peer(host: str = "127.0.0.1") -> AsyncIterator[Peer]:
    transport, peer = await asyncio.get_running_loop().create_datagram_endpoint(Peer, local_addr=(host, 0))
    try:
        yield peer
    finally:
        transport.close()


@asynccontextmanager
async def media_of(plan: MediaPlan, ports: PortRange, observer: MediaObserver | None = None) -> AsyncIterator[RtpMedia]:
    media = await RtpMedia.open(plan, ports, observer=observer)
    try:
        yield media
    finally:
        await media.close()
        assert ports.lent == 0


def collect(media: RtpMedia) -> tuple[list[LegEvent], asyncio.Task[None]]:
    events: list[LegEvent] = []

    async def read() -> None:
        async for event in media.events():
            events.append(event)  # noqa: PERF401  # they are looked at while they come

    return events, asyncio.create_task(read())


def frames_of(events: list[LegEvent], mark: int) -> int:
    """Count the frames that are nothing but this sample."""
    whole = bytes([mark]) * FRAME_SAMPLES
    return sum(isinstance(event, FrameReceived) and event.payload == whole for event in events)


async def eventually(is_so: object, within_s: float = 20.0) -> None:
    assert callable(is_so)
    async with asyncio.timeout(within_s):
        while not is_so():
            await asyncio.sleep(0.01)


async def test_media_flows_both_ways_over_ipv6(ports: PortRange) -> None:
    async with a_peer("::1") as peer, media_of(MediaPlan("::1"), ports) as media:
        answer = media.answer(peer.offer())
        assert b"c=IN IP6 ::1" in answer
        events, reading = collect(media)
        media.send(b"\x21" * FRAME_SAMPLES)
        await peer.talk(media, 20, 0.4, 0x55)
        await eventually(lambda: frames_of(events, 0x55) >= 12)
        assert b"\x21" * FRAME_SAMPLES in [packet.payload for packet in peer.heard]
        reading.cancel()


@pytest.mark.parametrize("packet_ms", [10, 30, 60])
async def test_packets_of_other_lengths_become_whole_frames(ports: PortRange, packet_ms: int) -> None:
    async with a_peer() as peer, media_of(PLAN, ports) as media:
        media.answer(peer.offer(more=f"a=ptime:{packet_ms}\r\n"))
        events, reading = collect(media)
        await peer.talk(media, packet_ms, 0.6, 0x55)
        await eventually(lambda: frames_of(events, 0x55) >= 20)
        reading.cancel()


class Faults:
    """Keeps what a peer did wrong."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def violated(self, kind: str) -> None:
        self.kinds.append(kind)

    def late(self, frames: int) -> None:
        """Do nothing: how late is the machine's business."""

    def measured(self, quality: Quality) -> None:
        """Do nothing: it is no fault."""


async def test_comfort_noise_is_a_pause_and_no_fault(ports: PortRange) -> None:
    faults = Faults()
    async with a_peer() as peer, media_of(PLAN, ports, faults) as media:
        assert b"a=rtpmap:13 CN/8000" in media.answer(peer.offer(formats="0 13 101"))
        events, reading = collect(media)
        await peer.talk(media, 20, 0.3, 0x55)
        peer.speak(media, 15 * FRAME_SAMPLES, b"\x40", payload_type=13)
        await eventually(lambda: frames_of(events, SILENT_FRAME[0]) >= 5)
        silence = [event for event in events if isinstance(event, FrameReceived) and event.payload == SILENT_FRAME]
        assert not any(frame.concealed for frame in silence)
        assert faults.kinds == []
        reading.cancel()


async def test_a_peer_behind_nat_is_answered_where_its_media_comes_from(ports: PortRange) -> None:
    plan = replace(PLAN, signalling_address="127.0.0.3")
    async with a_peer("127.0.0.3") as peer, media_of(plan, ports) as media:
        # Its description names an address inside the NAT, its signalling comes from the NAT.
        media.answer(peer.offer(address="127.0.0.2", port=43900))
        events, reading = collect(media)
        await peer.talk(media, 20, 0.4, 0x55)
        await eventually(lambda: frames_of(events, 0x55) >= 12 and len(peer.heard) > 5)
        reading.cancel()


async def test_a_peer_whose_address_cannot_be_reached_is_tried_where_its_signalling_comes_from(
    ports: PortRange,
) -> None:
    plan = replace(PLAN, signalling_address="127.0.0.1")
    async with a_peer() as peer, media_of(plan, ports) as media:
        # Loopback reaches nothing else. The peer says nothing, as one on hold.
        media.answer(peer.offer(address="198.51.100.1"))
        media.send(b"\x21" * FRAME_SAMPLES)
        await eventually(lambda: len(peer.heard) > 5)
        media.answer(peer.offer(address="198.51.100.2"))
        heard = len(peer.heard)
        await eventually(lambda: len(peer.heard) > heard + 5)


async def test_media_from_a_third_address_is_neither_heard_nor_answered(ports: PortRange) -> None:
    plan = replace(PLAN, signalling_address="127.0.0.3")
    async with a_peer("127.0.0.4") as stranger, media_of(plan, ports) as media:
        media.answer(stranger.offer(address="127.0.0.2", port=43900))
        events, reading = collect(media)
        await stranger.talk(media, 20, 0.3, 0x55)
        await asyncio.sleep(0.1)
        assert not any(isinstance(event, FrameReceived) for event in events)
        assert stranger.heard == []
        reading.cancel()


async def test_a_second_source_cannot_take_over_a_call_that_is_heard(ports: PortRange) -> None:
    async with a_peer() as peer, a_peer() as thief, media_of(PLAN, ports) as media:
        media.answer(peer.offer())
        events, reading = collect(media)
        await asyncio.gather(peer.talk(media, 20, 0.5, 0x55), thief.talk(media, 20, 0.5, 0x66))
        await eventually(lambda: frames_of(events, 0x55) >= 12)
        assert frames_of(events, 0x66) <= 1  # it may have been the first to be heard of
        assert len(peer.heard) > len(thief.heard)
        reading.cancel()


async def test_a_new_stream_of_the_peer_is_heard_at_once(ports: PortRange) -> None:
    async with a_peer() as peer, media_of(PLAN, ports) as media:
        media.answer(peer.offer())
        events, reading = collect(media)
        await peer.talk(media, 20, 0.3, 0x55, ssrc=7)
        # As after a transfer on the peer's side: another source, other numbers, another clock.
        peer.sequence = 40_000
        await peer.talk(media, 20, 0.3, 0x66, ssrc=8)
        await eventually(lambda: frames_of(events, 0x66) >= 8)
        assert frames_of(events, 0x55) >= 8
        reading.cancel()


async def test_readings_of_the_line_reach_the_metrics(ports: PortRange) -> None:
    registry = CollectorRegistry()
    observer = MetricsObserver(lambda _kind: None, Metrics(registry))
    plan = replace(PLAN, report_every_s=0.1)
    async with media_of(plan, ports, observer) as media:
        other = await RtpMedia.open(plan, PortRange(43200, 43299))
        media.accept(other.answer(media.offer()))

        def count(name: str, **labels: str) -> float:
            return registry.get_sample_value(f"voicebot_media_{name}_count", labels) or 0.0

        await eventually(
            lambda: (
                all(count("loss_ratio", direction=way) for way in ("in", "out"))
                and all(count("jitter_seconds", direction=way) for way in ("in", "out"))
                and count("round_trip_seconds")
            )
        )
        await other.close()


async def test_a_peer_without_telephone_events_hears_the_keys(ports: PortRange) -> None:
    async with a_peer() as peer, media_of(PLAN, ports) as media:
        media.answer(peer.offer(formats="0"))
        assert media.agreed is not None
        assert media.agreed.events_out is None
        media.send_keys("15*D#")
        await asyncio.sleep(1.3)
        detector, heard = DtmfDetector(), ""
        for packet in peer.heard:
            assert packet.payload_type == 0
            heard += "".join(tone.key for tone in detector.feed(g711.decode(packet.payload).tobytes()))
        assert heard == "15*D#"


async def act(media: RtpMedia, offer: bytes, chance: random.Random) -> None:
    """Do one thing that signalling, or a hostile peer, may do to a call's media."""
    match chance.randrange(8):
        case 0:
            media.answer(offer)
        case 1:
            media.answer(offer[: chance.randrange(len(offer))])
        case 2:
            media.accept(offer)
        case 3:
            media.offer()
        case 4:
            media.hold(chance.random() < 0.5)
        case 5:
            media.send(bytes(FRAME_SAMPLES))
        case 6:
            media.send_keys("1")
        case _:
            await media.close()


@pytest.mark.parametrize("seed", range(5))
async def test_no_order_of_events_keeps_a_port(seed: int) -> None:
    chance = random.Random(seed)  # a test's choices
    few = few_ports(20)
    opened: list[RtpMedia] = []
    refused = 0
    async with a_peer() as peer:
        for _ in range(60):
            plan = replace(PLAN, srtp=chance.choice(list(SrtpMode)))
            try:
                opened.append(await RtpMedia.open(plan, few))
            except PortsExhausted:
                refused += 1
                assert few.lent == few.capacity
            for _ in range(chance.randrange(5)):
                try:
                    await act(chance.choice(opened), peer.offer(), chance)
                except (NotAcceptable, LocalProtocolError):
                    continue
            if chance.random() < 0.3:
                await asyncio.gather(*(media.close() for media in chance.sample(opened, min(3, len(opened)))))
        await asyncio.gather(*(media.close() for media in opened), *(media.close() for media in opened))
    assert few.lent == 0
    assert refused, "the range must have been exhausted once, or this shows little"
    await (await RtpMedia.open(PLAN, few)).close()
