"""How far an intent model can be trusted, learnt from sentences that the model judging them has not seen.

Three kinds of sentences are tried: examples left out of training; examples of whole intents left out, which are what a
near miss looks like; and the background, which no company's intents should claim. A small regression then learns how
often the best intent is right, which makes its answer a probability; and the threshold of "none" is set where
guessing pays most.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from voicebot.language.model import Evidence, Floats, IntentModel, Labels, Seen

_FOLDS = 5
#: Beyond this many examples two folds are enough, and each takes long.
_MANY_EXAMPLES = 3000
#: Share of turns that are no intent at all, assumed where nobody has counted yet.
_NONE_SHARE = 0.2
#: A background sentence this close to an example belongs to this company's business and teaches nothing about "none".
_TOO_CLOSE = 0.6
#: Fewer intents than this say little about each other's near misses.
_FEWEST_INTENTS = 3

#: How many trials the expectation that every kind of evidence counts is worth.
_PRIOR = 3.0

#: What a wrong guess costs beside what a right one gains: the dialog asks back before it acts on an unsure one.
_COST_OF_WRONG = 0.6
#: The threshold is sought within these; outside them a few trials have misled the search.
_THRESHOLDS = (0.25, 0.6)

Flags = NDArray[np.bool_]
#: The rows left out, and what the model that has not seen them makes of them.
_Trial = tuple[NDArray[np.int64], Evidence]


@dataclass(frozen=True, slots=True)
class Threshold:
    """The confidence under which a request is "none", and the figures of the validation it was set on.

    Shares are 0 to 1: of left-out examples, `in_scope_right` were given their own intent and `in_scope_kept` were not
    turned away; `strangers_refused` is the share of other sentences that were.
    """

    confidence: float
    in_scope_right: float
    in_scope_kept: float
    strangers_refused: float
    examples: int


@dataclass(frozen=True, slots=True)
class Collision:
    """An example that, left out of training, is taken for another intent: the two are hard to tell apart."""

    example: str
    intent: str
    taken_for: str
    confidence: float


class Judge:
    """Turns evidence into the probability that the best intent is right, by a logistic regression.

    More evidence never lowers it: slopes are not negative, and where trials are few they stay near one standard
    deviation each. A handful of examples would otherwise teach by chance that strange requests are the safe ones.
    """

    def __init__(self, features: Floats, right: Flags, weights: Floats) -> None:
        """Fit to trials: a row of features each, whether the best intent was right, and how much the trial counts."""
        self._middle = features.mean(axis=0)
        self._spread = features.std(axis=0) + 1e-3
        scaled = (features - self._middle) / self._spread
        sides = np.where(right, 1.0, -1.0)

        def loss(parameters: Floats) -> tuple[float, Floats]:
            slopes, offset = parameters[:-1], parameters[-1]
            margins = sides * (scaled @ slopes + offset)
            pulls = -sides * weights * expit(-margins)
            away = slopes - 1
            value = float(weights @ np.logaddexp(0, -margins)) + _PRIOR / 2 * float(away @ away)
            return value, np.append(pulls @ scaled + _PRIOR * away, pulls.sum() + 1e-3 * offset)

        count = features.shape[1]
        bounds = [(0.0, None)] * count + [(None, None)]
        best = minimize(loss, np.append(np.ones(count), 0.0), jac=True, method="L-BFGS-B", bounds=bounds)
        self._slopes, self._offset = best.x[:-1], float(best.x[-1])

    def confidence(self, evidence: Evidence) -> Floats:
        """Return a probability for each row of `evidence`."""
        scores = (evidence.features() - self._middle) / self._spread @ self._slopes + self._offset
        return np.asarray(expit(scores), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What came of validating a model: the judge, the threshold, and which left-out examples went to which label."""

    judge: Judge
    threshold: Threshold
    left_out: NDArray[np.int64]
    taken_for: Labels
    confidences: Floats


