"""Fits the weights of an escalation policy to calls of which it is known when a person should have taken over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from voicebot.dialog.escalation.judging import MeasuredCall, decisions
from voicebot.dialog.escalation.policy import EscalationPolicy, InteractionType, Weight

#: Weights are written in steps of this.
_STEP = 0.05
#: How hard a weight is pulled back to what it was; chosen by leave-one-fold-out on the calls that are not held back.
PULL = 0.05

_Floats = NDArray[np.float64]


def fit_weights(policy: EscalationPolicy, calls: Sequence[MeasuredCall], *, pull: float = PULL) -> EscalationPolicy:
    """Return the policy with the usual type's weights fitted to `calls`; thresholds, rules and hysteresis stay.

    Logistic regression over turns, with weights that are never negative and are pulled towards what they were: a turn
    before the one at which a person was due should score below the first rung with a person, the due one above. Calls
    that a rule or the caller's own request decides in time are left out, since the score does not matter there.
    """
    usual = policy.usual
    threshold = min(score for rung, score in usual.rungs.items() if rung.is_takeover)
    names = list(usual.weights)
    rows, wanted = _turns(policy, calls, names)
    if len(set(wanted)) < 2:
        return policy
    features, due = np.array(rows), np.array(wanted)
    before = np.array([usual.weights[name].weight for name in names])
    # Both outcomes count alike, however many turns lead to them.
    counts = np.where(due > 0, 0.5 / due.sum(), 0.5 / (len(due) - due.sum()))
    sharpness = 8.0 / threshold

    def loss(weights: _Floats) -> tuple[float, _Floats]:
        margin = sharpness * (features @ weights - threshold)
        chance = 1 / (1 + np.exp(-margin))
        cost = -(counts * (due * np.log(chance + 1e-12) + (1 - due) * np.log(1 - chance + 1e-12))).sum()
        slope = features.T @ (counts * (chance - due)) * sharpness
        return float(cost + pull * ((weights - before) ** 2).sum()), slope + 2 * pull * (weights - before)

    found = minimize(loss, before, jac=True, method="L-BFGS-B", bounds=[(0.0, threshold * 1.5)] * len(names))
    rounded = {
        name: Weight(round(round(float(value) / _STEP) * _STEP, 2), usual.weights[name].full)
        for name, value in zip(names, found.x, strict=True)
    }
    return replace(policy, usual=_with(usual, rounded), types=tuple(_with(one, rounded) for one in policy.types))


def _with(kind: InteractionType, weights: dict[str, Weight]) -> InteractionType:
    """Exchange the weights that a type has from the usual one or in common with it."""
    return replace(kind, weights={**kind.weights, **weights})


def _turns(
    policy: EscalationPolicy, calls: Sequence[MeasuredCall], names: Sequence[str]
) -> tuple[list[list[float]], list[float]]:
    rows, wanted = [], []
    for call in calls:
        turns = call.turns[: call.person_at] if call.person_at else call.turns
        last = decisions(policy, turns)[-1]
        if last.rung and last.rung.is_takeover and last.rule != "score":
            continue
        for number, turn in enumerate(turns, start=1):
            row = [min(1.0, max(0.0, turn.signals.number(name)) / policy.usual.weights[name].full) for name in names]
            if any(row):
                rows.append(row)
                wanted.append(float(number == call.person_at))
    return rows, wanted
