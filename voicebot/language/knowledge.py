"""Which article answers a question, by what the question means; or none, when none does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from voicebot.language.encoder import SentenceEncoder
from voicebot.language.intents import IntentClassifier
from voicebot.language.training_cache import TrainingCache
from voicebot.language.validation import Threshold

#: A wrong answer, read out with certainty, is worse than none: it must be likelier right than wrong.
_SUREST_NEEDED = 0.5
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class Article:
    """An answer as it is spoken, and wordings of the question it answers."""

    wordings: tuple[str, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class Found:
    """The article's name, and the calibrated probability that it is the right one."""

    article: str
    confidence: float


class Retriever:
    """Finds the article for a question. Immutable once built; a few milliseconds a question, from any thread.

    An article is found by wordings of its question and by what its answer says, as an intent is by its examples; so
    "nothing fits" is learnt in the same way and is as real.
    """

    def __init__(
        self, articles: Mapping[str, Article], encoder: SentenceEncoder, cache: TrainingCache | None = None
    ) -> None:
        """Take articles by name. Without an encoder nearness of meaning is unknown, and words alone mislead here."""
        self._classifier = IntentClassifier(
            {name: (*article.wordings, *_SENTENCE_END.split(article.answer)) for name, article in articles.items()},
            encoder,
            cache,
        )

    @property
    def threshold(self) -> Threshold:
        """The validation figures; below `confidence` and below one half nothing is found."""
        return self._classifier.threshold

    def find(self, question: str) -> Found | None:
        """Return the article that answers `question`, None when none is likely to."""
        scores = self._classifier.classify(question)
        if not scores or scores[0].confidence < _SUREST_NEEDED:
            return None
        return Found(scores[0].intent, scores[0].confidence)
