"""Asterisk's side of AudioSocket, done by hand against the real door."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

import numpy as np

from tests.fakes.media_streams import FRAME
from tests.fakes.socket import until
from tests.fakes.web_server import FakeAdmission, Listener, echo
from voicebot import g711
from voicebot.app.audiosocket import AudioSocketDoor, listening
from voicebot.telephony.audiosocket import messages
from voicebot.telephony.leg import SILENT_FRAME, AudioPlayed, Channel, EndCause, HangUpReason, KeyPressed, LegEnded
from voicebot.web.chan_websocket import AsteriskPeers
from voicebot.web.doors import Accept

CALL = uuid.UUID("40325ec2-5efd-4bd3-805f-53576e581d13")
LOCAL = AsteriskPeers((ip_network("127.0.0.0/8"),))


class Asterisk:
    """One open AudioSocket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self._reader = reader
        self._parser = messages.Parser()
        self._waiting: list[object] = []

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def next(self) -> object:
        """Return the next message; None when the server closed."""
        async with asyncio.timeout(20):
            while not self._waiting:
                try:
                    data = await self._reader.read(4096)
                except ConnectionError:  # closed before it had read what we said
                    return None
                if not data:
                    return None
                self._waiting += self._parser.feed(data)
        return self._waiting.pop(0)


class Running:
    def __init__(self, port: int, violations: list[tuple[str, str]]) -> None:
        self.port = port
        self.violations = violations

    @asynccontextmanager
    async def call(self, first: bytes = messages.identify(CALL)) -> AsyncIterator[Asterisk]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(first)
        yield Asterisk(reader, writer)
        writer.close()


@asynccontextmanager
async def serving(
    accept: Accept = echo, *, peers: AsteriskPeers = LOCAL, refuse_with: str | None = None
) -> AsyncIterator[Running]:
    admission = FakeAdmission()
    admission.refuse_with = refuse_with
    violations: list[tuple[str, str]] = []
    door = AudioSocketDoor(
        accept=accept,
        admission=admission,
        peers=peers,
        max_connections=3,
        on_violation=lambda channel, kind: violations.append((channel, kind)),
        new_id=lambda: uuid.uuid4().hex,
    )
    async with listening(door, "127.0.0.1", 0) as port:
        yield Running(port, violations)


async def test_what_is_said_comes_back_as_linear_audio_in_real_time() -> None:
    voice = g711.encode((8000 * np.sin(np.arange(160) / 5)).astype(np.int16))
    async with serving() as server, server.call() as asterisk:
        asterisk.say(messages.audio(voice))
        heard = [await asterisk.next() for _ in range(10)]
        assert messages.AudioCame(voice) in heard
        # Nothing to say is said as silence: Asterisk counts on a steady stream.
        assert messages.AudioCame(SILENT_FRAME) in heard


async def test_the_leg_carries_the_uuid_keys_and_the_hang_up() -> None:
    listener = Listener()
    async with serving(listener) as server, server.call() as asterisk:
        await until(lambda: listener.legs)
        assert listener.legs[0].info.carrier_call_id == str(CALL)
        asterisk.say(messages.key("7") + messages.hang_up())
        async with asyncio.timeout(20):
            await listener.ended.wait()
    key, ended = listener.events
    assert isinstance(key, KeyPressed)
    assert key.key == "7"
    assert isinstance(ended, LegEnded)
    assert ended.cause is EndCause.PEER_HUNG_UP


async def test_audio_in_odd_pieces_comes_in_whole_frames() -> None:
    listener = Listener()
    async with serving(listener) as server, server.call() as asterisk:
        stream = messages.audio(FRAME * 3)
        for start in range(0, len(stream), 100):
            asterisk.say(stream[start : start + 100])
            await asyncio.sleep(0.002)
        await until(lambda: len(listener.events) == 3)


async def test_clear_drops_what_has_not_left() -> None:
    listener = Listener()
    async with serving(listener) as server, server.call():
        await until(lambda: listener.legs)
        leg = listener.legs[0]
        for _ in range(50):
            leg.send(FRAME)
        await asyncio.sleep(0.1)
        position = leg.clear()
        assert 0 < position < 4000
        await until(lambda: any(isinstance(event, AudioPlayed) for event in listener.events))


async def test_hanging_up_is_told_to_asterisk() -> None:
    listener = Listener()
    async with serving(listener) as server, server.call() as asterisk:
        await until(lambda: listener.legs)
        await listener.legs[0].hang_up(HangUpReason.COMPLETED)
        for _ in range(100):  # a phone system goes on talking until it has heard of it
            asterisk.say(messages.audio(FRAME))
        last = [message async for message in _all(asterisk)][-1]
        assert last == messages.HungUp()


async def _all(asterisk: Asterisk) -> AsyncIterator[object]:
    while (message := await asterisk.next()) is not None:
        yield message


async def test_a_refused_call_is_hung_up_at_once() -> None:
    async with serving(refuse_with="too_many_calls") as server, server.call() as asterisk:
        assert await asterisk.next() == messages.HungUp()
        assert await asterisk.next() is None


async def test_strangers_and_nonsense_are_turned_away_and_counted() -> None:
    async with serving(peers=AsteriskPeers((ip_network("10.0.0.0/8"),))) as server, server.call() as asterisk:
        assert await asterisk.next() is None
        assert server.violations == [(Channel.AUDIOSOCKET, "stranger")]
    async with serving() as server, server.call(b"GET / HTTP/1.1\r\n\r\n    ") as asterisk:
        assert await asterisk.next() is None
        assert server.violations == [(Channel.AUDIOSOCKET, "no_start")]


async def test_a_peer_that_sends_only_nonsense_loses_its_call() -> None:
    listener = Listener()
    async with serving(listener) as server, server.call() as asterisk:
        asterisk.say(b"\x42\x00\x01x" * 30)
        async with asyncio.timeout(20):
            await listener.ended.wait()
        assert isinstance(listener.events[-1], LegEnded)
        assert listener.events[-1].cause is EndCause.PROTOCOL_ERROR
        assert server.violations[0] == (Channel.AUDIOSOCKET, "unknown_type")
