"""One pocketsphinx decoder with one question's grammar or language model loaded."""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pocketsphinx

from voicebot.errors import EngineUnavailable
from voicebot.g711 import Pcm
from voicebot.speech.recognition.sphinx.domain import Compiled
from voicebot.speech.recognition.sphinx.lexicon import Pronunciations, dictionary_text, model_directory
from voicebot.speech.recognition.upsample import Upsampler, to_int16

FRAMES_PER_S = 100
_SEARCH = "question"
#: Where the running means of 42 decoders had settled after 87 utterances of three voices, mu-law and noise included.
_TELEPHONE_MEAN = "49.45,-0.66,-1.32,7.38,-3.07,-3.54,0.72,-4.35,-1.11,-0.82,-0.34,1.99,-1.20"

pocketsphinx.set_loglevel("FATAL")


class Search(StrEnum):
    """What a decoder is guided by."""

    GRAMMAR = "grammar"
    LANGUAGE_MODEL = "language_model"


@dataclass(frozen=True, slots=True)
class Acoustics:
    """The acoustic model and how audio is made fit for it.

    `sample_rate_hz` is what the model was trained on. A 16 kHz model gets white noise of standard deviation
    `fill_noise` (of 32,768) after upsampling: telephone speech is empty above 4 kHz, and silence there is nothing that
    such a model has ever heard. `cepstral_mean` is where the running mean of the features begins, in the model's own
    notation; the model's default is that of wideband speech, and costs the first utterances of a decoder dearly.
    """

    directory: Path
    sample_rate_hz: int
    fill_noise: float = 80.0
    cepstral_mean: str | None = None

    @property
    def name(self) -> str:
        return self.directory.name


def wheel_acoustics() -> Acoustics:
    """Return the wideband English model of the pocketsphinx wheel."""
    return Acoustics(model_directory() / "en-us", 16000, cepstral_mean=_TELEPHONE_MEAN)


def acoustics_in(directory: Path) -> Acoustics:
    """Describe the model in `directory` from its own parameters; `EngineUnavailable` if there is none."""
    try:
        parameters = dict(
            line.split()[:2] for line in (directory / "feat.params").read_text().splitlines() if len(line.split()) > 1
        )
        wide = float(parameters.get("-upperf", "6855")) > 4000
    except (OSError, ValueError) as error:
        raise EngineUnavailable(f"{directory} holds no acoustic model: feat.params cannot be read.") from error
    return Acoustics(directory, 16000 if wide else 8000)


@dataclass(frozen=True, slots=True)
class Spoken:
    """One word of a result; frames are 10 ms."""

    text: str
    start_frame: int
    end_frame: int
    probability: float


@dataclass(frozen=True, slots=True)
class Result:
    """What one search found. `posterior` is a natural logarithm, of the whole utterance."""

    words: tuple[Spoken, ...]
    posterior: float
    frames: int

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


class QuestionDecoder:
    """Decodes utterances for one question, one after the other."""

    def __init__(
        self, acoustics: Acoustics, compiled: Compiled, search: Search, dictionary: Mapping[str, Pronunciations]
    ) -> None:
        # Decoders read files only; they are small, and gone once loaded.
        with tempfile.TemporaryDirectory(prefix="voicebot-sphinx-") as scratch:
            lexicon = Path(scratch) / "words.dict"
            lexicon.write_text(dictionary_text(compiled.words, dictionary), encoding="utf-8")
            self._decoder = pocketsphinx.Decoder(
                hmm=str(acoustics.directory),
                dict=str(lexicon),
                lm=None,
                samprate=acoustics.sample_rate_hz,
                lw=12.0,
                **({} if acoustics.cepstral_mean is None else {"cmninit": acoustics.cepstral_mean}),
                # With a grammar the lattice search picks worse paths than the first pass.
                bestpath=search is Search.LANGUAGE_MODEL,
            )
            model = Path(scratch) / "model"
            if search is Search.GRAMMAR:
                assert compiled.grammar is not None
                model.write_text(compiled.grammar, encoding="utf-8")
                self._decoder.add_fsg(_SEARCH, self._decoder.read_fsg(str(model)))
            else:
                model.write_text(compiled.language_model, encoding="utf-8")
                self._decoder.add_lm_file(_SEARCH, str(model))
            self._decoder.activate_search(_SEARCH)

    def begin(self) -> None:
        self._decoder.start_utt()

    def hear(self, samples: bytes) -> None:
        """Decode more 16-bit samples at the acoustic model's rate."""
        self._decoder.process_raw(samples)

    def so_far(self) -> str:
        """Return the likeliest words yet, which may still change."""
        hypothesis = self._decoder.hyp()
        return "" if hypothesis is None else _plain(hypothesis.hypstr)

    def end(self) -> None:
        self._decoder.end_utt()

    def result(self) -> Result | None:
        """Return the likeliest words; None when nothing fits."""
        hypothesis = self._decoder.hyp()
        if hypothesis is None:
            return None
        words = tuple(
            Spoken(
                _plain(segment.word.partition("(")[0]),
                segment.start_frame,
                segment.end_frame,
                segment.prob,
            )
            for segment in self._decoder.seg()
            if segment.word[0] not in "<[+"
        )
        return Result(words, _log(hypothesis.prob), self._decoder.n_frames())

    def alternatives(self, most: int) -> list[str]:
        """Return up to `most` different texts, likeliest first."""
        texts: dict[str, None] = {}
        for count, hypothesis in enumerate(self._decoder.nbest()):
            if count > 20 * most or len(texts) == most or hypothesis is None:
                break
            texts[_plain(hypothesis.hypstr)] = None
        return list(texts)


class Ear:
    """Makes a stream of 8 kHz PCM fit for a model."""

    def __init__(self, acoustics: Acoustics) -> None:
        self._acoustics = acoustics
        self._upsampler = Upsampler() if acoustics.sample_rate_hz == 16000 else None
        self._noise = np.random.default_rng(0)

    def prepare(self, pcm: bytes) -> bytes:
        samples: Pcm = np.frombuffer(pcm, dtype=np.int16)
        if self._upsampler is None:
            return samples.tobytes()
        wide = self._upsampler.double(samples)
        noise: npt.NDArray[np.float32] = self._noise.standard_normal(len(wide), dtype=np.float32)
        return to_int16(wide + self._acoustics.fill_noise * noise).tobytes()


def _log(probability: float) -> float:
    """Return the natural logarithm. The binding gives probabilities, which may underflow."""
    return math.log(max(probability, sys.float_info.min))


def _plain(text: str) -> str:
    """Spell letters as callers' software expects them: "b" for the lexicon's "b."."""
    return " ".join(word.rstrip(".") for word in text.split())
