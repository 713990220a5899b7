"""The model behind intents: how much a request speaks for each of them, from its meaning, its words, its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from voicebot.language.encoder import SentenceEncoder, Vectors
from voicebot.language.lexical import WordFeatures

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

# Chosen on draws from the training parts of CLINC150 and BANKING77 and on the validation part of CLINC150, which no
# figure in docs/benchmarks.md is from.
_SHARPNESS = 20.0
#: What an encoder's further views count beside the vector itself: more helps where examples are many, hurts where few.
_FURTHER_VIEWS = 0.7
_MARGIN_C = 0.5
_MARGIN_WEIGHT = 2.0
_NEIGHBOUR_WEIGHT = 5.0
#: Without an encoder the margins stand in for log probabilities, this much steeper.
_MARGIN_AS_LOG = 4.0
_FAMILIAR_MARGIN_WEIGHT = 0.5
#: Likeness to every example is a large matrix where there are thousands of both.
_ROWS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Seen:
    """Sentences as the model sees them: sparse TF-IDF rows and, with an encoder, its views of them (else None)."""

    words: csr_matrix
    meanings: Vectors | None

    def take(self, rows: NDArray[Any]) -> Seen:
        """Return the rows chosen by a mask or by indices."""
        return Seen(self.words[rows], None if self.meanings is None else self.meanings[rows])

    def joined(self, other: Seen) -> Seen:
        meanings = None
        if self.meanings is not None and other.meanings is not None:
            meanings = np.concatenate([self.meanings, other.meanings])
        return Seen(csr_matrix(vstack([self.words, other.words])), meanings)

    def vectors(self) -> Vectors | None:
        """Return the sentence vectors, whose products are likenesses."""
        return None if self.meanings is None else self.meanings[:, : SentenceEncoder.dimensions]

    def __len__(self) -> int:
        return int(self.words.shape[0])


class Sight:
    """Turns text into what the model sees. Words are weighed as those of the texts it was made from."""

    def __init__(self, texts: Sequence[str], encoder: SentenceEncoder | None) -> None:
        self._features = WordFeatures(texts)
        self._encoder = encoder

    def see(self, texts: Sequence[str], meanings: Vectors | None = None) -> Seen:
        """Return how the model sees `texts`; the encoder is asked for its views where `meanings` are not given."""
        if meanings is None and self._encoder is not None:
            meanings = self._encoder.views_of(texts)
        return Seen(self._features.rows(texts), meanings)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for the intents, a row a request.

    `probabilities` over all labels; `nearest` is the cosine of the closest example of any intent, `strange` that of
    the closest sentence of the background; `familiarity` grows with how much a request is like the ones the bot knows,
    whichever it is.
    """

    probabilities: Floats
    nearest: Floats
    strange: Floats
    familiarity: Floats

    def take(self, rows: NDArray[Any]) -> Evidence:
        return Evidence(self.probabilities[rows], self.nearest[rows], self.strange[rows], self.familiarity[rows])

    @staticmethod
    def joined(parts: Sequence[Evidence]) -> Evidence:
        return Evidence(
            np.concatenate([part.probabilities for part in parts]),
            np.concatenate([part.nearest for part in parts]),
            np.concatenate([part.strange for part in parts]),
            np.concatenate([part.familiarity for part in parts]),
        )

    def best(self) -> Labels:
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    def features(self) -> Floats:
        """Return what confidence is judged by, four numbers a request, each the higher the more it speaks for it."""
        top = np.clip(self.probabilities.max(axis=1), 1e-4, 1 - 1e-4)
        known = -np.maximum(self.strange - self.nearest, 0)
        return np.stack([np.log(top / (1 - top)), self.nearest, self.familiarity, known], axis=1)


