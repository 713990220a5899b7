"""Sealed files: AES-256-GCM in chunks, so that any range can be read and any change shows.

Layout: a header (magic, key id, salt, chunk size, size of the content), then chunks of that size, each followed by its
tag of 16 bytes; the last may be shorter. Each file has a key of its own, derived by HKDF-SHA256 (RFC 5869) from the
master key, the salt and the file's name; a chunk's nonce is its number. The header is authenticated with every chunk,
so a chunk that was changed, moved, taken from another file or cut off is found when it is read.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from voicebot.errors import VoicebotError
from voicebot.records.vault.keys import ID_BYTES, KEY_BYTES, RecordingKey, RecordingKeys

MAGIC = b"VBSEAL1\n"
TAG_BYTES = 16
SALT_BYTES = 16
_HEADER = struct.Struct(f"<8s{ID_BYTES}s{SALT_BYTES}sIQ")
HEADER_BYTES = _HEADER.size
CHUNK_BYTES = 64 * 1024
_LARGEST_CHUNK = 16 * 1024 * 1024

#: Returns the bytes `start:end` of a file, fewer where it ends.
ReadRange = Callable[[int, int], bytes]


class SealBrokenError(VoicebotError):
    """The file is no sealed file, was changed, or belongs to another name."""


def file_cipher(key: RecordingKey, salt: bytes, purpose: bytes) -> AESGCM:
    """Return the cipher of one file; a salt must never be used for two contents."""
    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt, b"voicebot\0" + purpose).derive(key.material))


def nonce_of(number: int) -> bytes:
    """Return the nonce of a file's chunk number `number`."""
    return struct.pack("<IQ", 0, number)


def seal(content: bytes, name: str, key: RecordingKey, *, chunk_bytes: int = CHUNK_BYTES) -> bytes:
    """Return `content` sealed for a file called `name`."""
    salt = secrets.token_bytes(SALT_BYTES)
    header = _HEADER.pack(MAGIC, bytes.fromhex(key.id), salt, chunk_bytes, len(content))
    cipher = file_cipher(key, salt, name.encode())
    view = memoryview(content)
    pieces = [header]
    for number in range(max(1, -(-len(content) // chunk_bytes))):
        chunk = view[number * chunk_bytes : (number + 1) * chunk_bytes]
        pieces.append(cipher.encrypt(nonce_of(number), chunk, header))
    return b"".join(pieces)


class SealedFile:
    """A sealed file opened for reading; only the chunks that a range touches are fetched and opened."""

    def __init__(self, read: ReadRange, header: bytes, cipher: AESGCM) -> None:
        self._read = read
        self._header = header
        self._cipher = cipher
        _, key_id, _, self._chunk_bytes, self.size = _HEADER.unpack(header)
        self.key_id: str = key_id.hex()

    @classmethod
    def open(cls, read: ReadRange, name: str, keys: RecordingKeys) -> Self:
        """Open the file called `name`; SealBrokenError or UnknownKeyError."""
        header = read(0, HEADER_BYTES)
        if len(header) != HEADER_BYTES or not header.startswith(MAGIC):
            raise SealBrokenError(f"{name}: is no sealed file")
        _, key_id, salt, chunk_bytes, _ = _HEADER.unpack(header)
        if not 0 < chunk_bytes <= _LARGEST_CHUNK:
            raise SealBrokenError(f"{name}: its header was changed")
        return cls(read, header, file_cipher(keys.get(key_id.hex()), salt, name.encode()))

    def read(self, start: int = 0, end: int | None = None) -> bytes:
        """Return the content's bytes `start:end`; SealBrokenError when any of them was changed."""
        end = self.size if end is None else min(end, self.size)
        start = max(0, start)
        if start >= end:
            start = end = 0  # the first chunk is opened all the same: an empty file has one too
        first, last = start // self._chunk_bytes, max(start, end - 1) // self._chunk_bytes
        stored = self._chunk_bytes + TAG_BYTES
        fetched = memoryview(self._read(HEADER_BYTES + first * stored, HEADER_BYTES + (last + 1) * stored))
        content = b"".join(
            self._open_chunk(number, fetched[(number - first) * stored : (number - first + 1) * stored])
            for number in range(first, last + 1)
        )
        return content[start - first * self._chunk_bytes : end - first * self._chunk_bytes]

    def _open_chunk(self, number: int, stored: memoryview) -> bytes:
        expected = min(self._chunk_bytes, self.size - number * self._chunk_bytes) + TAG_BYTES
        if len(stored) < expected:
            raise SealBrokenError("a sealed file was cut off")
        try:
            return self._cipher.decrypt(nonce_of(number), stored[:expected], self._header)
        except InvalidTag:
            raise SealBrokenError("a sealed file was changed") from None


def key_id_of(sealed: bytes) -> str:
    """Return the id of the key that sealed a file; SealBrokenError when it is no sealed file."""
    if len(sealed) < HEADER_BYTES or not sealed.startswith(MAGIC):
        raise SealBrokenError("no sealed file")
    _, key_id, *_ = _HEADER.unpack_from(sealed)
    return str(key_id.hex())


def unseal(sealed: bytes, name: str, keys: RecordingKeys) -> bytes:
    """Return the whole content of a sealed file; SealBrokenError or UnknownKeyError."""
    return SealedFile.open(lambda start, end: sealed[start:end], name, keys).read()
