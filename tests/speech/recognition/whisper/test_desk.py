from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from voicebot.speech.recognition.whisper.desk import Desk, Urgency, Work
from voicebot.speech.recognition.whisper.model import Decoded, Text


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    yield desk
    await desk.close()


def saying(text: str, order: list[str] | None = None, after: threading.Event | None = None) -> Work:
    def work(cancelled: Callable[[], bool]) -> Decoded | None:
        if after is not None:
            after.wait(5)
        if order is not None:
            order.append(text)
        return None if cancelled() else Decoded((Text(text, 0.0),), 0.0)

    return work


async def test_finals_overtake_guesses_and_partials(desk: Desk) -> None:
    order: list[str] = []
    gate = threading.Event()
    desk.submit(saying("running", order, gate), Urgency.PARTIAL)
    await asyncio.sleep(0.05)
    jobs = [
        desk.submit(saying("partial", order), Urgency.PARTIAL),
        desk.submit(saying("guess", order), Urgency.SPECULATIVE),
        desk.submit(saying("first final", order), Urgency.FINAL),
        desk.submit(saying("second final", order), Urgency.FINAL),
    ]
    assert not desk.idle
    gate.set()
    await asyncio.gather(*(job.result for job in jobs))
    assert order == ["running", "first final", "second final", "guess", "partial"]


async def test_a_desk_of_two_threads_runs_two_jobs_at_once() -> None:
    desk = Desk(2)
    together = threading.Barrier(2)

    def meet(_cancelled: Callable[[], bool]) -> None:
        together.wait(5)

    await asyncio.gather(*(desk.submit(meet, Urgency.FINAL).result for _ in range(2)))
    assert desk.idle
    await desk.close()


async def test_a_desk_has_rested_after_nine_times_as_long_as_its_last_job_took() -> None:
    now_s = 100.0
    desk = Desk(clock=lambda: now_s)

    def take_a_second(_cancelled: Callable[[], bool]) -> None:
        nonlocal now_s
        now_s += 1.0

    rested = [desk.rested]
    await desk.submit(take_a_second, Urgency.FINAL).result
    for later_s in (0.0, 8.9, 0.1):
        now_s += later_s
        rested.append(desk.rested)
    await desk.close()
    assert rested == [True, False, False, True]


@pytest.mark.parametrize(
    ("urgency", "rested"),
    [(Urgency.FINAL, [False, True]), (Urgency.SPECULATIVE, [False, True]), (Urgency.PARTIAL, [True, True])],
)
async def test_a_crowded_desk_has_no_time_to_spare_until_the_crowd_has_been_gone_for_long(
    urgency: Urgency, rested: list[bool]
) -> None:
    now_s = 100.0
    desk = Desk(clock=lambda: now_s)

    def take_a_tenth(_cancelled: Callable[[], bool]) -> None:
        nonlocal now_s
        now_s += 0.1

    for _ in range(60):
        await desk.submit(take_a_tenth, urgency).result
        now_s += 0.2
    seen = []
    for later_s in (1.0, 10.0):
        now_s += later_s
        seen.append(desk.rested)
    await desk.close()
    assert seen == rested


async def test_a_job_cancelled_while_it_waits_never_runs(desk: Desk) -> None:
    order: list[str] = []
    gate = threading.Event()
    running = desk.submit(saying("running", order, gate), Urgency.FINAL)
    waiting = desk.submit(saying("waiting", order), Urgency.FINAL)
    waiting.cancel()
    assert await waiting.result is None
    gate.set()
    await running.result
    await desk.submit(saying("next", order), Urgency.FINAL).result
    assert order == ["running", "next"]


async def test_a_job_cancelled_while_it_runs_gives_nothing(desk: Desk) -> None:
    gate = threading.Event()
    running = desk.submit(saying("running", None, gate), Urgency.FINAL)
    await asyncio.sleep(0.05)
    running.cancel()
    gate.set()
    assert await running.result is None


async def test_a_failing_job_fails_only_itself(desk: Desk) -> None:
    def broken(cancelled: Callable[[], bool]) -> Decoded | None:
        raise RuntimeError("out of memory")

    failing = desk.submit(broken, Urgency.FINAL)
    with pytest.raises(RuntimeError, match="out of memory"):
        await failing.result
    decoded = await desk.submit(saying("fine"), Urgency.FINAL).result
    assert decoded is not None
    assert decoded.texts[0].text == "fine"


async def test_a_job_that_is_hurried_goes_first_and_runs_once(desk: Desk) -> None:
    order: list[str] = []
    gate = threading.Event()
    first = desk.submit(saying("first", order, after=gate), Urgency.FINAL)
    guesses = [desk.submit(saying(text, order), Urgency.SPECULATIVE) for text in ("a", "b")]
    await asyncio.sleep(0.01)
    assert desk.waiting == 2
    desk.hurry(guesses[1], Urgency.FINAL)
    gate.set()
    await asyncio.gather(first.result, *(guess.result for guess in guesses))
    assert order == ["first", "b", "a"]
    assert desk.waiting == 0
    desk.hurry(first, Urgency.FINAL)
    await desk.submit(saying("last", order), Urgency.PARTIAL).result
    assert order[3:] == ["last"]
