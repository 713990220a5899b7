"""Sentences by their words and letters: TF-IDF, which knows nothing of meaning and misses no rare word."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

#: Words and letters count the same: each part of a row has this length.
_HALF = math.sqrt(0.5)


class WordFeatures:
    """Words, pairs of words, and letters inside words, weighted by how rare they are."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Take normalised sentences, at least one with a word in it.

        They should hold ordinary talk beside the examples: a handful of examples alone would make "you" a rare word.
        """
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, tokenizer=str.split, token_pattern=None)
        letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
        self._parts = (_Weighed(words.fit(texts), 0), _Weighed(letters.fit(texts), len(words.vocabulary_)))
        self._columns = len(words.vocabulary_) + len(letters.vocabulary_)

    def rows(self, texts: Sequence[str]) -> csr_matrix:
        """Return a sparse row for each text, of length one unless nothing in it is known."""
        columns: list[int] = []
        weights: list[float] = []
        ends = [0]
        for text in texts:
            for part in self._parts:
                part.append(text, columns, weights)
            ends.append(len(columns))
        return csr_matrix((np.array(weights), columns, ends), shape=(len(texts), self._columns), dtype=np.float64)


class _Weighed:
    """What one fitted vectorizer makes of a text, without the checks that cost it a millisecond a call."""

    def __init__(self, fitted: TfidfVectorizer, first_column: int) -> None:
        self._analyse = fitted.build_analyzer()
        self._idf = {
            term: (first_column + column, float(fitted.idf_[column])) for term, column in fitted.vocabulary_.items()
        }

    def append(self, text: str, columns: list[int], weights: list[float]) -> None:
        """Append the columns and weights of a text's known terms: (1 + ln tf) idf, of length `_HALF` together."""
        counts = Counter(term for term in self._analyse(text) if term in self._idf)
        if not counts:
            return
        terms = sorted((*self._idf[term], count) for term, count in counts.items())
        raw = [(1 + math.log(count)) * idf for _, idf, count in terms]
        scale = _HALF / math.sqrt(math.fsum(weight * weight for weight in raw))
        columns.extend(column for column, _, _ in terms)
        weights.extend(weight * scale for weight in raw)
