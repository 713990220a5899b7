"""One call over Asterisk's AudioSocket as a `CallLeg`. Asterisk plays audio when it comes, so the leg paces itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import structlog

from voicebot.errors import LocalProtocolError, RemoteProtocolError
from voicebot.telephony.audiosocket import messages
from voicebot.telephony.framing import Framer
from voicebot.telephony.inbox import LegInbox
from voicebot.telephony.leg import (
    FRAME_BYTES,
    FRAME_MS,
    SAMPLE_RATE_HZ,
    SILENT_FRAME,
    AudioPlayed,
    EndCause,
    FrameReceived,
    HangUpReason,
    KeyPressed,
    LegEnded,
    LegEvent,
    LegInfo,
)
from voicebot.telephony.patience import Patience
from voicebot.telephony.playout import Playout

MAX_BAD_MESSAGES = 20
#: Asterisk sends audio all the time, so a quiet connection is a dead one.
MEDIA_TIMEOUT_S = 10.0
_READ_BYTES = 4096
_FRAME_S = FRAME_MS / 1000
_CLOSE_TIMEOUT_S = 2.0
#: Bytes the peer has not taken: a second of linear audio.
_MOST_UNSENT = 16_000

_log = structlog.get_logger()


async def await_call(reader: asyncio.StreamReader, parser: messages.Parser, *, timeout_s: float) -> str:
    """Read the first message and return the call's UUID.

    Raises `RemoteProtocolError` when anything else comes, the peer leaves, or (``start_timeout``) nothing comes.
    """
    try:
        async with asyncio.timeout(timeout_s):
            data = await reader.readexactly(3 + 16)
    except TimeoutError as error:
        raise RemoteProtocolError("start_timeout", f"No UUID came within {timeout_s} s.") from error
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise RemoteProtocolError("no_start", "The connection ended before its UUID.") from error
    match parser.feed(data):
        case [messages.CallIdentified(call)]:
            return str(call)
        case _:
            raise RemoteProtocolError("no_start", "The first message was not a UUID.")


class AudioSocketLeg:
    """A call whose UUID has come. Whoever owns the connection awaits `run()`; the connection is closed then."""

    def __init__(
        self,
        info: LegInfo,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        parser: messages.Parser,
        *,
        clock: Callable[[], float],
        on_violation: Callable[[str], None],
        media_timeout_s: float = MEDIA_TIMEOUT_S,
    ) -> None:
        self._info = info
        self._reader = reader
        self._writer = writer
        self._parser = parser
        self._clock = clock
        self._on_violation = on_violation
        self._media_timeout_s = media_timeout_s
        self._inbox = LegInbox()
        self._playout = Playout()
        self._patience = Patience(MAX_BAD_MESSAGES)
        self._framer = Framer()
        #: When the next frame leaves.
        self._due_s = 0.0
        self._log = _log.bind(leg_id=info.leg_id, channel=info.channel)

    @property
    def info(self) -> LegInfo:
        return self._info

    @property
    def sent_samples(self) -> int:
        return self._playout.queued_samples

    @property
    def queued_samples(self) -> int:
        until_due_s = max(0.0, self._due_s - self._clock())
        return self._playout.queued_samples - self._playout.left_samples + round(until_due_s * SAMPLE_RATE_HZ)

    def events(self) -> AsyncIterator[LegEvent]:
        return self._inbox.events()

    async def answer(self) -> None:
        """Do nothing: the dialplan answers before it opens an AudioSocket."""

    def send(self, frame: bytes) -> None:
        if len(frame) != FRAME_BYTES:
            raise LocalProtocolError(f"A frame has {FRAME_BYTES} bytes, not {len(frame)}.")
        if not self._inbox.ended:
            self._playout.queue(frame)

    def clear(self) -> int:
        left = self._playout.clear()
        if left is None:
            return self._playout.left_samples
        self._inbox.put(AudioPlayed(left, self._clock()))
        return left

    async def hang_up(self, reason: HangUpReason) -> None:
        del reason  # the protocol has one hang-up
        if self._inbox.ended:
            return
        self._end(EndCause.WE_HUNG_UP)
        with contextlib.suppress(OSError):  # the peer may have gone first
            self._writer.write(messages.hang_up())
            self._writer.write_eof()

    def show_caption(self, speaker: str, text: str, *, final: bool) -> None:
        """Do nothing: a telephone shows no captions."""

    async def run(self) -> None:
        """Carry the call until either side ends it."""
        speaking = asyncio.create_task(self._speak())
        try:
            self._end(await self._listen())
        finally:
            self._end(EndCause.CONNECTION_LOST)
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)
            try:
                async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                    # Closing over audio unread would reset the connection, and the peer lose our hang-up.
                    while await self._reader.read(_READ_BYTES):
                        pass
                    self._writer.close()
                    await self._writer.wait_closed()
            except OSError:  # a time-out is one as well
                self._writer.transport.abort()

    def _end(self, cause: EndCause) -> None:
        if not self._inbox.ended:
            self._inbox.put(LegEnded(cause, self._clock()))
            self._log.info("leg ended", cause=cause)

    async def _listen(self) -> EndCause:
        while not self._inbox.ended:
            try:
                async with asyncio.timeout(self._media_timeout_s):
                    data = await self._reader.read(_READ_BYTES)
            except TimeoutError:
                return EndCause.MEDIA_TIMEOUT
            except ConnectionError:
                return EndCause.CONNECTION_LOST
            if not data:
                return EndCause.CONNECTION_LOST
            for message in self._parser.feed(data):
                cause = self._take(message)
                if cause is not None:
                    return cause
        return EndCause.WE_HUNG_UP

    def _take(self, message: messages.Message | RemoteProtocolError) -> EndCause | None:
        now_s = self._clock()
        match message:
            case messages.AudioCame(mulaw):
                self._on_audio(mulaw, now_s)
            case messages.KeyCame(key):
                self._inbox.put(KeyPressed(key, now_s))
            case messages.HungUp():
                return EndCause.PEER_HUNG_UP
            case messages.ErrorCame(code):
                self._log.warning("asterisk reports an error", code=code)
            case messages.CallIdentified():
                return self._violated("out_of_turn", "A second UUID came.")
            case RemoteProtocolError(kind=kind):
                return self._violated(kind, str(message))
        self._patience.good()
        return None

    def _violated(self, kind: str, what: str) -> EndCause | None:
        self._on_violation(kind)
        self._log.warning("peer broke the protocol", kind=kind, what=what)
        self._patience.bad()
        return EndCause.PROTOCOL_ERROR if self._patience.exhausted else None

    def _on_audio(self, mulaw: bytes, now_s: float) -> None:
        for frame in self._framer.cut(mulaw):
            self._inbox.put(FrameReceived(frame, now_s))

    async def _speak(self) -> None:
        """Send a frame every 20 ms, silence too: Asterisk's side counts on a steady stream."""
        self._due_s = self._clock()
        while not self._inbox.ended:
            frame = self._playout.next()
            if self._writer.transport.get_write_buffer_size() < _MOST_UNSENT:
                self._writer.write(messages.audio(frame or SILENT_FRAME))
            played = self._playout.played()
            if played is not None:
                self._inbox.put(AudioPlayed(played, self._clock()))
            self._due_s = max(self._due_s + _FRAME_S, self._clock() - 10 * _FRAME_S)
            await asyncio.sleep(self._due_s - self._clock())
