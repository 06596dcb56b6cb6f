"""Scale tabular features with statistics of the training split alone; they go into the model card."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mmbase.json_text import Finite, parse_content


@dataclass(frozen=True, slots=True)
class _Feature:
    name: str
    mean: Finite
    std: Annotated[Finite, Field(gt=0)]
    shown: bool


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

    @classmethod
    def from_json(cls, entries: Sequence[Mapping[str, Any]]) -> Self:
        """Return what `to_json` gave.

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
        )

    @staticmethod
    def num_columns_of(names: Sequence[str]) -> int:
        """Return the number of columns that features are scaled to."""
        return 2 * len(names)

    def to_json(self) -> list[dict[str, Any]]:
        """Return one entry for each feature."""
        entries = zip(self.names, self.means, self.stds, self.shown, strict=True)
        return [{"name": name, "mean": mean, "std": std, "shown": shown} for name, mean, std, shown in entries]


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
