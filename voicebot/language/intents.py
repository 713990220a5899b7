"""Which intent a request has, how sure that is, and whether it is none of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from voicebot.dialog.events import IntentScore
from voicebot.language.encoder import SentenceEncoder
from voicebot.language.model import IntentModel, Labels, Seen, Sight
from voicebot.language.training import Training
from voicebot.language.training_cache import TrainingCache, training_key
from voicebot.language.trials import Trials
from voicebot.language.validation import Collision, Threshold, background, validate
from voicebot.language.wording import bare_request
from voicebot.language.words import normalise

_MOST_SCORES = 5
#: What two intents need together where neither is likely: as much as the dialog asks of one that it takes.
_SURE_OF_A_PAIR = 0.55
#: An example that is likelier another intent's than not collides with it; below that callers are asked.
_COLLIDES = 0.5


class IntentClassifier:
    """Classifies requests among the intents it was built from. Immutable once built, so any thread may use it."""

    def __init__(
        self,
        examples: Mapping[str, Sequence[str]],
        encoder: SentenceEncoder | None = None,
        cache: TrainingCache | None = None,
    ) -> None:
        """Train on example sentences by intent: a second or two for a few hundred of them.

        An intent's name, read as words ("order_status"), is one more example of it. Without an `encoder` only words
        and letters count. What `cache` holds for the same examples is not trained again.
        """
        pairs = _pairs(examples)
        self._labels = sorted({intent for _, intent in pairs})
        self.threshold = Threshold(1.0, in_scope_right=0.0, in_scope_kept=0.0, strangers_refused=1.0, examples=0)
        self.trials = Trials.none()
        self.collisions: tuple[Collision, ...] = ()
        if not pairs:
            return
        # The matrices are small: threads of the algebra libraries would only get into each other's and the calls' way.
        with threadpool_limits(limits=1):
            self._train(pairs, encoder, cache)

    def classify(self, text: str) -> tuple[IntentScore, ...]:
        """Return the likeliest intents with calibrated probabilities, best first; empty when it is none of them.

        One that is unlikely alone counts when it and the next are likely together: the dialog can ask which.
        """
        scores = self.scores(text)
        if not scores or scores[0].confidence >= self.threshold.confidence:
            return scores
        return scores if sum(score.confidence for score in scores[:2]) >= _SURE_OF_A_PAIR else ()

    def scores(self, text: str) -> tuple[IntentScore, ...]:
        """Return the likeliest intents as `classify` does, also when the best is too unlikely to be taken."""
        request = bare_request(normalise(text))
        if not self._labels or not request:
            return ()
        evidence = self._model.weigh(self._sight.see([request]))
        confidence = float(self._judge.confidence(evidence)[0])
        probabilities = evidence.probabilities[0]
        ranked = np.argsort(-probabilities, kind="stable")[:_MOST_SCORES]
        others = self._judge.others(confidence, probabilities)[ranked[1:]]
        return tuple(
            IntentScore(self._labels[label], float(score))
            for label, score in zip(ranked, (confidence, *others), strict=True)
        )

    def _train(
        self, pairs: Sequence[tuple[str, str]], encoder: SentenceEncoder | None, cache: TrainingCache | None
    ) -> None:
        texts = [text for text, _ in pairs]
        names = [bare_request(normalise(label.replace("_", " "))) for label in self._labels]
        talk = [bare_request(normalise(line)) for line in background()]
        targets = np.array([self._labels.index(intent) for _, intent in pairs], dtype=np.int64)
        self._sight = Sight(texts + talk, encoder)
        key = training_key(pairs, encoder.fingerprint if encoder else "") if cache else ""
        kept = cache.load(key) if cache else None
        everything = self._sight.see(texts + names, kept.example_meanings if kept else None)
        strangers = self._sight.see(talk, kept.background_meanings if kept else None)
        all_targets = np.concatenate([targets, np.arange(len(names))])
        self._model = IntentModel(everything, all_targets, len(self._labels), strangers, kept.fitted if kept else None)
        training = kept or self._validate(texts, targets, everything, strangers)
        if cache and not kept:
            cache.keep(key, training)
        self._judge, self.threshold, self.trials = training.judge, training.threshold, training.trials
        self.collisions = training.collisions

    def _validate(self, texts: Sequence[str], targets: Labels, everything: Seen, strangers: Seen) -> Training:
        verdicts = validate(everything.take(np.arange(len(texts))), targets, len(self._labels), strangers)
        confidences = verdicts.trials.confidences[: len(verdicts.left_out)]
        return Training(
            example_meanings=everything.meanings,
            background_meanings=strangers.meanings,
            fitted=self._model.fitted,
            judge=verdicts.judge,
            threshold=verdicts.threshold,
            trials=verdicts.trials,
            collisions=tuple(
                Collision(texts[row], self._labels[targets[row]], self._labels[taken], float(confidence))
                for row, taken, confidence in zip(verdicts.left_out, verdicts.taken_for, confidences, strict=True)
                if taken != targets[row] and confidence >= _COLLIDES
            ),
        )


def _pairs(examples: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """Return each different example, normalised, with its intent."""
    return [
        (text, intent)
        for intent, sentences in sorted(examples.items())
        for text in dict.fromkeys(bare_request(normalise(sentence)) for sentence in sentences)
        if text
    ]
