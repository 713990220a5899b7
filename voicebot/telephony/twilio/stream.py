"""One Media Stream as a pure protocol object: text in, events out, no socket and no clock.

A message that cannot be used raises `RemoteProtocolError` and changes nothing; one that can be used although the
carrier broke a rule (a gap in the numbering) comes with a `Violation`. Both are counted, but only messages that had
to be dropped can make a stream fail: gaps are what a bad network leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import structlog

from voicebot.errors import LocalProtocolError, RemoteProtocolError
from voicebot.telephony.patience import Patience
from voicebot.telephony.twilio.messages import (
    CarrierMessage,
    Connected,
    Dtmf,
    Mark,
    Media,
    MediaFormat,
    MediaWriter,
    Start,
    Stop,
    Track,
    parse_carrier,
)

_log = structlog.get_logger()

#: Dropped messages in a row after which a stream fails.
MAX_BAD_MESSAGES = 100
#: More missing audio than this is reported as this much; a wild chunk number must not become hours of silence.
MAX_LOST_BYTES = 8000 * 5


class StreamState(StrEnum):
    AWAITING_CONNECTED = "awaiting_connected"
    AWAITING_START = "awaiting_start"
    STREAMING = "streaming"
    STOPPED = "stopped"
    FAILED = "failed"


#: Every message a state allows, and the state it leads to.
_TRANSITIONS: dict[StreamState, dict[type[CarrierMessage], StreamState]] = {
    StreamState.AWAITING_CONNECTED: {Connected: StreamState.AWAITING_START},
    StreamState.AWAITING_START: {Start: StreamState.STREAMING},
    StreamState.STREAMING: {
        Media: StreamState.STREAMING,
        Dtmf: StreamState.STREAMING,
        Mark: StreamState.STREAMING,
        Stop: StreamState.STOPPED,
    },
    StreamState.STOPPED: {},
    StreamState.FAILED: {},
}


@dataclass(frozen=True, slots=True)
class AudioReceived:
    """Mu-law of any length from the party. `lost_bytes` of audio are known to be missing before it."""

    payload: bytes
    lost_bytes: int


@dataclass(frozen=True, slots=True)
class Violation:
    """The carrier broke a rule, but what it sent can be used. `kind` is a constant that metrics count."""

    kind: str
    what: str


StreamEvent = Start | AudioReceived | Dtmf | Mark | Stop | Violation


class TwilioStream:
    """The server's end of one Media Stream.

    `receive` takes each text message of the WebSocket; `media`, `mark` and `clear` return what to send.
    """

    def __init__(self, *, max_bad_messages: int = MAX_BAD_MESSAGES) -> None:
        self._state = StreamState.AWAITING_CONNECTED
        self._patience = Patience(max_bad_messages)
        self._violations = 0
        self._start: Start | None = None
        self._writer: MediaWriter | None = None
        self._sequence = 0
        #: Messages dropped since the last good one: their numbers are missing through no further fault.
        self._dropped = 0
        self._chunks: dict[Track, int] = {}
        self._last_chunk = 0

    @property
    def state(self) -> StreamState:
        return self._state

    @property
    def violations(self) -> int:
        """How many rules the carrier has broken so far."""
        return self._violations

    def receive(self, text: str) -> tuple[StreamEvent, ...]:
        """Take one message and return what it means, in order; audio of the outbound track means nothing here.

        Raises `RemoteProtocolError` for a message that is dropped: those of `parse_carrier`, and `media_before_start`,
        `out_of_turn`, `out_of_order`, `wrong_stream`, `track_not_announced`, `unsupported_format`. Look at `state`
        afterwards: it is `FAILED` when the stream cannot go on.
        """
        try:
            events = self._on_message(parse_carrier(text))
        except RemoteProtocolError:
            self._dropped += 1
            self._violations += 1
            self._patience.bad()
            if self._patience.exhausted:
                self._set_state(StreamState.FAILED)
            raise
        self._patience.good()
        return events

    def media(self, payload: bytes) -> str:
        return self._streaming().media(payload)

    def mark(self, name: str) -> str:
        return self._streaming().mark(name)

    def clear(self) -> str:
        return self._streaming().clear()

    def _streaming(self) -> MediaWriter:
        if self._writer is None or self._state is not StreamState.STREAMING:
            raise LocalProtocolError(f"Nothing may be sent in state {self._state}.")
        return self._writer

    def _on_message(self, message: CarrierMessage) -> tuple[StreamEvent, ...]:
        following = _TRANSITIONS[self._state].get(type(message))
        if following is None:
            if isinstance(message, Media) and self._start is None:
                raise RemoteProtocolError("media_before_start", "Audio came before the start message.")
            raise RemoteProtocolError("out_of_turn", f"A {type(message).__name__} came in state {self._state}.")
        events: tuple[StreamEvent, ...]
        match message:
            case Connected():
                events = ()
            case Start():
                events = self._on_start(message)
            case Media():
                events = self._on_media(message)
            case Dtmf() | Mark():
                events = (*self._check_order(message), message)
            case Stop():
                if self._start is not None and message.call_sid != self._start.call_sid:
                    raise RemoteProtocolError("wrong_stream", "A stop message names another call.")
                events = (*self._check_order(message), message)
        self._set_state(following)
        return events

    def _on_start(self, message: Start) -> tuple[StreamEvent, ...]:
        if message.media_format != MediaFormat():
            self._set_state(StreamState.FAILED)
            raise RemoteProtocolError("unsupported_format", "The stream is not mu-law at 8 kHz on one channel.")
        self._start = message
        self._writer = MediaWriter(message.stream_sid)
        self._chunks = dict.fromkeys(message.tracks, 0)
        return (*self._check_order(message), message)

    def _on_media(self, message: Media) -> tuple[StreamEvent, ...]:
        before = self._chunks.get(message.track)
        if before is None:
            raise RemoteProtocolError("track_not_announced", "Audio came on a track the start message did not name.")
        if message.chunk <= before:
            raise RemoteProtocolError("out_of_order", "A chunk came after a later one of its track.")
        was_dropped = self._dropped
        events = self._check_order(message)
        # Twilio's documents leave open whether two tracks share one count of chunks, so either is continuous.
        missing = 0 if message.chunk == self._last_chunk + 1 else message.chunk - before - 1
        if missing and not was_dropped and not events:
            events = (self._violation("chunk_gap", "The numbering of chunks has a gap."),)
        self._chunks[message.track] = self._last_chunk = message.chunk
        if message.track is Track.OUTBOUND:
            return events
        return (*events, AudioReceived(message.payload, min(missing * len(message.payload), MAX_LOST_BYTES)))

    def _check_order(self, message: Start | Media | Dtmf | Mark | Stop) -> tuple[StreamEvent, ...]:
        if self._start is not None and message.stream_sid != self._start.stream_sid:
            raise RemoteProtocolError("wrong_stream", "A message belongs to another stream.")
        if message.sequence <= self._sequence:
            raise RemoteProtocolError("out_of_order", "A message came after a later one.")
        missing = message.sequence - self._sequence - 1
        explained = missing <= self._dropped
        self._sequence = message.sequence
        self._dropped = 0
        return () if explained else (self._violation("sequence_gap", "The numbering of messages has a gap."),)

    def _violation(self, kind: str, what: str) -> Violation:
        self._violations += 1
        return Violation(kind, what)

    def _set_state(self, state: StreamState) -> None:
        if state is self._state or self._state is StreamState.FAILED:
            return
        _log.debug("stream state changed", before=self._state, after=state)
        self._state = state
