"""The jitter buffer: packets go in as they come, 20 ms frames come out in step with our own clock. Pure.

How late a packet may be is learnt from the last few seconds. The delay is changed where nobody hears it: a silent
frame is dropped or played twice. The same takes up the drift between the peer's clock and ours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from voicebot import g711
from voicebot.telephony.leg import FRAME_BYTES, FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENT_FRAME
from voicebot.telephony.rtp.conceal import Concealer

_PER_MS = SAMPLE_RATE_HZ // 1000
#: Packets are looked at in blocks of so many, and so many blocks are remembered: about five seconds.
_LOOK_EVERY = 16
_REMEMBERED = 16
#: So many of the remembered packets may come too late; waiting for the very last costs everybody's time.
_MAY_BE_LATE = 2
_MARGIN = 3 * _PER_MS
_FIRST_TARGET = 20 * _PER_MS
_MOST_TARGET = 200 * _PER_MS
#: More delay than the target's by a frame and this is worth a dropped frame, if it is silent.
_SLACK = 4 * _PER_MS
#: More than this is taken out of speech too, a frame at a time; and more than the second at once.
_TOO_MUCH = 80 * _PER_MS
_FAR_TOO_MUCH = 500 * _PER_MS
_FRAMES_BETWEEN_CUTS = 10
#: Who speaks now still does for so many frames: they are not looked at for silence.
_STILL_SPEAKING = 3
#: A timestamp that is off by more, several times over, begins a new stream of time (as RFC 3550, A.1, for sequences).
_JUMP = _FAR_TOO_MUCH
_JUMPS_TO_BELIEVE = 3
_MOST_PACKETS = 128
_HALF = 1 << 31
_WRAP_MASK = (1 << 32) - 1


class Audio(NamedTuple):
    """One packet's audio, `samples` long. It is decoded when it is played, since some decoders keep state."""

    timestamp: int
    samples: int
    payload: bytes
    decode: Callable[[bytes], bytes]


@dataclass(slots=True)
class JitterCounts:
    """What happened to packets and frames since the stream began."""

    late: int = 0
    concealed: int = 0
    dropped: int = 0
    repeated: int = 0
    restarts: int = 0


