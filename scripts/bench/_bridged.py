"""What a bridge adds: two parties' audio through it, over real sockets, each frame with its number.

A party over Media Streams is a WebSocket that plays what comes in real time, as the carrier does; one over RTP is a
bare UDP socket. Delay is from a frame's sending to its arrival at the other party, for a WebSocket to its playing, so
it holds a leg's own waiting and jitter buffer too. Signalling is not in it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Protocol, cast

import aiohttp
from aiohttp import web

from voicebot.media.bridge import Bridge
from voicebot.telephony.leg import (
    FRAME_SAMPLES,
    SAMPLE_RATE_HZ,
    SILENT_FRAME,
    Capability,
    Channel,
    Direction,
    EndCause,
    HangUpReason,
    LegEvent,
    LegInfo,
)
from voicebot.telephony.rtp.codecs import PCMU
from voicebot.telephony.rtp.media import MediaPlan, PortRange, RtpMedia
from voicebot.telephony.rtp.metronome import Metronome
from voicebot.telephony.rtp.packet import HEADER_BYTES, RtpPacket, build, is_rtcp
from voicebot.telephony.socket_line import SocketLine
from voicebot.telephony.twilio.leg import TwilioLeg, await_start
from voicebot.telephony.twilio.messages import (
    Connected,
    Mark,
    Media,
    PlayMedia,
    SetMark,
    Start,
    Track,
    parse_server,
    serialise,
)
from voicebot.telephony.twilio.stream import TwilioStream

HOST = "127.0.0.1"
FRAME_S = FRAME_SAMPLES / SAMPLE_RATE_HZ
#: Of every five seconds one is silent: that is where a bridge may drop and double.
_CYCLE_FRAMES, _TALKING_FRAMES = 250, 200
_VOICE = bytes(range(64, 224))[:FRAME_SAMPLES]
#: Told the audio that a party heard, and when.
Heard = Callable[[bytes, float], None]
_PORTS = PortRange(24_000, 24_099)


@dataclass(slots=True)
class Way:
    """One direction: when each frame was sent, and how long it was under way."""

    sent_s: dict[int, float] = field(default_factory=dict)
    delays_ms: list[float] = field(default_factory=list)

    def arrived(self, payload: bytes, at_s: float) -> None:
        for start in range(0, len(payload), FRAME_SAMPLES):
            frame = payload[start : start + FRAME_SAMPLES]
            sent_s = self.sent_s.get(int.from_bytes(frame[:4], "big")) if frame[4:] == _VOICE[4:] else None
            if sent_s is not None:
                heard_s = at_s + start / SAMPLE_RATE_HZ
                self.delays_ms.append((heard_s - sent_s) * 1000)


class Party(Protocol):
    async def say(self, number: int, frame: bytes) -> None: ...


async def _talk(party: Party, way: Way, seconds: float, conditions: Conditions) -> None:
    """Say numbered frames; each is late by up to the jitter, never out of order."""
    chance = random.Random(5)  # noqa: S311  # the same network every time
    start_s = time.monotonic()
    for number in range(round(seconds / FRAME_S)):
        due_s = start_s + number * FRAME_S / (1 + conditions.ppm / 1e6)
        await asyncio.sleep(max(0.0, due_s + chance.random() * conditions.jitter_s - time.monotonic()))
        frame = SILENT_FRAME
        if number % _CYCLE_FRAMES < _TALKING_FRAMES:
            frame = number.to_bytes(4, "big") + _VOICE[4:]
        # From when it should have left: its own lateness is the network's, and part of the way.
        way.sent_s[number] = due_s
        await party.say(number, frame)


class RtpLeg:
    """RTP media as a leg without signalling."""

    def __init__(self, media: RtpMedia) -> None:
        self._media = media
        self.info = LegInfo("phone", Channel.SIP, Direction.INBOUND, "", "", capabilities=frozenset())
        self.events: Callable[[], AsyncIterator[LegEvent]] = media.events
        self.send: Callable[[bytes], None] = media.send
        self.clear: Callable[[], int] = media.clear

    @property
    def sent_samples(self) -> int:
        return self._media.sent_samples

    @property
    def queued_samples(self) -> int:
        return self._media.queued_samples

    async def answer(self) -> None:
        """Do nothing: there is no signalling."""

    async def hang_up(self, reason: HangUpReason) -> None:
        del reason
        await self._media.close(EndCause.WE_HUNG_UP)

    def show_caption(self, speaker: str, text: str, *, final: bool) -> None:
        """Do nothing: a telephone shows no captions."""


class Phone(asyncio.DatagramProtocol):
    """The other end of an RTP leg. `heard` takes what comes."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        del addr
        if not is_rtcp(data):
            self._heard(data[HEADER_BYTES:], time.monotonic())

    def call(self, media: RtpMedia) -> None:
        host, port = self._transport.get_extra_info("sockname")
        media.answer(
            f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n".encode()
        )
        self._to = (HOST, media.rtp_port)
        self.leg = RtpLeg(media)

    async def say(self, number: int, frame: bytes) -> None:
        packet = RtpPacket(0, number & 0xFFFF, number * FRAME_SAMPLES, 7, frame)
        self._transport.sendto(build(packet), self._to)


