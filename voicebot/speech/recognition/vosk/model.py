"""A Vosk model loaded from a folder, and the recogniser of one utterance."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import vosk

from voicebot.errors import EngineUnavailable
from voicebot.speech.asr import Hypothesis, Word
from voicebot.speech.recognition.wire import SAMPLE_RATE_HZ

#: What Kaldi says of itself goes to standard error, past our log.
_ERRORS_ONLY = -1


class Recogniser(Protocol):
    """What is used of `vosk.KaldiRecognizer`. Each text is JSON."""

    def AcceptWaveform(self, data: bytes) -> int: ...  # noqa: N802 - the library's own names
    def Result(self) -> str: ...  # noqa: N802
    def PartialResult(self) -> str: ...  # noqa: N802
    def FinalResult(self) -> str: ...  # noqa: N802


@dataclass(frozen=True, slots=True)
class Model:
    """A model and its folder's name; any number of utterances share it."""

    name: str
    handle: vosk.Model

    @classmethod
    def load(cls, directory: Path) -> Model:
        """Load a model; `EngineUnavailable` if the folder holds none that this version of Vosk can read."""
        vosk.SetLogLevel(_ERRORS_ONLY)
        if not directory.is_dir():
            raise EngineUnavailable(f"There is no Vosk model in {directory}.")
        try:
            return cls(directory.name, vosk.Model(model_path=str(directory)))
        except Exception as error:  # the library raises nothing narrower
            raise EngineUnavailable(f"Vosk cannot load the model in {directory}.") from error

    def recogniser(self) -> Recogniser:
        """Begin an utterance of 8 kHz PCM."""
        recogniser = vosk.KaldiRecognizer(self.handle, float(SAMPLE_RATE_HZ))
        recogniser.SetWords(enable_words=True)
        began: Recogniser = recogniser
        return began


def parse_words(result: str) -> tuple[Word, ...]:
    """Return the words of a final result, each with its confidence and its times in seconds; empty when none."""
    return tuple(
        Word(str(word["word"]), float(word["start"]), float(word["end"]), float(word["conf"]))
        for word in json.loads(result).get("result", ())
    )


def parse_partial(result: str) -> str:
    return str(json.loads(result).get("partial", ""))


def hypothesis_of(words: tuple[Word, ...]) -> tuple[Hypothesis, ...]:
    """Return the words as the one hypothesis there is, as sure as its words on average; nothing when there are none."""
    if not words:
        return ()
    sure = sum(word.confidence for word in words) / len(words)
    return (Hypothesis(" ".join(word.text for word in words), min(1.0, sure), words),)
