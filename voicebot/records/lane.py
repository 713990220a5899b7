"""One lane of a recording: audio placed on a steady sample clock by when it arrived. Pure.

Arrival tells two things at once: when something was said, and how the network felt at that moment. A network only
ever delays, so the least delay over a while is the truth. From it follow the three cases:

- jitter: some chunks come late, later ones are on time again; audio stays in one piece, nothing is cut or inserted;
- a gap: everything after it stays late by as much; silence of that length is put where the gap was;
- drift: the least delay creeps; now and then a sample is doubled or dropped where the waveform is flattest.

The last seconds stay in memory and may still move, so that a stall followed by a burst ends up in its right place.
Positions are samples at 8 kHz since the recording began.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from voicebot import g711

RATE_HZ = 8000
SILENCE = b"\xff"

#: Lateness that may be a gap, 12.5 ms: over half a frame, so that one lost frame is seen.
_GAP = 100
#: How long lateness must last to be a gap: longer than the usual stall of a network.
_SETTLE = RATE_HZ * 6 // 10
#: Jitter is believed up to 80 ms; beyond it is a stall.
_MOST_JITTER = 640
#: The longest stall after which a burst is put back where it belongs.
_LONGEST_STALL = RATE_HZ * 2
#: Delay is compared over a second at a time; less than 2 ms is left alone.
_BLOCK = RATE_HZ
_STEADY = 16
#: Audio this far ahead of real time is dropped if it is quiet, and dropped in any case at five times as much.
_AHEAD = 320
_TOO_FAR_AHEAD = 1600
_QUIET_PEAK = 400
#: Kept in memory: a stall, the time to settle, and the time between two writes.
WINDOW = RATE_HZ * 5


@dataclass(frozen=True, slots=True)
class _Doubtful:
    """A late chunk that may follow a gap; it was placed at `start` as if there were none."""

    start: int
    arrived: int
    late: int


class Lane:
    """Holds the last seconds of one party's audio; `take` hands on what has changed."""

    def __init__(self) -> None:
        self._audio = bytearray()
        self._base = 0  # position of the first sample in `_audio`
        self._next = 0  # where the next chunk goes if nothing was lost
        self._changed = 0  # everything from here on may differ from what was taken
        self._doubtful: list[_Doubtful] = []
        self._jitter = 0  # the most that lately turned out to be jitter
        self._block_left = _BLOCK
        self._block_least = _TOO_FAR_AHEAD
        self._owed = 0  # samples to add, or to drop if negative
        #: Samples dropped because they came faster than real time.
        self.dropped = 0

    def earliest(self, size: int, arrived: int) -> int:
        """Return where a chunk of `size` samples goes if nothing before it was lost, only late."""
        return max(self._next, arrived - size - _LONGEST_STALL)

    @property
    def changed_from(self) -> int:
        """What was taken is still right up to here."""
        return self._changed

    def place(self, chunk: bytes, arrived: int) -> None:
        """Add mu-law whose last sample arrived at position `arrived`."""
        self.settle(arrived)
        size = len(chunk)
        if not self._doubtful:
            self._next = self.earliest(size, arrived)
        late = arrived - self._next - size
        if late > _GAP:
            self._doubtful.append(_Doubtful(self._next, arrived, late))
        elif self._doubtful:
            self._jitter = min(_MOST_JITTER, max(self._jitter, *(doubt.late for doubt in self._doubtful)))
            self._doubtful.clear()
        elif late < -_AHEAD and self._drop(chunk, late):
            return
        else:
            chunk = self._follow_drift(chunk, size, late)
        self._write(chunk)

    def place_all(self, chunks: Sequence[tuple[bytes, int]]) -> None:
        """Do what `place` does for each chunk with its arrival, in order; much cheaper where none was late."""
        sizes = [len(chunk) for chunk, _ in chunks]
        ends = list(accumulate(sizes, initial=self._next))
        # The chunk that ends a second decides about drift.
        run = bisect_left(ends, self._next + self._block_left, 1) - 1
        if not run or not self._place_run(chunks[:run], ends):
            for chunk, arrived in chunks:
                self.place(chunk, arrived)
        elif run < len(chunks):
            self.place(*chunks[run])
            self.place_all(chunks[run + 1 :])

    def take(self, start: int, end: int) -> bytes:
        """Return the lane from `start` to `end`; what lies outside the window or beyond the audio is silence."""
        low = max(start, self._base)
        piece = bytes(self._audio[low - self._base : max(low, end) - self._base])
        return SILENCE * (min(low, end) - start) + piece + SILENCE * (end - max(low, start) - len(piece))

    def taken(self, end: int) -> None:
        """Everything up to `end` is safe."""
        self._changed = end

    def forget(self, now: int) -> None:
        """Let go of what can no longer move, taken or not."""
        base = now - WINDOW
        if base - self._base > WINDOW:
            del self._audio[: base - self._base]
            self._base = base
            self._changed = max(self._changed, base)

    def settle(self, now: int) -> None:
        """Decide about possible gaps that have lasted long enough."""
        while self._doubtful and now - self._doubtful[0].arrived >= _SETTLE:
            self._close_gap()

    def _place_run(self, chunks: Sequence[tuple[bytes, int]], ends: Sequence[int]) -> bool:
        """Place chunks within a second of audio, whose ends follow its beginning, if none of them needs a decision."""
        if self._doubtful or self._owed:
            return False
        late = [arrived - end for (_, arrived), end in zip(chunks, ends[1:], strict=False)]
        least = min(late)
        if least < -_AHEAD or max(late) > _GAP:
            return False
        self._block_least = min(self._block_least, least)
        self._block_left -= ends[len(chunks)] - self._next
        self._write(b"".join([chunk for chunk, _ in chunks]))
        return True

    def _close_gap(self) -> None:
        """All since the first doubtful chunk came late: move it by the least lateness, where that is no jitter."""
        bearable = max(_GAP, self._jitter // 2)
        least = min(doubt.late for doubt in self._doubtful)
        if least > bearable:
            first = self._doubtful[0].start
            self._audio[first - self._base : first - self._base] = SILENCE * least
            self._changed = min(self._changed, first)
            self._next += least
            self._begin_block()
        else:
            least = 0
        # A gap may lie further on: the last chunks are late even now, and none was on time after them.
        again: list[_Doubtful] = []
        for doubt in reversed(self._doubtful):
            if doubt.late - least <= bearable:
                break
            again.append(_Doubtful(doubt.start + least, doubt.arrived, doubt.late - least))
        self._doubtful = again[::-1]

    def _write(self, chunk: bytes) -> None:
        at, self._next = self._next, self._next + len(chunk)
        if at < self._base:
            chunk = chunk[self._base - at :]
            at = self._base
        missing = at - self._base - len(self._audio)
        if missing > 0:
            self._audio += SILENCE * missing
        self._changed = min(self._changed, at)
        at -= self._base
        self._audio[at : at + len(chunk)] = chunk

    def _drop(self, chunk: bytes, late: int) -> bool:
        """Tell whether audio that is ahead of real time can go: quiet pieces first."""
        if late > -_TOO_FAR_AHEAD and np.abs(g711.decode(chunk)).max() > _QUIET_PEAK:
            return False
        self.dropped += len(chunk)
        return True

    def _follow_drift(self, chunk: bytes, size: int, late: int) -> bytes:
        if not self._owed:
            self._block_least = min(self._block_least, late)
            self._block_left -= size
            if self._block_left > 0:
                return chunk
            if abs(self._block_least) > _STEADY:
                self._owed = self._block_least
            self._begin_block()
            if not self._owed:
                return chunk
        # One sample each 20 ms follows 6,250 ppm; after a loss or a step it may be a few.
        most = max(1, size // 160) * (1 + abs(self._owed) // 80)
        count = min(abs(self._owed), most, size // 2)
        step = 1 if self._owed > 0 else -1
        self._owed -= step * count
        return _stretch(chunk, step, count)

    def _begin_block(self) -> None:
        self._jitter = self._jitter * 7 // 8
        self._block_left = _BLOCK
        self._block_least = _TOO_FAR_AHEAD


def _stretch(chunk: bytes, step: int, count: int) -> bytes:
    """Double (`step` 1) or drop (-1) one sample in each of `count` equal parts, where neighbours differ least."""
    samples = g711.decode(chunk).astype(np.int32)
    steepness = np.abs(np.diff(samples))
    bounds = np.linspace(0, len(steepness), count + 1).astype(int)
    spots = [low + int(np.argmin(steepness[low:high])) for low, high in pairwise(bounds) if high > low]
    coded = np.frombuffer(chunk, dtype=np.uint8)
    changed = np.insert(coded, spots, coded[spots]) if step > 0 else np.delete(coded, spots)
    return changed.tobytes()
