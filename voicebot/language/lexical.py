"""Sentences by their words and letters: TF-IDF, which knows nothing of meaning and misses no rare word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer


class WordFeatures:
    """Words, pairs of words, and letters inside words, weighted by how rare they are."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Take normalised sentences, at least one with a word in it.

        They should hold ordinary talk beside the examples: a handful of examples alone would make "you" a rare word.
        """
        self._words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, tokenizer=str.split, token_pattern=None)
        self._letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
        self._words.fit(texts)
        self._letters.fit(texts)

    def rows(self, texts: Sequence[str]) -> csr_matrix:
        """Return a sparse row for each text, of length one unless nothing in it is known."""
        both = hstack([self._words.transform(texts), self._letters.transform(texts)])
        return csr_matrix(both) * np.sqrt(0.5)
