"""The Whisper engine on a tiny model that the test writes: real loading, decoding, streaming and cancelling."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.fakes.whisper_model import write_whisper_model
from tests.speech.spoken import frames, spoken
from voicebot.dialog.expectation import AnswerKind, Domain, Expectation
from voicebot.errors import EngineUnavailable
from voicebot.speech.asr import Hypothesis
from voicebot.speech.recognition.sphinx.domain import compile_domain
from voicebot.speech.recognition.transcriber import WorkerTranscriber
from voicebot.speech.recognition.whisper.desk import Urgency
from voicebot.speech.recognition.whisper.engine import WhisperEngine, WhisperStream
from voicebot.speech.recognition.whisper.model import Cue, Decoded, Likelier, Model, Samples, Text
from voicebot.speech.recognition.wire import Request
from voicebot.speech.workers.pool import WorkerPool
from voicebot.speech.workers.process import WorkerSpec

OPEN = Request("open", (AnswerKind.OPEN,), (), (), secret=False, domain=None)
TEXT = "where is my order"
PAUSE = bytes(16 * 400)


class CountingModel(Model):
    """The real model, and a count of how often it was made to decode."""

    decodings = 0

    def decode(
        self, samples: Samples, cue: Cue, cancelled: Callable[[], bool], *, draft: bool = False
    ) -> Decoded | None:
        self.decodings += 1
        return super().decode(samples, cue, cancelled, draft=draft)


class HintsUnread(CountingModel):
    """Without the text before: the tiny model counts its tokens from the beginning."""

    @classmethod
    def like(cls, directory: Path) -> HintsUnread:
        return cls(str(directory), threads=1, compute_type="int8", context_s=5.0, local_only=True)

    def decode(
        self, samples: Samples, cue: Cue, cancelled: Callable[[], bool], *, draft: bool = False
    ) -> Decoded | None:
        return super().decode(samples, replace(cue, prompt=""), cancelled, draft=draft)


def load(directory: Path, context_s: float = 5.0) -> CountingModel:
    return CountingModel(str(directory), threads=1, compute_type="int8", context_s=context_s, local_only=True)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_whisper_model(tmp_path_factory.mktemp("models") / "tiny-test", says=TEXT)


@pytest.fixture
def model(directory: Path) -> CountingModel:
    return load(directory)


@pytest.fixture
async def engine(model: CountingModel) -> AsyncIterator[WhisperEngine]:
    engine = WhisperEngine(model, max_sessions=2)
    yield engine
    await engine.close()


async def nothing(text: str) -> None:
    del text


async def hear(stream: WhisperStream, pcm: bytes) -> None:
    for frame in frames(pcm):
        await stream.feed(frame)


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


def test_where_a_number_is_asked_for_digit_strings_of_its_lengths_are_weighed(tmp_path: Path) -> None:
    model = load(write_whisper_model(tmp_path / "reads", says="4 5 1 2"))
    quiet = np.zeros(16000, dtype=np.float32)
    decoded = model.decode(quiet, Cue(lengths=(4,)), lambda: False)
    assert decoded is not None
    assert decoded.numbers[0][0] == "4 5 1 2"
    assert all(len(digits.split()) == 4 for digits, _ in decoded.numbers)
    shares = [share for _, share in decoded.numbers]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) <= 1.0 + 1e-3
    unasked = model.decode(quiet, Cue(), lambda: False)
    assert unasked is not None
    assert unasked.numbers == ()


async def test_a_number_read_out_comes_before_the_text_and_after_words_that_are_none(tmp_path: Path) -> None:
    digits = Request("number", (AnswerKind.DIGITS,), (), (4,), secret=False, domain=None)
    for says, first in (("4 5 1 2", "4 5 1 2"), ("i have lost it", "i have lost it")):
        engine = WhisperEngine(HintsUnread.like(write_whisper_model(tmp_path / says, says=says)), max_sessions=1)
        stream = await engine.open(digits, nothing)
        await hear(stream, spoken("Four five one two."))
        heard = await stream.finish()
        assert heard[0].text == first
        assert [each.confidence for each in heard] == sorted((each.confidence for each in heard), reverse=True)
        await stream.close()
        await engine.close()


class Finds(CountingModel):
    """Finds what it is told to in whatever is said."""

    found: Decoded

    def decode(
        self, samples: Samples, cue: Cue, cancelled: Callable[[], bool], *, draft: bool = False
    ) -> Decoded | None:
        return self.found


async def heard_at_a_number(directory: Path, found: Decoded, digits: int) -> list[str]:
    model = Finds(str(directory), threads=1, compute_type="int8", context_s=5.0, local_only=True)
    model.found = found
    engine = WhisperEngine(model, max_sessions=1)
    stream = await engine.open(
        Request("number", (AnswerKind.DIGITS,), (), (digits,), secret=False, domain=None), nothing
    )
    await hear(stream, spoken("Three."))
    heard = await stream.finish()
    await stream.close()
    await engine.close()
    return [each.text for each in heard]


@pytest.mark.parametrize(
    ("text", "log_probability", "spelled", "heard"),
    [
        ("3 " * 40, -0.2, 0.5, ["3", "2"]),
        ("T", -4.0, 0.5, ["3", "2"]),
        ("Please.", -0.4, 0.5, ["3", "2"]),
        ("2 2 7 1.", -2.0, 0.1, []),
        ("3", -0.2, 0.1, ["3"]),
        ("Stop.", -0.2, 0.1, ["Stop."]),
        ("What", -1.5, 0.1, ["What"]),
    ],
)
async def test_one_digit_is_told_by_its_own_probability(
    directory: Path, text: str, log_probability: float, spelled: float, heard: list[str]
) -> None:
    numbers = (("3", 0.6), ("2", 0.3))
    found = Decoded((Text(text, log_probability),), 0.1, numbers=numbers, spelled=spelled, alone=True)
    assert await heard_at_a_number(directory, found, 1) == heard


async def test_one_digit_among_words_that_go_with_it_is_searched_like_a_number(directory: Path) -> None:
    found = Decoded((Text("It's three.", -0.2),), 0.1, numbers=(("3", 0.6), ("2", 0.3)), spelled=0.3)
    assert await heard_at_a_number(directory, found, 1) == ["3", "2", "It's three."]


def test_of_one_digit_all_ten_are_weighed(tmp_path: Path) -> None:
    model = load(write_whisper_model(tmp_path / "random", says=None))
    noise = np.random.default_rng(3).normal(0, 0.05, 8000).astype(np.float32)
    decoded = model.decode(noise, Cue(lengths=(1,)), lambda: False)
    assert decoded is not None
    shares = dict(decoded.numbers)
    assert sorted(shares) == list("0123456789")
    assert sum(shares.values()) == pytest.approx(1.0)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert decoded.alone
    assert 0.0 < decoded.spelled <= 1.0
    longer = model.decode(np.tile(noise, 4), Cue(lengths=(1,)), lambda: False)
    assert longer is not None
    assert not longer.alone, "a phrase may hold a digit, but it does not come next"


@pytest.mark.parametrize(("says", "no_digit"), [("mm hmm", True), ("maybe", False)])
def test_a_dark_sound_that_is_written_as_a_hum_is_no_digit(tmp_path: Path, says: str, no_digit: bool) -> None:
    model = HintsUnread.like(write_whisper_model(tmp_path / "says", says=says))
    murmur = (0.1 * np.sin(2 * np.pi * 240 * np.arange(8000) / 16000)).astype(np.float32)
    soft_s = np.random.default_rng(1).normal(0, 0.016, 8000).astype(np.float32)
    decoded = model.decode(murmur + soft_s, Cue(lengths=(1,)), lambda: False)
    assert decoded is not None
    assert decoded.texts[0].text == says
    assert decoded.alone
    assert (decoded.spelled == 0.0) is no_digit


@pytest.mark.parametrize(
    ("text", "first"), [("I'm 1 9 0 4.", "5 1 9 0 4"), ("I want 904", "5 1 9 0 4"), ("I moved on 4", "I moved on 4")]
)
async def test_a_number_of_which_a_digit_sounds_like_words_is_searched_among_digits(
    directory: Path, text: str, first: str
) -> None:
    found = Decoded((Text(text, -0.5),), 0.1, numbers=(("5 1 9 0 4", 0.04), ("9 1 9 0 4", 0.03)), spelled=0.5)
    assert (await heard_at_a_number(directory, found, 5))[0] == first


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
