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

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from voicebot import g711

RATE_HZ = 8000
SILENCE = b"\xff"

#: Lateness that may be a gap, 12.5 ms: over half a frame, so that one lost frame is seen.
_GAP = 100
#: How long lateness must last to be a gap: longer than the usual stall of a network.
_SETTLE = RATE_HZ * 3 // 10
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


@dataclass(slots=True)
class _Run:
    """Chunks after what may be a gap, placed as if it were none until that is known."""

    start: int
    first_arrival: int
    least_late: int


class Lane:
    """Holds the last seconds of one party's audio; `take` hands on what has changed."""

    def __init__(self) -> None:
        self._audio = bytearray()
        self._base = 0  # position of the first sample in `_audio`
        self._next = 0  # where the next chunk goes if nothing was lost
        self._changed = 0  # everything from here on may differ from what was taken
        self._run: _Run | None = None
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
        if self._run and arrived - self._run.first_arrival >= _SETTLE:
            self._settle(self._run)
        size = len(chunk)
        run = self._run
        if not run:
            self._next = self.earliest(size, arrived)
        late = arrived - self._next - size
        if run:
            if late <= _GAP:
                self._run = None  # on time again: it was jitter
            elif late < run.least_late:
                run.least_late = late
        elif late > _GAP:
            self._run = _Run(self._next, arrived, late)
        elif late < -_AHEAD and self._drop(chunk, late):
            return
        else:
            chunk = self._follow_drift(chunk, size, late)
        self._write(chunk)

    def take(self, start: int, end: int) -> bytes:
        """Return the lane from `start` to `end`; what lies outside the window or beyond the audio is silence."""
        low = max(start, self._base)
        piece = bytes(self._audio[low - self._base : max(low, end) - self._base])
        return SILENCE * (min(low, end) - start) + piece + SILENCE * (end - max(low, start) - len(piece))

    def taken(self, end: int) -> None:
        """Everything up to `end` is safe; forget what can no longer move."""
        self._changed = end
        keep_from = end - WINDOW
        if keep_from - self._base > WINDOW:
            del self._audio[: keep_from - self._base]
            self._base = keep_from

    def settle(self, now: int) -> None:
        """Decide about a possible gap although nothing has come since."""
        if self._run and now - self._run.first_arrival >= _SETTLE:
            self._settle(self._run)

    def _settle(self, run: _Run) -> None:
        """It was a gap: move what came after it."""
        self._run = None
        start = run.start - self._base
        self._audio[start:start] = SILENCE * run.least_late
        self._changed = min(self._changed, run.start)
        self._next += run.least_late
        self._begin_block()

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
