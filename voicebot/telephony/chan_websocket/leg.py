"""One call over Asterisk's chan_websocket as a `CallLeg`. Asterisk times the playback and tells of it by marks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

import aiohttp

from voicebot.errors import RemoteProtocolError
from voicebot.telephony.chan_websocket import messages
from voicebot.telephony.framing import Framer
from voicebot.telephony.leg import (
    EndCause,
    FrameReceived,
    HangUpReason,
    KeyPressed,
    LegEvent,
    LegInfo,
)
from voicebot.telephony.marked_audio import MarkedAudio
from voicebot.telephony.patience import Patience
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
        self._audio = MarkedAudio(line)
        self._patience = Patience(MAX_BAD_MESSAGES)
        self._texts: deque[str] = deque()
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._framer = Framer()

    @property
    def info(self) -> LegInfo:
        return self._line.info

    @property
    def sent_samples(self) -> int:
        return self._audio.sent_samples

    @property
    def queued_samples(self) -> int:
        return self._audio.queued_samples

    def events(self) -> AsyncIterator[LegEvent]:
        return self._line.inbox.events()

    async def answer(self) -> None:
        """Answer the channel; one that Asterisk has answered itself takes no notice."""
        self._tell(messages.Command.ANSWER)

    def send(self, frame: bytes) -> None:
        self._audio.send(frame)

    def clear(self) -> int:
        position, at_carrier = self._audio.clear()
        if at_carrier:
            self._tell(messages.Command.FLUSH_MEDIA)
        return position

    async def hang_up(self, reason: HangUpReason) -> None:
        await self._line.hang_up(reason, farewell=messages.command(self._form, messages.Command.HANGUP))

    def show_caption(self, speaker: str, text: str, *, final: bool) -> None:
        """Do nothing: a telephone shows no captions."""

    async def run(self) -> None:
        """Carry the call until either side ends it."""
        await self._line.run(take=self._take, write=self._write, unwritten=lambda: len(self._audio))

    def _tell(self, name: messages.Command, correlation_id: str = "") -> None:
        self._texts.append(messages.command(self._form, name, correlation_id))
        self._audio.wanted.set()

    def _take(self, message: aiohttp.WSMessage) -> EndCause | None:
        if message.type is aiohttp.WSMsgType.BINARY:
            self._on_audio(message.data)
            return None
        return self._line.taken(self._patience, lambda: self._on_event(messages.parse(message.data)))

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
            self._audio.mark_returned(name)
        except LookupError as error:
            raise RemoteProtocolError("unknown_mark", "A mark came back that was not outstanding.") from error

    def _on_audio(self, payload: bytes) -> None:
        for frame in self._framer.cut(self._decode(payload)):
            self._line.inbox.put(FrameReceived(frame, self._line.received_s))

    async def _write(self) -> None:
        """Forward what waits. A mark follows every piece, as audio comes in pieces of 40 ms and marks are cheap."""
        while self._line.is_open:
            await self._audio.wanted.wait()
            self._audio.wanted.clear()
            while self._line.is_open and (self._texts or self._audio):
                if self._texts:
                    await self._line.socket.send_str(self._texts.popleft())
                else:
                    await self._may_write.wait()
                    await self._write_audio()

    async def _write_audio(self) -> None:
        payload = self._audio.take(len(self._audio))
        if not payload:
            return
        mark = messages.command(self._form, messages.Command.MARK_MEDIA, self._audio.set_mark())
        await self._line.socket.send_bytes(self._encode(payload))
        await self._line.socket.send_str(mark)
