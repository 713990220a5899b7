"""A Vosk model loaded from a folder, and the recogniser of one utterance."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import vosk

from voicebot.errors import EngineUnavailable
from voicebot.speech.asr import Hypothesis, Word
from voicebot.speech.recognition.upsample import Upsampler, to_int16
from voicebot.speech.recognition.wire import SAMPLE_RATE_HZ

#: What Kaldi says of itself goes to standard error, past our log.
_ERRORS_ONLY = -1
#: Where models keep how their features are computed, newer ones first.
_FEATURES = (Path("conf/mfcc.conf"), Path("mfcc.conf"))
_RATE_OPTION = "--sample-frequency"
#: What Kaldi takes where a model does not say.
_KALDIS_RATE_HZ = 16_000


@dataclass(frozen=True, slots=True)
class Model:
    """A model, its folder's name and the rate that it hears at; any number of utterances share it."""

    name: str
    handle: vosk.Model
    rate_hz: int

    @classmethod
    def load(cls, directory: Path) -> Model:
        """Load a model; `EngineUnavailable` if the folder holds none that hears speech of 8 or 16 kHz."""
        vosk.SetLogLevel(_ERRORS_ONLY)
        if not directory.is_dir():
            raise EngineUnavailable(f"There is no Vosk model in {directory}.")
        rate_hz = _rate_of(directory)
        try:
            return cls(directory.name, vosk.Model(model_path=str(directory)), rate_hz)
        except Exception as error:  # the library raises nothing narrower
            raise EngineUnavailable(f"Vosk cannot load the model in {directory}.") from error

    def recogniser(self) -> Recogniser:
        """Begin an utterance of 8 kHz PCM."""
        return Recogniser(self)


class Recogniser:
    """Hears one utterance, word by word. What Kaldi finished by itself at a pause is kept, more is put behind it.

    Kaldi refuses audio of another rate than the model's, so that a wideband model gets it doubled.
    """

    def __init__(self, model: Model) -> None:
        self._kaldi = vosk.KaldiRecognizer(model.handle, float(model.rate_hz))
        self._kaldi.SetWords(enable_words=True)
        self._upsampler = Upsampler() if model.rate_hz != SAMPLE_RATE_HZ else None
        self._words: tuple[Word, ...] = ()

    def hear(self, pcm: bytes) -> None:
        """Hear more; `EngineUnavailable` when the model cannot be run on it."""
        if self._upsampler is not None:
            pcm = to_int16(self._upsampler.double(np.frombuffer(pcm, dtype=np.int16))).tobytes()
        with _said_as_ours():
            if self._kaldi.AcceptWaveform(pcm):
                self._words += _words_in(self._kaldi.Result())

    def so_far(self) -> str:
        """Return the words up to now; the last of them may change."""
        partial = str(json.loads(self._kaldi.PartialResult()).get("partial", ""))
        return " ".join([*(word.text for word in self._words), partial]).strip()

    def conclude(self) -> tuple[Hypothesis, ...]:
        """Return all words as the one hypothesis there is, as sure as they are on average; nothing without words.

        What is heard after that is put behind them.
        """
        with _said_as_ours():
            self._words += _words_in(self._kaldi.FinalResult())
        if not self._words:
            return ()
        sure = sum(word.confidence for word in self._words) / len(self._words)
        return (Hypothesis(" ".join(word.text for word in self._words), min(1.0, sure), self._words),)


def _rate_of(directory: Path) -> int:
    """Return the rate that a model's configuration names; `EngineUnavailable` where a call cannot be given at it."""
    file = next((directory / path for path in _FEATURES if (directory / path).is_file()), None)
    if file is None:
        return _KALDIS_RATE_HZ
    options = dict(line.partition("=")[::2] for line in file.read_text(encoding="utf-8").split())
    named = options.get(_RATE_OPTION, str(_KALDIS_RATE_HZ))
    try:
        rate_hz = int(float(named))
    except ValueError as error:
        raise EngineUnavailable(f"{file}: {_RATE_OPTION} must be a number, not {named!r}.") from error
    if rate_hz not in {SAMPLE_RATE_HZ, 2 * SAMPLE_RATE_HZ}:
        raise EngineUnavailable(f"{file}: calls are heard by models of 8000 or 16000 Hz, this one has {rate_hz}.")
    return rate_hz


@contextmanager
def _said_as_ours() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the library raises nothing narrower
        raise EngineUnavailable("Vosk cannot run its model.") from error


def _words_in(result: str) -> tuple[Word, ...]:
    """Return the words of a final result, each with its confidence and its times in seconds; empty when none."""
    return tuple(
        Word(str(word["word"]), float(word["start"]), float(word["end"]), float(word["conf"]))
        for word in json.loads(result).get("result", ())
    )
