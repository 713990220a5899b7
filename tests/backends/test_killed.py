"""A write is done once, although the server is killed between asking and noting the answer."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from aiohttp import web

from tests.backends.test_http import Client, Make, Served
from voicebot.backends.systems import Once
from voicebot.errors import BackendUnavailable

ROOT = Path(__file__).parents[2]
pytest_plugins = ("tests.backends.test_http",)
KEY = "call-1/3/orders.credit"


async def write_and_be_killed(url: str, folder: Path, once: Once) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.backends.killed_writer", url, str(folder), KEY, str(once)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=asyncio.subprocess.PIPE,
    )


class Bank:
    """A service that credits once for each key, and kills whoever asks first before it answers."""

    def __init__(self) -> None:
        self.credited: list[str] = []
        self.keys: list[str] = []
        self.victim: asyncio.Future[asyncio.subprocess.Process] = asyncio.get_running_loop().create_future()

    async def handle(self, request: web.Request) -> web.Response:
        key = request.headers["Idempotency-Key"]
        self.keys.append(key)
        if key not in self.credited:
            self.credited.append(key)
        if len(self.keys) == 1:
            process = await self.victim
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
        return web.json_response({"balance": "27.00"})


@pytest.mark.parametrize("once", list(Once))
async def test_a_write_cut_off_by_kill_9_is_never_done_twice(
    make: Make, shop: Served, tmp_path: Path, once: Once
) -> None:
    service, url = shop
    bank = Bank()
    service.answers = [bank.handle, bank.handle]
    process = await write_and_be_killed(url, tmp_path, once)
    bank.victim.set_result(process)
    async with asyncio.timeout(60):
        _, said = await process.communicate()
    assert process.returncode == -signal.SIGKILL, said
    assert bank.credited == [KEY]

    # The server is back and the same step of the same call asks again.
    again: Client = make(once=once)
    if once is Once.HEADER:
        # The service knows the key: asking again is safe and brings the answer.
        assert (await again.credit(KEY)).outcome == "ok"
        assert bank.keys == [KEY, KEY]
    else:
        with pytest.raises(BackendUnavailable, match="cut off"):
            await again.credit(KEY)
        assert bank.keys == [KEY]
    assert bank.credited == [KEY]
