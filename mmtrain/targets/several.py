"""The targets of one run together: which outputs are whose, and what counts where labels are missing.

Legend of shapes: B batch, N samples, K outputs of all targets, T targets.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from mmtrain.config.data import DataConfig, TargetConfig
from mmtrain.data.cohort import Cohort
from mmtrain.errors import TrainError
from mmtrain.metrics.metric import Scored, measure
from mmtrain.targets.protocol import Labels, TargetKind
from mmtrain.targets.registry import load_kind

Score = TypeVar("Score", float, float | None)


@dataclass(frozen=True, slots=True)
class Targets:
    """The fitted targets of a run, in the order of the network's outputs."""

    names: tuple[str, ...]
    kinds: tuple[TargetKind, ...]
    shares: tuple[float, ...]
    """Of the training samples that have a label of each: a rare label counts more, so that all targets count alike."""

    @property
    def num_outputs(self) -> int:
        """Return K."""
        return sum(kind.num_outputs for kind in self.kinds)

    @property
    def have_values(self) -> bool:
        """Return whether one of the targets is a value, not a class."""
        return any(kind.classes(np.empty(0)) is None for kind in self.kinds)

    @property
    def _slices(self) -> list[slice]:
        ends = accumulate((kind.num_outputs for kind in self.kinds), initial=0)
        return [slice(start, end) for start, end in pairwise(ends)]

    def losses(self, outputs_BK: torch.Tensor, labels_BT: NDArray[np.float64]) -> torch.Tensor:
        """Return the loss of each sample, shape (B,): the mean over targets, a missing label counting nothing."""
        if len(self.kinds) == 1:
            return self.kinds[0].losses(outputs_BK, labels_BT[:, 0])
        total = outputs_BK.new_zeros(len(outputs_BK))
        for kind, share, columns, labels in zip(self.kinds, self.shares, self._slices, labels_BT.T, strict=True):
            known = ~np.isnan(labels)
            weights = torch.from_numpy(known / (share * len(self.kinds))).to(outputs_BK)
            total = total + kind.losses(outputs_BK[:, columns], np.where(known, labels, 0.0)) * weights
        return total

    def predictions(self, outputs_NK: Labels) -> Labels:
        """Turn outputs into what is told to people, shape (N, T)."""
        columns = zip(self.kinds, self._slices, strict=True)
        return np.stack([kind.predictions(outputs_NK[:, part]) for kind, part in columns], axis=1)

    def explained(self, outputs_BK: torch.Tensor, target: int) -> torch.Tensor:
        """Return what an explanation of one target, by its index, divides among the inputs: shape (B,)."""
        return self.kinds[target].explained(outputs_BK[:, self._slices[target]])

    def clamp(self, labels_NT: Labels) -> Labels:
        """Return labels moved to the nearest that the training labels' scaling spans; missing ones stay missing."""
        columns = zip(self.kinds, labels_NT.T, strict=True)
        return np.stack([kind.clamp(labels) for kind, labels in columns], axis=1)

    def score(self, truth_NT: Labels, prediction_NT: Labels) -> dict[str, dict[str, float]]:
        """Return the metrics of each target that every epoch has, on the samples that have its label."""
        scores = {}
        for index, (name, kind) in enumerate(zip(self.names, self.kinds, strict=True)):
            known = ~np.isnan(truth_NT[:, index])
            metrics = [metric for metric in kind.metrics if metric.every_epoch]
            scores[name] = measure(metrics, Scored(truth_NT[known, index], prediction_NT[known, index]))
        return scores


def require_targets(cohort: Cohort, data: DataConfig) -> None:
    """Refuse a cohort with other targets than the run's, or in another order.

    Raises
    ------
    TrainError
        Names both.
    """
    names = tuple(target.name for target in data.targets)
    if len(cohort.targets) != len(names) or (len(names) > 1 and cohort.targets != names):
        raise TrainError(
            f"Expected a cohort with a column of labels for {', '.join(names)}, in this order, got "
            f"{', '.join(cohort.targets)}."
        )


def fit_targets(data: DataConfig, training_labels_NT: Labels, *, draws: bool = True) -> Targets:
    """Fit every target of a run on its training labels.

    Parameters
    ----------
    draws
        Whether epochs draw equally many samples of each class where that is asked for; otherwise classes are weighted.

    Raises
    ------
    TrainError
        There is nothing to learn from the labels of one, or a kind is not known.
    """
    draws = draws and len(data.targets) == 1
    weighted = data.balance == "weight" or (data.balance == "undersample" and not draws)
    known = [labels[~np.isnan(labels)] for labels in training_labels_NT.T]
    return Targets(
        names=tuple(target.name for target in data.targets),
        kinds=tuple(_fit(target, labels, weighted) for target, labels in zip(data.targets, known, strict=True)),
        shares=tuple(len(labels) / len(training_labels_NT) for labels in known),
    )


def _fit(target: TargetConfig, labels: Labels, weighted: bool) -> TargetKind:
    if not len(labels):
        raise TrainError(f"No training sample has a label of {target.name}.")
    try:
        return load_kind(target.kind).fit(labels, weighted=weighted)
    except TrainError as error:
        raise TrainError(f"{target.name}: {error.what_happened}", error.what_to_do) from error


def join_scores(scores: Mapping[str, Mapping[str, Score]]) -> dict[str, Score]:
    """Return the metrics of a run as one mapping; with several targets their names come first.

    >>> join_scores({"age": {"mae": 3.0}, "sex": {"auc": 0.9}})
    {'age.mae': 3.0, 'sex.auc': 0.9}
    """
    if len(scores) == 1:
        return dict(next(iter(scores.values())))
    return {f"{target}.{name}": value for target, metrics in scores.items() for name, value in metrics.items()}
