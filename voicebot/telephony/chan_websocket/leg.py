"""One call over Asterisk's chan_websocket as a `CallLeg`. Asterisk times the playback and tells of it by marks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

import aiohttp

from voicebot.errors import LocalProtocolError, RemoteProtocolError
from voicebot.telephony.chan_websocket import messages
from voicebot.telephony.leg import (
    FRAME_BYTES,
    AudioPlayed,
    EndCause,
    FrameReceived,
    HangUpReason,
    KeyPressed,
    LegEvent,
    LegInfo,
)
from voicebot.telephony.patience import Patience
from voicebot.telephony.playback import Playback
from voicebot.telephony.rtp.codecs import PCMA, PCMU, Codec
from voicebot.telephony.socket_line import Socket, SocketLine

MAX_BAD_MESSAGES = 20
#: Asterisk's names of the formats we speak.
_FORMATS: dict[str, Codec] = {"ulaw": PCMU, "alaw": PCMA}


async def await_start(socket: Socket, *, timeout_s: float) -> messages.MediaStart:
    """Read the first message.

    Raises `RemoteProtocolError` when it is anything but MEDIA_START, names a format that we do not speak
    (``unknown_format``), or nothing comes (``start_timeout``).
    """
    try:
        async with asyncio.timeout(timeout_s):
            message = await socket.receive()
    except TimeoutError as error:
        raise RemoteProtocolError("start_timeout", f"No MEDIA_START came within {timeout_s} s.") from error
    if message.type is not aiohttp.WSMsgType.TEXT:
        raise RemoteProtocolError("no_start", "The socket ended or sent audio before MEDIA_START.")
    start = messages.parse(message.data)
    if not isinstance(start, messages.MediaStart):
        raise RemoteProtocolError("no_start", "The first message was not MEDIA_START.")
    if start.media_format not in _FORMATS:
        raise RemoteProtocolError("unknown_format", "The channel's format is not ulaw or alaw; dial with c(ulaw).")
    return start


class ChanWebsocketLeg:
    """A call that has started. Whoever owns the socket awaits `run()`, which returns with the socket closed."""

    def __init__(self, line: SocketLine, start: messages.MediaStart) -> None:
        self._line = line
        self._form = start.form
        codec = _FORMATS[start.media_format]
        self._decode: Callable[[bytes], bytes] = codec.make_decoder()
        self._encode: Callable[[bytes], bytes] = codec.make_encoder()
        self._playback = Playback()
        self._patience = Patience(MAX_BAD_MESSAGES)
        self._unwritten: deque[bytes] = deque()
        self._texts: deque[str] = deque()
        self._write_wanted = asyncio.Event()
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._rest = b""

    @property
    def info(self) -> LegInfo:
        return self._line.info

    @property
    def sent_samples(self) -> int:
        return self._playback.sent + len(self._unwritten) * FRAME_BYTES

    @property
    def queued_samples(self) -> int:
        """Samples sent that the party has not heard yet, by marks and the clock."""
        return self.sent_samples - self._playback.heard(self._line.clock())

    def events(self) -> AsyncIterator[LegEvent]:
        return self._line.inbox.events()

    async def answer(self) -> None:
        """Answer the channel; one that Asterisk has answered itself takes no notice."""
        self._tell(messages.Command.ANSWER)

    def send(self, frame: bytes) -> None:
        if len(frame) != FRAME_BYTES:
            raise LocalProtocolError(f"A frame has {FRAME_BYTES} bytes, not {len(frame)}.")
        if self._line.is_open:
            self._unwritten.append(frame)
            self._write_wanted.set()

    def clear(self) -> int:
        now_s = self._line.clock()
        never_written = len(self._unwritten) * FRAME_BYTES
        self._unwritten.clear()
        position = self._playback.heard(now_s)
        if position < self._playback.sent:
            self._tell(messages.Command.FLUSH_MEDIA)
        if position < self._playback.sent + never_written:
            self._playback.clear(now_s, skipped=never_written)
            self._line.inbox.put(AudioPlayed(position, now_s))
        return position

    async def hang_up(self, reason: HangUpReason) -> None:
        await self._line.hang_up(reason, farewell=messages.command(self._form, messages.Command.HANGUP))

    def show_caption(self, speaker: str, text: str, *, final: bool) -> None:
        """Do nothing: a telephone shows no captions."""

    async def run(self) -> None:
        """Carry the call until either side ends it."""
        await self._line.run(take=self._take, write=self._write, unwritten=lambda: len(self._unwritten))

    def _tell(self, name: messages.Command, correlation_id: str = "") -> None:
        self._texts.append(messages.command(self._form, name, correlation_id))
        self._write_wanted.set()

    def _take(self, message: aiohttp.WSMessage) -> EndCause | None:
        if message.type is aiohttp.WSMsgType.BINARY:
            self._on_audio(message.data)
            return None
        try:
            cause = self._on_event(messages.parse(message.data))
        except RemoteProtocolError as error:
            self._line.violated(error.kind, str(error))
            self._patience.bad()
            return EndCause.PROTOCOL_ERROR if self._patience.exhausted else None
        self._patience.good()
        return cause

    def _on_event(self, event: messages.Event) -> EndCause | None:
        match event:
            case messages.DtmfEnd(key):
                self._line.inbox.put(KeyPressed(key, self._line.received_s))
            case messages.MarkProcessed(name):
                self._on_mark(name)
            case messages.Paused(paused):
                if paused:
                    self._may_write.clear()
                else:
                    self._may_write.set()
            case messages.HungUp():
                return EndCause.PEER_HUNG_UP
            case messages.MediaStart():
                raise RemoteProtocolError("out_of_turn", "A second MEDIA_START came.")
            case messages.Other():
                pass
        return None

    def _on_mark(self, name: str) -> None:
        try:
            position = self._playback.mark_returned(name, self._line.received_s)
        except LookupError as error:
            raise RemoteProtocolError("unknown_mark", "A mark came back that was not outstanding.") from error
        if position is not None:
            self._line.inbox.put(AudioPlayed(position, self._line.received_s))

    def _on_audio(self, payload: bytes) -> None:
        audio = self._rest + self._decode(payload)
        whole = len(audio) - len(audio) % FRAME_BYTES
        for offset in range(0, whole, FRAME_BYTES):
            self._line.inbox.put(FrameReceived(audio[offset : offset + FRAME_BYTES], self._line.received_s))
        self._rest = audio[whole:]

    async def _write(self) -> None:
        """Forward what waits. A mark follows every piece, as audio comes in pieces of 40 ms and marks are cheap."""
        while self._line.is_open:
            await self._write_wanted.wait()
            self._write_wanted.clear()
            while self._line.is_open and (self._texts or self._unwritten):
                if self._texts:
                    await self._line.socket.send_str(self._texts.popleft())
                else:
                    await self._may_write.wait()
                    await self._write_audio()

    async def _write_audio(self) -> None:
        payload = b"".join(self._unwritten)
        self._unwritten.clear()
        if not payload:
            return
        self._playback.add(len(payload), self._line.clock())
        mark = messages.command(self._form, messages.Command.MARK_MEDIA, self._playback.set_mark())
        await self._line.socket.send_bytes(self._encode(payload))
        await self._line.socket.send_str(mark)
