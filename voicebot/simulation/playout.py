"""What a carrier does with the audio it gets: plays 20 ms every 20 ms, returns marks, honours clear. Pure, no clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from voicebot.simulation.loudness import is_audible
from voicebot.telephony.leg import FRAME_BYTES, SAMPLE_RATE_HZ, SILENT_FRAME

#: Audio that comes this much after the line has run dry belongs to the next utterance, if the last one ended quietly.
_NEW_UTTERANCE_S = 0.1
#: An utterance has ended quietly when this much of its end is inaudible.
_QUIET_END_BYTES = 3 * FRAME_BYTES
#: Messages that come within so long of each other are one piece of audio, cut in two for a mark.
_TOGETHER_S = 0.002
#: The limit of the service goal "frames over 10 ms late".
LATE_S = 0.010


@dataclass(frozen=True, slots=True)
class Arrival:
    """One media message as it came: `late_s` is how long the line had run dry in mid-utterance before it, else 0.

    `over_pace_s` is the time since the message before it in the same utterance, less that message's own length; the
    line may still have had enough in store to play on.
    """

    at_s: float
    size_bytes: int
    late_s: float
    over_pace_s: float
    audible: bool


@dataclass(slots=True)
class _Piece:
    """Bytes waiting to be played and, after them, marks waiting to be returned."""

    audio: bytearray = field(default_factory=bytearray)
    marks: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Played:
    """What one tick played: a whole frame, padded with silence, and the marks that its end passed."""

    frame: bytes
    marks: tuple[str, ...]


class Playout:
    """The queue between a server and a caller's ear. Times are on one monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._queue: deque[_Piece] = deque()
        self._queued_bytes = 0
        self._dry_from_s: float | None = None
        self._last_arrival_s = 0.0
        self._last_size_s = 0.0
        self._tail = b""
        self.arrivals: list[Arrival] = []
        self.deepest_bytes = 0

    @property
    def queued_ms(self) -> float:
        return self._queued_bytes * 1000 / SAMPLE_RATE_HZ

    def receive(self, payload: bytes, at_s: float) -> None:
        """Queue mu-law of any length that arrived at `at_s`."""
        self._note_arrival(payload, at_s)
        if not self._queue or self._queue[-1].marks:
            self._queue.append(_Piece())
        self._queue[-1].audio += payload
        self._queued_bytes += len(payload)
        self.deepest_bytes = max(self.deepest_bytes, self._queued_bytes)

    def mark(self, name: str) -> tuple[str, ...]:
        """Set a mark behind what is queued; returns it at once when nothing is."""
        if not self._queue:
            return (name,)
        self._queue[-1].marks.append(name)
        return ()

    def clear(self) -> tuple[str, ...]:
        """Drop what was not played yet and return the marks that waited in it, as Twilio does."""
        marks = tuple(name for piece in self._queue for name in piece.marks)
        self._queue.clear()
        self._queued_bytes = 0
        # What comes next is a new utterance, however the cleared one ended.
        self._dry_from_s = None
        return marks

    def tick(self, at_s: float) -> Played:
        """Play the next 20 ms, which begin at `at_s`."""
        frame = bytearray()
        marks: list[str] = []
        while self._queue and len(frame) < FRAME_BYTES:
            piece = self._queue[0]
            wanted = FRAME_BYTES - len(frame)
            frame += piece.audio[:wanted]
            del piece.audio[:wanted]
            if piece.audio:
                break
            marks += piece.marks
            self._queue.popleft()
        self._queued_bytes -= len(frame)
        if frame:
            # The line is dry from the end of this frame on, unless more arrives before.
            self._dry_from_s = at_s + len(frame) / SAMPLE_RATE_HZ
        return Played(bytes(frame) + SILENT_FRAME[len(frame) :], tuple(marks))

    def _note_arrival(self, payload: bytes, at_s: float) -> None:
        dry_s = 0.0 if self._queue or self._dry_from_s is None else max(0.0, at_s - self._dry_from_s)
        # A line that never ran, or that was cleared, has no utterance going on.
        going_on = self._dry_from_s is not None or bool(self._queue)
        ended = dry_s > _NEW_UTTERANCE_S and not is_audible(self._tail)
        if not going_on or ended:
            late_s, over_pace_s = 0.0, 0.0
        else:
            late_s = dry_s
            over_pace_s = max(0.0, at_s - self._last_arrival_s - self._last_size_s)
        self.arrivals.append(Arrival(at_s, len(payload), late_s, over_pace_s, is_audible(payload)))
        if not going_on or ended or at_s - self._last_arrival_s > _TOGETHER_S:
            self._last_arrival_s, self._last_size_s = at_s, 0.0
        self._last_size_s += len(payload) / SAMPLE_RATE_HZ
        self._tail = (self._tail + payload)[-_QUIET_END_BYTES:]
