"""Scikit-learn's ridge and logistic regression on whatever inputs there are, fitted at once: a plain comparison.

The penalty of each target is chosen among `PENALTIES` by leave-one-out (ridge) or five-fold (logistic) validation
within the training split. Inputs are standardised with the moments of the training split. Every training sample counts
once, as it is: classes that are to be balanced are weighted, and augmented copies are not read.
"""

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV
from torch import nn

from mmtrain.errors import TrainError
from mmtrain.models.protocol import Architecture, Example, NetworkShape
from mmtrain.targets.protocol import TargetKind

PENALTIES = np.logspace(-1, 7, 9)
NUM_FOLDS, MIN_FOLDS = 5, 2
MAX_ITERATIONS = 1000
MAX_INPUTS = 1 << 18
"""Numbers of one sample. Memory: about four times the training split as float32, for scikit-learn makes copies."""


class LinearNet(nn.Module):
    """One linear layer over all inputs, standardised."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_inputs))
        self.register_buffer("scale", torch.ones(num_inputs))
        self.layer = nn.Linear(num_inputs, num_outputs)

    def forward(self, *inputs: torch.Tensor | None) -> torch.Tensor:
        """Return outputs (B, K)."""
        x_BD = torch.cat([given.flatten(1) for given in inputs if given is not None], dim=1)
        outputs: torch.Tensor = self.layer((x_BD - self.mean) * self.scale)
        return outputs


def count_inputs(shape: NetworkShape) -> int:
    """Return how many numbers the inputs of one sample have."""
    return len(shape.volumes) * shape.side**3 + shape.num_edges + shape.num_features


def complete(shape: NetworkShape) -> NetworkShape:
    """Return the shape as it is.

    Raises
    ------
    TrainError
        There are more inputs than a matrix of all training samples can have.
    """
    if count_inputs(shape) > MAX_INPUTS:
        raise TrainError(
            f"The model linear takes at most {MAX_INPUTS} numbers of each sample, got {count_inputs(shape)}.",
            "Use a smaller --side or fewer --inputs.",
        )
    return shape


def build(shape: NetworkShape) -> LinearNet:
    """Return the model before it is fitted."""
    return LinearNet(count_inputs(shape), shape.num_outputs)


def fit(model: nn.Module, examples: Sequence[Example], targets: Sequence[TargetKind]) -> None:
    """Fit every target on the training samples that have it."""
    assert isinstance(model, LinearNet)
    x_ND = _matrix(examples)
    labels_NT = np.concatenate([example.labels_BT for example in examples])
    mean, spread = (moment(x_ND, axis=0, dtype=np.float64).astype(np.float32) for moment in (np.mean, np.std))
    scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
    x_ND -= mean
    x_ND *= scale
    layers = [
        layer
        for target, labels in zip(targets, labels_NT.T, strict=True)
        for layer in _fit_target(target, x_ND[~np.isnan(labels)], labels[~np.isnan(labels)])
    ]
    with torch.no_grad():
        model.mean.copy_(torch.from_numpy(mean))
        model.scale.copy_(torch.from_numpy(scale))
        model.layer.weight.copy_(torch.from_numpy(np.stack([weights for weights, _ in layers])))
        model.layer.bias.copy_(torch.tensor([bias for _, bias in layers]))


def search_penalty(classes: NDArray[np.int64]) -> GridSearchCV:
    """Return a logistic regression that is validated in five folds, or in as many as the smaller class has samples.

    Raises
    ------
    TrainError
        A class has fewer than two samples.
    """
    smallest = int(np.bincount(classes, minlength=2).min())
    if smallest < MIN_FOLDS:
        raise TrainError(f"The model linear needs {MIN_FOLDS} training samples of each class, got {smallest} of one.")
    logistic, penalties = LogisticRegression(max_iter=MAX_ITERATIONS), {"C": 1 / PENALTIES}
    return GridSearchCV(logistic, penalties, scoring="neg_log_loss", cv=min(NUM_FOLDS, smallest))


def _fit_target(
    target: TargetKind, x_ND: NDArray[np.float32], labels: NDArray[np.float64]
) -> Iterator[tuple[NDArray[np.float64], float]]:
    """Yield weights and bias of each output of one target."""
    classes, weights = target.classes(labels), target.sample_weights(labels)
    if classes is None and target.num_outputs == 1:
        ridge = RidgeCV(PENALTIES).fit(x_ND, target.scale(labels), sample_weight=weights)
        yield ridge.coef_, float(ridge.intercept_)
    elif classes is not None and target.num_outputs == 2:
        logistic = search_penalty(classes).fit(x_ND, classes, sample_weight=weights).best_estimator_
        for sign in (-1.0, 1.0):  # the pair of outputs of a binary target
            yield sign * logistic.coef_[0], float(sign * logistic.intercept_[0])
    else:
        raise TrainError(f"The model linear knows no targets of the kind {target.name}.", "Choose another --model.")


def _matrix(examples: Sequence[Example]) -> NDArray[np.float32]:
    """Return the inputs of all samples, one after the other, in one matrix."""
    inputs = [
        [part.reshape(len(part), prod(part.shape[1:])) for part in given if part is not None]
        for given in ((example.volumes_BCXYZ, example.edges_BE, example.features_BF) for example in examples)
    ]
    num_samples, num_inputs = sum(len(parts[0]) for parts in inputs), sum(part.shape[1] for part in inputs[0])
    x_ND = np.empty((num_samples, num_inputs), np.float32)
    row = 0
    for parts in inputs:
        np.concatenate(parts, axis=1, out=x_ND[row : row + len(parts[0])])
        row += len(parts[0])
    return x_ND


ARCHITECTURE = Architecture(build=build, complete=complete, fit=fit)
