"""Scale targets and tabular features with statistics of the training split alone; both go into the model file."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtrain.errors import TrainError

CLAMP_PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True, slots=True)
class TargetScaler:
    """A continuous target to [-1, 1] and back.

    The reference clamps to percentiles, z-scores, then scales to [-1, 1]; the z-score between the other two changes
    nothing, so the bounds say it all.
    """

    low: float
    """0.5th percentile of the training targets, in their unit; becomes -1."""
    high: float
    """99.5th percentile; becomes 1."""

    def scale(self, targets: NDArray[np.float64]) -> NDArray[np.float64]:
        """Clamp and scale to [-1, 1]."""
        return (np.clip(targets, self.low, self.high) - self.low) / (self.high - self.low) * 2 - 1

    def unscale(self, scaled: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return to the target's own unit."""
        return (scaled + 1) / 2 * (self.high - self.low) + self.low


@dataclass(frozen=True, slots=True)
class FeatureScaler:
    """Tabular features to z-scores, 0 where missing, followed by a column for each that says whether it was missing.

    Both columns of a feature that is not shown to the model are 0 throughout.
    """

    names: tuple[str, ...]
    means: tuple[float, ...]
    """Of the training split; what stands for a missing value."""
    stds: tuple[float, ...]
    shown: tuple[bool, ...]

    def scale(self, features_NF: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return shape (N, 2 F)."""
        shown = np.asarray(self.shown, bool)
        missing = np.isnan(features_NF)
        scores = (features_NF - np.asarray(self.means)) / np.asarray(self.stds)
        return np.concatenate([np.where(missing | ~shown, 0.0, scores), missing & shown], axis=1).astype(np.float32)

    def to_json(self) -> list[dict[str, Any]]:
        """Return one entry for each feature."""
        entries = zip(self.names, self.means, self.stds, self.shown, strict=True)
        return [{"name": name, "mean": mean, "std": std, "shown": shown} for name, mean, std, shown in entries]


def fit_target(training_targets: NDArray[np.float64]) -> TargetScaler:
    """Fit the scaling of a continuous target.

    Raises
    ------
    TrainError
        All training samples have the same value.
    """
    low, high = (float(bound) for bound in np.percentile(training_targets, CLAMP_PERCENTILES))
    if not high > low:
        raise TrainError(f"The target is {low:g} for all training samples; there is nothing to learn.")
    return TargetScaler(low, high)


def weigh_classes(training_targets: NDArray[np.float64]) -> tuple[float, float]:
    """Return weights of the losses of class 0 and 1 with which both count the same; they are 1 in the mean.

    >>> weigh_classes(np.array([0.0, 0.0, 0.0, 1.0]))
    (0.6666666666666666, 2.0)

    Raises
    ------
    TrainError
        The training split has one class only.
    """
    share = float(np.mean(training_targets))
    if not 0 < share < 1:
        raise TrainError(f"The target is {share:g} for all training samples; there is nothing to learn.")
    return 0.5 / (1 - share), 0.5 / share


def fit_features(names: Sequence[str], training_NF: NDArray[np.float64], shown: Collection[str]) -> FeatureScaler:
    """Fit the scaling of tabular features; one that never varies or is never there becomes 0 throughout.

    Parameters
    ----------
    shown
        Names of the features that the model sees.
    """
    means, stds = [], []
    for column in training_NF.T:
        known = column[~np.isnan(column)]
        means.append(float(known.mean()) if len(known) else 0.0)
        stds.append(float(known.std()) if len(known) and known.std() > 0 else 1.0)
    return FeatureScaler(tuple(names), tuple(means), tuple(stds), tuple(name in shown for name in names))
