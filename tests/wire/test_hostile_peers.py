"""Peers that hold connections, send too much, too little or garbage: raw sockets against the real server."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp.test_utils import unused_port

from tests.fakes.media_streams import FRAME, HandMadeCarrier, incoming
from tests.fakes.socket import until
from tests.fakes.web_server import Listener, RunningServer, serving, sign
from voicebot.telephony import socket_line
from voicebot.telephony.leg import CallLeg, EndCause, FrameReceived, LegEnded
from voicebot.telephony.twilio.messages import Connected, Start, serialise
from voicebot.web import browser, doors, server, socket_door, twilio

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{more}\r\n"
)


@asynccontextmanager
async def raw(running: RunningServer) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def upgrade(
    running: RunningServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str = "/twilio/media"
) -> None:
    """Make a raw connection a WebSocket."""
    key = base64.b64encode(os.urandom(16)).decode()
    more = f"Origin: {running.base}\r\n"
    writer.write(HANDSHAKE.format(path=path, port=running.port, key=key, more=more).encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 101 " in head.splitlines()[0]


def frame(payload: bytes, opcode: int = 1, *, fin: bool = True, reserved: int = 0, masked: bool = True) -> bytes:
    """Return one WebSocket frame (RFC 6455, section 5.2), right or wrong as told."""
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    mask_bit = 0x80 if masked else 0
    if len(payload) < 126:
        head = struct.pack("!BB", first, mask_bit | len(payload))
    else:
        head = struct.pack("!BBH", first, mask_bit | 126, len(payload))
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


async def closed(reader: asyncio.StreamReader) -> bytes:
    """Read until the server closes; fails when it does not within twenty seconds."""
    async with asyncio.timeout(20):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def serves_calls(running: RunningServer) -> None:
    async with running.stream("CAgood") as carrier:
        await carrier.say(1)
        assert (await carrier.next())["event"] == "media"


async def test_headers_that_come_a_byte_at_a_time_are_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "KEEPALIVE_TIMEOUT_S", 0.3)
    async with serving() as running, raw(running) as (reader, writer):
        cut_off = asyncio.create_task(closed(reader))
        request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"a" * 1000
        for byte in request:
            if cut_off.done():
                break
            writer.write(bytes([byte]))
            await asyncio.sleep(0.01)

        assert await cut_off == b""
        await serves_calls(running)


async def test_a_body_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "BODY_TIMEOUT_S", 0.2)
    monkeypatch.setattr(server, "LINGER_S", 0.2)
    async with serving() as running, raw(running) as (reader, writer):
        writer.write(
            b"POST /twilio/voice HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            b"Content-Length: 100\r\nConnection: close\r\n\r\nCallSid="
        )

        assert b"408" in (await closed(reader)).splitlines()[0]
        await serves_calls(running)


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /healthz HTTP/1.1\r\nX-Long: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    ],
    ids=["long header", "long address", "TLS on plain HTTP", "two lengths", "a negative length"],
)
async def test_requests_that_are_none_are_refused(request_head: bytes) -> None:
    async with serving() as running, raw(running) as (reader, writer):
        writer.write(request_head)

        assert b" 400 " in (await closed(reader)).splitlines()[0]
        await serves_calls(running)


@pytest.mark.parametrize("path", ["/twilio/media", "/browser/media"])
async def test_a_socket_that_says_nothing_is_closed(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twilio, "START_TIMEOUT_S", 0.1)
    monkeypatch.setattr(browser, "START_TIMEOUT_S", 0.1)
    monkeypatch.setattr(socket_door, "CLOSE_TIMEOUT_S", 0.2)
    async with serving() as running, raw(running) as (reader, writer):
        await upgrade(running, reader, writer, path)

        await closed(reader)
        assert running.kinds() == ["start_timeout"]
        await serves_calls(running)


@pytest.mark.parametrize(
    "garbage",
    [
        frame(b"\xff\xfe\xfd"),
        frame(b"{}", opcode=3),
        frame(b"{}", reserved=4),
        frame(b"{}", opcode=0),
        frame(b"a" * 200, opcode=9),
        frame(b"", opcode=8, fin=False),
        frame(b"\x00", opcode=8),
        struct.pack("!BBQ", 0x81, 0xFF, 2**62) + b"mask",
        b"GET / HTTP/1.1\r\n\r\n" * 20,
        bytes(range(256)) * 40,
    ],
    ids=[
        "not UTF-8",
        "unknown opcode",
        "reserved bits",
        "continuation of nothing",
        "long ping",
        "close in pieces",
        "short close code",
        "absurd length",
        "HTTP inside",
        "all bytes",
    ],
)
async def test_frames_that_are_none_end_their_own_call_only(garbage: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_door, "CLOSE_TIMEOUT_S", 0.2)
    listener = Listener()
    async with serving(listener) as running, running.stream("CAgood") as good, raw(running) as (reader, writer):
        await until(lambda: listener.legs)
        await upgrade(running, reader, writer)
        start = Start(1, "MZbad", "AC1", "CAbad", parameters=await running.stream_parameters("CAbad"))
        writer.write(frame(serialise(Connected()).encode()) + frame(serialise(start).encode()))
        await until(lambda: len(listener.legs) == 2)
        writer.write(garbage)

        await closed(reader)
        await until(listener.ended.is_set)
        assert [event.cause for event in listener.events if isinstance(event, LegEnded)] == [EndCause.CONNECTION_LOST]
        await good.say(3)
        await until(lambda: sum(isinstance(event, FrameReceived) for event in listener.events) == 3)


async def test_a_message_in_many_pieces_is_one_message() -> None:
    listener = Listener()
    async with serving(listener) as running, raw(running) as (reader, writer):
        await upgrade(running, reader, writer)
        start = serialise(Start(1, "MZ1", "AC1", "CA1", parameters=await running.stream_parameters("CA1"))).encode()
        writer.write(frame(serialise(Connected()).encode()))
        writer.write(frame(start[:10], fin=False))
        for index in range(10, len(start)):
            writer.write(frame(start[index : index + 1], opcode=0, fin=False))
        writer.write(frame(b"", opcode=0))

        await until(lambda: listener.legs)


async def test_pieces_without_end_are_cut_off_at_the_size_limit() -> None:
    async with serving() as running, raw(running) as (reader, writer):
        await upgrade(running, reader, writer)
        writer.write(frame(b"{", fin=False))
        gone = asyncio.create_task(closed(reader))
        for _ in range(2000):
            if gone.done():
                break
            writer.write(frame(b" " * 1000, opcode=0, fin=False))
            await asyncio.sleep(0)

        await gone
        await serves_calls(running)


async def test_a_peer_that_falls_silent_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_line, "WATCH_EVERY_S", 0.05)
    monkeypatch.setattr(socket_line, "MEDIA_TIMEOUT_S", 0.2)
    listener = Listener()
    async with serving(listener) as running:
        parameters = await running.stream_parameters()
        dead = await running.http.ws_connect(running.base + "/twilio/media", autoping=False)
        await HandMadeCarrier(dead).start(parameters)
        async with asyncio.timeout(20):
            await listener.ended.wait()

    assert isinstance(listener.events[-1], LegEnded)
    assert listener.events[-1].cause is EndCause.MEDIA_TIMEOUT


async def test_a_peer_that_reads_nothing_fills_neither_memory_nor_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_line, "WATCH_EVERY_S", 0.05)
    monkeypatch.setattr(socket_line, "CLOSE_TIMEOUT_S", 0.1)
    ended = asyncio.Event()

    async def talk_without_end(leg: CallLeg) -> None:
        if leg.info.carrier_call_id != "CAstuck":
            async for event in leg.events():
                if isinstance(event, FrameReceived):
                    leg.send(event.payload)
            return
        talking = asyncio.create_task(keep_talking(leg))
        async for event in leg.events():
            if isinstance(event, LegEnded) and event.cause is EndCause.CONNECTION_LOST:
                ended.set()
        talking.cancel()

    async def keep_talking(leg: CallLeg) -> None:
        while True:
            for _ in range(100):
                leg.send(FRAME)
            await asyncio.sleep(0.001)

    async with serving(talk_without_end) as running:
        stuck = socket.create_connection(("127.0.0.1", running.port))
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader, writer = await asyncio.open_connection(sock=stuck)
        await upgrade(running, reader, writer)
        start = Start(1, "MZ1", "AC1", "CAstuck", parameters=await running.stream_parameters("CAstuck"))
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport can
        writer.write(frame(serialise(Connected()).encode()) + frame(serialise(start).encode()))
        async with asyncio.timeout(10):
            await ended.wait()
        await serves_calls(running)
        writer.transport.abort()


async def test_a_flood_of_audio_is_bounded_and_told_as_lost() -> None:
    received: list[FrameReceived] = []
    slow = asyncio.Event()

    async def listen_late(leg: CallLeg) -> None:
        await slow.wait()
        async for event in leg.events():
            match event:
                case FrameReceived():
                    received.append(event)
                case _:
                    pass

    async with serving(listen_late) as running, running.stream() as carrier:
        await carrier.say(2000)
        await asyncio.sleep(1.0)  # a busy machine reads for a while
        slow.set()
        await carrier.say(1)
        await until(lambda: len(received) + sum(frame.lost_before for frame in received) == 2001)

        assert len(received) < 500
        assert max(frame.lost_before for frame in received) > 1500


async def test_strangers_guessing_tickets_get_nothing_and_disturb_nobody() -> None:
    async with serving() as running, running.stream("CAgood") as good:
        for number in range(30):
            async with running.http.ws_connect(running.base + "/twilio/media") as stranger:
                carrier = HandMadeCarrier(stranger, f"CA{number}")
                await carrier.start({"ticket": f"a.{number}.c"})
                assert await carrier.close_code() == 1008
        await good.say(1)

        assert (await good.next())["event"] == "media"
        assert running.kinds() == ["ticket_forged"] * 30


async def test_a_replayed_webhook_opens_no_second_stream_with_the_first_ones_ticket() -> None:
    async with serving() as running:
        form = incoming("CA1")
        url = running.base + "/twilio/voice"
        headers = {"X-Twilio-Signature": sign(url, form)}
        first, second = [
            await (await running.http.post(url, data=aiohttp.FormData(form)(), headers=headers)).text()
            for _ in range(2)
        ]

        assert first != second


async def test_callers_come_back_after_a_dropped_line() -> None:
    listener = Listener()
    async with serving(listener) as running:
        for attempt in range(1, 6):
            async with running.stream("CA1") as carrier:
                await until(lambda: len(listener.legs) == attempt)  # noqa: B023  # awaited within the loop's turn
                connection = carrier.socket._response.connection
                assert connection is not None
                assert connection.transport is not None
                connection.transport.abort()
            await until(lambda: sum(isinstance(event, LegEnded) for event in listener.events) == attempt)  # noqa: B023


def test_nothing_listens_where_nobody_serves() -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", unused_port()), timeout=1)
