"""The end-of-turn client against a real worker process, and against none."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio
from wyoming.error import Error
from wyoming.event import Event

from tests.speech.listening.sounds import line, voice
from voicebot.errors import LocalProtocolError, RemoteProtocolError
from voicebot.simulation.sounds import silence
from voicebot.speech.listening.end_of_turn import EndOfTurnClient
from voicebot.speech.listening.models import EndOfTurnModel
from voicebot.speech.listening.service import ANSWERED, answer, create, question
from voicebot.speech.workers.peer import Patience
from voicebot.speech.workers.pool import WorkerPool
from voicebot.speech.workers.process import WorkerSpec

LONG_S = 20.0
UTTERANCE = line(np.concatenate([voice("what is the balance of my account"), silence(200)]))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[WorkerPool]:
    async with WorkerPool(WorkerSpec(kind="turn")) as pool:
        yield pool


@pytest.mark.asyncio(loop_scope="module")
async def test_the_worker_answers_with_the_models_probability(pool: WorkerPool) -> None:
    client = EndOfTurnClient(pool, deadline_s=LONG_S)
    assert await client.probability(UTTERANCE.tobytes()) == pytest.approx(
        EndOfTurnModel().probability(UTTERANCE), abs=1e-6
    )


@pytest.mark.asyncio(loop_scope="module")
async def test_several_callers_are_answered_at_once(pool: WorkerPool) -> None:
    client = EndOfTurnClient(pool, deadline_s=LONG_S)
    answers = await asyncio.gather(*(client.probability(UTTERANCE.tobytes()) for _ in range(6)))
    assert all(each is not None for each in answers)


@pytest.mark.asyncio(loop_scope="module")
async def test_an_answer_that_comes_too_late_is_none(pool: WorkerPool) -> None:
    assert await EndOfTurnClient(pool, deadline_s=0.0).probability(UTTERANCE.tobytes()) is None


@pytest.mark.asyncio(loop_scope="module")
async def test_a_question_without_audio_is_refused(pool: WorkerPool) -> None:
    async with pool.lease() as worker:
        worker.send(question(b""))
        refused = Error.from_event(await worker.receive())
    assert refused.code == "no_audio"


async def test_without_a_worker_silence_decides() -> None:
    async with WorkerPool(WorkerSpec(kind="turn"), patience=Patience(first_back_off_s=30.0)) as pool:
        (peer,) = pool.status().peers
        assert peer.pid is not None
        os.kill(peer.pid, signal.SIGKILL)
        assert await EndOfTurnClient(pool).probability(UTTERANCE.tobytes()) is None


@pytest.mark.parametrize("data", [{}, {"probability": "high"}, {"probability": 1.5}, {"probability": float("nan")}])
def test_an_answer_of_another_shape_is_the_workers_fault(data: dict[str, object]) -> None:
    with pytest.raises(RemoteProtocolError, match="something else"):
        answer(Event(ANSWERED, data))


def test_an_unknown_option_is_our_own_fault() -> None:
    with pytest.raises(LocalProtocolError, match="no options"):
        create({"model": "v4"})
