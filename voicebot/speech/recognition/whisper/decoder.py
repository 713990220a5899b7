"""Writes what Whisper hears token by token, always the likeliest, and can be asked for more where it was stopped."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
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

#: Of a text that may begin again so much is guessed: most of those that do are short.
_MOST_AGAIN = 12


class Decoder:
    """The decoder of one model, int8 weights, which serves any number of sounds and threads at once.

    `weights` is CTranslate2's file. OSError, ValueError, KeyError or one of onnxruntime's errors, which have no base of
    their own, when there is no graph for what it holds or for this processor.
    """

    def __init__(self, weights: Path, *, threads: int) -> None:
        if not _exact_products():
            raise ValueError("this processor adds up products of 8 bits in 16, which is too few")
        read = Weights(weights, "decoder")
        self._shape = network.shape_of(read)
        self._cross = _session(network.cross_attention(read), threads)
        self._decoder = _session(network.decoder(read), threads)
        self._crossed = [output.name for output in self._cross.get_outputs()]
        self._outputs = [output.name for output in self._decoder.get_outputs()]
        self._vectors = read.matrix("decoder/embeddings/weight")
        self._positions = read.floats("decoder/position_encodings/encodings")
        nothing = np.zeros((1, self._shape.heads, 0, self._shape.head), dtype=np.float32)
        inputs = [each.name for each in self._decoder.get_inputs()]
        #: The past of the first token.
        self.nothing_before = {name: _value(nothing) for name in inputs if name.startswith("past_")}

    @property
    def longest(self) -> int:
        """How many tokens a text may have with what comes before it."""
        return len(self._positions)

    def cross(self, encoded: Floats) -> _Tensors:
        """Return each layer's keys and values, (1, heads, positions, head's width), for the encoder's output.

        That is (1, positions, width).
        """
        given = {"encoded": _value(encoded)}
        return dict(zip(self._crossed, self._cross.run_with_ort_values(self._crossed, given), strict=True))

    def step(
        self, heard: _Tensors, past: _Tensors, before: int, tokens: Sequence[int], wanted: Sequence[int]
    ) -> tuple[Floats, _Tensors]:
        """Put `tokens` behind the `before` ones of the past.

        Return how readily each token of the vocabulary follows those `wanted` (their places in `tokens`), as logits
        (wanted, vocabulary) that may be written to, and the new past.
        """
        ids = np.asarray(tokens)
        vectors = self._vectors.steps[ids] * self._vectors.worth[ids, np.newaxis]
        vectors = vectors + self._positions[before : before + len(ids)]
        given = {"tokens": _value(vectors[np.newaxis]), "wanted": _value(np.asarray(wanted)), **heard, **past}
        made = dict(zip(self._outputs, self._decoder.run_with_ort_values(self._outputs, given), strict=True))
        logits = made.pop("logits").numpy()[0]
        return logits, {name.replace("present_", "past_"): value for name, value in made.items()}

    @staticmethod
    def cut(past: _Tensors, tokens: int) -> _Tensors:
        """Return the past as it was after so many tokens."""
        return {name: _value(value.numpy()[:, :, :tokens]) for name, value in past.items()}


@dataclass(frozen=True, slots=True)
class Marks:
    """The tokens that are no words: the transcript's start and end, and the one for a sound without speech.

    `never` may not be written, `not_first` not at the beginning of a text. `full_stops` are at the end of sentences.
    """

    start: int
    end: int
    no_speech: int
    never: Sequence[int]
    not_first: Sequence[int]
    full_stops: Collection[int] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """The tokens of each text, likeliest first, the mean of each one's logarithmic probabilities, and that of silence.

    Of a text that has ended, the end counts as well.
    """

    texts: Sequence[Sequence[int]]
    log_probabilities: Sequence[float]
    no_speech: float


class Usual:
    """What usually follows in the answers to a question: a guess at the next tokens, which costs little where wrong."""

    #: A token that is put behind another costs a tenth of one by itself, so that it pays even if seldom right.
    _LEAST_LIKELY = 0.2
    _MOST = 6
    _START = -1

    def __init__(self, texts: Iterable[Sequence[int]]) -> None:
        seen: defaultdict[tuple[int, int], Counter[int]] = defaultdict(Counter)
        for text in texts:
            padded = [self._START, self._START, *text]
            for first, second, third in zip(padded, padded[1:], padded[2:], strict=False):
                seen[first, second][third] += 1
        #: Behind each two tokens the one seen most, and its share.
        self._next: dict[tuple[int, int], tuple[int, float]] = {}
        for pair, tokens in seen.items():
            ((token, count),) = tokens.most_common(1)
            self._next[pair] = (token, count / tokens.total())

    def after(self, tokens: Sequence[int]) -> list[int]:
        """Return what usually follows these tokens, a few of them; nothing where that is anybody's guess."""
        first, second = [self._START, self._START, *tokens[-2:]][-2:]
        following: list[int] = []
        likely = 1.0
        while len(following) < self._MOST and (found := self._next.get((first, second))):
            token, share = found
            likely *= share
            if likely < self._LEAST_LIKELY:
                break
            following.append(token)
            first, second = second, token
        return following


