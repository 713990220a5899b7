"""TF-IDF rows are those of scikit-learn, made without the checks that it does at each call."""

from __future__ import annotations

import numpy as np
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer

from tests.language.test_understanding import INTENTS
from voicebot.language.lexical import WordFeatures

KNOWN = [example for examples in INTENTS.values() for example in examples]
SAID = ["where is my order order order", "never heard before", "", "zzz", "what's my balance", "qq xx"]


def test_rows_are_scikit_learns() -> None:
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, tokenizer=str.split, token_pattern=None).fit(KNOWN)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True).fit(KNOWN)
    expected = hstack([words.transform(SAID), letters.transform(SAID)]).toarray() * np.sqrt(0.5)
    np.testing.assert_allclose(WordFeatures(KNOWN).rows(SAID).toarray(), expected, atol=1e-12)
    assert expected.any()
