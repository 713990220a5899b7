"""Sentences as vectors: all-MiniLM-L6-v2 in 8 bits on onnxruntime, so that requests in other words are close."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing

from voicebot.errors import EngineUnavailable

#: Its name says what it gives; one of an earlier version, `encoder.onnx`, gave less and is not taken.
ENCODER_FILE = "sentence-views.onnx"
VOCABULARY_FILE = "vocab.txt"
#: Tokens beyond this say nothing more about what a caller wants.
_MOST_TOKENS = 128

_REMEMBERED = 512

Vectors = NDArray[np.float32]


def installed_folder() -> Path:
    """Return where scripts/sentence_encoder.py puts the encoder: inside the environment that runs this."""
    return Path(sys.prefix) / "share" / "voicebot" / "sentence-encoder"


def find_encoder(models: Path | None = None) -> Path | None:
    """Return the folder of an encoder: ``models/sentence-encoder`` or the installed one, None where neither is."""
    folders = [installed_folder()] if models is None else [models / "sentence-encoder", installed_folder()]
    return next((folder for folder in folders if (folder / ENCODER_FILE).is_file()), None)


class SentenceEncoder:
    """Turns sentences into vectors of 384 numbers and unit length; their dot product is their likeness.

    Classifiers may look at more: `views` are that vector, and then what the middle of the network and its strongest
    responses say, 384 numbers of unit length each. One to two milliseconds a sentence on one thread. Any thread may
    use it.
    """

    dimensions = 384
    view_count = 4

    def __init__(self, folder: Path) -> None:
        """Open the encoder in `folder`; raise `EngineUnavailable` when it is missing or does not load."""
        options = onnxruntime.SessionOptions()
        # A sentence is too short to share among threads, and calls share the processor already.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            vocabulary = (folder / VOCABULARY_FILE).read_text(encoding="utf-8").splitlines()
            self._session = onnxruntime.InferenceSession(
                str(folder / ENCODER_FILE), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors share no base class of their own
            raise EngineUnavailable(
                f"The sentence encoder in {folder} does not load ({type(error).__name__}); "
                "make it again with scripts/sentence_encoder.py."
            ) from error
        self._folder = folder
        words = {word: number for number, word in enumerate(vocabulary)}
        self._tokenizer = _tokenizer(words)

        # A turn is encoded for its intent, for the articles and for comparison with later turns: once is enough.
        self._remembered = lru_cache(_REMEMBERED)(self._encode)

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 of the encoder's files: what names the vectors that it makes."""
        digest = hashlib.sha256()
        for name in (ENCODER_FILE, VOCABULARY_FILE):
            digest.update((self._folder / name).read_bytes())
        return digest.hexdigest()

    def vector(self, sentence: str) -> Vectors:
        """Return one sentence's vector, shape ``(384,)``, not to be written to."""
        return self.views(sentence)[: self.dimensions]

    def views(self, sentence: str) -> Vectors:
        """Return a sentence's vector and its further views one after the other, shape ``(4 * 384,)``, read-only."""
        return self._remembered(sentence)

    def _encode(self, sentence: str) -> Vectors:
        ids = np.array([self._tokenizer.encode(sentence).ids], np.int64)
        (views,) = self._session.run(None, {"ids": ids, "mask": np.ones(ids.shape, np.int32)})
        result: Vectors = np.asarray(views[0], dtype=np.float32)
        result.flags.writeable = False
        return result

    def views_of(self, sentences: Sequence[str]) -> Vectors:
        """Return the views of each sentence as a row, shape ``(n, 4 * 384)``.

        They are encoded one by one: activations are quantised over what is encoded together, and a sentence's vector
        must not depend on its company.
        """
        if not sentences:
            return np.zeros((0, self.view_count * self.dimensions), np.float32)
        return np.stack([self.views(sentence) for sentence in sentences])


def _tokenizer(words: dict[str, int]) -> Tokenizer:
    """Return BERT's uncased WordPiece tokenizer over a vocabulary."""
    tokenizer = Tokenizer(WordPiece(words, unk_token="[UNK]"))  # noqa: S106  # a token of text, not of access
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = BertProcessing(("[SEP]", words["[SEP]"]), ("[CLS]", words["[CLS]"]))
    tokenizer.enable_truncation(_MOST_TOKENS)
    return tokenizer
