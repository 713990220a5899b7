"""Copies everything that lasts to a folder while the server runs, and puts it back where nothing is yet.

The database is copied as of one moment, first; then the files beside it, so that each recording it knows is there. A
manifest names every file with its digest, and is written last: a folder without it is no backup.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel
from sqlalchemy import inspect, text
from sqlalchemy.engine import URL

from voicebot.errors import VoicebotError
from voicebot.records.database import SQLITE_FILE, Database
from voicebot.records.moving import NotMoved, move

MANIFEST = "backup.json"
_FILES = "files"
_DUMP = "database.pgdump"
_SQLITE_COPY = "database.sqlite3"
_FORMAT = 1
#: What a server makes again, or what belongs to a running one only.
_LEFT_OUT_FOLDERS = {"cache"}
_LEFT_OUT_SUFFIXES = (".lock", "-wal", "-shm", "-journal", ".sock")
_SQLITE_HEADER = b"SQLite format 3\0"
_CHUNK = 1 << 20


class BackupFailed(VoicebotError):
    """A backup or a restore could not be made; nothing that was there before has been changed."""


class _Kind(StrEnum):
    """Databases, as SQLAlchemy calls them."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds: the kind of its database, and how many files of how many bytes."""

    made_at: str
    kind: str
    revision: str
    files: int
    size_bytes: int


class _File(BaseModel):
    """How a file was when it was written."""

    sha256: str
    bytes: int


class _Manifest(BaseModel):
    """What a backup holds, by the files' paths in it."""

    format: int
    made_at: str
    kind: _Kind
    revision: str
    files: dict[str, _File]

    def backup(self) -> Backup:
        size = sum(file.bytes for file in self.files.values())
        return Backup(self.made_at, self.kind.value, self.revision, len(self.files), size)


async def back_up(data: Path, url: URL, target: Path, *, at: datetime) -> Backup:
    """Copy the database at `url` and the files in `data` to the folder `target`, which must not be there yet.

    A server may run meanwhile. Raises BackupFailed, or ConfigurationError when there is no database.
    """
    async with Database.connected(url) as database:
        unfinished = await asyncio.to_thread(_begun, data, target)
        async with database.connect() as connection:
            revision = str(await connection.scalar(text("SELECT version_num FROM alembic_version")))
        if database.is_postgresql:
            _private(unfinished / _DUMP)
            await _run(_tool("pg_dump"), "--format=custom", f"--file={unfinished / _DUMP}", *_connection(url), url=url)
        else:
            await asyncio.to_thread(_copy_sqlite, Path(str(url.database)), unfinished / _SQLITE_COPY)
    kind = _Kind.POSTGRESQL if database.is_postgresql else _Kind.SQLITE
    await asyncio.to_thread(_copy_files, data, unfinished / _FILES, url)
    files = await asyncio.to_thread(_files_of, unfinished)
    manifest = _Manifest(format=_FORMAT, made_at=at.isoformat(), kind=kind, revision=revision, files=files)
    await asyncio.to_thread(_finish, unfinished, target, manifest)
    return manifest.backup()


async def restore(source: Path, data: Path, url: URL) -> Backup:
    """Put the backup in `source` into the folder `data`, which must be empty, and the database at `url`, likewise.

    A backup of SQLite may be put into a PostgreSQL; not the other way round. The whole backup is checked before
    anything is written. Raises BackupFailed.
    """
    manifest = await asyncio.to_thread(_checked_manifest, source)
    kind = _Kind(url.get_backend_name())
    if (manifest.kind, kind) == (_Kind.POSTGRESQL, _Kind.SQLITE):
        raise BackupFailed("This backup is of a PostgreSQL, and the settings name an SQLite file. Set `database_url`.")
    await asyncio.to_thread(_refuse_files, data)
    if kind is _Kind.POSTGRESQL:
        await _refuse_tables(url)
    if manifest.kind is not kind:
        await _move(source / _SQLITE_COPY, url)
    elif kind is _Kind.POSTGRESQL:
        await _run(
            *(_tool("pg_restore"), "--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges"),
            *(*_connection(url), str(source / _DUMP)),
            url=url,
        )
    else:
        await asyncio.to_thread(_place_sqlite, source / _SQLITE_COPY, Path(str(url.database)))
    await asyncio.to_thread(_put_back, source / _FILES, data)
    return manifest.backup()


async def _move(copy: Path, url: URL) -> None:
    with tempfile.TemporaryDirectory(prefix="voicebot-restore-") as folder:
        # Its tables may have to be brought to their present form, and a backup is not to be changed.
        file = Path(folder) / SQLITE_FILE
        await asyncio.to_thread(_copy, copy, file)
        file.chmod(0o600)
        try:
            await move(file, url)
        except NotMoved as error:
            raise BackupFailed(str(error)) from None


def _refuse_files(data: Path) -> None:
    if data.exists() and any(data.iterdir()):
        raise BackupFailed(f"{data} is not empty; a restore overwrites nothing. Name another folder with --data.")


async def _refuse_tables(url: URL) -> None:
    async with Database.connected(url) as database, database.connect() as connection:
        tables = await connection.run_sync(lambda inside: inspect(inside).get_table_names())
    if tables:
        raise BackupFailed("The database has tables already; a restore overwrites nothing. Make an empty database.")