@dataclass(frozen=True, slots=True)
class Linear:
    """The weights of a linear classifier: shape ``(features, labels)``, a bias a label; one column a label always."""

    weights: Floats
    bias: Floats

    @staticmethod
    def of(fitted: Any) -> Linear:
        """Take the weights of scikit-learn's classifier, which has a single column where there are two labels."""
        weights, bias = np.asarray(fitted.coef_), np.asarray(fitted.intercept_)
        if len(bias) == 1:
            half = 0.5 if isinstance(fitted, LogisticRegression) else 1.0
            sides = np.array([-half, half])
            weights, bias = sides[:, None] * weights, sides * bias
        return Linear(np.ascontiguousarray(weights.T), bias)

    def scores(self, rows: Any) -> Floats:
        return np.asarray(rows @ self.weights + self.bias, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Fitted:
    """What fitting takes time for. `margins` is None for a single label, `meanings` also without an encoder."""

    margins: Linear | None
    meanings: Linear | None


def fit(seen: Seen, targets: Labels) -> Fitted:
    """Fit to `seen` and the label numbers of its rows."""
    if len(set(targets.tolist())) < 2:
        return Fitted(None, None)
    margins = Linear.of(LinearSVC(C=_MARGIN_C, random_state=0).fit(seen.words, targets))
    if seen.meanings is None:
        return Fitted(margins, None)
    return Fitted(margins, _fit_meanings(seen.meanings, targets))


def _fit_meanings(meanings: Vectors, targets: Labels) -> Linear:
    """Fit a logistic regression to the views. What all have in common is taken out first, for it to converge soon."""
    scales = np.full(meanings.shape[1], _FURTHER_VIEWS, np.float32)
    scales[: SentenceEncoder.dimensions] = 1
    common = meanings.mean(axis=0)
    fitted = Linear.of(LogisticRegression(C=_SHARPNESS, max_iter=300).fit((meanings - common) * scales, targets))
    weights = fitted.weights * scales[:, None]
    return Linear(weights, fitted.bias - common @ weights)


class IntentModel:
    """Weighs the labels of requests.

    A logistic regression on the encoder's views, the margins of a linear support vector machine on TF-IDF, and the
    cosine of each label's nearest example are summed as log weights. Without an encoder TF-IDF serves for all three.
    """

    def __init__(
        self, seen: Seen, targets: Labels, labels: int, background: Seen, fitted: Fitted | None = None
    ) -> None:
        """Take `seen` and the label numbers of its rows; `labels` counts all labels, also ones without rows here.

        `fitted` is what `fit` made of the same rows before; without it they are fitted now.
        """
        self._background = background
        order = np.argsort(targets, kind="stable")
        self._labels = labels
        self._present, self._starts = np.unique(targets[order], return_index=True)
        self._examples = seen.take(order)
        self.fitted = fitted or fit(seen, targets)

    def weigh(self, seen: Seen) -> Evidence:
        """Return the evidence for each row of `seen`."""
        if len(seen) <= _ROWS_AT_ONCE:
            return self._weigh(seen)
        starts = range(0, len(seen), _ROWS_AT_ONCE)
        rows = (np.arange(start, min(start + _ROWS_AT_ONCE, len(seen))) for start in starts)
        return Evidence.joined([self._weigh(seen.take(part)) for part in rows])

    def _weigh(self, seen: Seen) -> Evidence:
        likeness = _likeness(self._examples, seen)
        neighbours = np.maximum.reduceat(likeness, self._starts, axis=1)
        zeros = np.zeros_like(neighbours)
        fitted = self.fitted
        margins = fitted.margins.scores(seen.words) if fitted.margins else zeros
        if fitted.meanings and seen.meanings is not None:
            logs = _log_softmax(fitted.meanings.scores(seen.meanings))
        else:
            logs = _log_softmax(_MARGIN_AS_LOG * margins)
        sums = logs + _MARGIN_WEIGHT * margins + _NEIGHBOUR_WEIGHT * neighbours
        probabilities = np.zeros((len(seen), self._labels))
        probabilities[:, self._present] = np.exp(_log_softmax(sums))
        nearest = neighbours.max(axis=1)
        rows, best = np.arange(len(seen)), sums.argmax(axis=1)
        # A lone label has no margins and certain probabilities; likeness alone says how familiar a request is then.
        familiarity = np.exp(logs.max(axis=1)) + nearest + _FAMILIAR_MARGIN_WEIGHT * margins[rows, best]
        strange = _likeness(self._background, seen).max(axis=1)
        return Evidence(probabilities, nearest, strange, familiarity)


def _likeness(examples: Seen, seen: Seen) -> Floats:
    """Return the cosine of each row of `seen` with each example."""
    vectors, known = seen.vectors(), examples.vectors()
    if vectors is not None and known is not None:
        return np.asarray(vectors @ known.T, dtype=np.float64)
    return np.asarray((seen.words @ examples.words.T).toarray(), dtype=np.float64)


def _log_softmax(scores: Floats) -> Floats:
    shifted = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)), dtype=np.float64)
