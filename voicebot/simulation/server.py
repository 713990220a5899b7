"""A `voicebot serve` in a process of its own, for whoever places calls to it."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from voicebot.errors import VoicebotError
from voicebot.simulation.carrier import Account, Carrier, Network
from voicebot.simulation.sip_carrier import SipCarrier

READY_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 90.0
#: What the server says of an address in use.
_PORT_TAKEN = "cannot listen on"


class ServerFailed(VoicebotError):
    """The server did not get ready; the message ends with what it logged last."""


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """How to start it. `port` is taken if it is free, else any; `environment` comes on top of ours.

    `command` takes the options of `voicebot serve` and prints its ready line; benchmarks start other servers by it.
    """

    data: Path
    flows: Path
    port: int = 8080
    sip_port: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ("-m", "voicebot", "serve")

    @property
    def company(self) -> Path:
        """The demo company's database."""
        return self.data / "demo.sqlite"

    def forget_company(self) -> None:
        """Remove the demo company that an earlier server left here; the next one makes it anew."""
        for path in self.data.glob(f"{self.company.name}*"):  # with its write-ahead log
            path.unlink()


@dataclass(frozen=True, slots=True)
class RunningServer:
    """`process` ends with the block of `running`."""

    url: str
    #: Where it takes SIP, such as ``sip:127.0.0.1:5060``.
    sip_uri: str
    engines: str
    http: aiohttp.ClientSession
    account: Account
    api_token: str
    process: asyncio.subprocess.Process
    company: Path

    @property
    def carrier(self) -> Carrier:
        return Carrier(self.http, self.url, self.account)

    def network(self, via: str) -> Network:
        """Return what places calls ``sip`` or ``twilio``, as `voicebot call --via` names them."""
        return SipCarrier(self.sip_uri) if via == "sip" else self.carrier

    async def records(self) -> dict[str, dict[str, Any]]:
        """Return the latest records by the carrier's name of the call."""
        return await latest_records(self.http, self.url, self.api_token)


async def latest_records(http: aiohttp.ClientSession, url: str, api_token: str) -> dict[str, dict[str, Any]]:
    """Return the latest records of the server at `url` by the carrier's name of the call."""
    headers = {"Authorization": f"Bearer {api_token}"}
    async with http.get(f"{url}/api/calls", headers=headers) as answer:
        answer.raise_for_status()
        return {record["carrier_call_id"]: record for record in (await answer.json())["calls"]}


async def add_reader(data: Path, name: str = "demo") -> str:
    """Let somebody read the records of the server with that data folder; return a password made up for them.

    Raises ServerFailed when the user can be neither added nor given a new password.
    """
    password = secrets.token_urlsafe(12)
    for task in (("add", name, "--role", "admin"), ("password", name)):
        command = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "voicebot", "users", *task, "--data", str(data)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await command.communicate(password.encode() + b"\n")
        if command.returncode == 0:
            return password
    raise ServerFailed(f"The user {name} could not be added to {data}.")


def end_when_told() -> None:
    """Let SIGTERM end this process as Ctrl-C does, so that the servers it has started are stopped with it."""
    # At SIGINT a runner of event loops cancels its main task; an exception out of nowhere may leave others that never
    # end. It does so unless SIGINT is ignored, as by what a script started in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


@asynccontextmanager
async def running(plan: ServerPlan, on_step: Callable[[str], None]) -> AsyncIterator[RunningServer]:
    """Start a server, wait until it is ready, and stop it at the end. `on_step` is told what it is doing.

    Raises ServerFailed when it does not get ready. Its log lies in the data folder.
    """
    plan.data.mkdir(parents=True, exist_ok=True)  # nothing else runs yet
    api_token, auth_token = secrets.token_hex(16), secrets.token_hex(16)
    environment = {
        **os.environ,
        "VOICEBOT_API_TOKEN": api_token,
        "TWILIO_AUTH_TOKEN": auth_token,
        "VOICEBOT_LOG_FORMAT": "json",
        **plan.environment,
    }
    log = _Log(plan.data / "server.log", on_step)
    async with AsyncExitStack() as started:
        process, ready = await started.enter_async_context(
            _started(plan, free_port(plan.port), free_sip_port(plan.sip_port), environment, log)
        )
        if ready is None and _PORT_TAKEN in "".join(log.last):
            # Somebody took the port while the server was getting ready; what it has made is kept for the next one.
            await started.aclose()
            on_step("a port was taken meanwhile: starting again on others")
            process, ready = await started.enter_async_context(_started(plan, 0, 0, environment, log))
        if ready is None:
            raise ServerFailed("The server did not get ready. Its log ends with:\n" + "\n".join(log.last))
        url, sip_uri, engines = ready
        http = await started.enter_async_context(aiohttp.ClientSession())
        account = Account(auth_token=auth_token)
        yield RunningServer(url, sip_uri, engines, http, account, api_token, process, plan.company)


@asynccontextmanager
async def _started(
    plan: ServerPlan, port: int, sip_port: int, environment: Mapping[str, str], log: _Log
) -> AsyncIterator[tuple[asyncio.subprocess.Process, tuple[str, str, str] | None]]:
    """Start a process and give it with what its ready line names, None without one; stop it at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *plan.command, "--data", str(plan.data), "--flows", str(plan.flows)),
        *("--port", str(port), "--sip-port", str(sip_port)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    reading = asyncio.create_task(log.follow(process))
    try:
        ready = await _ready(process)
        if ready is None:
            # A server that failed has closed its log by now; one that hangs is not waited for.
            await asyncio.wait({reading}, timeout=2)
        yield process, ready
    finally:
        await _stop(process)
        await reading


def free_port(wanted: int) -> int:
    """Return `wanted` if nobody listens on it on loopback, else a port that is free now."""
    for port in (wanted, 0):
        with closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ServerFailed("No port is free on the loopback address.")


def free_sip_port(wanted: int) -> int:
    """Return `wanted` if it is free on loopback for UDP and TCP, else 0, by which the server takes any free one."""
    with closing(socket.socket(type=socket.SOCK_DGRAM)) as datagrams, closing(socket.socket()) as stream:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            datagrams.bind(("127.0.0.1", wanted))
            stream.bind(("127.0.0.1", wanted))
        except OSError:
            return 0
    return wanted


class _Log:
    """Keeps the server's log in a file and its last lines at hand."""

    def __init__(self, path: Path, on_step: Callable[[str], None]) -> None:
        self._path = path
        self._on_step = on_step
        self.last: list[str] = []

    async def follow(self, process: asyncio.subprocess.Process) -> None:
        if process.stderr is None:
            return
        with self._path.open("ab") as file:
            async for line in process.stderr:
                file.write(line)
                file.flush()
                self.last = [*self.last[-9:], line.decode(errors="replace").rstrip()]
                self._tell(line)

    def _tell(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
        except ValueError:
            return
        if isinstance(entry, dict) and entry.get("event") == "starting":
            self._on_step(str(entry.get("step")))


async def _ready(process: asyncio.subprocess.Process) -> tuple[str, str, str] | None:
    """Return the address, SIP's address and the engines that the ready line names; None when none comes."""
    if process.stdout is None:
        return None
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            line = (await process.stdout.readline()).decode()
    except TimeoutError:
        return None
    named, _, engines = line.strip().partition(" engines=")
    words = named.split()
    if len(words) < 2 or words[0] != "ready":
        return None
    sip_uri = next((word.removeprefix("sip=") for word in words if word.startswith("sip=")), "")
    return words[1], sip_uri, engines


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
