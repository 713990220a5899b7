"""A browser's call page as a `CallLeg`: the same seam as a telephone, with captions."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator

import aiohttp
import numpy as np

from voicebot import g711
from voicebot.errors import LocalProtocolError, RemoteProtocolError
from voicebot.telephony.browser import messages
from voicebot.telephony.leg import (
    FRAME_BYTES,
    SAMPLE_RATE_HZ,
    AudioPlayed,
    EndCause,
    FrameReceived,
    HangUpReason,
    KeyPressed,
    LegEvent,
    LegInfo,
)
from voicebot.telephony.patience import Patience
from voicebot.telephony.socket_line import Socket, SocketLine

#: Bad messages in a row after which the call ends.
MAX_BAD_MESSAGES = 50
#: Every tenth frame is measured: five readings a second move a meter smoothly.
FRAMES_A_LEVEL = 10
SILENCE_DBFS = -90
MAX_CAPTION_CHARS = 1_000
#: Captions wait here for a slow page; more than these and the oldest are worth less than the newest.
MAX_WAITING_TEXTS = 64
#: The page reports what it played ten times a second while it plays; without word from it the estimate stops here.
MAX_UNREPORTED_S = 0.25


async def await_hello(socket: Socket, *, timeout_s: float) -> messages.Hello:
    """Read the first message; raises `RemoteProtocolError` when it is anything but hello, or late."""
    try:
        async with asyncio.timeout(timeout_s):
            message = await socket.receive()
    except TimeoutError as error:
        raise RemoteProtocolError("start_timeout", f"No hello came within {timeout_s} s.") from error
    if message.type is not aiohttp.WSMsgType.TEXT:
        raise RemoteProtocolError("no_start", "The socket ended or sent audio before its hello.")
    hello = messages.parse_page(message.data)
    if not isinstance(hello, messages.Hello):
        raise RemoteProtocolError("no_start", "The page's first message was not hello.")
    return hello


class BrowserLeg:
    """One call from the page, after its hello was accepted.

    Whoever owns the socket awaits `run()`, which returns when the leg has ended and the socket is closed.
    """

    def __init__(self, line: SocketLine) -> None:
        self._line = line
        self._patience = Patience(MAX_BAD_MESSAGES)
        self._unwritten: deque[bytes] = deque()
        self._texts: deque[str] = deque([messages.ready()])
        self._write_wanted = asyncio.Event()
        self._write_wanted.set()
        self._sent = 0
        self._generation = 0
        #: The position the page has reported, and when.
        self._played = 0
        self._played_s = 0.0
        self._frames_to_level = FRAMES_A_LEVEL

    @property
    def info(self) -> LegInfo:
        return self._line.info

    @property
    def sent_samples(self) -> int:
        return self._sent

    @property
    def queued_samples(self) -> int:
        """Samples sent that the page has not played yet, by its reports and the clock."""
        return self._sent - self._heard(self._line.clock())

    def events(self) -> AsyncIterator[LegEvent]:
        return self._line.inbox.events()

    async def answer(self) -> None:
        """Do nothing: the page's call is answered by `ready`, which is the first message out."""

    def send(self, frame: bytes) -> None:
        if len(frame) != FRAME_BYTES:
            raise LocalProtocolError(f"A frame has {FRAME_BYTES} bytes, not {len(frame)}.")
        if self._line.is_open:
            if self._played >= self._sent:
                self._played_s = self._line.clock()
            self._sent += FRAME_BYTES
            self._unwritten.append(frame)
            self._write_wanted.set()

    def clear(self) -> int:
        now_s = self._line.clock()
        heard = self._heard(now_s)
        if heard < self._sent:
            self._unwritten.clear()
            self._generation += 1
            self._played = self._sent
            # Before any audio sent from now on, which the page counts from here.
            self._texts.append(messages.clear(self._generation, self._sent))
            self._write_wanted.set()
            self._line.inbox.put(AudioPlayed(heard, now_s))
        return heard

    async def hang_up(self, reason: HangUpReason) -> None:
        await self._line.hang_up(reason, farewell=messages.end(reason, ""))

    def show_caption(self, speaker: str, text: str, *, final: bool) -> None:
        if self._line.is_open and len(self._texts) < MAX_WAITING_TEXTS:
            self._texts.append(messages.caption(speaker, text[:MAX_CAPTION_CHARS], final=final))
            self._write_wanted.set()

    async def run(self) -> None:
        """Carry the call until either side ends it."""
        await self._line.run(take=self._take, write=self._write, unwritten=lambda: len(self._unwritten))

    def _heard(self, now_s: float) -> int:
        """Estimate what was heard: the last report, and the clock since then while there is audio to play."""
        since_s = min(max(0.0, now_s - self._played_s), MAX_UNREPORTED_S)
        return min(self._played + round(since_s * SAMPLE_RATE_HZ), self._sent)

    def _take(self, message: aiohttp.WSMessage) -> EndCause | None:
        if message.type is aiohttp.WSMsgType.BINARY:
            return self._line.taken(self._patience, lambda: self._on_audio(message.data))
        return self._line.taken(self._patience, lambda: self._on_text(messages.parse_page(message.data)))

    def _on_text(self, message: messages.PageMessage) -> EndCause | None:
        match message:
            case messages.Key(key, duration_ms):
                self._line.inbox.put(KeyPressed(key, self._line.received_s, duration_ms))
            case messages.Played(generation, position):
                self._on_played(generation, position)
            case messages.Bye():
                return EndCause.PEER_HUNG_UP
            case messages.Hello():
                raise RemoteProtocolError("out_of_turn", "A second hello came.")
        return None

    def _on_played(self, generation: int, position: int) -> None:
        if generation > self._generation or position > self._sent:
            raise RemoteProtocolError("bad_field", "The page played what was never sent.")
        # A report from before the last clear is about audio that was dropped since.
        if generation == self._generation and position > self._played:
            self._played, self._played_s = position, self._line.received_s
            self._line.inbox.put(AudioPlayed(position, self._line.received_s))

    def _on_audio(self, payload: bytes) -> None:
        for frame in messages.split_audio(payload):
            self._line.inbox.put(FrameReceived(frame, self._line.received_s))
            self._frames_to_level -= 1
            if not self._frames_to_level:
                self._frames_to_level = FRAMES_A_LEVEL
                self._show_level(frame)

    def _show_level(self, frame: bytes) -> None:
        if not self._texts:
            self._texts.append(messages.level(_level_dbfs(frame)))
            self._write_wanted.set()

    async def _write(self) -> None:
        while self._line.is_open:
            await self._write_wanted.wait()
            self._write_wanted.clear()
            while (self._texts or self._unwritten) and self._line.is_open:
                await self._flush_texts()
                if self._unwritten:
                    frames = min(len(self._unwritten), messages.MAX_FRAMES_A_MESSAGE)
                    await self._line.socket.send_bytes(b"".join([self._unwritten.popleft() for _ in range(frames)]))

    async def _flush_texts(self) -> None:
        while self._texts:
            await self._line.socket.send_str(self._texts.popleft())


def _level_dbfs(frame: bytes) -> int:
    """Return the level of a mu-law frame relative to a full-scale square wave, at least `SILENCE_DBFS`."""
    samples = g711.decode(frame).astype(np.float32)
    mean_square = float(np.dot(samples, samples)) / len(samples)
    if mean_square < 1.0:
        return SILENCE_DBFS
    return max(SILENCE_DBFS, round(10 * math.log10(mean_square / 32768**2)))
