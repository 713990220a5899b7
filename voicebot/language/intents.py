"""Which intent a request has, how sure that is, and whether it is none of them.

Word and character TF-IDF feed a multinomial logistic regression. Its probability alone is sure of nonsense too, so a
second, tiny regression learns by cross-validation how often the best intent is right given that probability, its lead
over the second, and how close the nearest example is; its answer is the confidence. It learns "none" from sentences
that no company's intents should claim.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from voicebot.dialog.events import IntentScore
from voicebot.language.wording import bare_request
from voicebot.language.words import normalise

Floats = NDArray[np.float64]

_FOLDS = 5
_SHARPNESS = 20.0
#: Share of turns that are no intent at all, assumed where nobody has counted yet.
_NONE_SHARE = 0.25
#: A background sentence this close to an example belongs to this company's business and teaches nothing about "none".
_TOO_CLOSE = 0.45
_MOST_SCORES = 5


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for the best intent: its probability, its lead over the second, the nearest example's cosine."""

    probability: float
    lead: float
    nearest: float

    def features(self) -> list[float]:
        clipped = min(max(self.probability, 1e-4), 1 - 1e-4)
        return [float(np.log(clipped / (1 - clipped))), self.lead, self.nearest]


@dataclass(frozen=True, slots=True)
class Threshold:
    """The confidence under which a request is "none", and the figures of the validation it was set on."""

    confidence: float
    in_scope_kept: float
    background_refused: float
    in_scope_right: float
    examples: int


def background() -> tuple[str, ...]:
    """Return the sentences that stand for everything callers say that is no request of the company's."""
    text = resources.files("voicebot.language").joinpath("background.txt").read_text(encoding="utf-8")
    return tuple(line.strip() for line in text.splitlines() if line.strip())