class Writing:
    """The likeliest text for a sound in the making; it goes on from where it was stopped.

    What usually follows is put behind each token at once, behind a sentence the text itself, since one that does not
    end begins again; it is kept as far as it is what is written. Some tokens together take little longer than one. The
    text is the same with guesses and without, but where two tokens are as likely as each other but for rounding.
    """

    def __init__(
        self,
        decoder: Decoder,
        encoded: Floats,
        prompt: Sequence[int],
        marks: Marks,
        usual: Usual | None = None,
    ) -> None:
        """Begin behind `prompt`, whose last tokens are the transcript's start and what belongs to it."""
        self._decoder = decoder
        self._marks = marks
        self._never = np.array(marks.never, dtype=np.int64)
        self._usual = usual
        self._prompt_tokens = len(prompt)
        self._heard = decoder.cross(encoded)
        logits, self._past = decoder.step(
            self._heard, decoder.nothing_before, 0, prompt, [list(prompt).index(marks.start), len(prompt) - 1]
        )
        self._no_speech = math.exp(_log_probability(logits[0], marks.no_speech))
        self._tokens: list[int] = []
        #: Of each token, and of the end if it was reached.
        self._log_probabilities: list[float] = []
        self._ended = False
        logits[1, np.array(marks.not_first, dtype=np.int64)] = -np.inf
        self._choose(logits[1])

    def up_to(self, most: int) -> Written:
        """Return the text, of no more than `most` tokens, nor than there are positions for."""
        most = min(most, self._decoder.longest - self._prompt_tokens)
        while not self._ended and len(self._tokens) < most:
            self._go_on()
        tokens = self._tokens[:most]
        whole = len(self._tokens) < most
        log_probabilities = self._log_probabilities if whole else self._log_probabilities[: len(tokens)]
        return Written([tokens], [sum(log_probabilities) / max(1, len(tokens))], self._no_speech)

    def _go_on(self) -> None:
        """Write one token, and what was guessed as long as it is the likeliest."""
        before = self._prompt_tokens + len(self._tokens) - 1
        # There is no position behind the last one.
        given = [self._tokens[-1], *self._guess()][: self._decoder.longest - before]
        logits, past = self._decoder.step(self._heard, self._past, before, given, range(len(given)))
        for right, row in enumerate(logits, start=1):
            self._choose(row)
            if self._ended or right == len(given) or self._tokens[-1] != given[right]:
                break
        self._past = past if right == len(given) else self._decoder.cut(past, before + right)

    def _guess(self) -> list[int]:
        usual = self._usual.after(self._tokens) if self._usual else []
        if not usual and self._tokens[-1] in self._marks.full_stops:
            return self._tokens[:_MOST_AGAIN]
        return usual

    def _choose(self, logits: Floats) -> None:
        logits[self._never] = -np.inf
        token = int(logits.argmax())
        self._log_probabilities.append(_log_probability(logits, token))
        self._ended = token == self._marks.end
        if not self._ended:
            self._tokens.append(token)


def _session(graph: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that wait would spin, and an arena would keep the largest of all sounds: workers keep their memory anyway.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


@cache
def _exact_products() -> bool:
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
