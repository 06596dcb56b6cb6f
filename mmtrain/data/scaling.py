"""Scale tabular features with statistics of the training split alone; they go into the model card."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from mmbase.json_text import Finite, parse_content
from mmtrain.config.data import FeatureScaling


@dataclass(frozen=True, slots=True)
class _Feature:
    name: str
    mean: Finite | None
    std: Annotated[Finite, Field(ge=0)]
    shown: bool


_ROUNDING = 1e-9
"""Of the largest value: a smaller standard deviation is of values that are all the same."""


@dataclass(frozen=True, slots=True)
class FeatureScaler:
    """Tabular features as a network takes them.

    Standardised: z-scores, 0 where missing, followed by a column for each that says whether it was missing. Both
    columns of a feature that is not shown to the model are 0 throughout. So is the score of one that has not more than
    one value in training: what it might say, no model has learnt.

    Raw, as the reference: one column for each, values in their own unit, the training mean where missing, 0 throughout
    where the feature is not shown. Of published weights no mean is known: what is missing then stays NaN.
    """

    names: tuple[str, ...]
    means: tuple[float | None, ...]
    """Of the training split; what stands for a missing value. None: it is not known, which raw features alone may do
    without."""
    stds: tuple[float, ...]
    """Of the training split; 0: the feature is shown but does not vary there, and scores 0 whatever its value."""
    shown: tuple[bool, ...]
    scaling: FeatureScaling = "standardised"

    def __post_init__(self) -> None:
        if self.scaling != "raw" and None in self.means:
            raise ValueError("standardised features need the mean of each")

    @property
    def shown_names(self) -> tuple[str, ...]:
        """Return the features that the model sees, in their order."""
        return tuple(name for name, is_shown in zip(self.names, self.shown, strict=True) if is_shown)

    @property
    def required_names(self) -> tuple[str, ...]:
        """Return those of them that no sample may lack, for it is not known what stands for a missing value."""
        shown = zip(self.names, self.means, self.shown, strict=True)
        return tuple(name for name, mean, is_shown in shown if is_shown and mean is None)

    def unfilled(self, features_NF: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which values are missing with nothing to stand for them, shape (N, F).

        A sample that has one cannot be predicted.
        """
        gaps: NDArray[np.bool_] = np.isnan(features_NF) & np.isnan(self._means) & np.asarray(self.shown, bool)
        return gaps

    def scale(self, features_NF: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return shape (N, 2 F), or (N, F) where features stay raw."""
        shown = np.asarray(self.shown, bool)
        missing = np.isnan(features_NF)
        if self.scaling == "raw":
            return np.where(shown, np.where(missing, self._means, features_NF), 0.0).astype(np.float32)
        stds = np.asarray(self.stds)
        scores = (features_NF - self._means) / np.where(stds > 0, stds, np.inf)
        return np.concatenate([np.where(missing | ~shown, 0.0, scores), missing & shown], axis=1).astype(np.float32)

    def without_unseen(self) -> Self:
        """Return what scales the same and knows no mean or standard deviation of a feature that is not shown."""
        return replace(
            self,
            means=tuple(mean if is_shown else 0.0 for mean, is_shown in zip(self.means, self.shown, strict=True)),
            stds=tuple(std if is_shown else 1.0 for std, is_shown in zip(self.stds, self.shown, strict=True)),
        )

    @property
    def _means(self) -> NDArray[np.float64]:
        """Return the means, NaN where one is not known."""
        return np.array(self.means, np.float64)

    @classmethod
    def from_json(cls, entries: Sequence[Mapping[str, Any]], scaling: FeatureScaling = "standardised") -> Self:
        """Return what `to_json` gave, which leaves the kind of scaling to the model card.

        Raises
        ------
        ValueError
            An entry has another shape.
        """
        features = [parse_content(entry, _Feature) for entry in entries]
        return cls(
            names=tuple(feature.name for feature in features),
            means=tuple(feature.mean for feature in features),
            stds=tuple(feature.std for feature in features),
            shown=tuple(feature.shown for feature in features),
            scaling=scaling,
        )

    @staticmethod
    def num_columns_of(names: Sequence[str], scaling: FeatureScaling) -> int:
        """Return the number of columns that features are scaled to."""
        return len(names) if scaling == "raw" else 2 * len(names)

    def to_json(self) -> list[dict[str, Any]]:
        """Return one entry for each feature."""
        entries = zip(self.names, self.means, self.stds, self.shown, strict=True)
        return [{"name": name, "mean": mean, "std": std, "shown": shown} for name, mean, std, shown in entries]


def restore_gaps(scaled_BF: torch.Tensor) -> torch.Tensor:
    """Return the z-scores of what `FeatureScaler.scale` gave, shape (B, F), NaN where a value was missing."""
    scores, missing = scaled_BF.tensor_split(2, dim=1)
    return scores.masked_fill(missing > 0, torch.nan)


def fit_features(
    names: Sequence[str],
    training_NF: NDArray[np.float64],
    shown: Collection[str],
    scaling: FeatureScaling = "standardised",
) -> FeatureScaler:
    """Fit the scaling of tabular features; a z-score of one that never varies or is never there is 0 throughout.

    Parameters
    ----------
    shown
        Names of the features that the model sees.
    """
    means, stds = list[float | None](), list[float]()
    for name, column in zip(names, training_NF.T, strict=True):
        known = column[~np.isnan(column)]
        means.append(float(known.mean()) if len(known) else 0.0)
        stds.append(float(known.std()) if _varies(known) else 0.0 if name in shown else 1.0)
    return FeatureScaler(tuple(names), tuple(means), tuple(stds), tuple(name in shown for name in names), scaling)


def _varies(known: NDArray[np.float64]) -> bool:
    return len(known) > 0 and bool(known.std() > _ROUNDING * np.abs(known).max())
