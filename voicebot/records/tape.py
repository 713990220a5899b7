"""A two-lane WAV file that is written while the call goes on and can be played at any moment.

Mu-law, 8 kHz, left the caller and right the bot: 16 kB a second, and bit for bit what was on the line.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from voicebot.wav import mulaw_header

_HEADER_BYTES = len(mulaw_header(0, channels=2))
_SILENCE = b"\xff\xff"


class Tape:
    """One open file. Not for several threads at once; every method may raise OSError."""

    def __init__(self, path: Path) -> None:
        """Create the file, readable by this user only; FileExistsError if there is one already."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._samples = 0
        try:
            self._write(0, mulaw_header(0, channels=2))
        except OSError:
            os.close(self._file)
            path.unlink()
            raise

    def write(self, start: int, left: bytes, right: bytes) -> None:
        """Put both lanes, equally long, at sample `start`, over what may stand there; a hole before it is silence."""
        if start > self._samples:
            self._write(_HEADER_BYTES + 2 * self._samples, _SILENCE * (start - self._samples))
        both = np.empty((len(left), 2), dtype=np.uint8)
        both[:, 0] = np.frombuffer(left, dtype=np.uint8)
        both[:, 1] = np.frombuffer(right, dtype=np.uint8)
        self._write(_HEADER_BYTES + 2 * start, both.tobytes())
        if start + len(left) > self._samples:
            self._samples = start + len(left)
            # The header follows the audio, so a file cut off by a crash is short, never wrong.
            self._write(0, mulaw_header(2 * self._samples, channels=2))

    def close(self) -> None:
        """Bring everything to the disk and close."""
        try:
            os.fsync(self._file)
        finally:
            os.close(self._file)

    def _write(self, offset: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            done = os.pwrite(self._file, view, offset)
            view, offset = view[done:], offset + done
