"""Both passes in one engine: pocketsphinx is real, and so is all of Whisper but the weights of its model."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.whisper_model import write_whisper_model
from tests.speech.spoken import frames, spoken
from voicebot.dialog.expectation import AnswerKind, Domain, Expectation
from voicebot.errors import EngineUnavailable
from voicebot.speech.asr import Hypothesis
from voicebot.speech.recognition.engine import OnPartial
from voicebot.speech.recognition.sphinx.decoder import wheel_acoustics
from voicebot.speech.recognition.sphinx.domain import compile_domain
from voicebot.speech.recognition.sphinx.engine import SphinxEngine
from voicebot.speech.recognition.two_pass import engine as two_pass
from voicebot.speech.recognition.two_pass.engine import ENGINE, LATE_S, TwoPassEngine
from voicebot.speech.recognition.whisper.desk import Job, Urgency, Work
from voicebot.speech.recognition.whisper.engine import WhisperEngine
from voicebot.speech.recognition.whisper.model import Cue, Decoded, Model, Samples
from voicebot.speech.recognition.wire import Request
from voicebot.speech.workers.capabilities import Capabilities, Feature

FIRST = Expectation("first", (AnswerKind.OPEN,))
NUMBER = Expectation("number", (AnswerKind.DIGITS,), lengths=(4,))
SAID = "where is my parcel"


class HintsUnread(Model):
    """Without the text before: the tiny model counts its tokens from the beginning."""

    def decode(
        self, samples: Samples, cue: Cue, cancelled: Callable[[], bool], *, draft: bool = False
    ) -> Decoded | None:
        return super().decode(samples, replace(cue, prompt=""), cancelled, draft=draft)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_whisper_model(tmp_path_factory.mktemp("models") / "tiny", says=SAID)


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    requests = ("where is my order", "where is my parcel", "talk to a person")
    return compile_domain(Domain("1", requests, (FIRST, NUMBER)), tmp_path_factory.mktemp("domain"))


@pytest.fixture
def second(directory: Path) -> WhisperEngine:
    model = HintsUnread(str(directory), threads=1, compute_type="int8", context_s=5.0, local_only=True)
    return WhisperEngine(model, max_sessions=2)


@pytest.fixture
async def engine(second: WhisperEngine) -> AsyncIterator[TwoPassEngine]:
    engine = TwoPassEngine(SphinxEngine(wheel_acoustics(), max_sessions=2), second)
    yield engine
    await engine.close()


async def ignore(_text: str) -> None:
    return


def texts(heard: tuple[Hypothesis, ...] | None) -> list[str]:
    return [each.text for each in heard or ()]


async def test_partials_are_the_first_passs_and_the_final_is_the_seconds(engine: TwoPassEngine, domain: Path) -> None:
    shown: list[str] = []

    async def show(text: str) -> None:
        shown.append(text)

    stream = await engine.open(Request.of(FIRST, domain), show)
    for frame in frames(spoken("Where is my order?")):
        await stream.feed(frame)
    assert any("order" in text for text in shown)
    assert texts(await stream.look_ahead())[0] == SAID
    heard = await stream.finish()
    assert texts(heard)[0] == SAID
    assert "where is my order" in texts(heard)
    assert stream.engine == ENGINE
    await stream.close()


async def test_a_second_pass_that_is_late_leaves_the_final_to_the_first(
    engine: TwoPassEngine, second: WhisperEngine, domain: Path
) -> None:
    gate = threading.Event()

    def wait(_cancelled: Callable[[], bool]) -> None:
        gate.wait(30)

    others = second.submit(wait, Urgency.FINAL)
    stream = await engine.open(Request.of(FIRST, domain), ignore)
    await stream.feed(spoken("Where is my order?"))
    heard = await stream.finish()
    assert texts(heard)[0] == "where is my order"
    assert stream.engine == "pocketsphinx"
    gate.set()
    await others.result
    await stream.close()


async def test_where_many_wait_for_the_second_pass_it_is_not_begun(
    engine: TwoPassEngine, second: WhisperEngine, domain: Path
) -> None:
    gate = threading.Event()

    def wait(_cancelled: Callable[[], bool]) -> None:
        gate.wait(30)

    others = [second.submit(wait, Urgency.FINAL) for _ in range(3)]
    await asyncio.sleep(0.05)
    stream = await engine.open(Request.of(FIRST, domain), ignore)
    await stream.feed(spoken("Where is my order?"))
    assert await stream.look_ahead() is None, "a provisional transcript would keep the better one out"
    assert second.waiting == 2
    began = asyncio.get_running_loop().time()
    assert texts(await stream.finish())[0] == "where is my order"
    assert asyncio.get_running_loop().time() - began < LATE_S
    assert stream.engine == "pocketsphinx"
    gate.set()
    await asyncio.gather(*(job.result for job in others))
    await stream.close()


async def test_a_number_is_heard_ahead_by_the_second_pass_though_not_by_the_first(
    engine: TwoPassEngine, second: WhisperEngine, domain: Path
) -> None:
    stream = await engine.open(Request.of(NUMBER, domain), ignore)
    await stream.feed(spoken("Four five one two."))
    assert await stream.look_ahead() is None
    assert second.idle, "what it heard waits for the final"
    assert texts(await stream.finish()) == [SAID], "words that it is sure of leave the first pass's number out"
    await stream.close()


async def test_a_piece_of_a_number_is_not_decoded_while_the_next_group_may_come(
    engine: TwoPassEngine, second: WhisperEngine, domain: Path
) -> None:
    decoded = 0
    submit = second.submit

    def count(work: Work, urgency: Urgency) -> Job:
        nonlocal decoded
        decoded += 1
        return submit(work, urgency)

    second.submit = count  # type: ignore[method-assign]  # counts, and does the work
    stream = await engine.open(Request.of(NUMBER, domain), ignore)
    for frame in frames(spoken("Four five.")):
        await stream.feed(frame)
    looking = asyncio.create_task(stream.look_ahead())
    await asyncio.sleep(0.1)
    assert decoded == 0
    looking.cancel()
    await stream.go_on()
    for frame in frames(spoken("One two.")):
        await stream.feed(frame)
    await stream.look_ahead()
    assert decoded == 1
    await stream.close()


async def test_a_piece_of_a_number_is_decoded_when_nothing_follows(
    engine: TwoPassEngine, domain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(two_pass, "_NEXT_GROUP_S", 0.05)
    stream = await engine.open(Request.of(NUMBER, domain), ignore)
    for frame in frames(spoken("Four five.")):
        await stream.feed(frame)
    await stream.look_ahead()
    assert texts(await stream.finish()) == [SAID]
    await stream.close()


async def test_talk_that_no_question_expects_is_dictated(engine: TwoPassEngine) -> None:
    stream = await engine.open(Request("talk", (AnswerKind.OPEN,), (), (), secret=False, domain=None), ignore)
    await stream.feed(spoken("Where is my order?"))
    assert texts(await stream.finish())[0] == SAID
    assert stream.engine == "faster-whisper"
    await stream.close()


async def test_an_utterance_that_one_pass_has_no_room_for_is_refused_whole(engine: TwoPassEngine, domain: Path) -> None:
    request = Request.of(FIRST, domain)
    streams = [await engine.open(request, ignore) for _ in range(2)]
    with pytest.raises(EngineUnavailable):
        await engine.open(request, ignore)
    await asyncio.gather(*(stream.close() for stream in streams))
    stream = await engine.open(request, ignore)
    await stream.close()


class Concluded:
    """The engine that hears along, done by the time that the other one asks what it heard."""

    def __init__(self, text: str, words: str) -> None:
        self.capabilities = Capabilities("sure", "", frozenset(Feature), 2)
        self.engine = "sure"
        self.words = frozenset(words.split())
        self.concluded = (Hypothesis(text, 0.9),)

    async def warm_up(self) -> None: ...

    async def prepare(self, domain: Path) -> None: ...

    async def open(self, request: Request, on_partial: OnPartial) -> Concluded:
        return self

    async def feed(self, pcm: bytes) -> None: ...

    async def look_ahead(self) -> tuple[Hypothesis, ...]:
        return self.concluded

    async def go_on(self) -> None: ...

    async def finish(self) -> tuple[Hypothesis, ...]:
        return self.concluded

    async def close(self) -> None: ...


@pytest.mark.parametrize(
    ("likelier", "first"), [(-2.0, "where is my order"), (-20.0, SAID)], ids=["nearly as likely", "unlikely"]
)
async def test_the_first_passs_words_count_where_the_second_finds_them_nearly_as_likely_as_its_own(
    second: WhisperEngine, domain: Path, monkeypatch: pytest.MonkeyPatch, likelier: float, first: str
) -> None:
    weighed: list[str] = []

    def weigh(_model: Model, _align: object, _said: object, other: str) -> float:
        weighed.append(other)
        return likelier

    monkeypatch.setattr(Model, "_likelier", weigh)
    engine = TwoPassEngine(Concluded("where is my order", SAID), second, late_s=60)
    stream = await engine.open(Request.of(FIRST, domain), ignore)
    await stream.feed(spoken("Where is my order?"))
    heard = await stream.finish()
    assert weighed == ["where is my order"]
    assert texts(heard)[0] == first
    assert SAID in texts(heard)
    await stream.close()
    await engine.close()


async def test_a_number_is_not_weighed_against_words_where_one_is_asked_for(
    second: WhisperEngine, domain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def weigh(_model: Model, _align: object, _said: object, other: str) -> float:
        raise AssertionError(other)

    monkeypatch.setattr(Model, "_likelier", weigh)
    engine = TwoPassEngine(Concluded("four five one two", SAID), second, late_s=60)
    stream = await engine.open(Request.of(NUMBER, domain), ignore)
    await stream.feed(spoken("Four five one two."))
    assert texts(await stream.finish()) == [SAID]
    await stream.close()
    await engine.close()