class JitterBuffer:
    """`put` on arrival, `pull` every 20 ms. Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self.counts = JitterCounts()
        self._concealer = Concealer()
        self._packets: dict[int, Audio] = {}
        #: Travel times in samples, off by an unknown constant: arrival on our clock less the timestamp.
        self._travel: list[int] = []
        #: Of each block before those, the fastest and the few slowest: all that is asked of them.
        self._blocks: deque[tuple[int, list[int]]] = deque(maxlen=_REMEMBERED)
        self._fastest = 0
        self._target = _FIRST_TARGET + _MARGIN
        self._newest: int | None = None
        #: Extended timestamp of the next sample to be taken from packets, and the end of what was really played.
        self._next = 0
        self._played_to = 0
        self._rest = b""
        self._playing = False
        self._pausing = False
        self._jumps = 0
        self._since_cut = 0
        self._speaks = 0

    def delay_ms(self, now_s: float) -> float:
        """Return how long after the fastest packet's arrival its audio is played now."""
        return self._delay(now_s) / _PER_MS

    def restart(self) -> None:
        """Begin a new stream: its timestamps have nothing to do with the last one's. What was learnt stays."""
        self._packets.clear()
        self._travel.clear()
        self._blocks.clear()
        self._newest = None
        self._playing = False
        self._jumps = 0
        self.counts.restarts += 1

    def pause(self) -> None:
        """The peer sends no audio on purpose (comfort noise, a key): silence until it does, not concealment."""
        self._pausing = True

    def put(self, audio: Audio, now_s: float) -> None:
        """Take a packet; duplicates and those that come too late are dropped."""
        at = int(now_s * SAMPLE_RATE_HZ + 0.5)
        newest = self._newest
        if newest is None:
            newest = self._newest = self._begin(audio.timestamp, at)
        # Undo the wrap-around, by nearness to the newest timestamp.
        extended = newest + ((audio.timestamp - newest + _HALF) & _WRAP_MASK) - _HALF
        travel = at - extended
        if not -_JUMP <= travel - self._fastest <= _JUMP:
            self._jumps += 1
            if self._jumps < _JUMPS_TO_BELIEVE:
                return
            self.restart()
            newest = extended = self._begin(audio.timestamp, at)
            travel = at - extended
        self._jumps = 0
        self._newest = max(newest, extended)
        travels = self._travel
        travels.append(travel)
        slower = travel - self._fastest
        if slower > self._target or len(travels) >= _LOOK_EVERY:
            self._look_back()
        elif slower < 0:
            self._fastest = travel
        if extended < self._next and not self._go_back(extended, audio.samples):
            self.counts.late += 1
            return
        self._pausing = False
        self._packets[extended] = audio
        if len(self._packets) > _MOST_PACKETS:
            del self._packets[min(self._packets)]

    def pull(self, now_s: float) -> tuple[bytes, bool] | None:
        """Return 20 ms of mu-law and whether it is concealed; None before the first audio is due."""
        if self._newest is None:
            return None
        delay = int(now_s * SAMPLE_RATE_HZ + 0.5) - self._next + len(self._rest) - self._fastest  # `_delay`, inlined
        if not self._playing:
            if delay < self._target:
                return None
            self._playing = True
        frame, concealed = self._take()
        excess = delay - self._target
        if excess > FRAME_SAMPLES + _SLACK:
            if self._shorten(excess, frame, concealed=concealed):
                return self._take()
        elif excess < 0 and not concealed and self._is_quiet(frame):
            self._rest = frame + self._rest
            self.counts.repeated += 1
        return frame, concealed

    def _begin(self, timestamp: int, at: int) -> int:
        """Begin at this packet and return its timestamp, which is the newest."""
        self._next = self._played_to = timestamp
        self._fastest = at - timestamp
        self._rest = b""
        return timestamp

    def _delay(self, now_s: float) -> int:
        return int(now_s * SAMPLE_RATE_HZ + 0.5) - self._next + len(self._rest) - self._fastest

    def _look_back(self) -> None:
        """Learn from the last seconds how late packets may be."""
        ordered = sorted(self._travel)
        looked_at = [*self._blocks, (ordered[0], ordered[-1 - _MAY_BE_LATE :])]
        if len(ordered) >= _LOOK_EVERY:
            self._blocks.append(looked_at[-1])
            self._travel.clear()
        self._fastest = min([fastest for fastest, _ in looked_at])
        if self._blocks:
            slowest = sorted([late for _, slow in looked_at for late in slow])
            self._target = min(slowest[-1 - _MAY_BE_LATE] - self._fastest, _MOST_TARGET) + _MARGIN

    def _go_back(self, extended: int, samples: int) -> bool:
        """Play a late packet after all, where only concealment was played since: late is better than never."""
        if extended < self._played_to:
            return extended + samples > self._next
        self._next = extended
        self._rest = b""
        return True

    def _take(self) -> tuple[bytes, bool]:
        """Return the next 20 ms."""
        if not self._rest:
            audio = self._packets.pop(self._next, None)
            if audio and audio.samples == FRAME_SAMPLES:
                self._next = self._played_to = self._next + FRAME_SAMPLES
                frame = audio.decode(audio.payload)
                if len(frame) == FRAME_BYTES:
                    return self._concealer.heard(frame), False
                self._rest = frame
            elif audio:
                self._packets[self._next] = audio
        return self._assemble()

    def _assemble(self) -> tuple[bytes, bool]:
        """Make a frame of packets of other lengths, or of less than a frame's audio."""
        while len(self._rest) < FRAME_BYTES:
            start = min(self._packets, default=None)
            if start is None or start >= self._next + FRAME_SAMPLES - len(self._rest):
                return self._missing()
            audio = self._packets.pop(start)
            decoded = audio.decode(audio.payload)
            if start < self._next:
                decoded = decoded[self._next - start :]
            elif start > self._next:
                self._rest += self._concealer.lost()[: start - self._next]
            self._rest += decoded
            self._next = self._played_to = max(self._next, start + audio.samples)
        frame, self._rest = self._rest[:FRAME_BYTES], self._rest[FRAME_BYTES:]
        return self._concealer.heard(frame), False

    def _missing(self) -> tuple[bytes, bool]:
        """Fill what is left of a frame for which nothing came; it may still come and then be played."""
        rest, self._rest = self._rest, b""
        self._next += FRAME_SAMPLES - len(rest)
        if self._pausing:
            return rest + SILENT_FRAME[len(rest) :], False
        self.counts.concealed += 1
        return rest + self._concealer.lost()[len(rest) :], True

    def _is_quiet(self, frame: bytes) -> bool:
        """Whether nobody would miss this frame, as far as it is worth looking."""
        if self._speaks:
            self._speaks -= 1
            return False
        if g711.is_quiet(frame):
            return True
        self._speaks = _STILL_SPEAKING
        return False

    def _shorten(self, excess: int, frame: bytes, *, concealed: bool) -> bool:
        """Drop `frame`, the next one, if nobody hears it or the delay is too long to wait for that."""
        self._since_cut += 1
        if excess > _FAR_TOO_MUCH:
            for _ in range(excess // FRAME_SAMPLES - 1):
                self._take()
                self.counts.dropped += 1
        elif excess > _TOO_MUCH and self._since_cut >= _FRAMES_BETWEEN_CUTS:
            pass
        elif not concealed and not self._is_quiet(frame):
            return False
        self._since_cut = 0
        self.counts.dropped += 1
        return True
