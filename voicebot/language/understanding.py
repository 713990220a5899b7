"""From what a recogniser heard to what the dialog can decide on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from voicebot.dialog.events import IntentScore, Interpretation
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.language.encoder import SentenceEncoder
from voicebot.language.entities.finder import find_entities
from voicebot.language.entities.yes_no import affirmative
from voicebot.language.intents import IntentClassifier
from voicebot.language.mood import read_mood
from voicebot.language.rephrasing import Rephrasing, find_rephrasing
from voicebot.language.topics import read_topics, refuses_person
from voicebot.language.training_cache import TrainingCache
from voicebot.language.trials import Trials
from voicebot.language.validation import Collision, Threshold
from voicebot.language.wording import split_clauses
from voicebot.language.words import normalise

#: What a part of a sentence needs to count as a request of its own.
_SURE_OF_A_CLAUSE = 0.7
#: Further alternatives are other digits of the same number, of which a recogniser gives up to thirty; looking for
#: requests in each takes the event loop a tenth of a second.
_READ_FOR_REQUESTS = 5


class Read(Protocol):
    """Reads one normalised text as surely heard, for values and, where it is to be, for requests."""

    def __call__(self, text: str, expectation: Expectation, now: datetime, *, for_requests: bool) -> Interpretation: ...


class Understanding:
    """Reads utterances for one version of a bot's flows.

    Immutable after construction: no I/O, safe from any thread, a millisecond or two per reading, so it may run on the
    event loop. Construction trains the intents (under a second for a few hundred examples): do it in a thread.
    """

    def __init__(
        self,
        intents: Mapping[str, tuple[str, ...]],
        encoder: SentenceEncoder | None = None,
        cache: TrainingCache | None = None,
    ) -> None:
        """Take example sentences by intent name; five to ten each are enough.

        Without an `encoder` requests are understood by their words alone; whoever builds this says so to the operator.
        `cache` spares the training when it was done before.
        """
        self._classifier = IntentClassifier(intents, encoder, cache)
        self._encoder = encoder

    @property
    def has_encoder(self) -> bool:
        """Whether meaning counts; words alone do without an encoder."""
        return self._encoder is not None

    @property
    def threshold(self) -> Threshold:
        """The confidence under which a request is "none", with the validation figures behind it."""
        return self._classifier.threshold

    @property
    def trials(self) -> Trials:
        """What became of the sentences that the threshold was set on."""
        return self._classifier.trials

    @property
    def collisions(self) -> tuple[Collision, ...]:
        """Examples that, left out of training, are taken for another intent."""
        return self._classifier.collisions

    def rephrasing(self, text: str, earlier: Sequence[str]) -> Rephrasing | None:
        """Return which of the caller's `earlier` turns `text` says again, and how alike they are."""
        return find_rephrasing(text, earlier, self._encoder)

    def interpret(
        self, heard: Sequence[tuple[str, float]], expectation: Expectation, now: datetime
    ) -> tuple[Interpretation, ...]:
        """Read each of the recogniser's alternatives (text, confidence 0 to 1), in their order.

        `now` is the time in the caller's zone; dates and times are read relative to it. Alternatives that normalise to
        the same text are read once, with the higher confidence. The first five are read for requests, all for values.
        Nothing heard gives an empty tuple.
        """
        return interpret_each(self.read, heard, expectation, now)

    def read(self, text: str, expectation: Expectation, now: datetime, *, for_requests: bool) -> Interpretation:
        """Read one normalised text as surely heard, for values and, where it is to be, for requests."""
        found = find_entities(text, expectation, now)
        intents, further = self._requests(text) if for_requests else ((), ())
        return Interpretation(
            text=text,
            confidence=1.0,
            intents=intents,
            entities=found.entities,
            affirmative=affirmative(text, expected=AnswerKind.YES_NO in expectation.kinds),
            correction=found.correction,
            further=further,
            mood=read_mood(text),
            topics=read_topics(text),
            refuses_person=refuses_person(text),
        )

    def _requests(self, text: str) -> tuple[tuple[IntentScore, ...], tuple[IntentScore, ...]]:
        """Return the intents of a text and of further requests in it."""
        whole = self._classifier.classify(text)
        clauses = split_clauses(text)
        if len(clauses) < 2:
            return whole, ()
        sure = [scores for clause in clauses if (scores := self._classifier.classify(clause))]
        sure = [scores for scores in sure if scores[0].confidence >= _SURE_OF_A_CLAUSE]
        different = {scores[0].intent: scores for scores in reversed(sure)}
        if len(different) < 2:
            return whole, ()
        in_order = sorted(different.values(), key=sure.index)
        return in_order[0], tuple(scores[0] for scores in in_order[1:])


def interpret_each(
    read: Read, heard: Sequence[tuple[str, float]], expectation: Expectation, now: datetime
) -> tuple[Interpretation, ...]:
    """Have each different alternative read, the first few of them for requests as well."""
    best: dict[str, float] = {}
    for text, confidence in heard:
        plain = normalise(text)
        if plain:
            best[plain] = max(confidence, best.get(plain, 0.0))
    return tuple(
        replace(read(text, expectation, now, for_requests=rank < _READ_FOR_REQUESTS), confidence=confidence)
        for rank, (text, confidence) in enumerate(best.items())
    )
