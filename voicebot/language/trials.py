"""What a classifier made of sentences it had not been trained on, and the figures that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]

_BINS = 5


@dataclass(frozen=True, slots=True)
class Reliability:
    """Trials whose confidence was from `low` to under `high`: `said` on average, and the share that was `right`.

    Both are weighted as `Trials` says; `weight` is the share of all trials.
    """

    low: float
    high: float
    said: float
    right: float
    weight: float
    trials: int


@dataclass(frozen=True, slots=True)
class Shares:
    """What the bot would do with a kind of sentence; shares are 0 to 1 and `acted`, `asked`, `none` make one.

    `acted_right` is the share of those acted on that are right, `asked_right` that of those asked about; 1 where there
    are none.
    """

    acted: float
    acted_right: float
    asked: float
    asked_right: float
    none: float
    trials: int


@dataclass(frozen=True, slots=True)
class Trials:
    """A row a sentence: the confidence in its best intent, whether that was right, and whether it had an intent.

    `weights` count each as often as callers are taken to say such things, whatever number of them was there to try.
    """

    confidences: NDArray[np.float64]
    right: Flags
    in_scope: Flags
    weights: NDArray[np.float64]

    @staticmethod
    def none() -> Trials:
        return Trials(np.zeros(0), np.zeros(0, bool), np.zeros(0, bool), np.zeros(0))

    def shares(self, none_below: float, act_from: float, *, in_scope: bool) -> Shares:
        """Return what becomes of the sentences in scope, or of the others, with these two levels."""
        kind = self.in_scope == in_scope
        confidences, right = self.confidences[kind], self.right[kind]
        acted = confidences >= max(act_from, none_below)
        asked = (confidences >= none_below) & ~acted
        return Shares(
            acted=_mean(acted, 0.0),
            acted_right=_mean(right[acted], 1.0),
            asked=_mean(asked, 0.0),
            asked_right=_mean(right[asked], 1.0),
            none=_mean(~acted & ~asked, 0.0),
            trials=int(kind.sum()),
        )

    def reliability(self) -> tuple[Reliability, ...]:
        """Return the reliability of confidences in five equal bins, those without a trial left out."""
        bins = np.minimum((self.confidences * _BINS).astype(int), _BINS - 1)
        return tuple(self._bin(each, bins == each) for each in range(_BINS) if (bins == each).any())

    def calibration_error(self) -> float:
        """Return the expected calibration error over those bins (Guo et al. 2017), 0 to 1."""
        return sum(abs(each.said - each.right) * each.weight for each in self.reliability())

    def _bin(self, number: int, inside: Flags) -> Reliability:
        weights = self.weights[inside]
        return Reliability(
            low=number / _BINS,
            high=(number + 1) / _BINS,
            said=float(np.average(self.confidences[inside], weights=weights)),
            right=float(np.average(self.right[inside], weights=weights)),
            weight=float(weights.sum() / self.weights.sum()),
            trials=int(inside.sum()),
        )


def _mean(flags: Flags, when_empty: float) -> float:
    return float(flags.mean()) if len(flags) else when_empty
