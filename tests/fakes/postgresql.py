"""A PostgreSQL of the test run's own: started when the first test needs it, gone a second after the run."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pwd
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import psycopg

from voicebot.records.database import Database, locate

#: Names the run's folder to its xdist workers, which inherit it.
FOLDER = "VOICEBOT_TEST_POSTGRESQL"
_START_S = 60.0
_TEMPLATE = "prepared"
#: Ends the server when the run's main process is gone, however it went, and removes everything.
_KEEPER = """
"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c synchronous_commit=off -c full_page_writes=off \
    -c max_connections=200 -c shared_buffers=32MB -c timezone=UTC -c max_wal_size=64MB >"$2/log" 2>&1 &
server=$!
while [ -d "/proc/$3" ] && kill -0 "$server" 2>/dev/null; do sleep 1; done
kill -QUIT "$server" 2>/dev/null
wait "$server"
cd / && rm -rf "$2"
"""


def programs() -> Path | None:
    """Return the folder of the newest PostgreSQL's programs; Debian keeps them off PATH."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    on_path = shutil.which("postgres")
    found += [Path(on_path).parent] if on_path else []
    return max(found, key=lambda path: (path.parent.name.isdigit() and int(path.parent.name), str(path)), default=None)


def _unprivileged() -> pwd.struct_passwd | None:
    """As whom to run it, None as ourselves: PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise AssertionError("there is no unprivileged user to run PostgreSQL as")


def make_folder() -> None:
    """Choose where the run's server would lie; the run's main process does, before its workers start."""
    os.environ[FOLDER] = f"{tempfile.gettempdir()}/voicebot-pg-{os.getpid()}-{uuid.uuid4().hex[:8]}:{os.getpid()}"


def start(bin_folder: Path) -> str:
    """Return the folder of the run's server's socket, starting the server if no other worker has."""
    folder, _, main_process = os.environ[FOLDER].rpartition(":")
    with Path(folder + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not Path(folder).exists():
            _start(bin_folder, Path(folder), main_process)
    Path(folder + ".lock").unlink(missing_ok=True)
    return folder


def _start(bin_folder: Path, folder: Path, main_process: str) -> None:
    making = Path(tempfile.mkdtemp(prefix=folder.name, dir=folder.parent))
    account = _unprivileged()
    user, group = (account.pw_uid, account.pw_gid) if account else (None, None)
    extra_groups: list[int] | None = [] if account else None
    if account:
        os.chown(making, account.pw_uid, account.pw_gid)
    subprocess.run(
        [bin_folder / "initdb", "-D", making / "data", "-A", "trust", "-U", "voicebot", "--no-sync", "-E", "UTF8"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd="/",
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
        user=user,
        group=group,
        extra_groups=extra_groups,
    )
    making.rename(folder)
    subprocess.Popen(
        ["/bin/sh", "-c", _KEEPER, "keeper", str(bin_folder), str(folder), main_process],
        cwd="/",
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        user=user,
        group=group,
        extra_groups=extra_groups,
    )
    until = time.monotonic() + _START_S
    while True:
        try:
            psycopg.connect(_control(str(folder))).close()
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)  # it starts in a process that tells nobody when it is ready
        else:
            return


def template(socket_folder: str) -> str:
    """Return the name of a database with the tables of the present version, made by whoever asks first."""
    made = Path(socket_folder, "template")
    with Path(socket_folder, "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            with psycopg.connect(_control(socket_folder), autocommit=True) as control:
                control.execute(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0")
            # In a thread, since whoever asks may be on an event loop.
            preparing = Thread(target=lambda: asyncio.run(_prepare(_url(socket_folder, _TEMPLATE))))
            preparing.start()
            preparing.join()
            made.touch()
    return _TEMPLATE


async def _prepare(url: str) -> None:
    async with Database.prepared(locate(Path("/"), url)):
        pass


@contextmanager
def fresh_database(socket_folder: str, *, of: str = "template0") -> Iterator[str]:
    """Make a database, empty or as `of` is, yield its URL, and drop it with whoever is still connected."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(_control(socket_folder), autocommit=True) as control:
        control.execute(f"CREATE DATABASE {name} TEMPLATE {of}")
        try:
            yield _url(socket_folder, name)
        finally:
            control.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _control(socket_folder: str) -> str:
    return f"host={socket_folder} user=voicebot dbname=postgres"


def _url(socket_folder: str, name: str) -> str:
    return f"postgresql://voicebot@/{name}?host={socket_folder}"


def everything_of(url: str) -> bytes:
    """Return all bytes of a database on disk, with its server's write-ahead log."""
    with psycopg.connect(url, autocommit=True) as control:
        control.execute("CHECKPOINT")
        asked = (
            "SELECT current_setting('data_directory'), oid::text FROM pg_database WHERE datname = current_database()"
        )
        found = control.execute(asked).fetchone()
    assert found is not None
    data, oid = found
    contents = []
    for path in [*Path(data, "base", oid).iterdir(), *Path(data, "pg_wal").glob("0*")]:
        with contextlib.suppress(FileNotFoundError):  # a segment of the log, recycled meanwhile
            contents.append(path.read_bytes())
    return b"".join(contents)


def rows_of(url: str) -> bytes:
    """Return every row of every table of a database as text, those of the work after calls among them."""
    tables = """
        SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) FROM information_schema.tables
        WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')
    """
    parts = []
    with psycopg.connect(url) as connection:
        for (table,) in connection.execute(tables).fetchall():
            with connection.cursor().copy(f"COPY {table} TO STDOUT".encode()) as rows:
                parts += [f"{table}\n".encode(), *(bytes(part) for part in rows)]
    return b"".join(parts)
