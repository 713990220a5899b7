"""The Whisper engine on a tiny model that the test writes: real loading, decoding, streaming and cancelling."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.fakes.whisper_model import write_whisper_model
from tests.speech.recognition.whisper.tiny import TEXT, CountingModel, HintsUnread, hear, load, nothing
from tests.speech.spoken import frames, spoken
from voicebot.dialog.expectation import AnswerKind, Domain, Expectation
from voicebot.errors import EngineUnavailable
from voicebot.speech.asr import Hypothesis
from voicebot.speech.recognition.sphinx.domain import compile_domain
from voicebot.speech.recognition.transcriber import WorkerTranscriber
from voicebot.speech.recognition.whisper.decoder import Writing, Written
from voicebot.speech.recognition.whisper.desk import Urgency
from voicebot.speech.recognition.whisper.engine import WhisperEngine
from voicebot.speech.recognition.whisper.model import Cue, Decoded, Likelier, Samples
from voicebot.speech.recognition.wire import Request
from voicebot.speech.workers.pool import WorkerPool
from voicebot.speech.workers.process import WorkerSpec

OPEN = Request("open", (AnswerKind.OPEN,), (), (), secret=False, domain=None)
PAUSE = bytes(16 * 400)


@pytest.fixture
def model(directory: Path) -> CountingModel:
    return load(directory)


@pytest.fixture
async def engine(model: CountingModel) -> AsyncIterator[WhisperEngine]:
    engine = WhisperEngine(model, max_sessions=2)
    yield engine
    await engine.close()


def best(heard: tuple[Hypothesis, ...] | None) -> str:
    return heard[0].text if heard else ""


async def until_rested(engine: WhisperEngine) -> None:
    async with asyncio.timeout(10):
        while not engine.rested:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.01)


async def test_a_worker_recognises_with_the_model_in_its_options(directory: Path) -> None:
    spec = WorkerSpec(kind="asr", options={"engine": "whisper", "model": str(directory), "context_s": 5})
    async with WorkerPool(spec) as pool:
        assert pool.status().engine == "faster-whisper"
        assert pool.status().model == "tiny-test"
        assert pool.status().missing == ()
        transcriber = WorkerTranscriber([pool])
        utterance = await transcriber.start(Expectation("open", (AnswerKind.OPEN,)))
        utterance.feed(spoken("Where is my order?"))
        final = await utterance.finish()
        await transcriber.close()
    hypothesis, *others = final.hypotheses
    assert all(other.confidence <= hypothesis.confidence for other in others)
    assert (hypothesis.text, final.engine) == (TEXT, "faster-whisper")
    assert hypothesis.confidence > 0.5
    assert [word.text for word in hypothesis.words] == TEXT.split()
    assert all(0 <= word.start_s <= word.end_s for word in hypothesis.words)


async def test_words_have_their_marks_and_their_place_in_the_utterance(tmp_path: Path) -> None:
    engine = WhisperEngine(load(write_whisper_model(tmp_path, says="where, is it?")), max_sessions=1)
    stream = await engine.open(OPEN, nothing)
    await hear(stream, bytes(16_000 * 2) + spoken("Where is my order?") + PAUSE)
    (heard, *_) = await stream.finish()
    await stream.close()
    await engine.close()
    assert [word.text for word in heard.words] == ["where,", "is", "it?"]
    assert heard.words[0].start_s > 1.5


async def test_silence_is_never_decoded(engine: WhisperEngine, model: CountingModel) -> None:
    stream = await engine.open(OPEN, nothing)
    await hear(stream, bytes(32000))
    assert await stream.finish() == ()
    assert model.decodings == 0
    await stream.close()


async def test_a_pause_is_decoded_ahead_and_the_final_is_there_already(
    engine: WhisperEngine, model: CountingModel
) -> None:
    stream = await engine.open(OPEN, None)
    await hear(stream, spoken("Where is my order?") + PAUSE)
    assert best(await stream.look_ahead()) == TEXT
    assert best(await stream.finish()) == TEXT
    assert model.decodings == 1
    await stream.close()


async def test_speech_after_a_pause_is_decoded_again(engine: WhisperEngine, model: CountingModel) -> None:
    stream = await engine.open(OPEN, nothing)
    await hear(stream, spoken("Where is my order?") + PAUSE)
    await stream.look_ahead()
    guessed = model.decodings
    await stream.go_on()
    await hear(stream, spoken("The blue one."))
    assert best(await stream.finish()) == TEXT
    assert model.decodings > guessed
    await stream.close()


async def test_a_guess_at_a_pause_is_cancelled_before_it_costs_anything_when_speech_resumes(
    engine: WhisperEngine, model: CountingModel
) -> None:
    gate = threading.Event()

    def wait(_cancelled: Callable[[], bool]) -> None:
        gate.wait(10)

    others = engine.submit(wait, Urgency.FINAL)
    stream = await engine.open(OPEN, nothing)
    await hear(stream, spoken("Where is my order?") + PAUSE)
    looking = asyncio.create_task(stream.look_ahead())
    await asyncio.sleep(0.01)
    await stream.go_on()
    assert await looking == ()
    gate.set()
    await others.result
    await until_rested(engine)
    assert model.decodings == 0
    await stream.close()


async def test_partials_are_tried_every_500_to_700_ms_of_speech(engine: WhisperEngine, model: CountingModel) -> None:
    stream = await engine.open(OPEN, nothing)
    speech = spoken("I would like to know where my order is and when it is going to be here.").strip(b"\0")
    tried_at: list[int] = []
    for number, frame in enumerate(frames(speech[: len(speech) // 320 * 320])):
        before = model.decodings
        await stream.feed(frame)
        await until_rested(engine)
        if model.decodings > before:
            tried_at.append(number * 20)
    gaps = [later - earlier for earlier, later in pairwise(tried_at)]
    assert len(gaps) >= 3
    assert all(500 <= gap <= 700 for gap in gaps)
    await stream.close()


async def test_what_the_dialog_asks_for_stands_before_the_text_that_is_decoded(directory: Path) -> None:
    told: list[str] = []

    class Told(CountingModel):
        def decode(
            self, samples: Samples, cue: Cue, cancelled: Callable[[], bool], *, draft: bool = False
        ) -> Decoded | None:
            told.append(cue.prompt)
            return super().decode(samples, cue, cancelled, draft=draft)

    model = Told(str(directory), threads=1, compute_type="int8", context_s=5.0, local_only=True)
    engine = WhisperEngine(model, max_sessions=1)
    asked = Request("account", (AnswerKind.CHOICE,), ("checking", "savings"), (), secret=False, domain=None)
    stream = await engine.open(asked, nothing)
    await hear(stream, spoken("Savings."))
    await stream.finish()
    assert told == ["Checking. Savings."]
    await stream.close()
    await engine.close()


def test_nothing_in_decoding_is_drawn_by_chance(tmp_path: Path) -> None:
    model = load(write_whisper_model(tmp_path / "random", says=None))
    noise = np.random.default_rng(1).normal(0, 0.1, 16000).astype(np.float32)
    first, second = (model.decode(noise, Cue(), lambda: False) for _ in range(2))
    assert first is not None
    assert first == second


@pytest.mark.parametrize(("over", "written"), [(True, 14), (False, 33)])
def test_a_text_that_begins_again_is_written_on_only_while_the_sound_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, over: bool, written: int
) -> None:
    most: list[int] = []

    class Noting(Writing):
        def up_to(self, count: int) -> Written:
            most.append(count)
            return super().up_to(count)

    monkeypatch.setattr("voicebot.speech.recognition.whisper.model.Writing", Noting)
    # What the tiny model attends to is left to chance.
    monkeypatch.setattr("voicebot.speech.recognition.whisper.model._LAST_WORD_S", 2.8 if over else 0.0)
    directory = write_whisper_model(tmp_path, says=4 * "go up now. ")
    model = load(directory)
    most.clear()
    sound = np.random.default_rng(0).normal(0, 0.1, round(2.8 * 16000)).astype(np.float32)
    decoded = model.decode(sound, Cue(enough=lambda *_: True), lambda: False)
    assert decoded is not None
    assert [each.text for each in decoded.texts] == ["go up now."]
    assert max(most) == written


async def test_partials_are_what_two_passes_agree_on(engine: WhisperEngine) -> None:
    shown: list[str] = []

    async def show(text: str) -> None:
        shown.append(text)

    stream = await engine.open(OPEN, show)
    speech = spoken("I would like to know where my order is and when it is going to be here.").rstrip(b"\0")
    for frame in frames(speech[: len(speech) // 320 * 320]):
        await stream.feed(frame)
        await until_rested(engine)
    assert shown == [TEXT], "the first pass shows nothing, and later ones nothing new"
    await stream.close()


async def test_no_partial_is_tried_while_another_caller_is_decoded(engine: WhisperEngine, model: CountingModel) -> None:
    gate = threading.Event()

    def wait(_cancelled: Callable[[], bool]) -> None:
        gate.wait(10)

    others = engine.submit(wait, Urgency.FINAL)
    stream = await engine.open(OPEN, nothing)
    speech = spoken("I would like to know where my order is and when it is going to be here.").rstrip(b"\0")
    await hear(stream, speech[: len(speech) // 320 * 320])
    gate.set()
    await others.result
    await until_rested(engine)
    assert model.decodings == 0
    await stream.close()


async def test_a_full_engine_refuses_and_has_room_again_after_a_close(engine: WhisperEngine) -> None:
    first, _second = await engine.open(OPEN, nothing), await engine.open(OPEN, nothing)
    with pytest.raises(EngineUnavailable):
        await engine.open(OPEN, nothing)
    await first.close()
    await first.close()
    await engine.open(OPEN, nothing)
    with pytest.raises(EngineUnavailable):
        await engine.open(OPEN, nothing)


async def test_random_weights_give_nothing_that_a_caller_said(tmp_path: Path) -> None:
    engine = WhisperEngine(load(write_whisper_model(tmp_path / "random", says=None)), max_sessions=1)
    stream = await engine.open(OPEN, nothing)
    await hear(stream, spoken("Where is my order?"))
    for hypothesis in await stream.finish():
        assert isinstance(hypothesis, Hypothesis)
        assert hypothesis.confidence < 0.3
    await engine.close()


@pytest.mark.parametrize("context_s", [5.0, 30.0])
async def test_short_and_full_contexts_hear_the_same(directory: Path, context_s: float) -> None:
    engine = WhisperEngine(load(directory, context_s), max_sessions=1)
    stream = await engine.open(OPEN, nothing)
    await hear(stream, spoken("Where is my order?"))
    assert best(await stream.finish()) == TEXT
    await engine.close()


@pytest.mark.parametrize(("requests", "enough"), [((TEXT,), True), (("Cancel that, please.",), False)])
async def test_words_that_the_question_expects_need_no_alternatives(
    tmp_path: Path, directory: Path, requests: tuple[str, ...], enough: bool
) -> None:
    told: list[bool] = []

    class Told(CountingModel):
        def decode(
            self, samples: Samples, cue: Cue, cancelled: Callable[[], bool], *, draft: bool = False
        ) -> Decoded | None:
            assert cue.enough is not None
            told.append(cue.enough(TEXT, lambda _: 0.0))
            return super().decode(samples, cue, cancelled, draft=draft)

    open_question = Expectation("open", (AnswerKind.OPEN,))
    domain = await asyncio.to_thread(compile_domain, Domain("v1", requests, (open_question,)), tmp_path)
    model = Told(str(directory), threads=1, compute_type="int8", context_s=5.0, local_only=True)
    engine = WhisperEngine(model, max_sessions=1)
    stream = await engine.open(Request.of(open_question, domain), None)
    await hear(stream, spoken("Where is my order?") + PAUSE)
    await stream.finish()
    await stream.close()
    await engine.close()
    assert told == [enough]


def test_a_text_that_is_enough_gets_no_alternatives(tmp_path: Path) -> None:
    model = HintsUnread.like(write_whisper_model(tmp_path / "says", says=TEXT))
    asked: list[str] = []

    def enough(text: str, _likelier: Likelier) -> bool:
        asked.append(text)
        return len(asked) == 1

    quiet = np.zeros(48000, dtype=np.float32)
    one = model.decode(quiet, Cue(enough=enough), lambda: False)
    several = model.decode(quiet, Cue(enough=enough), lambda: False)
    assert one is not None
    assert several is not None
    assert asked == [TEXT, TEXT]
    assert [each.text for each in one.texts] == [TEXT]
    assert len(several.texts) > 1


def test_another_text_is_weighed_against_the_decoded_one(tmp_path: Path) -> None:
    model = HintsUnread.like(write_whisper_model(tmp_path / "says", says=TEXT))
    weighed: dict[str, float] = {}

    def enough(text: str, likelier: Likelier) -> bool:
        weighed.update({other: likelier(other) for other in (text, "something else")})
        return True

    assert model.decode(np.zeros(48000, dtype=np.float32), Cue(enough=enough), lambda: False) is not None
    assert weighed[TEXT] == pytest.approx(0.0, abs=1e-3)
    assert weighed["something else"] < -10


def test_a_text_without_end_is_stopped_where_nobody_speaks_so_fast(tmp_path: Path) -> None:
    model = load(write_whisper_model(tmp_path / "endless", says="where is my order and when"))
    decoded = model.decode(np.zeros(16000, dtype=np.float32), Cue(), lambda: False)
    assert decoded is not None
    assert len(decoded.texts[0].text) <= 18, "this model's tokens are letters"


def test_a_damaged_model_is_named_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"not a model")
    with pytest.raises(EngineUnavailable, match=str(tmp_path)):
        load(tmp_path)