def background() -> tuple[str, ...]:
    """Return the sentences that stand for everything callers say that is no request of the company's."""
    text = resources.files("voicebot.language").joinpath("background.txt").read_text(encoding="utf-8")
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def validate(seen: Seen, targets: Labels, labels: int, strangers: Seen) -> Verdicts:
    """Validate on examples (`seen`, `targets`) and background (`strangers`); deterministic."""
    folds = _FOLDS if len(seen) <= _MANY_EXAMPLES else 2
    known = _left_out_examples(seen, targets, labels, strangers, folds)
    strange = [_background_trials(seen, targets, labels, strangers, folds)]
    if labels >= _FEWEST_INTENTS:
        strange.append(_left_out_intents(seen, targets, labels, strangers, folds))
    left_out = np.concatenate([rows for rows, _ in known])
    trials = [evidence for _, evidence in known]
    found = np.concatenate([evidence.best() for evidence in trials])
    in_scope_features = np.concatenate([evidence.features() for evidence in trials])
    right = found == targets[left_out]
    strange_features = [np.concatenate([each.features() for each in group]) for group in strange if group]
    features = np.concatenate([in_scope_features, *strange_features])
    in_scope = np.arange(len(features)) < len(right)
    all_right = np.concatenate([right, np.zeros(len(features) - len(right), bool)])
    shares = _spread(1 - _NONE_SHARE, [len(right)]) + _spread(_NONE_SHARE, [len(group) for group in strange_features])
    weight = np.concatenate(shares) * len(features)
    judge = Judge(features, all_right, weight)
    confidences = np.concatenate([judge.confidence(evidence) for group in (trials, *strange) for evidence in group])
    threshold = _threshold(confidences, all_right, in_scope, weight, len(seen))
    return Verdicts(judge, threshold, left_out, found, confidences[in_scope])


def _left_out_examples(seen: Seen, targets: Labels, labels: int, strangers: Seen, folds: int) -> list[_Trial]:
    fold_of = _folds(targets, folds)
    trials = []
    for fold in range(folds):
        out = fold_of == fold
        if out.any():
            kept = _others(out)
            model = IntentModel(seen.take(kept), targets[kept], labels, strangers)
            trials.append((np.flatnonzero(out), model.weigh(seen.take(out))))
    return trials


def _left_out_intents(seen: Seen, targets: Labels, labels: int, strangers: Seen, folds: int) -> list[Evidence]:
    trials = []
    for fold in range(min(folds, labels)):
        out = targets % folds == fold
        if out.any() and len(set(targets[~out].tolist())) > 1:
            model = IntentModel(seen.take(~out), targets[~out], labels, strangers)
            trials.append(model.weigh(seen.take(out)))
    return trials


def _background_trials(seen: Seen, targets: Labels, labels: int, strangers: Seen, folds: int) -> list[Evidence]:
    """Weigh the background by models trained on as much as those that weigh left-out examples."""
    fold_of = _folds(targets, folds)
    stranger_fold = np.arange(len(strangers)) % folds
    trials = []
    for fold in range(folds):
        kept = _others(fold_of == fold)
        out = stranger_fold == fold
        model = IntentModel(seen.take(kept), targets[kept], labels, strangers.take(~out))
        evidence = model.weigh(strangers.take(out))
        trials.append(evidence.take(evidence.nearest < _TOO_CLOSE))
    return trials


def _others(out: Flags) -> Flags:
    """Return which rows are not `out`; a bot of a single example has to be tried on that one."""
    return out if out.all() else ~out


def _folds(targets: Labels, folds: int) -> NDArray[np.int64]:
    """Deal the examples of each intent over the folds in turn."""
    fold_of = np.zeros(len(targets), dtype=np.int64)
    for label in set(targets.tolist()):
        members = np.flatnonzero(targets == label)
        fold_of[members] = (np.arange(len(members)) + label) % folds
    return fold_of


def _spread(share: float, sizes: list[int]) -> list[Floats]:
    """Give each group an equal part of `share`, spread over its members."""
    return [np.full(size, share / len(sizes) / max(size, 1)) for size in sizes]


def _threshold(confidences: Floats, right: Flags, in_scope: Flags, weights: Floats, examples: int) -> Threshold:
    gain = np.where(right, weights, -_COST_OF_WRONG * weights)
    grid = np.round(np.arange(*_THRESHOLDS, 0.01), 2)
    level = float(grid[int(np.argmax([float(gain[confidences >= each].sum()) for each in grid]))])
    kept = confidences >= level
    return Threshold(
        confidence=level,
        in_scope_right=float(right[in_scope].mean()),
        in_scope_kept=float(kept[in_scope].mean()),
        strangers_refused=float((~kept)[~in_scope].mean()) if (~in_scope).any() else 1.0,
        examples=examples,
    )
