"""A call's audio on local disk while the call goes on: sealed as it is written, and readable after any crash.

A tape only grows: each write appends a block of both lanes, sealed by itself, and a later block may replace what an
earlier one said of the same samples. A process that dies leaves whole blocks and at most one torn one, which shows by
its tag. Layout: a header (magic, key id, salt), then blocks of a head (number, first sample, size) and sealed audio,
left and right interleaved, mu-law at 8 kHz. The head is authenticated with its block.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidTag

from voicebot.records.vault.keys import ID_BYTES, RecordingKeys
from voicebot.records.vault.sealed import SALT_BYTES, TAG_BYTES, SealBrokenError, file_cipher, nonce_of

#: Ends the name of a tape's file.
SUFFIX = ".tape"
#: Mu-law of both lanes, shape (samples, 2): left the caller, right the bot.
Lanes = npt.NDArray[np.uint8]

_MAGIC = b"VBTAPE1\n"
_HEADER = struct.Struct(f"<8s{ID_BYTES}s{SALT_BYTES}s")
_BLOCK = struct.Struct("<QQI")
_SILENCE = 0xFF
#: Longer than any block that is ever written; more means that the file was changed.
_LARGEST_BLOCK = 64 * 1024 * 1024
#: A day; a block that begins later was made up.
_LAST_SAMPLE = 8000 * 86_400


class Tape:
    """One open file, locked as long. Not for several threads at once; every method may raise OSError."""

    def __init__(self, path: Path, keys: RecordingKeys) -> None:
        """Create the file, readable by this user only; FileExistsError if there is one already."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        # Whoever finishes tapes of dead servers leaves locked ones alone.
        fcntl.flock(self._file, fcntl.LOCK_EX)
        salt = secrets.token_bytes(SALT_BYTES)
        self._header = _HEADER.pack(_MAGIC, bytes.fromhex(keys.current.id), salt)
        self._cipher = file_cipher(keys.current, salt, _purpose(path))
        self._end = 0
        self._number = 0
        try:
            self._append(self._header)
        except OSError:
            os.close(self._file)
            path.unlink()
            raise

    def write(self, start: int, left: bytes, right: bytes) -> None:
        """Put both lanes, equally long, at sample `start`, over what may stand there; a hole before it is silence."""
        both = np.empty((len(left), 2), dtype=np.uint8)
        both[:, 0] = np.frombuffer(left, dtype=np.uint8)
        both[:, 1] = np.frombuffer(right, dtype=np.uint8)
        # Counted before it is written: a number whose write failed half way is never used again.
        self._number += 1
        head = _BLOCK.pack(self._number, start, both.nbytes)
        self._append(head + self._cipher.encrypt(nonce_of(self._number), both.tobytes(), self._header + head))

    def close(self) -> None:
        """Bring everything to the disk and close."""
        try:
            os.ftruncate(self._file, self._end)
            os.fsync(self._file)
        finally:
            os.close(self._file)

    def _append(self, data: bytes) -> None:
        view, at = memoryview(data), self._end
        while view:
            done = os.pwrite(self._file, view, at)
            view, at = view[done:], at + done
        self._end = at


@dataclass(frozen=True, slots=True)
class Block:
    """One write to a tape: both lanes from sample `start` on."""

    start: int
    lanes: Lanes


@dataclass(frozen=True, slots=True)
class TapeContent:
    """What a tape holds. `lost_bytes` at its end belong to a write that a crash tore."""

    lanes: Lanes
    lost_bytes: int


def read_blocks(path: Path, keys: RecordingKeys) -> Iterator[Block]:
    """Yield every write, in order, up to the first that is torn; SealBrokenError, UnknownKeyError or OSError."""
    for block, _ in _blocks(path.read_bytes(), path, keys):
        yield block


def read_tape(path: Path, keys: RecordingKeys) -> TapeContent:
    """Return what a tape holds in the end; SealBrokenError, UnknownKeyError or OSError."""
    data = path.read_bytes()
    blocks, end = [], _HEADER.size
    for block, after in _blocks(data, path, keys):
        blocks.append(block)
        end = after
    samples = max((block.start + len(block.lanes) for block in blocks), default=0)
    lanes = np.full((samples, 2), _SILENCE, dtype=np.uint8)
    for block in blocks:
        lanes[block.start : block.start + len(block.lanes)] = block.lanes
    return TapeContent(lanes, len(data) - end)


def is_being_written(path: Path) -> bool:
    """Tell whether a process holds the tape open for writing; FileNotFoundError when it is gone."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        with contextlib.suppress(OSError):
            os.close(file)
    return False


def _blocks(data: bytes, path: Path, keys: RecordingKeys) -> Iterator[tuple[Block, int]]:
    """Yield blocks with where each ends."""
    header = data[: _HEADER.size]
    if len(header) < _HEADER.size or not header.startswith(_MAGIC):
        raise SealBrokenError(f"{path.name}: is no tape")
    _, key_id, salt = _HEADER.unpack(header)
    cipher = file_cipher(keys.get(key_id.hex()), salt, _purpose(path))
    at = _HEADER.size
    while at + _BLOCK.size <= len(data):
        head = data[at : at + _BLOCK.size]
        number, start, size = _BLOCK.unpack(head)
        after = at + _BLOCK.size + size + TAG_BYTES
        if size > _LARGEST_BLOCK or start > _LAST_SAMPLE or after > len(data):
            return
        try:
            audio = cipher.decrypt(nonce_of(number), data[at + _BLOCK.size : after], header + head)
        except InvalidTag:
            return
        yield Block(start, np.frombuffer(audio, dtype=np.uint8).reshape(-1, 2)), after
        at = after


def _purpose(path: Path) -> bytes:
    """A tape renamed to another call's is no tape of that call."""
    return b"tape\0" + path.name.encode()