class _Features:
    """Word and character TF-IDF of the examples, rows of length one."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, tokenizer=str.split, token_pattern=None)
        self._characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
        self._words.fit(texts)
        self._characters.fit(texts)

    def rows(self, texts: Sequence[str]) -> csr_matrix:
        both = hstack([self._words.transform(texts), self._characters.transform(texts)])
        return csr_matrix(both) / np.sqrt(2.0)


class IntentClassifier:
    """Classifies requests among the intents it was built from. Immutable once built, so any thread may use it."""

    def __init__(self, examples: Mapping[str, Sequence[str]]) -> None:
        """Train on example sentences by intent; well under a second for a few hundred of them."""
        pairs = [
            (bare_request(normalise(text)), intent)
            for intent, texts in sorted(examples.items())
            for text in dict.fromkeys(texts)
            if normalise(text)
        ]
        self._labels = sorted({intent for _, intent in pairs})
        self.threshold = Threshold(confidence=1.0, in_scope_kept=0, background_refused=0, in_scope_right=0, examples=0)
        if not pairs:
            return
        texts = [text for text, _ in pairs]
        self._features = _Features(texts)
        self._rows = self._features.rows(texts)
        targets = np.array([self._labels.index(intent) for _, intent in pairs])
        self._model = _fit(self._rows, targets)
        self._judge, self.threshold = self._validate(texts, targets)

    def classify(self, text: str) -> tuple[IntentScore, ...]:
        """Return the likeliest intents with calibrated probabilities, best first; empty when it is none of them."""
        request = bare_request(normalise(text))
        if not self._labels or not request:
            return ()
        row = self._features.rows([request])
        probabilities = _probabilities(self._model, row, len(self._labels))[0]
        evidence = _evidence(probabilities, _nearest(self._rows, row)[0])
        confidence = float(self._judge.predict_proba([evidence.features()])[0, 1])
        if confidence < self.threshold.confidence:
            return ()
        best = np.argsort(-probabilities)[:_MOST_SCORES]
        rest = max(1.0 - float(probabilities[best[0]]), 1e-9)
        # What is not the best intent's is shared among the others as the first model saw them.
        return tuple(
            IntentScore(
                self._labels[label],
                confidence if rank == 0 else (1 - confidence) * float(probabilities[label]) / rest,
            )
            for rank, label in enumerate(best)
        )

    def _validate(self, texts: Sequence[str], targets: NDArray[np.int64]) -> tuple[Any, Threshold]:
        """Fit the judge and the threshold on sentences that the model judging them has not seen."""
        trials: list[_Trial] = []
        fold_of = _folds(targets)
        strange = self._features.rows([bare_request(normalise(line)) for line in background()])
        strange = strange[_nearest(self._rows, strange) < _TOO_CLOSE]
        for fold in range(_FOLDS):
            held_out = fold_of == fold
            if not held_out.any() or held_out.all():
                continue
            examples = self._rows[~held_out]
            model = _fit(examples, targets[~held_out])
            trials += self._trials(model, examples, self._rows[held_out], targets[held_out])
            trials += self._trials(model, examples, strange[fold::_FOLDS], None)
        return _judge(trials, len(texts))

    def _trials(
        self, model: Any, examples: csr_matrix, rows: csr_matrix, truth: NDArray[np.int64] | None
    ) -> list[_Trial]:
        if rows.shape[0] == 0:
            return []
        probabilities = _probabilities(model, rows, len(self._labels))
        nearest = _nearest(examples, rows)
        return [
            _Trial(
                _evidence(probabilities[index], nearest[index]),
                in_scope=truth is not None,
                right=truth is not None and int(np.argmax(probabilities[index])) == int(truth[index]),
            )
            for index in range(rows.shape[0])
        ]


@dataclass(frozen=True, slots=True)
class _Trial:
    """One sentence judged by a model that has not seen it."""

    evidence: Evidence
    in_scope: bool
    right: bool


def _judge(trials: Sequence[_Trial], examples: int) -> tuple[Any, Threshold]:
    """Fit confidence to outcome, and choose the threshold at which accepting pays most against being wrong."""
    in_scope = np.array([trial.in_scope for trial in trials])
    right = np.array([trial.right for trial in trials])
    features = np.array([trial.evidence.features() for trial in trials])
    weights = np.where(
        in_scope, (1 - _NONE_SHARE) / max(in_scope.sum(), 1), _NONE_SHARE / max((~in_scope).sum(), 1)
    ) * len(trials)
    if right.all() or not right.any():
        # Too few examples to learn from: similarity alone decides, steep around a half.
        judge = LogisticRegression(C=1e3).fit(np.array([[0, 0, 0.1], [0, 0, 0.9]]), [False, True])
        return judge, Threshold(0.5, in_scope_kept=0.0, background_refused=0.0, in_scope_right=0.0, examples=examples)
    judge = LogisticRegression(C=10.0).fit(features, right, sample_weight=weights)
    confidence = judge.predict_proba(features)[:, 1]
    gain = np.where(right, weights, -weights)
    grid = np.unique(np.round(confidence, 3))
    gains = [float(gain[confidence >= level].sum()) for level in grid]
    level = float(grid[int(np.argmax(gains))])
    kept = confidence >= level
    return judge, Threshold(
        confidence=level,
        in_scope_kept=float(kept[in_scope].mean()),
        background_refused=float((~kept)[~in_scope].mean()) if (~in_scope).any() else 1.0,
        in_scope_right=float(right[in_scope].mean()),
        examples=examples,
    )


def _fit(rows: csr_matrix, targets: NDArray[np.int64]) -> Any:
    """Fit the regression; None where there is one intent only and nothing to decide."""
    if len(set(targets.tolist())) < 2:
        return int(targets[0])
    return LogisticRegression(C=_SHARPNESS, max_iter=200, class_weight="balanced").fit(rows, targets)


def _probabilities(model: Any, rows: csr_matrix, labels: int) -> Floats:
    """Return one row of probabilities over all labels per request, also where a fold lacked some."""
    full: Floats = np.zeros((rows.shape[0], labels))
    if isinstance(model, int):
        full[:, model] = 1.0
    else:
        full[:, model.classes_] = model.predict_proba(rows)
    return full


def _nearest(examples: csr_matrix, rows: csr_matrix) -> Floats:
    return np.asarray((rows @ examples.T).max(axis=1).todense(), dtype=np.float64).ravel()


def _evidence(probabilities: Floats, nearest: float) -> Evidence:
    ranked = np.sort(probabilities)[::-1]
    second = float(ranked[1]) if len(ranked) > 1 else 0.0
    return Evidence(float(ranked[0]), float(ranked[0]) - second, float(nearest))


def _folds(targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Deal the examples of each intent over the folds in turn."""
    fold_of = np.zeros(len(targets), dtype=np.int64)
    for label in set(targets.tolist()):
        members = np.flatnonzero(targets == label)
        fold_of[members] = (np.arange(len(members)) + label) % _FOLDS
    return fold_of
