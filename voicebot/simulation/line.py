"""One answered call at the carrier: 20 ms out and 20 ms in, every 20 ms, by deadlines on the monotonic clock."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket as sockets
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import aiohttp

from voicebot.errors import RemoteProtocolError
from voicebot.simulation.impairment import ImpairedLine, Impairment
from voicebot.simulation.loudness import is_audible, speech_bounds
from voicebot.simulation.playout import LATE_S, Arrival, Playout
from voicebot.simulation.tape import Tape
from voicebot.telephony.leg import FRAME_BYTES, FRAME_MS, SILENT_FRAME
from voicebot.telephony.twilio.messages import (
    CarrierMessage,
    Clear,
    Dtmf,
    Mark,
    Media,
    PlayMedia,
    SetMark,
    Start,
    Stop,
    Track,
    parse_server,
    serialise,
)

_FRAME_S = FRAME_MS / 1000

#: Called with every 20 ms frame the caller hears and the time its end was heard.
Listener = Callable[[bytes, float], None]


class StreamSocket(Protocol):
    """What a line needs of an aiohttp WebSocket."""

    @property
    def close_code(self) -> int | None: ...
    async def send_str(self, data: str) -> None: ...
    def __aiter__(self) -> AsyncIterator[aiohttp.WSMessage]: ...
    async def close(self) -> object: ...
    def get_extra_info(self, name: str) -> Any: ...


class LineEnd(StrEnum):
    CALLER_HUNG_UP = "caller_hung_up"
    SERVER_CLOSED = "server_closed"
    CONNECTION_LOST = "connection_lost"
    DROPPED = "dropped"


class Utterance:
    """Audio on its way out. Times are those at which the frame with that sample was put on the wire."""

    def __init__(self, mulaw: bytes) -> None:
        self.mulaw = mulaw
        self._speech_from, self._speech_to = speech_bounds(mulaw)
        self._position = 0
        self.speech_started_s: float | None = None
        self.speech_ended_s: float | None = None
        self.finished = asyncio.Event()

    def next_frame(self) -> bytes:
        frame = self.mulaw[self._position : self._position + FRAME_BYTES]
        self._position += FRAME_BYTES
        return frame + SILENT_FRAME[len(frame) :]

    def frame_sent(self, at_s: float) -> None:
        if self.speech_started_s is None and self._position > self._speech_from:
            self.speech_started_s = at_s
        if self.speech_ended_s is None and self._position >= self._speech_to:
            self.speech_ended_s = at_s
        if self._position >= len(self.mulaw):
            self.finished.set()


@dataclass(frozen=True, slots=True)
class LineReport:
    """What a call's line measured. Times in seconds on the caller's monotonic clock."""

    dialled_s: float
    answered_s: float
    ended_s: float
    end: LineEnd
    arrivals: tuple[Arrival, ...]
    clears_s: tuple[float, ...]
    marks_set: int
    marks_returned: int
    deepest_queue_ms: float
    #: Our own frames sent over 10 ms after their deadline: above nought the generator is too busy to measure with.
    frames_sent: int
    frames_sent_late: int
    violations: dict[str, int]

    @property
    def frames_received(self) -> float:
        return sum(arrival.size_bytes for arrival in self.arrivals) / FRAME_BYTES

    @property
    def frames_heard_late(self) -> int:
        """Messages that left the line dry for over 10 ms in mid-utterance."""
        return sum(arrival.late_s > LATE_S for arrival in self.arrivals)


class CarrierLine:
    """A call's media stream. Say and press things on it; `listener` gets what the caller hears."""

    def __init__(
        self,
        socket: StreamSocket,
        start: Start,
        *,
        impairment: Impairment,
        listener: Listener | None,
        clock: Callable[[], float],
        dialled_s: float,
    ) -> None:
        self._socket = socket
        self.start = start
        self._impaired = ImpairedLine(impairment)
        self._listener = listener
        self._clock = clock
        self._dialled_s = dialled_s
        self._answered_s = clock()
        self._ended_s: float | None = None
        self._end: LineEnd | None = None
        self.ended = asyncio.Event()
        self._sequence = start.sequence
        self._chunk = 0
        self._frames = 0
        self._sent_late = 0
        self._marks_set = 0
        self._marks_returned = 0
        self._clears_s: list[float] = []
        self._violations: Counter[str] = Counter()
        self._speaking: deque[Utterance] = deque()
        self._outbox: deque[tuple[float, CarrierMessage]] = deque()
        self._playout = Playout()
        self.tape = Tape()
        #: When audible frames of the bot had been heard, ascending.
        self.heard_s: list[float] = []

    @property
    def call_sid(self) -> str:
        return self.start.call_sid

    @property
    def end(self) -> LineEnd | None:
        """Why the line ended; None while it lives."""
        return self._end

    def now_s(self) -> float:
        """Return the time on the clock of everything measured here."""
        return self._clock()

    def speak(self, mulaw: bytes) -> Utterance:
        """Say `mulaw` after what is being said; the frames go out at the line's own pace, unless the line has ended."""
        utterance = Utterance(mulaw)
        if self._end is None:
            self._speaking.append(utterance)
        else:
            utterance.finished.set()
        return utterance

    def say_nothing_more(self) -> None:
        """Break off what is being said and drop what waits."""
        while self._speaking:
            self._speaking.popleft().finished.set()

    def press(self, key: str) -> None:
        """Press and release one key, 0-9, *, # or A-D."""
        self._post(Dtmf(self._next_sequence(), self.start.stream_sid, key))

    def reply_arrived_after(self, at_s: float) -> float | None:
        """Return when the first audible audio that came after `at_s` arrived, None while none has."""
        return next((a.at_s for a in self._playout.arrivals if a.audible and a.at_s > at_s), None)

    async def hang_up(self) -> None:
        """End the call as the caller; does nothing once it has ended."""
        if self._end is None:
            self._set_end(LineEnd.CALLER_HUNG_UP)
            self._post(Stop(self._next_sequence(), self.start.stream_sid, self.start.account_sid, self.start.call_sid))
            await self._flush(float("inf"))
        await self._socket.close()

    def drop(self) -> None:
        """Cut the connection under the stream, without a stop message or a close frame."""
        if self._end is None:
            self._set_end(LineEnd.DROPPED)
            raw = self._socket.get_extra_info("socket")
            if raw is not None:
                # A loop's own socket may refuse to be shut down (uvloop's does); its file takes no such offence.
                with contextlib.suppress(OSError), sockets.socket(fileno=os.dup(raw.fileno())) as same:
                    same.shutdown(sockets.SHUT_RDWR)

    def count_violation(self, kind: str) -> None:
        """Count something the server did that its protocol does not allow."""
        self._violations[kind] += 1

    def report(self) -> LineReport:
        """Return what was measured; call when the line has ended."""
        return LineReport(
            dialled_s=self._dialled_s,
            answered_s=self._answered_s,
            ended_s=self._ended_s if self._ended_s is not None else self._clock(),
            end=self._end or LineEnd.CALLER_HUNG_UP,
            arrivals=tuple(self._playout.arrivals),
            clears_s=tuple(self._clears_s),
            marks_set=self._marks_set,
            marks_returned=self._marks_returned,
            deepest_queue_ms=self._playout.deepest_bytes * FRAME_MS / FRAME_BYTES,
            frames_sent=self._frames,
            frames_sent_late=self._sent_late,
            violations=dict(self._violations),
        )

    async def carry(self) -> None:
        """Carry the call until it ends; whoever dialled awaits this."""
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(self._read())
            tasks.create_task(self._tick())
            await self.ended.wait()
            # A server that does not close its side must not keep the call from ending.
            _done, waiting = await asyncio.wait({reading}, timeout=2.0)
            for task in waiting:
                task.cancel()

    async def _tick(self) -> None:
        began_s = self._clock()
        while self._end is None:
            deadline_s = began_s + self._frames * _FRAME_S
            delayed_s = self._outbox[0][0] if self._outbox else deadline_s
            delay_s = min(deadline_s, delayed_s) - self._clock()
            if delay_s > 0:
                await asyncio.sleep(delay_s)
            if self.ended.is_set():
                break  # nothing may follow the stop message
            now_s = self._clock()
            if now_s >= deadline_s:
                if now_s - deadline_s > LATE_S:
                    self._sent_late += 1
                self._frames += 1
                self._exchange_frames(now_s)
            await self._flush(now_s)

    def _exchange_frames(self, now_s: float) -> None:
        said = SILENT_FRAME
        utterance = self._speaking[0] if self._speaking else None
        if utterance is not None:
            said = utterance.next_frame()
            utterance.frame_sent(now_s)
            if utterance.finished.is_set():
                self._speaking.popleft()
        said = self._impaired.spoil(said)
        self._chunk += 1
        # What is lost is lost before the carrier; its own numbering of messages has no gap, that of chunks has.
        if not self._impaired.loses():
            timestamp_ms = (self._frames - 1) * FRAME_MS
            sequence = self._next_sequence()
            self._post(Media(sequence, self.start.stream_sid, Track.INBOUND, self._chunk, timestamp_ms, said))
        played = self._playout.tick(now_s)
        self.tape.add(said, played.frame)
        self._return_marks(played.marks)
        if is_audible(played.frame):
            self.heard_s.append(now_s + _FRAME_S)
        if self._listener is not None:
            self._listener(played.frame, now_s + _FRAME_S)

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                try:
                    self._take(message.data)
                except RemoteProtocolError as error:
                    self.count_violation(error.kind)
                await self._flush(self._clock())
            else:
                self.count_violation("not_text")
        # 1006 is aiohttp's word for a connection that ended without a close frame (RFC 6455, section 7.1.5).
        lost = self._socket.close_code in {None, aiohttp.WSCloseCode.ABNORMAL_CLOSURE}
        self._set_end(LineEnd.CONNECTION_LOST if lost else LineEnd.SERVER_CLOSED)

    def _take(self, text: str) -> None:
        message = parse_server(text)
        if message.stream_sid != self.start.stream_sid:
            raise RemoteProtocolError("wrong_stream", "The server named another stream.")
        now_s = self._clock()
        match message:
            case PlayMedia(_, payload):
                self._playout.receive(payload, now_s)
            case SetMark(_, name):
                self._marks_set += 1
                self._return_marks(self._playout.mark(name))
            case Clear():
                self._clears_s.append(now_s)
                self._return_marks(self._playout.clear())

    def _return_marks(self, names: tuple[str, ...]) -> None:
        for name in names:
            self._marks_returned += 1
            self._post(Mark(self._next_sequence(), self.start.stream_sid, name))

    def _next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence

    def _post(self, message: CarrierMessage) -> None:
        """Put a message into the outbox; it leaves when its delay on the line is over, never before an earlier one."""
        delay_s = self._impaired.delay_s()
        due_s = self._clock() + delay_s if delay_s else 0.0
        if self._outbox:
            due_s = max(due_s, self._outbox[-1][0])
        self._outbox.append((due_s, message))

    async def _flush(self, now_s: float) -> None:
        try:
            while self._outbox and self._outbox[0][0] <= now_s:
                await self._socket.send_str(serialise(self._outbox.popleft()[1]))
        except ConnectionError:
            # aiohttp says so for a socket the server has closed; the reader knows how it ended.
            self._outbox.clear()

    def _set_end(self, end: LineEnd) -> None:
        if self._end is None:
            self._end, self._ended_s = end, self._clock()
            self.say_nothing_more()
            self.ended.set()