def _tool(name: str) -> str:
    """Return the path of one of PostgreSQL's programs; Debian keeps the versions' own off PATH."""
    versions = [path for path in Path("/usr/lib/postgresql").glob(f"*/bin/{name}") if path.parts[-3].isdigit()]
    newest = max(versions, key=lambda path: int(path.parts[-3]), default=None)
    found = str(newest) if newest else shutil.which(name)
    if found is None:
        raise BackupFailed(f"{name} is missing. Install PostgreSQL's client programs (Debian: postgresql-client).")
    return found


def _connection(url: URL) -> Sequence[str]:
    plain = url.set(drivername="postgresql", password=None)
    return (f"--dbname={plain.render_as_string(hide_password=False)}",)


async def _run(program: str, *arguments: str, url: URL) -> None:
    # The password goes by the environment: everybody can see a command's arguments.
    environment = {**os.environ, **({"PGPASSWORD": str(url.password)} if url.password else {})}
    process = await asyncio.create_subprocess_exec(
        program, *arguments, env=environment, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, told = await process.communicate()
    if process.returncode:
        raise BackupFailed(f"{Path(program).name} failed: {told.decode(errors='replace').strip()}")


def _begun(data: Path, target: Path) -> Path:
    """Make the empty folder that becomes `target`, over what a backup that was broken off has left."""
    if target.exists():
        raise BackupFailed(f"{target} is there already. Name a folder that is not.")
    if target.resolve().is_relative_to(data.resolve()):
        raise BackupFailed(f"{target} lies in the data folder, which the backup would then hold too.")
    folder = target.with_name(target.name + ".unfinished")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(mode=0o700, parents=True)
        (folder / _FILES).mkdir(mode=0o700)
    except OSError as error:
        raise BackupFailed(f"cannot write to {folder}: {error.strerror}") from None
    return folder


def _copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database as of one moment, though it is being written; `cp` would miss what is in its log."""
    _private(target)
    with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=30)) as connection:
        connection.execute("VACUUM INTO ?", (str(target),))


def _copy_files(data: Path, target: Path, url: URL) -> None:
    database = Path(str(url.database)).resolve() if url.get_backend_name() == "sqlite" else None
    for path in _worth_keeping(data):
        if path.resolve() == database:
            continue
        copy = target / path.relative_to(data)
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            if _is_sqlite(path):
                _copy_sqlite(path, copy)
            else:
                _copy(path, copy)
        except FileNotFoundError:
            continue  # deleted meanwhile, as retention may; what is copied is what there is now
        except (OSError, sqlite3.Error) as error:
            raise BackupFailed(f"cannot copy {path}: {error}") from None


def _worth_keeping(data: Path) -> Iterator[Path]:
    for path in sorted(data.rglob("*")):
        inside = path.relative_to(data)
        if inside.parts[0] in _LEFT_OUT_FOLDERS or path.name.endswith(_LEFT_OUT_SUFFIXES):
            continue
        if path.is_file() and not path.is_symlink():
            yield path


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_SQLITE_HEADER)) == _SQLITE_HEADER


def _private(path: Path) -> None:
    """Make an empty file that only this user reads."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as read:
        _private(target)
        with target.open("wb") as write:
            shutil.copyfileobj(read, write, _CHUNK)
    # As read-only as it was: published flows must not change.
    target.chmod(source.stat().st_mode & 0o700)


def _files_of(folder: Path) -> dict[str, _File]:
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {
        path.relative_to(folder).as_posix(): _File(sha256=_digest(path), bytes=path.stat().st_size) for path in found
    }


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _finish(unfinished: Path, target: Path, manifest: _Manifest) -> None:
    path = unfinished / MANIFEST
    _private(path)
    path.write_text(manifest.model_dump_json(indent=1) + "\n", "utf-8")
    unfinished.rename(target)


def _checked_manifest(source: Path) -> _Manifest:
    """Return the manifest of a backup that holds exactly what it names: whatever else lies there came later."""
    try:
        told = json.loads((source / MANIFEST).read_text("utf-8"))
        if isinstance(told, dict) and told.get("format") != _FORMAT:
            raise BackupFailed(f"{source} was made by another version of this program, in a form unknown here.")
        manifest = _Manifest.model_validate(told)
    except FileNotFoundError:
        raise BackupFailed(f"{source} is no backup: it has no {MANIFEST}, which is written last.") from None
    except ValueError:  # pydantic's ValidationError is one
        raise BackupFailed(f"{source / MANIFEST} is damaged.") from None
    there = {path.relative_to(source).as_posix(): path for path in source.rglob("*") if not _is_folder(path)}
    wrong = [name for name, file in manifest.files.items() if not _is_as_told(there.get(name), file)]
    if wrong:
        raise BackupFailed(f"{len(wrong)} files of the backup are missing or changed, the first of them {wrong[0]}.")
    if added := sorted(there.keys() - manifest.files.keys() - {MANIFEST}):
        raise BackupFailed(f"{len(added)} files were added to the backup, the first of them {added[0]}. Remove them.")
    return manifest


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _is_as_told(path: Path | None, told: _File) -> bool:
    """Tell whether a file is the one that was written; a link, which could lead anywhere, never was."""
    return path is not None and path.is_file() and not path.is_symlink() and _digest(path) == told.sha256


def _place_sqlite(copy: Path, target: Path) -> None:
    if target.exists():
        raise BackupFailed(f"{target} is there already; a restore overwrites nothing.")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _copy(copy, target)


def _put_back(files: Path, data: Path) -> None:
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in sorted(files.rglob("*")):
        if path.is_file():
            target = data / path.relative_to(files)
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _copy(path, target)
