"""Answers questions from a folder of Markdown articles, word for word, and says from which; else it has nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import FeatureUnion

from voicebot.backends.articles import OPERATION, Passage, read_articles
from voicebot.backends.backends import BackendResult
from voicebot.dialog.events import SlotValue
from voicebot.dialog.flow import spoken_words
from voicebot.errors import LocalProtocolError

#: Similarity to the nearest wording, times the share of the question that articles speak of at all, under which
#: nothing is answered. tests/backends/test_knowledge.py shows it on questions that nobody tuned it by.
SIMILARITY_LEAST = 0.28


#: From passages to what finds the name of the article that answers a question; None where it cannot be made.
Learn = Callable[[Sequence[Passage]], Callable[[str], str | None] | None]

_NOTHING = BackendResult("nothing")
#: Words that questions have in common whatever they are about.
_EMPTY_WORDS = frozenset(
    "a an the i i'd i'm you your yours my me we us our it its is are am be was do does did can could would will may"
    " to of for in on at with from by and or so if there here this that what what's which who how where where's when"
    " please want need like have has got get much many long old".split()
)
_STEM_LETTERS = 5


def _stem(word: str) -> str:
    """The beginning of a word, so that "returning" is known where "return" is."""
    return word[:_STEM_LETTERS]


class KnowledgeSystem:
    """The operation ``knowledge.find``: from a question to the answer of the article that is nearest to it."""

    def __init__(self, folder: Path, learn: Learn | None = None) -> None:
        """Read every ``*.md`` under `folder`; `ConfigurationError` when one is not written as it should be.

        `learn` makes what finds them by meaning; without it, or where it makes nothing, words decide.
        """
        self._passages = read_articles(folder)
        self._by_article = {passage.article: passage for passage in self._passages}
        self._by_meaning = learn(self._passages) if learn and self._passages else None
        wordings = [wording for passage in self._passages for wording in passage.wordings]
        self._owners = [number for number, passage in enumerate(self._passages) for _ in passage.wordings]
        # Whole words carry the meaning; pieces of words forgive what a recogniser got slightly wrong.
        self._vectorizer = FeatureUnion(
            [
                ("words", TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, stop_words=sorted(_EMPTY_WORDS))),
                ("pieces", TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)),
            ]
        )
        self._matrix = self._vectorizer.fit_transform(wordings) if wordings else None
        self._stems = {_stem(word) for wording in wordings for word in wording.split()}

    @property
    def operations(self) -> frozenset[str]:
        return frozenset({OPERATION})

    async def call(
        self, operation: str, arguments: Mapping[str, SlotValue], *, idempotency_key: str | None
    ) -> BackendResult:
        """Answer ``question`` with ``answer`` and ``article``, or with the outcome ``nothing``."""
        del idempotency_key  # reading needs none
        if operation != OPERATION:
            raise LocalProtocolError(f"'{operation}' is no operation of the articles.")
        found = await asyncio.to_thread(self.find, str(arguments["question"]))
        return BackendResult("ok", {"answer": found.answer, "article": found.article}) if found else _NOTHING

    def find(self, question: str) -> Passage | None:
        """Return the passage nearest to `question`; None when none is near enough. A millisecond or two."""
        if self._matrix is None or not question.strip():
            return None
        if self._by_meaning is not None:
            article = self._by_meaning(question)
            return None if article is None else self._by_article[article]
        words = spoken_words(question)
        # Each half of the features has length 1, so that their product goes up to 2.
        similarity = (self._matrix @ self._vectorizer.transform([words]).T).toarray().ravel() / 2
        nearest = int(np.argmax(similarity))
        near_enough = similarity[nearest] * self._share_known(words) >= SIMILARITY_LEAST
        return self._passages[self._owners[nearest]] if near_enough else None

    def _share_known(self, words: str) -> float:
        """How much of a question the articles speak of at all: "how much is a stamp" is not about stamps."""
        telling = [word for word in words.split() if word not in _EMPTY_WORDS]
        known = sum(_stem(word) in self._stems for word in telling)
        return known / len(telling) if telling else 0.0

    async def close(self) -> None:
        """Nothing is held open."""
