"""What training on a bot's examples found out, as plain arrays: quick to keep, and to take up again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voicebot.language.encoder import Vectors
from voicebot.language.model import Fitted, Linear
from voicebot.language.trials import Trials
from voicebot.language.validation import Collision, Judge, Threshold

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Training:
    """What costs time to find out. The meanings are those of the examples, of the intents' names and of the background.

    They are None without an encoder.
    """

    example_meanings: Vectors | None
    background_meanings: Vectors | None
    fitted: Fitted
    judge: Judge
    threshold: Threshold
    trials: Trials
    collisions: tuple[Collision, ...]


def to_arrays(training: Training) -> dict[str, NDArray[Any]]:
    """Return `training` as arrays of numbers and text, none of them of Python objects."""
    threshold, judge = training.threshold, training.judge
    arrays: dict[str, NDArray[Any]] = {
        "middle": judge.middle,
        "spread": judge.spread,
        "slopes": judge.slopes,
        "judge": np.array([judge.offset, judge.rivals]),
        "threshold": np.array(
            [threshold.confidence, threshold.in_scope_right, threshold.in_scope_kept, threshold.strangers_refused]
        ),
        "counts": np.array([threshold.examples, threshold.strangers]),
        "trial_confidences": training.trials.confidences,
        "trial_right": training.trials.right,
        "trial_in_scope": training.trials.in_scope,
        "trial_weights": training.trials.weights,
        "collisions": np.array([(one.example, one.intent, one.taken_for) for one in training.collisions], str),
        "collision_confidences": np.array([one.confidence for one in training.collisions]),
    }
    optional = {
        "example_meanings": training.example_meanings,
        "background_meanings": training.background_meanings,
    }
    arrays |= {name: array for name, array in optional.items() if array is not None}
    for name, linear in (("margins", training.fitted.margins), ("meanings", training.fitted.meanings)):
        if linear:
            arrays |= {f"{name}_weights": linear.weights, f"{name}_bias": linear.bias}
    return arrays


def from_arrays(arrays: Arrays) -> Training:
    """Return what `to_arrays` wrote; raise `KeyError` or `ValueError` for anything else."""
    offset, rivals = arrays["judge"].tolist()
    confidence, right, kept, refused = arrays["threshold"].tolist()
    examples, strangers = arrays["counts"].tolist()
    collisions = arrays["collisions"].reshape(-1, 3).tolist()
    return Training(
        example_meanings=arrays.get("example_meanings"),
        background_meanings=arrays.get("background_meanings"),
        fitted=Fitted(_linear(arrays, "margins"), _linear(arrays, "meanings")),
        judge=Judge(arrays["middle"], arrays["spread"], arrays["slopes"], offset, rivals),
        threshold=Threshold(confidence, right, kept, refused, int(examples), int(strangers)),
        trials=Trials(*(arrays[f"trial_{part}"] for part in ("confidences", "right", "in_scope", "weights"))),
        collisions=tuple(
            Collision(example, intent, taken_for, float(confidence))
            for (example, intent, taken_for), confidence in zip(
                collisions, arrays["collision_confidences"], strict=True
            )
        ),
    )


def _linear(arrays: Arrays, name: str) -> Linear | None:
    weights = arrays.get(f"{name}_weights")
    return None if weights is None else Linear(weights, arrays[f"{name}_bias"])
