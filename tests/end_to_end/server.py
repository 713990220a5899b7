"""A real `voicebot serve` in a process of its own, and a way to read its records."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL

from voicebot.g711 import Pcm
from voicebot.records.database import locate
from voicebot.records.vault.codec import decode
from voicebot.simulation.carrier import Account, Carrier

API_TOKEN = "end-to-end"
BEARER = {"Authorization": f"Bearer {API_TOKEN}"}
TWILIO_TOKEN = "signed-by-the-test"
ACCOUNT = Account(auth_token=TWILIO_TOKEN)
FLOWS = Path(__file__).parents[2] / "flows"
READY_TIMEOUT_S = 120.0


#: Blocking drivers, by the kind of database.
_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}


def database_of(data: Path) -> URL:
    """Return where the server of a data folder keeps its records in this test."""
    return locate(data, os.environ.get("VOICEBOT_DATABASE_URL"))


@dataclass
class Server:
    """A running server. `process` ends with the `async with` block, whatever the test did."""

    process: asyncio.subprocess.Process
    url: str
    sip_uri: str
    data: Path
    log: Path
    http: aiohttp.ClientSession
    _ids: dict[str, str] = field(default_factory=dict)

    @property
    def carrier(self) -> Carrier:
        return Carrier(self.http, self.url, ACCOUNT)

    async def get(self, path: str) -> Any:
        async with self.http.get(self.url + path, headers=BEARER) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def record(self, carrier_call_id: str) -> dict[str, Any]:
        """Return the record of the call that the carrier knows by this id; LookupError while there is none."""
        if carrier_call_id not in self._ids:
            self._ids |= {call["carrier_call_id"]: call["id"] for call in (await self.get("/api/calls"))["calls"]}
        found: dict[str, Any] = await self.get(f"/api/calls/{self._ids[carrier_call_id]}")
        return found

    async def until(
        self, carrier_call_id: str, condition: Callable[[dict[str, Any]], bool], *, within_s: float = 60
    ) -> dict[str, Any]:
        """Return the call's record as soon as `condition` holds for it."""
        async with asyncio.timeout(within_s):
            while True:
                with contextlib.suppress(LookupError):
                    record = await self.record(carrier_call_id)
                    if condition(record):
                        return record
                await asyncio.sleep(0.2)

    async def recording(self, call_id: str) -> Pcm:
        """Wait until a call's recording may be played, and return its samples, shape (frames, 2)."""
        async with asyncio.timeout(60):
            while True:
                async with self.http.get(f"{self.url}/api/calls/{call_id}/recording", headers=BEARER) as answer:
                    if answer.status == 200:
                        return decode(await answer.read())
                    assert answer.status == 409, await answer.text()
                await asyncio.sleep(0.2)

    async def add_user(self, name: str, role: str, password: str) -> None:
        """Let somebody sign in, by the command that an administrator has."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "voicebot", "users", "add", name, "--role", role, "--data", str(self.data)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate(f"{password}\n".encode())
        assert process.returncode == 0, output.decode()

    async def terminate(self) -> int:
        """Ask for an orderly end and return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            return await self.process.wait()

    def rows(self, statement: str, **values: object) -> list[tuple[Any, ...]]:
        """Carry out a statement on the server's database and return what it answers, as plain tuples."""
        url = database_of(self.data)
        engine = create_engine(url.set(drivername=_DRIVERS[url.get_backend_name()]))
        try:
            with engine.begin() as connection:
                answer = connection.execute(text(statement), values)
                return [tuple(row) for row in answer] if answer.returns_rows else []
        finally:
            engine.dispose()

    def worker_pid(self, kind: str) -> int:
        """Return the process id of the first speech worker of a kind."""
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
                status = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
                ours = int(status[1]) == self.process.pid and b"voicebot.speech.worker" in arguments
                if ours and kind.encode() in arguments:
                    return int(entry.name)
        raise AssertionError(f"the server has no {kind} worker")


@contextlib.asynccontextmanager
async def running(data: Path, *arguments: str, **environment: str) -> AsyncIterator[Server]:
    """Start a server on a free port with its own data folder, and wait until it is ready."""
    await asyncio.to_thread(share_renderings, data)
    log = data / "server.log"
    with log.open("wb") as stream:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "voicebot",
            "serve",
            "--port",
            "0",
            "--sip-port",
            "0",
            "--data",
            str(data),
            "--flows",
            str(FLOWS),
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=stream,
            env={
                **os.environ,
                "VOICEBOT_API_TOKEN": API_TOKEN,
                "TWILIO_AUTH_TOKEN": TWILIO_TOKEN,
                "VOICEBOT_MAX_CPU_PERCENT": "100",
                # How well two passes hear is measured, not tested: made-up voices are strange to Whisper, and three
                # servers side by side leave it too little time. Demos of tests hear with what set-up has installed.
                "VOICEBOT_RECOGNIZER": "pocketsphinx",
                # Nor does every one of them start another engine to hear what no turn holds; some do, by default.
                "VOICEBOT_RECORDING__UNHEARD": "silence",
                # Tests watch every call's record several times a second.
                "VOICEBOT_MAX_REQUESTS_PER_MINUTE": "100000",
                **environment,
            },
        )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            line = (await process.stdout.readline()).decode()
        assert line.startswith("ready "), f"no ready line; the log ends with:\n{log.read_text()[-2000:]}"
        async with aiohttp.ClientSession() as http:
            sip_uri = next(word.removeprefix("sip=") for word in line.split() if word.startswith("sip="))
            yield Server(process, line.split()[1], sip_uri, data, log, http)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(40):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


def share_renderings(data: Path) -> None:
    """Give a new data folder the prompts and grammars that an earlier server of this test run has made.

    They are kept by content, so a folder that is too old or too new only costs time.
    """
    data.mkdir(parents=True, exist_ok=True)
    shared = Path(tempfile.gettempdir()) / f"voicebot-end-to-end-{os.getuid()}"
    shared.mkdir(exist_ok=True)
    if not (data / "cache").exists():  # it does where a server is started once more
        (data / "cache").symlink_to(shared)


def holds(text: str, digits: str) -> bool:
    """Tell whether `digits` stand in `text` as a number of their own: the microseconds of a log hold any four."""
    return re.search(rf"(?<!\d){digits}(?!\d)", text) is not None


def has_prompt(name: str) -> Callable[[dict[str, Any]], bool]:
    """Tell whether the bot has said this prompt to its end."""
    return lambda record: any(turn["prompt"] == name for turn in record["turns"])


def is_over(record: dict[str, Any]) -> bool:
    return record["ended_at"] is not None
