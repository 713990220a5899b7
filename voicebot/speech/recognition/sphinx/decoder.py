"""One pocketsphinx decoder with one question's grammar or language model loaded."""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pocketsphinx

from voicebot.speech.recognition.sphinx.domain import Compiled
from voicebot.speech.recognition.sphinx.features import (
    FrontEnd,
    parameters_for_ready_features,
    read_parameters,
    regression_text,
)
from voicebot.speech.recognition.sphinx.lattice import Lattice
from voicebot.speech.recognition.sphinx.lexicon import Pronunciations, dictionary_text, model_directory

FRAMES_PER_S = 100
_SEARCH = "question"
#: Log likelihoods below the best at which a path is given up, where all the words of a grammar are to be weighed.
_WIDE_BEAM = 1e-100

#: What it says of its searches is no trouble of ours. Every decoder sets the level of the process anew.
_LOG_LEVEL = "FATAL"
pocketsphinx.set_loglevel(_LOG_LEVEL)


class Search(StrEnum):
    """What a decoder is guided by."""

    GRAMMAR = "grammar"
    LANGUAGE_MODEL = "language_model"


@dataclass(frozen=True, slots=True)
class Acoustics:
    """An acoustic model: where it lies, and how its features are made from telephone speech."""

    directory: Path
    front_end: FrontEnd

    @property
    def name(self) -> str:
        return self.directory.name


def wheel_acoustics() -> Acoustics:
    """Return the wideband English model of the pocketsphinx wheel."""
    return acoustics_in(model_directory() / "en-us")


def acoustics_in(directory: Path) -> Acoustics:
    """Describe the model in `directory` from its own parameters; `EngineUnavailable` if there is none."""
    return Acoustics(directory, FrontEnd.of(directory))


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
    """Decodes utterances for one question, one after the other.

    `thorough` follows unlikely words to the end too, so that `scores` has them; slow with more than a few words.
    """

    def __init__(
        self,
        acoustics: Acoustics,
        compiled: Compiled,
        search: Search,
        dictionary: Mapping[str, Pronunciations],
        *,
        thorough: bool = False,
    ) -> None:
        # Decoders read files only; they are small, and gone once loaded.
        with tempfile.TemporaryDirectory(prefix="voicebot-sphinx-") as scratch:
            lexicon = Path(scratch) / "words.dict"
            lexicon.write_text(dictionary_text(compiled.words, dictionary), encoding="utf-8")
            parameters = Path(scratch) / "feat.params"
            parameters.write_text(parameters_for_ready_features(read_parameters(acoustics.directory)), encoding="utf-8")
            regression = _write_regression(acoustics.front_end, Path(scratch))
            self._decoder = pocketsphinx.Decoder(
                hmm=str(acoustics.directory),
                dict=str(lexicon),
                lm=None,
                featparams=str(parameters),
                mllr=regression,
                lw=12.0,
                loglevel=_LOG_LEVEL,
                # With a grammar the lattice search picks worse paths than the first pass.
                bestpath=search is Search.LANGUAGE_MODEL,
                **(dict.fromkeys(("beam", "wbeam", "pbeam"), _WIDE_BEAM) if thorough else {}),
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

    def hear(self, features: bytes) -> None:
        """Decode more cepstra, as `FeatureStream` gives them."""
        if features:
            self._decoder.process_cep(features)

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
                _plain(segment.word),
                segment.start_frame,
                segment.end_frame,
                segment.prob,
            )
            for segment in self._decoder.seg()
            if segment.word[0] not in "<[+("
        )
        return Result(words, _log(hypothesis.prob), self._decoder.n_frames())

    def alternatives(self, most: int) -> list[str]:
        """Return up to `most` different texts, likeliest first; none when the search left no lattice."""
        texts: dict[str, None] = {}
        for count, hypothesis in enumerate(self._decoder.nbest() or ()):
            if count > 20 * most or len(texts) == most or hypothesis is None:
                break
            texts[_plain(hypothesis.hypstr)] = None
        return list(texts)

    def scores(self, words: Collection[str]) -> dict[str, float]:
        """Return the log likelihood of each of `words` as the only one of them that was said, of those considered.

        In natural logarithms; comparable within one utterance. Empty when the search left no lattice.
        """
        lattice = self._decoder.get_lattice()
        if lattice is None:
            return {}
        # The library writes to a path only; this one is memory, since the words may be a caller's secret.
        memory = os.memfd_create("lattice")
        try:
            lattice.write_htk(f"/proc/self/fd/{memory}")
            with open(memory, encoding="utf-8", closefd=False) as file:
                return Lattice.parse(file.read()).scores(words)
        finally:
            os.close(memory)


def _write_regression(front_end: FrontEnd, folder: Path) -> str | None:
    matrix = front_end.telephone_transform
    if matrix is None:
        return None
    file = folder / "telephone.mllr"
    file.write_text(regression_text(matrix), encoding="utf-8")
    return str(file)


def _log(probability: float) -> float:
    """Return the natural logarithm. The binding gives probabilities, which may underflow."""
    return math.log(max(probability, sys.float_info.min))


def _plain(text: str) -> str:
    """Spell words as callers' software expects them: "b" for the lexicon's "b.", "two" for its "two(3)"."""
    return " ".join(word.partition("(")[0].rstrip(".") for word in text.split())
