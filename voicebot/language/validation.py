"""How far an intent model can be trusted, learnt from sentences that the model judging them has not seen.

Three kinds of sentences are tried: examples left out of training; examples of whole intents left out, which are what a
near miss looks like; and the background, which no company's intents should claim. A small regression then learns how
often the best intent is right, which makes its answer a probability; and the threshold of "none" is set where
guessing pays most.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import resources

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from voicebot.language.model import Evidence, Floats, IntentModel, Labels, Seen
from voicebot.language.trials import Flags, Trials

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

#: From the threshold on the dialog asks or acts: what a wrong guess costs beside what a right one gains. Where nothing
#: is guessed, articles are looked up, and the caller says it again.
_COST_OF_WRONG = 0.6
#: The threshold is sought within these; outside them a few trials have misled the search.
_THRESHOLDS = (0.25, 0.6)

#: The rows left out, and what the model that has not seen them makes of them.
_Trial = tuple[NDArray[np.int64], Evidence]


@dataclass(frozen=True, slots=True)
class Threshold:
    """The confidence under which a request is "none", and the figures of the validation it was set on.

    Shares are 0 to 1: of left-out examples, `in_scope_right` were given their own intent and `in_scope_kept` were not
    turned away; `strangers_refused` is the share of other sentences that were. `examples` and `strangers` count both.
    """

    confidence: float
    in_scope_right: float
    in_scope_kept: float
    strangers_refused: float
    examples: int
    strangers: int = 0


@dataclass(frozen=True, slots=True)
class Collision:
    """An example that, left out of training, is taken for another intent: the two are hard to tell apart."""

    example: str
    intent: str
    taken_for: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Judge:
    """Turns evidence into the probability that the best intent is right, by a logistic regression.

    `middle`, `spread` and `slopes` have a number for each of the evidence's features. `rivals` is how much of what the
    model gives the runner-up it deserves: the rest belongs to "none of these".
    """

    middle: Floats
    spread: Floats
    slopes: Floats
    offset: float
    rivals: float = 1.0

    @staticmethod
    def fit(features: Floats, right: Flags, weights: Floats) -> Judge:
        """Fit to trials: a row of features each, whether the best intent was right, and how much the trial counts.

        More evidence never lowers the probability: slopes are not negative, and where trials are few they stay near one
        standard deviation each. A handful of examples would otherwise teach by chance that strange requests are safe.
        """
        middle, spread = features.mean(axis=0), features.std(axis=0) + 1e-3
        scaled = (features - middle) / spread
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
        return Judge(middle, spread, best.x[:-1], float(best.x[-1]))

    def confidence(self, evidence: Evidence) -> Floats:
        """Return a probability for each row of `evidence`."""
        return self.confidence_of(evidence.features())

    def confidence_of(self, features: Floats) -> Floats:
        scores = (features - self.middle) / self.spread @ self.slopes + self.offset
        return np.asarray(expit(scores), dtype=np.float64)

    def others(self, confidence: float, probabilities: Floats) -> Floats:
        """Return what the intents other than the best deserve, from what the model gave all of one request.

        What is not the best intent's is shared among the others as the model saw them, and "none of these".
        """
        rest = (1 - confidence) / max(1 - float(probabilities.max()), 1e-9)
        return np.asarray(np.minimum(confidence, self.rivals * rest * probabilities), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What came of validating a model: the judge, the threshold, and which left-out examples went to which label.

    `trials` are all the sentences tried, each judged by a judge that has not seen it; its first rows are `left_out`.
    """

    judge: Judge
    threshold: Threshold
    trials: Trials
    left_out: NDArray[np.int64]
    taken_for: Labels


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
    strangers_by_kind = [Evidence.joined(group) for group in strange if group]
    evidence = Evidence.joined([*(each for _, each in known), *strangers_by_kind])
    # No label is a stranger's own.
    own = np.concatenate([targets[left_out], np.full(len(evidence.nearest) - len(left_out), -1)])
    found = evidence.best()
    features, right, in_scope = evidence.features(), found == own, own >= 0
    shares = _spread(1 - _NONE_SHARE, [len(left_out)])
    shares += _spread(_NONE_SHARE, [len(each.nearest) for each in strangers_by_kind])
    weights = np.concatenate(shares) * len(features)
    judge = Judge.fit(features, right, weights)
    trials = Trials(_judged_apart(features, right, weights), right, in_scope, weights)
    judge = replace(judge, rivals=_rivals(judge, evidence, own, weights))
    return Verdicts(judge, _threshold(trials, len(seen)), trials, left_out, found[in_scope])


def _judged_apart(features: Floats, right: Flags, weights: Floats) -> Floats:
    """Return the confidence of each trial by a judge that was fitted to the others."""
    confidences = np.zeros(len(features))
    fold_of = np.arange(len(features)) % _FOLDS
    for fold in range(_FOLDS):
        out = fold_of == fold
        if out.any():
            kept = _others(out)
            confidences[out] = Judge.fit(features[kept], right[kept], weights[kept]).confidence_of(features[out])
    return confidences


def _rivals(judge: Judge, evidence: Evidence, own: Labels, weights: Floats) -> float:
    """Return how often the runner-up was right beside how often `judge` would say so; 1 at most."""
    if evidence.probabilities.shape[1] < 2:
        return 1.0
    seconds = np.argsort(-evidence.probabilities, axis=1, kind="stable")[:, 1]
    said = [
        float(judge.others(float(confidence), row)[second])
        for confidence, row, second in zip(judge.confidence(evidence), evidence.probabilities, seconds, strict=True)
    ]
    return float(min(1.0, (weights @ (seconds == own)) / max(weights @ np.array(said), 1e-9)))


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


def _threshold(trials: Trials, examples: int) -> Threshold:
    gain = np.where(trials.right, trials.weights, -_COST_OF_WRONG * trials.weights)
    grid = np.round(np.arange(*_THRESHOLDS, 0.01), 2)
    level = float(grid[int(np.argmax([float(gain[trials.confidences >= each].sum()) for each in grid]))])
    kept = trials.confidences >= level
    in_scope = trials.in_scope
    return Threshold(
        confidence=level,
        in_scope_right=float(trials.right[in_scope].mean()),
        in_scope_kept=float(kept[in_scope].mean()),
        strangers_refused=float((~kept)[~in_scope].mean()) if (~in_scope).any() else 1.0,
        examples=examples,
        strangers=int((~in_scope).sum()),
    )