class Carrier:
    """The other end of a Media Stream, which plays what comes in real time and returns marks once it has."""

    def __init__(self, client: aiohttp.ClientWebSocketResponse, leg: TwilioLeg, heard: Heard) -> None:
        self._client = client
        self._heard = heard
        self._played_to_s = 0.0
        self._sequence = 1
        self._chunk = 0
        self.leg = leg

    async def listen(self) -> None:
        async for message in self._client:
            match parse_server(message.data):
                case PlayMedia(payload=payload):
                    start_s = max(self._played_to_s, time.monotonic())
                    self._heard(payload, start_s)
                    self._played_to_s = start_s + len(payload) / SAMPLE_RATE_HZ
                case SetMark(name=name):
                    asyncio.get_running_loop().call_later(
                        max(0.0, self._played_to_s - time.monotonic()), self._return_mark, name
                    )
                case _:
                    pass

    def _return_mark(self, name: str) -> None:
        self._marking = asyncio.ensure_future(self._client.send_str(serialise(Mark(self._next(), "MZ1", name))))

    async def say(self, number: int, frame: bytes) -> None:
        del number
        self._chunk += 1
        media = Media(self._next(), "MZ1", Track.INBOUND, self._chunk, self._chunk * 20, frame)
        await self._client.send_str(serialise(media))

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence


async def _phone(stack: AsyncExitStack, metronome: Metronome, heard: Heard) -> Phone:
    transport, phone = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Phone(heard), local_addr=(HOST, 0)
    )
    stack.callback(transport.close)
    media = await RtpMedia.open(MediaPlan(HOST, codecs=(PCMU,)), _PORTS, metronome=metronome)
    stack.push_async_callback(media.close)
    phone.call(media)
    return phone


async def _carrier(stack: AsyncExitStack, heard: Heard) -> Carrier:
    legs: asyncio.Queue[TwilioLeg] = asyncio.Queue()

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket_ = web.WebSocketResponse()
        await socket_.prepare(request)
        stream = TwilioStream()
        await await_start(socket_, stream, timeout_s=5)
        info = LegInfo(
            "carrier",
            Channel.TWILIO,
            Direction.INBOUND,
            "",
            "",
            capabilities=frozenset({Capability.PLAYBACK_CONFIRMED}),
        )
        line = SocketLine(socket_, info, clock=time.monotonic, on_violation=lambda _kind: None, abort=lambda: None)
        leg = TwilioLeg(line, stream)
        legs.put_nowait(leg)
        await leg.run()
        return socket_

    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, HOST, 0)
    await site.start()
    port = runner.addresses[0][1]
    http = await stack.enter_async_context(aiohttp.ClientSession())
    client = await stack.enter_async_context(http.ws_connect(f"ws://{HOST}:{port}/", compress=0))
    await client.send_str(serialise(Connected()))
    await client.send_str(serialise(Start(1, "MZ1", "AC1", "CA1")))
    carrier = Carrier(client, await legs.get(), heard)
    listening = asyncio.create_task(carrier.listen())
    stack.callback(listening.cancel)
    return carrier


@dataclass(frozen=True, slots=True)
class Conditions:
    """`ppm` is how much faster the first party's clock runs, `jitter_s` how late its frames come at most.

    So many frames `waiting` lie in each leg when they are bridged, as after a prompt.
    """

    ppm: float = 0.0
    jitter_s: float = 0.002
    waiting: int = 0


async def bridged(first: str, second: str, conditions: Conditions, *, seconds: float) -> tuple[Way, Way]:
    """Return the ways from the first party to the second and back; a party is ``streams`` or ``rtp``."""
    there, back = Way(), Way()
    metronome = Metronome(time.monotonic)
    async with AsyncExitStack() as stack:

        async def party(kind: str, heard: Heard) -> Phone | Carrier:
            return await (_carrier(stack, heard) if kind == "streams" else _phone(stack, metronome, heard))

        one, other = await party(first, back.arrived), await party(second, there.arrived)
        for leg in (one.leg, other.leg):
            for _ in range(conditions.waiting):
                leg.send(SILENT_FRAME)
        bridge = Bridge(one.leg, other.leg, clock=time.monotonic, observe=lambda _side, _event: None)
        running = asyncio.create_task(bridge.run())
        await asyncio.gather(
            _talk(one, there, seconds, conditions),
            _talk(other, back, seconds, Conditions(jitter_s=conditions.jitter_s)),
        )
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        for leg in (one.leg, other.leg):
            await leg.hang_up(HangUpReason.COMPLETED)
    return there, back
