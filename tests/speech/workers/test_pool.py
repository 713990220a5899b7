"""The supervisor against real worker processes on a Unix socket."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from wyoming.error import Error
from wyoming.event import Event

from voicebot.errors import EngineUnavailable
from voicebot.speech.workers.capabilities import Feature
from voicebot.speech.workers.line import Line, PeerLost
from voicebot.speech.workers.peer import Patience, PeerState
from voicebot.speech.workers.pool import WorkerPool
from voicebot.speech.workers.process import WorkerSpec

KIND = "tests.fakes.speech_service"
NOTICED_WITHIN_S = 2.0


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    async with WorkerPool(WorkerSpec(kind=KIND, count=2)) as pool:
        yield pool


async def ask(line: Line, kind: str = "hello", **data: object) -> Event:
    line.send(Event(kind, dict(data)))
    return await line.receive()


async def until(condition: Callable[[], bool], within_s: float = 30.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


async def until_whole_again(pool: WorkerPool, failures: int = 1) -> None:
    await until(lambda: sum(peer.failures for peer in pool.status().peers) == failures)
    await until(lambda: pool.status().ready == len(pool.status().peers))


async def test_requests_go_to_the_least_busy_worker(pool: WorkerPool) -> None:
    async with pool.lease() as first, pool.lease() as second:
        answers = [await ask(first), await ask(second)]
    assert {answer.data["pid"] for answer in answers} == {peer.pid for peer in pool.status().peers}


async def test_requests_at_once_are_spread_over_the_workers_and_no_more_than_they_have_room_for(
    pool: WorkerPool,
) -> None:
    async with AsyncExitStack() as held:
        leases = [held.enter_async_context(pool.lease(timeout_s=0.5)) for _ in range(6)]
        results = await asyncio.gather(*leases, return_exceptions=True)
        assert [peer.sessions for peer in pool.status().peers] == [2, 2]
    assert sum(isinstance(result, EngineUnavailable) for result in results) == 2


async def test_a_worker_for_which_there_is_no_room_on_the_machine_is_started_later(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, refused = asyncio.create_subprocess_exec, 0

    async def refuse_once(*command: Any, **how: Any) -> asyncio.subprocess.Process:
        nonlocal refused
        if refused == 0:
            refused += 1
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        return await start(*command, **how)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse_once)
    async with pool.lease() as line:
        line.send(Event("die"))
        with pytest.raises(PeerLost):
            await line.receive()
    await until_whole_again(pool, failures=2)
    assert refused == 1


async def test_the_status_names_the_engine_and_what_it_does_without(pool: WorkerPool) -> None:
    status = pool.status()
    assert (status.engine, status.model, status.ready) == ("obedient", "none", 2)
    assert Feature.CONFIDENCE in status.missing
    assert Feature.PING not in status.missing
    assert status.load == 0.0
    async with pool.lease():
        assert pool.status().load == 0.25


async def test_a_worker_that_dies_ends_its_request_at_once_and_comes_back(pool: WorkerPool) -> None:
    async with pool.lease() as line:
        line.send(Event("die"))
        with pytest.raises(PeerLost):
            async with asyncio.timeout(NOTICED_WITHIN_S):
                await line.receive()
        lost = line.peer
    async with pool.lease(avoid={lost}) as other:
        assert other.peer != lost
        assert (await ask(other)).type == "echo"
    await until_whole_again(pool)
    assert {peer.name: peer.failures for peer in pool.status().peers}[lost] == 1


async def test_a_killed_worker_is_noticed_without_any_request(pool: WorkerPool) -> None:
    victim = pool.status().peers[0]
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    await until(lambda: pool.status().peers[0].state is not PeerState.READY, NOTICED_WITHIN_S)
    await until_whole_again(pool)
    assert pool.status().peers[0].pid != victim.pid
    assert pool.status().peers[0].restarts == 1


async def test_a_stuck_worker_is_noticed_in_two_seconds_and_replaced(pool: WorkerPool) -> None:
    async with pool.lease() as line:
        started = time.monotonic()
        line.send(Event("hang", {"seconds": 60}))
        with pytest.raises(PeerLost):
            await line.receive()
        assert time.monotonic() - started < NOTICED_WITHIN_S + 0.5, "half a second is for a busy test machine"
    await until_whole_again(pool)


async def test_a_worker_that_let_a_request_down_is_looked_at_although_nobody_waits_any_more() -> None:
    async with WorkerPool(WorkerSpec(kind=KIND), patience=Patience(idle_ping_every_s=3600)) as pool:
        async with pool.lease() as line:
            line.send(Event("hang", {"seconds": 3600}))
        await until_whole_again(pool)
        assert pool.status().peers[0].restarts == 1


async def test_a_worker_that_is_stuck_while_nobody_asks_it_anything_is_replaced() -> None:
    async with WorkerPool(WorkerSpec(kind=KIND), patience=Patience(idle_ping_every_s=0.1)) as pool:
        victim = pool.status().peers[0]
        assert victim.pid is not None
        os.kill(victim.pid, signal.SIGSTOP)
        await until(lambda: pool.status().peers[0].state is not PeerState.READY)
        os.kill(victim.pid, signal.SIGCONT)
        await until_whole_again(pool)
        assert pool.status().peers[0].pid != victim.pid


async def test_a_full_pool_refuses_instead_of_queueing_for_ever(pool: WorkerPool) -> None:
    async with pool.lease(), pool.lease(), pool.lease(), pool.lease() as last:
        with pytest.raises(EngineUnavailable, match="busy"):
            async with pool.lease(timeout_s=0.05):
                pass
        assert (await ask(last)).type == "echo"
    async with pool.lease(timeout_s=0.05) as freed:
        assert (await ask(freed)).type == "echo"


async def test_a_refused_request_is_an_error_event_and_the_connection_lives_on(pool: WorkerPool) -> None:
    async with pool.lease() as line:
        refusal = Error.from_event(await ask(line, "refuse"))
        failure = Error.from_event(await ask(line, "fail"))
        assert (refusal.code, failure.code) == ("refused", "unavailable")
        assert (await ask(line)).type == "echo"


async def test_payload_and_data_cross_the_socket_unchanged(pool: WorkerPool) -> None:
    async with pool.lease() as line:
        line.send(Event("audio", {"text": "naïve"}, bytes(range(256)) * 200))
        answer = await line.receive()
    assert answer.payload == bytes(range(256)) * 200
    assert answer.data["text"] == "naïve"


async def test_an_engine_that_cannot_start_fails_the_pool_soon() -> None:
    broken = WorkerPool(WorkerSpec(kind=KIND, options={"broken": True}), patience=Patience(first_back_off_s=0.01))
    with pytest.raises(EngineUnavailable, match=r"could be started.*has no model"):
        await broken.start()
    assert [peer.pid for peer in broken.status().peers] == [None]


async def test_a_worker_that_fails_once_at_start_is_started_again(tmp_path: Path) -> None:
    spec = WorkerSpec(kind=KIND, options={"dies_once": str(tmp_path / "been-here")})
    async with WorkerPool(spec) as pool:
        assert pool.status().ready == 1
        assert pool.status().peers[0].failures == 1


async def test_stopping_leaves_no_process_behind(pool: WorkerPool) -> None:
    pids = [peer.pid for peer in pool.status().peers]
    await pool.stop()
    for pid in pids:
        assert pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert {peer.state for peer in pool.status().peers} == {PeerState.STOPPED}
    with pytest.raises(EngineUnavailable, match="none is running"):
        async with pool.lease(timeout_s=0.01):
            pass


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("OPENBLAS_NUM_THREADS", "1"),
        ("MALLOC_MMAP_THRESHOLD_", "1073741824"),
        ("MALLOC_TRIM_THRESHOLD_", "1073741824"),
    ],
)
async def test_a_worker_has_one_numpy_thread_and_keeps_its_memory_unless_the_operator_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, setting: str, value: str
) -> None:
    async def given() -> str | None:
        async with WorkerPool(WorkerSpec(kind=KIND)) as pool:
            (peer,) = pool.status().peers
            settings = Path(f"/proc/{peer.pid}/environ").read_text(encoding="utf-8").split("\0")
            return dict(setting.split("=", 1) for setting in settings if setting).get(setting)

    monkeypatch.delenv(setting, raising=False)
    assert await given() == value
    monkeypatch.setenv(setting, "3")
    assert await given() == "3"


async def test_a_worker_ends_when_its_media_process_is_gone(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "voicebot.speech.worker",
        "--kind",
        KIND,
        "--listen",
        f"unix://{tmp_path}/orphan.sock",
        "--supervised",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert await process.stdout.readline() == b"ready\n"
    process.stdin.close()
    async with asyncio.timeout(10):
        assert await process.wait() == 0
        # Both pipes must reach their end, or the transport outlives the loop.
        await process.stdin.wait_closed()
        assert await process.stdout.read() == b""
    assert not (tmp_path / "orphan.sock").exists()


@pytest.mark.parametrize(("failures", "expected_s"), [(1, 0.1), (2, 0.2), (4, 0.8), (30, 10.0)])
def test_back_off_doubles_up_to_a_limit(failures: int, expected_s: float) -> None:
    assert Patience().back_off_s(failures) == pytest.approx(expected_s)
