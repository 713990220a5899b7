"""Undoing by an operation: tried until the system has answered, given up at some time, taken up again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.work.test_actions import DEED, office
from voicebot.records.actions import ActionState
from voicebot.records.database import locate
from voicebot.records.deeds import DeedState
from voicebot.work.actions import Actions, Told
from voicebot.work.durable import Errand, ErrandState, Patience, WorkRefused, durable_work
from voicebot.work.supervision import Supervision
from voicebot.work.undoing import UNDO, Undoing
from voicebot.work.verbs import Verb

pytestmark = pytest.mark.xdist_group("durable")
ERRAND = Errand(UNDO, DEED)


async def test_it_is_tried_until_the_system_is_back_and_told_meanwhile(tmp_path: Path, database_url: str) -> None:
    async with office(tmp_path, database_url) as here:
        jobs = Undoing(here.deeds, here.planned).jobs()
        patience = Patience(attempts=500, first_wait_s=0.1, factor=1.0)
        async with durable_work(locate(tmp_path, database_url), instance="main", jobs=jobs, patience=patience) as work:
            actions = Actions(here.actions.book, Supervision(here.deeds), here._contracts_of, work, wait_s=0.5)
            action_id = await here.wrote()
            here.diary.away = True
            for verb in Verb:
                async with asyncio.timeout(20):
                    while True:  # on a busy machine the first try may not be over when the desk is told
                        answer = await actions.do(verb, action_id, by="ana")
                        assert answer is not None
                        assert (answer.told, answer.action.state) == (Told.BEGUN, ActionState.UNDOING)
                        if "it is tried again" in answer.text:
                            break
            here.diary.away = False
            assert await work.settled(ERRAND) is ErrandState.DONE
            answer = await actions.do(Verb.UNDO, action_id, by="ana")
            assert answer is not None
            assert (answer.told, answer.action.state) == (Told.SETTLED, ActionState.UNDONE)
            assert len(here.diary.asked) == 1


async def test_what_was_given_up_is_taken_up_again_and_what_is_under_way_is_not(
    tmp_path: Path, database_url: str
) -> None:
    async with office(tmp_path, database_url) as here:
        jobs = Undoing(here.deeds, here.planned).jobs()
        patience = Patience(attempts=2, first_wait_s=0.01, factor=1.0)
        async with durable_work(locate(tmp_path, database_url), instance="main", jobs=jobs, patience=patience) as work:
            await here.wrote(state=DeedState.UNDOING)
            here.diary.away = True
            await work.take_up(ERRAND)
            assert await work.settled(ERRAND) is ErrandState.FAILED
            (action,) = await here.actions.of_call("c1")
            assert (action.state, action.problem) == (
                ActionState.UNDO_FAILED,
                "The system cannot be reached; it was tried often enough.",
            )
            here.diary.away = False
            deed = await here.deeds.deed(DEED)
            assert deed is not None
            await here.deeds.change(deed, DeedState.UNDOING, "ana", action="undo_begun")
            async with asyncio.timeout(10):
                while (await here.actions.of_call("c1"))[0].state is not ActionState.UNDONE:
                    await work.take_up(ERRAND)
                    await asyncio.sleep(0.05)
            await work.take_up(ERRAND)
            assert len(here.diary.asked) == 1


async def test_a_write_whose_flows_lost_its_undo_is_not_undone(tmp_path: Path, database_url: str) -> None:
    async with office(tmp_path, database_url) as here:
        (step,) = Undoing(here.deeds, here.planned).jobs()[UNDO]
        await here.wrote("forgot", DeedState.UNDOING)
        with pytest.raises(WorkRefused, match="does not say any more"):
            await step.work(DEED)
        assert here.diary.asked == []
        await here.wrote(state=DeedState.DONE)
        assert await step.work(DEED) == ()  # somebody thought better of it
        assert await step.work("0" * 32) == ()


_SERVER = """
import asyncio, sys
from pathlib import Path
from tests.work.test_actions import DEED, Diary, office
from voicebot.backends.backends import BackendResult
from voicebot.records.database import locate
from voicebot.records.deeds import DeedState
from voicebot.work.durable import Errand, durable_work
from voicebot.work.undoing import UNDO, Undoing
folder, url = Path(sys.argv[1]), sys.argv[2]

async def call(operation, arguments, *, idempotency_key=None):
    first = not (folder / "asked").exists()
    with (folder / "asked").open("a") as file:
        file.write(f"{operation} {idempotency_key}\\n")
    if first:
        await asyncio.sleep(60)
    return BackendResult("ok")

async def main():
    async with office(folder, url, is_new=not (folder / "asked").exists()) as here:
        here.diary.call = call
        if not (folder / "asked").exists():
            await here.wrote(state=DeedState.UNDOING)
        jobs = Undoing(here.deeds, here.planned).jobs()
        async with durable_work(locate(folder, url), instance="main", jobs=jobs) as work:
            await work.take_up(Errand(UNDO, DEED))
            await work.settled(Errand(UNDO, DEED))
            print((await here.actions.of_call("c1"))[0].state)

asyncio.run(main())
"""


def test_a_server_that_is_killed_while_undoing_goes_on_with_the_same_key(tmp_path: Path, database_url: str) -> None:
    command = [sys.executable, "-c", _SERVER, str(tmp_path), database_url]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    server = subprocess.Popen(command, env=environment)
    deadline_s = time.monotonic() + 60
    while not (tmp_path / "asked").exists():
        assert server.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    server.send_signal(signal.SIGKILL)
    server.wait()
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert again.stdout.strip().splitlines()[-1] == "undone"
    # The system may have heard the first: by the key it knows the second for the same.
    assert (tmp_path / "asked").read_text().splitlines() == [f"unbook undo:c1/{DEED}"] * 2
