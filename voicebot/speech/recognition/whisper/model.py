"""A Whisper model: audio in, one greedy transcript out, on one CTranslate2 thread."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import numpy.typing as npt
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens

from voicebot.errors import EngineUnavailable
from voicebot.speech.asr import Word

RATE_HZ = 16000
LONGEST_S = 30.0
_FRAMES_PER_S = 100
_MOST_TOKENS = 224

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Decoded:
    """One pass over up to 30 s. `log_probability` is the mean over the tokens."""

    text: str
    log_probability: float
    no_speech: float
    words: tuple[Word, ...]


class Model:
    """Loads a model and decodes with it; `decode` blocks, and releases the GIL while it computes.

    The library's own `transcribe` always pads to 30 s; a shorter context is three to five times faster at some cost in
    accuracy, so this calls encoder and decoder directly with `context_s`, or more where the audio is longer.
    """

    def __init__(
        self, name_or_path: str, *, threads: int, compute_type: str, context_s: float, local_only: bool
    ) -> None:
        try:
            self._whisper = WhisperModel(
                name_or_path,
                device="cpu",
                compute_type=compute_type,
                cpu_threads=threads,
                local_files_only=local_only,
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise EngineUnavailable(f"The Whisper model {name_or_path} cannot be loaded: {error}") from error
        self._context_s = context_s
        self._tokenizer = Tokenizer(
            self._whisper.hf_tokenizer, self._whisper.model.is_multilingual, task="transcribe", language="en"
        )
        self._suppressed = list(get_suppressed_tokens(self._tokenizer, [-1]))
        self.name = Path(name_or_path).name

    def decode(self, samples: Samples, prompt: str, cancelled: Callable[[], bool]) -> Decoded | None:
        """Transcribe 16 kHz samples in ±1; None when `cancelled` says so between encoding and generating."""
        features = self._features(samples)
        encoded = self._whisper.model.encode(features)
        if cancelled():
            return None
        tokens = self._prompt(prompt)
        result: Any = self._whisper.model.generate(
            encoded,
            [tokens],
            beam_size=1,
            sampling_temperature=0.0,
            max_length=min(_MOST_TOKENS + len(tokens), self._whisper.max_length),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=True,
            suppress_tokens=self._suppressed,
        )[0]
        said: list[int] = [token for token in result.sequences_ids[0] if token < self._tokenizer.eot]
        text = self._tokenizer.decode(said).strip()
        return Decoded(
            text=text,
            log_probability=float(result.scores[0]),
            no_speech=float(result.no_speech_prob),
            words=self._words(encoded, said, len(samples)) if text and not cancelled() else (),
        )

    def _features(self, samples: Samples) -> ctranslate2.StorageView:
        seconds = min(LONGEST_S, max(self._context_s, math.ceil(len(samples) / RATE_HZ)))
        padded = np.zeros(int(seconds * RATE_HZ), dtype=np.float32)
        padded[: len(samples)] = samples[: len(padded)]
        mel = self._whisper.feature_extractor(padded, padding=0)
        return ctranslate2.StorageView.from_array(np.ascontiguousarray(mel[np.newaxis], dtype=np.float32))

    def _prompt(self, prompt: str) -> list[int]:
        before = [self._tokenizer.sot_prev, *self._tokenizer.encode(f" {prompt}")[-_MOST_TOKENS:]] if prompt else []
        return [*before, *self._tokenizer.sot_sequence, self._tokenizer.no_timestamps]

    def _words(self, encoded: ctranslate2.StorageView, said: Sequence[int], samples: int) -> tuple[Word, ...]:
        """Place the words in time and say how sure each is, from the decoder's attention over the audio."""
        frames = min(int(LONGEST_S * _FRAMES_PER_S), samples * _FRAMES_PER_S // RATE_HZ)
        aligned: Any = self._whisper.model.align(encoded, self._tokenizer.sot_sequence, [list(said)], frames)[0]
        starts: dict[int, float] = {}
        for token, frame in aligned.alignments:
            # Two mel frames are one frame of the encoder.
            starts.setdefault(token, 2 * frame / _FRAMES_PER_S)
        texts, groups = self._tokenizer.split_to_word_tokens([*said, self._tokenizer.eot])
        words: list[Word] = []
        first = 0
        for text, group in zip(texts, groups, strict=True):
            last = first + len(group)
            if text.strip() and group[0] != self._tokenizer.eot:
                start_s = starts.get(first, words[-1].end_s if words else 0.0)
                end_s = max(start_s, starts.get(last, samples / RATE_HZ))
                sure = float(np.mean(aligned.text_token_probs[first:last]))
                words.append(Word(text.strip(), start_s, end_s, sure))
            first = last
        return tuple(words)
