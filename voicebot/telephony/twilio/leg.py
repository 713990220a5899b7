"""A Twilio Media Stream as a `CallLeg`: the thin shell that joins a WebSocket to the pure `TwilioStream`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp

from voicebot.errors import RemoteProtocolError
from voicebot.telephony.framing import Framer
from voicebot.telephony.leg import (
    FRAME_BYTES,
    SAMPLE_RATE_HZ,
    EndCause,
    FrameReceived,
    HangUpReason,
    KeyPressed,
    LegEvent,
    LegInfo,
)
from voicebot.telephony.marked_audio import MarkedAudio
from voicebot.telephony.socket_line import Socket, SocketLine
from voicebot.telephony.twilio.messages import Dtmf, Mark, Start, Stop
from voicebot.telephony.twilio.stream import AudioReceived, StreamEvent, StreamState, TwilioStream, Violation

#: A mark after this much audio, so that what was heard before a barge-in is known to within it.
MARK_SAMPLES = SAMPLE_RATE_HZ // 5
#: Audio that no mark follows yet gets one once nothing more was sent for this long: a prompt has ended. That is longer
#: than it takes from one piece of a prompt, 100 ms, to the next, or each would get one, and shorter than the carrier
#: plays of the last, as a rule, which is sent ahead of its time: then the mark is there before that has been played.
LAST_MARK_AFTER_S = 0.12


async def await_start(socket: Socket, stream: TwilioStream, *, timeout_s: float) -> Start:
    """Read until the start message.

    Raises `RemoteProtocolError` when anything but connected and start comes, the peer leaves, or (kind
    `start_timeout`) nothing comes in time: a peer that cannot begin a stream is no carrier.
    """
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                message = await socket.receive()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    raise RemoteProtocolError("no_start", "The socket ended or sent binary before its start message.")
                for event in stream.receive(message.data):
                    if isinstance(event, Start):
                        return event
    except TimeoutError as error:
        raise RemoteProtocolError("start_timeout", f"No start message came within {timeout_s} s.") from error


class TwilioLeg:
    """One call over one Media Stream that has started.

    Whoever owns the socket awaits `run()`, which returns when the leg has ended and the socket is closed.
    """

    def __init__(self, line: SocketLine, stream: TwilioStream) -> None:
        self._line = line
        self._stream = stream
        self._audio = MarkedAudio(line)
        self._clear_wanted = False
        self._last_mark_wanted = False
        self._last_mark_timer: asyncio.TimerHandle | None = None
        #: On the event loop's clock, as the timer is.
        self._last_write_s = 0.0
        self._framer = Framer()
        self._lost_bytes = 0
        #: Set once it has been carried to its end; None until somebody carries it.
        self._carried: asyncio.Event | None = None

    @property
    def is_open(self) -> bool:
        return self._line.is_open

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
        """Do nothing: a call that streams has been answered by the carrier."""

    def send(self, frame: bytes) -> None:
        self._audio.send(frame)

    def clear(self) -> int:
        position, at_carrier = self._audio.clear()
        if at_carrier:
            self._clear_wanted = True
            self._audio.wanted.set()
        return position

    async def hang_up(self, reason: HangUpReason) -> None:
        await self._line.hang_up(reason)

    def show_caption(self, speaker: str, text: str, *, final: bool) -> None:
        """Do nothing: a telephone shows no captions."""

    async def run(self) -> None:
        """Carry the call until either side ends it; whoever awaits this second waits for the same end."""
        if self._carried is not None:
            await self._carried.wait()
            return
        self._carried = asyncio.Event()
        try:
            await self._line.run(take=self._take, write=self._write, unwritten=lambda: len(self._audio))
        finally:
            self._carried.set()

    def _take(self, message: aiohttp.WSMessage) -> EndCause | None:
        if message.type is aiohttp.WSMsgType.BINARY:
            self._line.violated("binary_message", "A Media Stream has no binary messages.")
            return None
        try:
            for event in self._stream.receive(message.data):
                self._on_event(event)
        except RemoteProtocolError as error:
            self._line.violated(error.kind, str(error))
        match self._stream.state:
            case StreamState.STOPPED:
                return EndCause.PEER_HUNG_UP
            case StreamState.FAILED:
                return EndCause.PROTOCOL_ERROR
            case _:
                return None

    def _on_event(self, event: StreamEvent) -> None:
        match event:
            case AudioReceived(payload, lost_bytes):
                self._on_audio(payload, lost_bytes)
            case Dtmf(digit=digit):
                self._line.inbox.put(KeyPressed(digit, self._line.received_s))
            case Mark(name=name):
                self._on_mark(name)
            case Violation(kind, what):
                self._line.violated(kind, what)
            case Start() | Stop():
                pass

    def _on_audio(self, payload: bytes, lost_bytes: int) -> None:
        """Take audio; carriers that speak Twilio's protocol may send other lengths than 20 ms."""
        self._lost_bytes += lost_bytes
        for frame in self._framer.cut(payload):
            lost_frames, self._lost_bytes = divmod(self._lost_bytes, FRAME_BYTES)
            self._line.inbox.put(FrameReceived(frame, self._line.received_s, lost_frames))

    def _on_mark(self, name: str) -> None:
        try:
            self._audio.mark_returned(name)
        except LookupError:
            self._line.violated("unknown_mark", "A mark came back that was not outstanding.")

    async def _write(self) -> None:
        """Forward what `send` and `clear` queued: all frames that wait go into one message, up to the next mark."""
        while self._line.is_open:
            await self._audio.wanted.wait()
            self._audio.wanted.clear()
            while self._line.is_open and (self._clear_wanted or self._audio or self._last_mark_wanted):
                if self._clear_wanted:
                    self._clear_wanted = False
                    await self._line.socket.send_str(self._stream.clear())
                elif self._audio:
                    await self._write_audio()
                else:
                    await self._write_last_mark()

    async def _write_audio(self) -> None:
        payload = self._audio.take((MARK_SAMPLES - self._audio.unmarked) // FRAME_BYTES)
        self._last_mark_wanted = False
        message = self._stream.media(payload)
        if self._audio.unmarked < MARK_SAMPLES:
            self._expect_last_mark()
            await self._line.socket.send_str(message)
            return
        mark = self._stream.mark(self._audio.set_mark())
        await self._line.socket.send_str(message)
        await self._line.socket.send_str(mark)

    async def _write_last_mark(self) -> None:
        self._last_mark_wanted = False
        if self._audio.unmarked:
            await self._line.socket.send_str(self._stream.mark(self._audio.set_mark()))

    def _expect_last_mark(self) -> None:
        """Have audio that nothing follows marked. One timer serves many frames, since most are followed in time."""
        loop = asyncio.get_running_loop()
        self._last_write_s = loop.time()
        if self._last_mark_timer is None:
            self._last_mark_timer = loop.call_later(LAST_MARK_AFTER_S, self._on_last_mark_due)

    def _on_last_mark_due(self) -> None:
        loop = asyncio.get_running_loop()
        due_s = self._last_write_s + LAST_MARK_AFTER_S
        if not self._line.is_open or not self._audio.unmarked:
            self._last_mark_timer = None
        elif loop.time() < due_s:
            self._last_mark_timer = loop.call_at(due_s, self._on_last_mark_due)
        else:
            self._last_mark_timer = None
            self._last_mark_wanted = True
            self._audio.wanted.set()
