"""A Twilio Media Stream as a `CallLeg`: the thin shell that joins a WebSocket to the pure `TwilioStream`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import aiohttp

from voicebot.errors import LocalProtocolError, RemoteProtocolError
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
from voicebot.telephony.playback import Playback
from voicebot.telephony.socket_line import Socket, SocketLine
from voicebot.telephony.twilio.messages import Dtmf, Mark, Start, Stop
from voicebot.telephony.twilio.stream import AudioReceived, StreamEvent, StreamState, TwilioStream, Violation

#: A mark after this much audio, so that what was heard before a barge-in is known to within it.
MARK_SAMPLES = SAMPLE_RATE_HZ // 5
#: Audio that no mark follows yet gets one once nothing more was sent for this long: a prompt has ended.
LAST_MARK_AFTER_S = 0.06


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
        self._playback = Playback()
        self._unwritten: deque[bytes] = deque()
        self._clear_wanted = False
        self._write_wanted = asyncio.Event()
        self._last_mark_wanted = False
        self._last_mark_timer: asyncio.TimerHandle | None = None
        #: On the event loop's clock, as the timer is.
        self._last_write_s = 0.0
        self._rest = b""
        self._lost_bytes = 0

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
        """Do nothing: a call that streams has been answered by the carrier."""

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
            self._clear_wanted = True
            self._write_wanted.set()
        if position < self._playback.sent + never_written:
            self._playback.clear(now_s, skipped=never_written)
            self._line.inbox.put(AudioPlayed(position, now_s))
        return position

    async def hang_up(self, reason: HangUpReason) -> None:
        await self._line.hang_up(reason)

    def show_caption(self, speaker: str, text: str, *, final: bool) -> None:
        """Do nothing: a telephone shows no captions."""

    async def run(self) -> None:
        """Carry the call until either side ends it."""
        await self._line.run(take=self._take, write=self._write, unwritten=lambda: len(self._unwritten))

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
        """Cut what came into frames; carriers that speak Twilio's protocol may send other lengths than 20 ms."""
        self._lost_bytes += lost_bytes
        audio = self._rest + payload if self._rest else payload
        whole = len(audio) - len(audio) % FRAME_BYTES
        for offset in range(0, whole, FRAME_BYTES):
            lost_frames, self._lost_bytes = divmod(self._lost_bytes, FRAME_BYTES)
            frame = audio[offset : offset + FRAME_BYTES]
            self._line.inbox.put(FrameReceived(frame, self._line.received_s, lost_frames))
        self._rest = audio[whole:]

    def _on_mark(self, name: str) -> None:
        try:
            position = self._playback.mark_returned(name, self._line.received_s)
        except LookupError:
            self._line.violated("unknown_mark", "A mark came back that was not outstanding.")
            return
        if position is not None:
            self._line.inbox.put(AudioPlayed(position, self._line.received_s))

    async def _write(self) -> None:
        """Forward what `send` and `clear` queued: all frames that wait go into one message, up to the next mark."""
        while self._line.is_open:
            await self._write_wanted.wait()
            self._write_wanted.clear()
            while self._line.is_open and (self._clear_wanted or self._unwritten or self._last_mark_wanted):
                if self._clear_wanted:
                    self._clear_wanted = False
                    await self._line.socket.send_str(self._stream.clear())
                elif self._unwritten:
                    await self._write_audio()
                else:
                    await self._write_last_mark()

    async def _write_audio(self) -> None:
        frames = min(len(self._unwritten), (MARK_SAMPLES - self._playback.unmarked) // FRAME_BYTES)
        payload = b"".join([self._unwritten.popleft() for _ in range(frames)])
        self._playback.add(len(payload), self._line.clock())
        self._last_mark_wanted = False
        message = self._stream.media(payload)
        if self._playback.unmarked < MARK_SAMPLES:
            self._expect_last_mark()
            await self._line.socket.send_str(message)
            return
        mark = self._stream.mark(self._playback.set_mark())
        await self._line.socket.send_str(message)
        await self._line.socket.send_str(mark)

    async def _write_last_mark(self) -> None:
        self._last_mark_wanted = False
        if self._playback.unmarked:
            await self._line.socket.send_str(self._stream.mark(self._playback.set_mark()))

    def _expect_last_mark(self) -> None:
        """Have audio that nothing follows marked. One timer serves many frames, since most are followed in time."""
        loop = asyncio.get_running_loop()
        self._last_write_s = loop.time()
        if self._last_mark_timer is None:
            self._last_mark_timer = loop.call_later(LAST_MARK_AFTER_S, self._on_last_mark_due)

    def _on_last_mark_due(self) -> None:
        loop = asyncio.get_running_loop()
        due_s = self._last_write_s + LAST_MARK_AFTER_S
        if not self._line.is_open or not self._playback.unmarked:
            self._last_mark_timer = None
        elif loop.time() < due_s:
            self._last_mark_timer = loop.call_at(due_s, self._on_last_mark_due)
        else:
            self._last_mark_timer = None
            self._last_mark_wanted = True
            self._write_wanted.set()
