"""The Vosk engine around a recogniser that plays back results in Vosk's own format, and the library's real loading.

No model of Vosk is small enough to be made by a test: what its decoder hears is not tested here.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from voicebot.dialog.expectation import AnswerKind
from voicebot.errors import EngineUnavailable
from voicebot.speech.recognition.engines import build
from voicebot.speech.recognition.vosk.engine import VoskEngine
from voicebot.speech.recognition.vosk.model import Model
from voicebot.speech.recognition.wire import Request

OPEN = Request("open", (AnswerKind.OPEN,), (), (), secret=False, domain=None)
TENTH = bytes(1600)


class PlayedBack:
    """Says one word for every 100 ms; Kaldi's own end of an utterance comes after every third."""

    def __init__(self, *words: str) -> None:
        self._words = list(words)
        self._heard: list[str] = []
        self._at = 0

    def AcceptWaveform(self, data: bytes) -> int:  # noqa: N802
        for _ in range(len(data) // len(TENTH)):
            if self._words:
                self._heard.append(self._words.pop(0))
        return len(self._heard) == 3

    def Result(self) -> str:  # noqa: N802
        heard, self._heard = self._heard, []
        result = [
            {"conf": 0.8, "start": self._at + number, "end": self._at + number + 1, "word": word}
            for number, word in enumerate(heard)
        ]
        self._at += len(heard)
        return json.dumps({"result": result, "text": " ".join(heard)} if heard else {"text": ""})

    def PartialResult(self) -> str:  # noqa: N802
        return json.dumps({"partial": " ".join(self._heard)})

    def FinalResult(self) -> str:  # noqa: N802
        return self.Result()


async def ignore(_text: str) -> None:
    return


async def test_what_kaldi_ends_by_itself_is_kept_and_more_is_put_behind_it() -> None:
    partials: list[str] = []

    async def show(text: str) -> None:
        partials.append(text)

    engine = VoskEngine("small", lambda: PlayedBack("i", "want", "to", "pay", "it"), max_sessions=1)
    stream = await engine.open(OPEN, show)
    for _ in range(6):
        await stream.feed(TENTH)
    heard = await stream.finish()
    assert [hypothesis.text for hypothesis in heard] == ["i want to pay it"]
    assert heard[0].confidence == pytest.approx(0.8)
    assert [word.start_s for word in heard[0].words] == [0, 1, 2, 3, 4]
    assert partials == ["i want", "i want to pay", "i want to pay it"]


async def test_a_caller_who_goes_on_after_a_pause_loses_no_word_and_none_comes_twice() -> None:
    engine = VoskEngine("small", lambda: PlayedBack("where", "is", "my", "order"), max_sessions=1)
    stream = await engine.open(OPEN, ignore)
    await stream.feed(TENTH * 2)
    ahead = await stream.look_ahead()
    await stream.go_on()
    await stream.feed(TENTH * 2)
    assert [hypothesis.text for hypothesis in ahead] == ["where is"]
    assert [hypothesis.text for hypothesis in await stream.finish()] == ["where is my order"]


async def test_silence_gives_nothing() -> None:
    engine = VoskEngine("small", PlayedBack, max_sessions=1)
    await engine.warm_up()
    stream = await engine.open(OPEN, ignore)
    await stream.feed(TENTH)
    assert await stream.finish() == ()


async def test_no_more_utterances_than_admitted_and_a_closed_one_makes_room() -> None:
    engine = VoskEngine("small", PlayedBack, max_sessions=1)
    stream = await engine.open(OPEN, ignore)
    with pytest.raises(EngineUnavailable):
        await engine.open(OPEN, ignore)
    await stream.close()
    await stream.close()
    await (await engine.open(OPEN, ignore)).close()
    await engine.close()


def test_a_folder_without_a_model_is_named_by_the_real_library(tmp_path: Path) -> None:
    pytest.importorskip("vosk")
    with pytest.raises(EngineUnavailable, match="no Vosk model"):
        Model.load(tmp_path / "nowhere")
    with pytest.raises(EngineUnavailable, match="cannot load"):
        build({"engine": "vosk", "model": str(tmp_path)})
