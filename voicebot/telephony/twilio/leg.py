"""A Twilio Media Stream as a `CallLeg`: the thin shell that joins a WebSocket to the pure `TwilioStream`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import aiohttp
import structlog

from voicebot.errors import LocalProtocolError, RemoteProtocolError
from voicebot.telephony.inbox import LegInbox
from voicebot.telephony.leg import (
    FRAME_BYTES,
    SAMPLE_RATE_HZ,
    AudioPlayed,
    EndCause,
    FrameReceived,
    HangUpReason,
    KeyPressed,
    LegEnded,
    LegEvent,
    LegInfo,
)
from voicebot.telephony.twilio.messages import Dtmf, Mark, Start, Stop
from voicebot.telephony.twilio.playback import Playback
from voicebot.telephony.twilio.stream import AudioReceived, StreamEvent, StreamState, TwilioStream, Violation

_log = structlog.get_logger()

#: A mark after this much audio, so that what was heard before a barge-in is known to within it.
MARK_SAMPLES = SAMPLE_RATE_HZ // 5
#: Audio that no mark follows yet gets one once nothing more was sent for this long: a prompt has ended.
LAST_MARK_AFTER_S = 0.06
#: A carrier that takes no audio for this long has gone, whatever TCP still hopes.
MAX_UNWRITTEN_FRAMES = 250
#: Twilio sends audio all the time, silence included, so a quiet socket is a dead one.
MEDIA_TIMEOUT_S = 10.0
WATCH_EVERY_S = 1.0
#: Violations logged one by one; the rest of a flood is only counted.
LOGGED_VIOLATIONS = 10

_CLOSE_CODES = {
    HangUpReason.COMPLETED: aiohttp.WSCloseCode.OK,
    HangUpReason.REFUSED_BUSY: aiohttp.WSCloseCode.TRY_AGAIN_LATER,
    HangUpReason.SHUTTING_DOWN: aiohttp.WSCloseCode.GOING_AWAY,
    HangUpReason.TOO_LONG: aiohttp.WSCloseCode.OK,
    HangUpReason.FAILED: aiohttp.WSCloseCode.INTERNAL_ERROR,
}


class Socket(Protocol):
    """What a leg needs of an aiohttp WebSocket, server or client."""

    async def receive(self) -> aiohttp.WSMessage: ...
    async def send_str(self, data: str) -> None: ...
    async def close(self, *, code: int) -> bool: ...


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

    Whoever owns the socket awaits `run()`; it returns after `LegEnded` went into `events()`. `on_violation` is told
    the kind of every protocol error. `clock` is monotonic.
    """

    def __init__(
        self,
        *,
        socket: Socket,
        stream: TwilioStream,
        info: LegInfo,
        clock: Callable[[], float],
        on_violation: Callable[[str], None],
        media_timeout_s: float = MEDIA_TIMEOUT_S,
    ) -> None:
        self._socket = socket
        self._stream = stream
        self._info = info
        self._clock = clock
        self._on_violation = on_violation
        self._media_timeout_s = media_timeout_s
        self._inbox = LegInbox()
        self._playback = Playback()
        self._unwritten: deque[bytes] = deque()
        self._clear_wanted = False
        self._write_wanted = asyncio.Event()
        self._rest = b""
        self._lost_bytes = 0
        self._last_received_s = clock()
        self._cause: EndCause | None = None
        self._log = _log.bind(leg_id=info.leg_id, carrier_call_id=info.carrier_call_id)

    @property
    def info(self) -> LegInfo:
        return self._info

    @property
    def sent_samples(self) -> int:
        return self._playback.sent + len(self._unwritten) * FRAME_BYTES

    @property
    def queued_samples(self) -> int:
        """Samples sent that the party has not heard yet, by marks and the clock."""
        return self.sent_samples - self._playback.heard(self._clock())

    def events(self) -> AsyncIterator[LegEvent]:
        return self._inbox.events()

    async def answer(self) -> None:
        """Do nothing: a call that streams has been answered by the carrier."""

    def send(self, frame: bytes) -> None:
        if len(frame) != FRAME_BYTES:
            raise LocalProtocolError(f"A frame has {FRAME_BYTES} bytes, not {len(frame)}.")
        if self._cause is None:
            self._unwritten.append(frame)
            self._write_wanted.set()

    def clear(self) -> int:
        now_s = self._clock()
        # Frames that were never written count as sent, so that positions after the clear agree on both sides.
        never_written = len(self._unwritten) * FRAME_BYTES
        self._unwritten.clear()
        position = self._playback.heard(now_s)
        if position < self._playback.sent:
            self._clear_wanted = True
            self._write_wanted.set()
        if position < self._playback.sent + never_written:
            self._playback.clear(now_s, skipped=never_written)
            self._inbox.put(AudioPlayed(position, now_s))
        return position

    async def hang_up(self, reason: HangUpReason) -> None:
        await self._close(EndCause.WE_HUNG_UP, _CLOSE_CODES[reason])

    def show_caption(self, speaker: str, text: str, *, final: bool) -> None:
        """Do nothing: a telephone shows no captions."""

    async def run(self) -> None:
        """Carry the call until either side ends it."""
        self._last_received_s = self._clock()
        try:
            async with asyncio.TaskGroup() as tasks:
                others = [tasks.create_task(self._write()), tasks.create_task(self._watch())]
                cause = await self._read()
                self._cause = self._cause or cause
                for other in others:
                    other.cancel()
        finally:
            # Also when cancelled or failed: the consumer of events() waits for this.
            self._cause = self._cause or EndCause.CONNECTION_LOST
            self._inbox.put(LegEnded(self._cause, self._clock()))
            self._log.info("leg ended", cause=self._cause, violations=self._stream.violations)

    async def _close(self, cause: EndCause, code: int) -> None:
        if self._cause is None:
            self._cause = cause
            await self._socket.close(code=code)

    async def _read(self) -> EndCause:
        while True:
            message = await self._socket.receive()
            match message.type:
                case aiohttp.WSMsgType.TEXT:
                    self._last_received_s = self._clock()
                    self._take(message.data)
                case aiohttp.WSMsgType.BINARY:
                    self._violated("binary_message", "A Media Stream has no binary messages.")
                case _:
                    return EndCause.CONNECTION_LOST
            match self._stream.state:
                case StreamState.STOPPED:
                    await self._close(EndCause.PEER_HUNG_UP, aiohttp.WSCloseCode.OK)
                    return EndCause.PEER_HUNG_UP
                case StreamState.FAILED:
                    await self._close(EndCause.PROTOCOL_ERROR, aiohttp.WSCloseCode.POLICY_VIOLATION)
                    return EndCause.PROTOCOL_ERROR
                case _:
                    pass

    def _take(self, text: str) -> None:
        try:
            events = self._stream.receive(text)
        except RemoteProtocolError as error:
            self._violated(error.kind, str(error))
            return
        for event in events:
            self._on_event(event)

    def _on_event(self, event: StreamEvent) -> None:
        match event:
            case AudioReceived(payload, lost_bytes):
                self._on_audio(payload, lost_bytes)
            case Dtmf(digit=digit):
                self._inbox.put(KeyPressed(digit, self._last_received_s))
            case Mark(name=name):
                self._on_mark(name)
            case Violation(kind, what):
                self._violated(kind, what)
            case Start() | Stop():
                pass

    def _on_audio(self, payload: bytes, lost_bytes: int) -> None:
        self._lost_bytes += lost_bytes
        audio = self._rest + payload if self._rest else payload
        whole = len(audio) - len(audio) % FRAME_BYTES
        for offset in range(0, whole, FRAME_BYTES):
            lost_frames, self._lost_bytes = divmod(self._lost_bytes, FRAME_BYTES)
            frame = audio[offset : offset + FRAME_BYTES]
            self._inbox.put(FrameReceived(frame, self._last_received_s, lost_frames))
        self._rest = audio[whole:]

    def _on_mark(self, name: str) -> None:
        try:
            position = self._playback.mark_returned(name, self._last_received_s)
        except LookupError:
            self._violated("unknown_mark", "A mark came back that was not outstanding.")
            return
        if position is not None:
            self._inbox.put(AudioPlayed(position, self._last_received_s))

    def _violated(self, kind: str, what: str) -> None:
        self._on_violation(kind)
        if self._stream.violations <= LOGGED_VIOLATIONS:
            self._log.warning("carrier broke the protocol", kind=kind, what=what)

    async def _write(self) -> None:
        """Forward what `send` and `clear` queued: all frames that wait go into one message, up to the next mark."""
        try:
            while True:
                await self._wait_for_work()
                if self._clear_wanted:
                    self._clear_wanted = False
                    await self._socket.send_str(self._stream.clear())
                while self._unwritten and not self._clear_wanted:
                    await self._write_audio()
        except (ConnectionError, RuntimeError):
            # The socket closed under us (aiohttp raises either); reading sees the same and ends the leg.
            self._log.debug("writing stopped", cause=self._cause)

    async def _wait_for_work(self) -> None:
        """Wait for something to write; after a pause, set the mark that ends what was sent."""
        while not self._write_wanted.is_set() and self._playback.unmarked:
            try:
                async with asyncio.timeout(LAST_MARK_AFTER_S):
                    await self._write_wanted.wait()
            except TimeoutError:
                await self._socket.send_str(self._stream.mark(self._playback.set_mark()))
        await self._write_wanted.wait()
        self._write_wanted.clear()

    async def _write_audio(self) -> None:
        frames = min(len(self._unwritten), (MARK_SAMPLES - self._playback.unmarked) // FRAME_BYTES)
        payload = b"".join([self._unwritten.popleft() for _ in range(frames)])
        self._playback.add(len(payload), self._clock())
        message = self._stream.media(payload)
        if self._playback.unmarked < MARK_SAMPLES:
            await self._socket.send_str(message)
            return
        mark = self._stream.mark(self._playback.set_mark())
        await self._socket.send_str(message)
        await self._socket.send_str(mark)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            if self._clock() - self._last_received_s > self._media_timeout_s:
                await self._close(EndCause.MEDIA_TIMEOUT, aiohttp.WSCloseCode.GOING_AWAY)
            elif len(self._unwritten) > MAX_UNWRITTEN_FRAMES:
                await self._close(EndCause.CONNECTION_LOST, aiohttp.WSCloseCode.GOING_AWAY)
