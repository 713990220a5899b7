"""The Vosk engine: the real library with a real model, made here, whose words are tones of three heights."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from tests.fakes.vosk_model import tones, write_vosk_model
from tests.speech.spoken import frames
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.errors import EngineUnavailable
from voicebot.speech.asr import Hypothesis
from voicebot.speech.recognition.engine import Engine
from voicebot.speech.recognition.engines import build
from voicebot.speech.recognition.transcriber import WorkerTranscriber
from voicebot.speech.recognition.wire import Request
from voicebot.speech.workers.pool import WorkerPool
from voicebot.speech.workers.process import WorkerSpec

pytest.importorskip("vosk")

OPEN = Request("open", (AnswerKind.OPEN,), (), (), secret=False, domain=None)
SAID = ("low", 0.4), ("", 0.3), ("high", 0.5), ("middle", 0.3), ("", 0.2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vosk_model(tmp_path_factory.mktemp("models") / "tones")


@pytest.fixture
def engine(folder: Path) -> Engine:
    return build({"engine": "vosk", "model": str(folder)})


async def ignore(_text: str) -> None:
    return


async def hear(engine: Engine, audio: Iterable[bytes]) -> tuple[Hypothesis, ...]:
    stream = await engine.open(OPEN, ignore)
    for piece in audio:
        await stream.feed(piece)
    heard = await stream.finish()
    await stream.close()
    return heard


@pytest.mark.parametrize("rate_hz", [8_000, 16_000])
async def test_words_come_with_their_times_and_confidences_at_either_rate_of_a_model(
    tmp_path: Path, rate_hz: int
) -> None:
    engine = build({"engine": "vosk", "model": str(write_vosk_model(tmp_path / "m", sample_rate_hz=rate_hz))})
    await engine.warm_up()
    (heard,) = await hear(engine, frames(tones(("", 0.5), *SAID)))
    assert heard.text == "low high middle"
    times = [(word.start_s, word.end_s) for word in heard.words]
    assert times == [pytest.approx(there, abs=0.06) for there in [(0.5, 0.9), (1.2, 1.7), (1.7, 2.0)]]
    assert heard.confidence == pytest.approx(1.0, abs=0.05)


async def test_between_two_words_the_likelier_one_is_heard_and_the_closer_they_are_the_less_surely(
    engine: Engine,
) -> None:
    low, high = (np.frombuffer(tones(("", 0.3), (word, 0.2), ("", 0.3)), np.int16) for word in ("low", "high"))
    sure: dict[float, tuple[str, float]] = {}
    for share in (0.6, 0.7, 0.8, 0.9, 1.0):
        (heard,) = await hear(engine, [(share * low + (1 - share) * high).astype(np.int16).tobytes()])
        sure[share] = (heard.words[0].text, heard.words[0].confidence)
    assert [word for word, _ in sure.values()] == ["high", "high", "low", "low", "low"]
    confidences = [confidence for _, confidence in sure.values()]
    assert confidences[0] > confidences[1] > confidences[2] < confidences[3] < confidences[4]
    assert 0.4 < sure[0.8][1] < 0.8
    assert min(sure[0.6][1], sure[1.0][1]) > 0.97


async def test_words_are_shown_while_they_are_spoken(engine: Engine) -> None:
    partials: list[str] = []

    async def show(text: str) -> None:
        partials.append(text)

    stream = await engine.open(OPEN, show)
    for frame in frames(tones(("", 0.5), *SAID, ("", 0.3))):
        await stream.feed(frame)
    assert partials == ["low", "low high", "low high middle"]
    await stream.close()


async def test_what_kaldi_ends_by_itself_is_kept_and_more_is_put_behind_it(engine: Engine) -> None:
    partials: list[str] = []

    async def show(text: str) -> None:
        partials.append(text)

    stream = await engine.open(OPEN, show)
    for frame in frames(tones(("", 0.3), ("low", 0.4), ("", 1.5), ("high", 0.4), ("", 0.3))):
        await stream.feed(frame)
    (heard,) = await stream.finish()
    assert heard.text == "low high"
    assert [word.start_s for word in heard.words] == pytest.approx([0.3, 2.2], abs=0.06)
    assert partials == ["low", "low high"]
    await stream.close()


async def test_a_caller_who_goes_on_after_a_pause_loses_no_word_and_none_comes_twice(engine: Engine) -> None:
    stream = await engine.open(OPEN, ignore)
    await stream.feed(tones(("", 0.3), ("low", 0.4), ("", 0.24)))
    ahead = await stream.look_ahead()
    assert ahead
    await stream.go_on()
    await stream.feed(tones(("", 0.2), ("high", 0.4), ("middle", 0.3)))
    (heard,) = await stream.finish()
    assert [hypothesis.text for hypothesis in ahead] == ["low"]
    assert heard.text == "low high middle"
    assert [word.start_s for word in heard.words] == pytest.approx([0.3, 1.14, 1.54], abs=0.06)
    await stream.close()


async def test_a_caller_who_says_no_more_is_answered_with_what_was_heard_at_the_pause(engine: Engine) -> None:
    stream = await engine.open(OPEN, ignore)
    await stream.feed(tones(("", 0.3), ("low", 0.4), ("", 0.24)))
    ahead = await stream.look_ahead()
    await stream.feed(tones(("", 0.4)))
    assert await stream.finish() == ahead
    await stream.close()


async def test_silence_gives_nothing(engine: Engine) -> None:
    assert await hear(engine, [bytes(8000), tones(("", 1.0))]) == ()
    assert await hear(engine, []) == ()


async def test_utterances_of_one_model_do_not_hear_each_other(engine: Engine) -> None:
    one, other = await engine.open(OPEN, ignore), await engine.open(OPEN, ignore)
    first, second = (frames(tones(("", 0.4), (word, 0.5), ("", 0.4))) for word in ("low", "high"))
    for left, right in zip(first, second, strict=True):
        await asyncio.gather(one.feed(left), other.feed(right))
    assert [(await stream.finish())[0].text for stream in (one, other)] == ["low", "high"]


async def test_no_more_utterances_than_admitted_and_a_closed_one_makes_room(folder: Path) -> None:
    engine = build({"engine": "vosk", "model": str(folder), "max_sessions": 1})
    stream = await engine.open(OPEN, ignore)
    await stream.feed(tones(*SAID)[:4000])
    with pytest.raises(EngineUnavailable):
        await engine.open(OPEN, ignore)
    await stream.close()
    await stream.close()
    await (await engine.open(OPEN, ignore)).close()
    await engine.close()


async def test_a_worker_of_its_own_hears_a_call_and_forgets_a_cancelled_utterance(folder: Path) -> None:
    async with WorkerPool(WorkerSpec("asr", {"engine": "vosk", "model": str(folder)})) as pool:
        assert (pool.status().engine, pool.status().model) == ("vosk", "tones")
        transcriber = WorkerTranscriber([pool])
        cancelled = await transcriber.start(Expectation("open", (AnswerKind.OPEN,)))
        cancelled.feed(tones(*SAID))
        await asyncio.sleep(0.1)
        cancelled.cancel()
        utterance = await transcriber.start(Expectation("open", (AnswerKind.OPEN,)))
        for frame in frames(tones(("", 0.4), *SAID)):
            utterance.feed(frame)
        final = await utterance.finish()
        await transcriber.close()
        assert sum(peer.sessions for peer in pool.status().peers) == 0
    assert [heard.text for heard in final.hypotheses] == ["low high middle"]
    assert final.engine == "vosk"


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="no Vosk model"):
        build({"engine": "vosk", "model": str(tmp_path / "nowhere")})
    with pytest.raises(EngineUnavailable, match="cannot load"):
        build({"engine": "vosk", "model": str(tmp_path)})


@pytest.mark.parametrize("damaged", ["am/final.mdl", "graph/HCLG.fst", "graph/words.txt"])
def test_a_damaged_model_is_refused_with_the_name_of_its_folder(tmp_path: Path, damaged: str) -> None:
    folder = write_vosk_model(tmp_path / "tones")
    (folder / damaged).write_bytes((folder / damaged).read_bytes()[:20])
    with pytest.raises(EngineUnavailable, match=str(folder)):
        build({"engine": "vosk", "model": str(folder)})


@pytest.mark.parametrize(("rate", "why"), [("11025", "8000 or 16000"), ("wide", "must be a number")])
def test_a_model_of_a_rate_that_no_call_has_is_refused_with_the_file_that_says_it(
    tmp_path: Path, rate: str, why: str
) -> None:
    folder = write_vosk_model(tmp_path / "tones")
    file = folder / "conf" / "mfcc.conf"
    file.write_text(file.read_text().replace("=8000", f"={rate}"))
    with pytest.raises(EngineUnavailable, match=f"mfcc.conf.*{why}"):
        build({"engine": "vosk", "model": str(folder)})
