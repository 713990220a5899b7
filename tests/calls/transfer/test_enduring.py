"""What must go on for as long as the server lives: it outlasts whatever its surroundings do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.fakes.contact_centre import Centre
from voicebot.calls.transfer import enduring as module
from voicebot.calls.transfer.enduring import enduring
from voicebot.records.board import QueueBoard, Snapshot
from voicebot.records.database import Database, locate
from voicebot.routing.agents import AgentState, ReachKind


class Strange(Exception):
    """Nothing that a driver is known to raise."""


class Flaky:
    """Fails a number of times, then works."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.tries = 0
        self.worked = asyncio.Event()

    async def __call__(self) -> None:
        self.tries += 1
        if self.tries <= self.failures:
            raise Strange
        self.worked.set()


async def test_work_that_fails_is_tried_again_and_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY_S", 0.001)
    flaky, soon = Flaky(4), asyncio.Event()
    with capture_logs() as logs:
        task = asyncio.create_task(enduring(flaky, part="a part", every_s=60.0, soon=soon))
        async with asyncio.timeout(10):
            await flaky.worked.wait()
        flaky.worked.clear()
        soon.set()
        async with asyncio.timeout(10):
            await flaky.worked.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert flaky.tries == 6
    assert [(entry["event"], entry.get("failures")) for entry in logs] == [
        ("a part fails and is tried again", None),
        ("a part works again", 4),
    ]


async def test_callers_are_matched_again_after_the_board_failed_in_a_way_nobody_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = QueueBoard.snapshot
    left = [3]

    async def snapshot(board: QueueBoard) -> Snapshot:
        if left[0]:
            left[0] -= 1
            raise Strange
        return await whole(board)

    async with Database.prepared(locate(tmp_path, f"sqlite:///{tmp_path / 'voicebot.sqlite3'}")) as database:
        centre = Centre(database)
        async with centre.running():
            await centre.centre.set_state("ana", AgentState.AVAILABLE, ReachKind.BROWSER)
            monkeypatch.setattr(QueueBoard, "snapshot", snapshot)
            _, claimed = await centre.wait_in("service")
            async with asyncio.timeout(20):
                assert (await claimed).agent_id == "ana"
    assert left == [0]
