"""Searches everything on disk for digits that must not be there, whatever they are wrapped in.

Plain bytes and UTF-16, SQLite's cells and write-ahead log, base64 and hex, gzip, zlib, bzip2, LZMA and ZIP, pickles,
JSON escapes, sealed recordings and tapes with their keys, and numbers in words. Audio is for the caller of this module:
`sealed_audio` hands out the samples of every recording.
"""

from __future__ import annotations

import base64
import binascii
import bz2
import contextlib
import gzip
import io
import lzma
import pickletools
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from voicebot.errors import VoicebotError
from voicebot.g711 import Pcm, decode
from voicebot.records.tape import SUFFIX, read_blocks
from voicebot.records.vault import codec
from voicebot.records.vault.keys import RecordingKeys
from voicebot.records.vault.sealed import MAGIC, unseal

_DEEPEST = 5
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{16,}={0,2}")
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2}){8,}")
_ZLIB = re.compile(rb"\x78[\x01\x5e\x9c\xda]")
_WORDS = "zero one two three four five six seven eight nine".split()


@dataclass(frozen=True, slots=True)
class Hit:
    """Where something was found: the file, and through which wrappings."""

    path: Path
    through: tuple[str, ...]


def needles(digits: str) -> tuple[bytes, ...]:
    """Return the ways in which `digits` may be written: together, in groups, in words."""
    words = [_WORDS[int(digit)] for digit in digits]
    fours = [digits[at : at + 4] for at in range(0, len(digits), 4)]
    texts = (digits, " ".join(fours), "-".join(fours), " ".join(digits), " ".join(words), ",".join(words))
    return tuple(text.encode(encoding) for text in texts for encoding in ("utf-8", "utf-16-le", "utf-16-be"))


def search(folder: Path, digits: str, keys: RecordingKeys | None = None) -> list[Hit]:
    """Return where `digits` stand in any file below `folder`."""
    wanted = needles(digits)
    hits = []
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        content = path.read_bytes()
        hits += [Hit(path, through) for through in _found(content, wanted, (), path.name)]
        for opened in _opened(folder, path, content, keys):
            hits += [Hit(path, through) for through in _found(opened, wanted, ("unsealed",), path.name)]
    return hits


def sealed_audio(folder: Path, keys: RecordingKeys) -> Iterator[tuple[Path, Pcm]]:
    """Yield the samples, shape (frames, 2), of every recording and every block of a tape below `folder`."""
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        if path.suffix == SUFFIX:
            for block in read_blocks(path, keys):
                yield path, decode(block.lanes.tobytes()).reshape(-1, 2)
        elif path.suffix in {".flac", ".opus"}:
            name = path.relative_to(_root(folder, path)).as_posix()
            yield path, codec.decode(unseal(path.read_bytes(), name, keys))


def _opened(folder: Path, path: Path, content: bytes, keys: RecordingKeys | None) -> Iterator[bytes]:
    if keys is None or not content.startswith(MAGIC):
        return
    with contextlib.suppress(VoicebotError):  # another kind of file, or another key: searched as it is
        yield unseal(content, path.relative_to(_root(folder, path)).as_posix(), keys)


def _root(folder: Path, path: Path) -> Path:
    """A sealed file's name is what follows the folder of its store: its day and itself."""
    return path.parents[1] if path.parent != folder else folder


def _found(content: bytes, wanted: tuple[bytes, ...], through: tuple[str, ...], name: str) -> Iterator[tuple[str, ...]]:
    lowered = content.lower()
    if any(needle in lowered for needle in wanted):
        yield through
    if len(through) >= _DEEPEST:
        return
    for how, inner in _unwrapped(content):
        yield from _found(inner, wanted, (*through, how), name)


def _unwrapped(content: bytes) -> Iterator[tuple[str, bytes]]:
    for match in _BASE64.finditer(content):
        text = match.group().replace(b"-", b"+").replace(b"_", b"/").rstrip(b"=")
        # Text before it may have run into it: each of the four ways to begin.
        for skipped in range(4):
            part = text[skipped:]
            with contextlib.suppress(binascii.Error, ValueError):
                whole = part[: len(part) // 4 * 4] if len(part) % 4 == 1 else part + b"=" * (-len(part) % 4)
                yield "base64", base64.b64decode(whole)
    for match in _HEX.finditer(content):
        yield "hex", bytes.fromhex(match.group().decode())
    for start in (match.start() for match in re.finditer(rb"\x1f\x8b\x08", content)):
        with contextlib.suppress(OSError, EOFError, zlib.error):
            yield "gzip", gzip.GzipFile(fileobj=io.BytesIO(content[start:])).read(1 << 24)
    for start in (match.start() for match in _ZLIB.finditer(content)):
        with contextlib.suppress(zlib.error):
            yield "zlib", zlib.decompressobj().decompress(content[start:], 1 << 24)
    for start in (match.start() for match in re.finditer(rb"BZh[1-9]1AY&SY", content)):
        with contextlib.suppress(OSError, ValueError, EOFError):
            yield "bzip2", bz2.BZ2Decompressor().decompress(content[start:], 1 << 24)
    for start in (match.start() for match in re.finditer(rb"\xfd7zXZ\x00", content)):
        with contextlib.suppress(lzma.LZMAError, EOFError):
            yield "lzma", lzma.LZMADecompressor().decompress(content[start:], 1 << 24)
    if content.startswith(b"PK\x03\x04"):
        with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(io.BytesIO(content)) as archive:
            for entry in archive.namelist():
                yield "zip", archive.read(entry)
    if content[:1] == b"\x80" and content[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}:
        yield from (("pickle", value) for value in _pickled(content))
    if b"\\u00" in content:
        yield "escapes", re.sub(rb"\\u00([0-9a-fA-F]{2})", lambda match: bytes.fromhex(match[1].decode()), content)


def _pickled(content: bytes) -> Iterator[bytes]:
    """Yield what a pickle holds, read without running it."""
    with contextlib.suppress(ValueError, IndexError, EOFError):
        for _, argument, _ in pickletools.genops(content):
            if isinstance(argument, bytes):
                yield argument
            elif isinstance(argument, str | int):
                yield str(argument).encode()
