"""Where recordings lie: a few operations on named objects, on disk by default, or in any S3-compatible store."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from voicebot.errors import VoicebotError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,199}){0,3}")
#: Begins the name of a file that is still being written.
_UNFINISHED = ".unfinished-"


class ObjectMissingError(VoicebotError):
    """There is no object of that name."""


class StoreFault(StrEnum):
    """What would have to be mended for a store to do what it was asked."""

    #: Nothing here, as far as can be known: it does not answer, or is too busy.
    AWAY = "away"
    #: There is no bucket of that name, or it is no name for one.
    BUCKET = "bucket"
    #: There are no credentials, or the store does not know them.
    CREDENTIALS = "credentials"
    #: Whoever the credentials belong to may not do this.
    DENIED = "denied"
    #: The bucket lies in another region.
    REGION = "region"


class StoreUnavailableError(VoicebotError):
    """The store did not do what it was asked; it may later. `reason` is short and names no place and no secret."""

    def __init__(self, message: str, fault: StoreFault = StoreFault.AWAY, reason: str = "") -> None:
        super().__init__(message)
        self.fault = fault
        self.reason = reason or fault.value


class Objects(Protocol):
    """Named, immutable byte strings. Every method blocks, so call it from a thread; names are as `check_name` says.

    Raises `ObjectMissingError` where there is no such object, `StoreUnavailableError` when the store fails.
    """

    def put(self, name: str, content: bytes) -> None:
        """Keep `content` whole or not at all, over what may have had the name before; checked on the way."""
        ...

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Return the bytes `start:end`, fewer where the object ends; all from `start` on if no end is given."""
        ...

    def delete(self, name: str) -> None:
        """Remove the object; one that is not there is no error."""
        ...

    def names(self, prefix: str = "") -> Iterator[str]:
        """Return the names that begin with `prefix`, in order."""
        ...


def check_name(name: str) -> str:
    """Return `name` if it is one: up to four parts of letters, digits, dots, hyphens, underscores; else ValueError."""
    if not _NAME.fullmatch(name):
        raise ValueError("an object's name has up to four parts of letters, digits, dots, hyphens and underscores")
    return name


class DiskObjects:
    """Objects as files below a folder, readable by this user only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, content: bytes) -> None:
        path = self._path(name)
        unfinished = path.with_name(f"{_UNFINISHED}{secrets.token_hex(8)}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                view = memoryview(content)
                while view:
                    view = view[os.write(file, view) :]
                os.fsync(file)
            finally:
                os.close(file)
            unfinished.replace(path)
            _sync_folder(path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise _unavailable(f"cannot keep {name}", error) from error

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        try:
            with self._path(name).open("rb") as file:
                file.seek(start)
                return file.read() if end is None else file.read(max(0, end - start))
        except FileNotFoundError:
            raise ObjectMissingError(f"{name}: there is no such object") from None
        except OSError as error:
            raise _unavailable(f"cannot read {name}", error) from error

    def delete(self, name: str) -> None:
        path = self._path(name)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _unavailable(f"cannot delete {name}", error) from error
        with contextlib.suppress(OSError):  # another object's day
            path.parent.rmdir()

    def names(self, prefix: str = "") -> Iterator[str]:
        found = (path.relative_to(self._folder).as_posix() for path in self._folder.rglob("*") if path.is_file())
        yield from sorted(name for name in found if name.startswith(prefix) and _UNFINISHED not in name)

    def _path(self, name: str) -> Path:
        return self._folder / check_name(name)


def _unavailable(what: str, error: OSError) -> StoreUnavailableError:
    reason = error.strerror or type(error).__name__
    return StoreUnavailableError(f"{what}: {reason}", StoreFault.DENIED, reason)


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
