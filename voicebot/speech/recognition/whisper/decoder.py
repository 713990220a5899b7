"""Writes what Whisper hears token by token, always the likeliest, and can be asked for more where it was stopped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from voicebot.speech.recognition.whisper import network
from voicebot.speech.recognition.whisper.weights import Weights

Floats = npt.NDArray[np.float32]
_Tensors = dict[str, onnxruntime.OrtValue]


class Decoder:
    """The decoder of one model, int8 weights, which serves any number of sounds and threads at once.

    `weights` is CTranslate2's file. ValueError or KeyError when there is no graph for what it holds.
    """

    def __init__(self, weights: Path, *, threads: int) -> None:
        if not _exact():
            raise ValueError("this processor adds up products of 8 bits in 16, which is too few")
        read = Weights(weights)
        self._shape = network.shape_of(read)
        self._cross = _session(network.cross_attention(read), threads)
        self._decoder = _session(network.decoder(read), threads)
        self._crossed = [output.name for output in self._cross.get_outputs()]
        self._outputs = [output.name for output in self._decoder.get_outputs()]
        self._vectors = read.matrix("decoder/embeddings/weight")
        self._positions = read.floats("decoder/position_encodings/encodings")
        nothing = np.zeros((1, self._shape.heads, 0, self._shape.head), dtype=np.float32)
        self.nothing_before = {
            name.name: _value(nothing) for name in self._decoder.get_inputs() if name.name.startswith("past_")
        }

    @property
    def longest(self) -> int:
        """How many tokens a text may have with what comes before it."""
        return len(self._positions)

    def cross(self, encoded: Floats) -> _Tensors:
        """Return what the decoder hears with from the encoder's output, (1, positions, width)."""
        given = {"encoded": _value(encoded)}
        return dict(zip(self._crossed, self._cross.run_with_ort_values(self._crossed, given), strict=True))

    def step(
        self, heard: _Tensors, past: _Tensors, before: int, tokens: Sequence[int], wanted: Sequence[int]
    ) -> tuple[Floats, _Tensors]:
        """Put `tokens` behind the `before` ones of the past.

        Return how readily each token of the vocabulary follows each of those `wanted` (their places in `tokens`), in
        rows that may be written to, and the new past.
        """
        ids = np.asarray(tokens)
        vectors = self._vectors.steps[ids] * self._vectors.worth[ids, np.newaxis]
        vectors = vectors + self._positions[before : before + len(ids)]
        given = {"tokens": _value(vectors[np.newaxis]), "wanted": _value(np.asarray(wanted)), **heard, **past}
        made = dict(zip(self._outputs, self._decoder.run_with_ort_values(self._outputs, given), strict=True))
        logits = made.pop("logits").numpy()[0]
        return logits, {name.replace("present_", "past_"): value for name, value in made.items()}


@dataclass(frozen=True, slots=True)
class Marks:
    """The tokens that are no words: the transcript's start and end, and the one for a sound without speech.

    `never` may not be written, `not_first` not at the beginning of a text.
    """

    start: int
    end: int
    no_speech: int
    never: Sequence[int]
    not_first: Sequence[int]


@dataclass(frozen=True, slots=True)
class Written:
    """The tokens of each text, likeliest first, the mean of each one's logarithmic probabilities, and that of silence.

    Of a text that has ended, the end counts as well.
    """

    texts: Sequence[Sequence[int]]
    log_probabilities: Sequence[float]
    no_speech: float


class Writing:
    """The likeliest text for a sound in the making; it goes on from where it was stopped."""

    def __init__(self, decoder: Decoder, encoded: Floats, prompt: Sequence[int], marks: Marks) -> None:
        """Begin behind `prompt`, whose last tokens are the transcript's start and what belongs to it."""
        self._decoder = decoder
        self._marks = marks
        self._prompt = len(prompt)
        self._heard = decoder.cross(encoded)
        logits, self._past = decoder.step(
            self._heard, decoder.nothing_before, 0, prompt, [list(prompt).index(marks.start), len(prompt) - 1]
        )
        self._no_speech = math.exp(_log_probability(logits[0], marks.no_speech))
        self._tokens: list[int] = []
        self._sum = 0.0
        self._ended = False
        self._choose(logits[1], not_now=marks.not_first)

    def up_to(self, most: int) -> Written:
        """Return the text, of no more than `most` tokens; less than at another time is not asked for."""
        while not self._ended and len(self._tokens) < most:
            before = self._prompt + len(self._tokens) - 1
            logits, self._past = self._decoder.step(self._heard, self._past, before, self._tokens[-1:], [0])
            self._choose(logits[0])
        return Written([self._tokens], [self._sum / max(1, len(self._tokens))], self._no_speech)

    def _choose(self, logits: Floats, not_now: Sequence[int] = ()) -> None:
        logits[[*self._marks.never, *not_now]] = -np.inf
        token = int(logits.argmax())
        self._sum += _log_probability(logits, token)
        self._ended = token == self._marks.end
        if not self._ended:
            self._tokens.append(token)


def _session(graph: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


@cache
def _exact() -> bool:
    """Say whether the largest values come out right: without VNNI a processor cuts off the sum of two products."""
    session = _session(network.largest_product(), 1)
    (product,) = session.run(["product"], {"ones": np.ones((1, network.LARGEST), dtype=np.float32)})
    return bool(np.allclose(product, network.LARGEST, rtol=0.01))


def _log_probability(logits: Floats, token: int) -> float:
    """Return a token's logarithmic probability."""
    highest = logits.max()
    return float(logits[token] - highest - np.log(np.exp(logits - highest).sum()))


def _value(values: npt.NDArray[np.generic]) -> onnxruntime.OrtValue:
    return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(values))
