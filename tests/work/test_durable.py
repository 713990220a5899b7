"""Errands: begun once, tried again, and taken up after a death."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from voicebot.records.database import Database, locate
from voicebot.work.durable import Errand, ErrandState, Patience, Step, durable_work

IMPATIENT = Patience(attempts=3, first_wait_s=0.01, factor=1.0)
pytestmark = pytest.mark.xdist_group("durable")


async def test_each_step_is_done_once_in_order_however_often_it_is_begun(tmp_path: Path, database_url: str) -> None:
    done: list[str] = []

    async def first(subject: str) -> Sequence[Errand]:
        done.append(f"first {subject}")
        return [Errand("note", f"{subject}/a"), Errand("note", f"{subject}/b")]

    async def second(subject: str) -> Sequence[Errand]:
        done.append(f"second {subject}")
        return ()

    async def note(subject: str) -> Sequence[Errand]:
        done.append(f"note {subject}")
        return ()

    jobs = {"after": [Step("first", first), Step("second", second)], "note": [Step("note", note)]}
    url = locate(tmp_path, database_url)
    async with Database.served(url, instance="one"):
        async with durable_work(url, instance="one", jobs=jobs) as work:
            errand = Errand("after", "call1")
            for _ in range(3):
                await work.begin(errand)
            assert await work.settled(errand) is ErrandState.DONE
            assert await work.settled(Errand("note", "call1/b")) is ErrandState.DONE
            assert await work.known([errand, Errand("after", "call2")]) == {"after:call1"}
        async with durable_work(url, instance="one", jobs=jobs) as work:
            await work.begin(errand)
            assert await work.settled(errand) is ErrandState.DONE
    assert await asyncio.to_thread(len, done) == len(done)  # the loop's threads are there afterwards
    assert sorted(done) == ["first call1", "note call1/a", "note call1/b", "second call1"]
    assert done.index("first call1") < done.index("second call1")


async def test_much_work_at_once_is_done_by_few_threads(tmp_path: Path, database_url: str) -> None:
    done: set[str] = set()

    async def note(subject: str) -> Sequence[Errand]:
        done.add(subject)
        return ()

    url = locate(tmp_path, database_url)
    errands = [Errand("note", f"call{number}") for number in range(60)]
    async with (
        Database.served(url, instance="one"),
        durable_work(url, instance="one", jobs={"note": [Step("note", note)]}) as work,
    ):
        await asyncio.gather(*(work.begin(errand) for errand in errands))
        states = await asyncio.gather(*(work.settled(errand) for errand in errands))
        threads = [thread.name for thread in threading.enumerate() if thread.name.startswith("dbos-executor")]
    assert set(states) == {ErrandState.DONE}
    assert done == {errand.subject for errand in errands}
    assert 0 < len(threads) <= 16


async def test_a_step_that_fails_is_tried_again_and_given_up_in_the_end(tmp_path: Path, database_url: str) -> None:
    tries = 0
    mended = False

    async def shaky(subject: str) -> Sequence[Errand]:
        nonlocal tries
        tries += 1
        if not mended:
            raise ConnectionError(f"no route for {subject} of Ada Lovelace")
        return ()

    url = locate(tmp_path, database_url)
    async with (
        Database.served(url, instance="one"),
        durable_work(url, instance="one", jobs={"shaky": [Step("shaky", shaky)]}, patience=IMPATIENT) as work,
    ):
        errand = Errand("shaky", "call1")
        await work.begin(errand)
        assert await work.settled(errand) is ErrandState.FAILED
        assert tries == IMPATIENT.attempts
        assert [report.errand for report in await work.failed()] == [errand]
        mended = True
        await work.again(errand)
        async with asyncio.timeout(10):
            while await work.failed():
                await asyncio.sleep(0.05)
        assert await work.settled(errand) is ErrandState.DONE
    for file in tmp_path.iterdir():
        assert b"Lovelace" not in file.read_bytes()


_SERVER = """
import asyncio, sys, os
from pathlib import Path
from voicebot.records.database import Database, locate
from voicebot.work.durable import Errand, Step, durable_work
folder, url_text = Path(sys.argv[1]), sys.argv[2]

def step(number):
    async def work(subject):
        with (folder / "done").open("a") as file:
            file.write(f"{number}\\n"); file.flush(); os.fsync(file.fileno())
        if number == 2 and len((folder / "done").read_text().split()) == 2:
            (folder / "hangs").touch()
            await asyncio.sleep(60)
        return ()
    return Step(f"step {number}", work)

async def main():
    url = locate(folder, url_text)
    async with Database.served(url, instance="one"):
        async with durable_work(url, instance="one", jobs={"job": [step(n) for n in (1, 2, 3)]}) as work:
            await work.begin(Errand("job", "call1"))
            print(await work.settled(Errand("job", "call1")), flush=True)

asyncio.run(main())
"""


def test_work_goes_on_where_a_killed_server_left_it(tmp_path: Path, database_url: str) -> None:
    command = [sys.executable, "-c", _SERVER, str(tmp_path), database_url]
    server = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])})
    deadline_s = time.monotonic() + 60
    while not (tmp_path / "hangs").exists():
        assert server.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    server.send_signal(signal.SIGKILL)
    server.wait()
    again = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert again.stdout.strip() == "done"
    # The step that was under way is done again, which is why steps carry keys; the one before it is not.
    assert (tmp_path / "done").read_text().split() == ["1", "2", "2", "3"]
