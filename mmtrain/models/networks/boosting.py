"""Scikit-learn's histogram gradient boosting on reduced inputs, fitted at once: a comparison that is not linear.

Each volume is averaged to a coarse side; it and connectivity are projected onto their first principal components.
Tabular features are taken as they are, with gaps where values are missing. The validation split chooses how many trees
there are. Every training sample counts once, as it is: classes
that are to be balanced are weighted, and augmented copies are not read.

Legend of shapes: B batch, N samples, F inputs of the trees, K outputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import (  # noqa: TID253 - base classes; loaded where this network is chosen
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from torch import nn

from mmbase.json_text import Count, parse_content
from mmtrain.data.scaling import restore_gaps
from mmtrain.models.problem import Problem, pose_problems
from mmtrain.models.projection import Projection
from mmtrain.models.protocol import Architecture, Fitted, Fitting, NetworkShape
from mmtrain.models.reduction import coarse_side, memory_bytes, projected_sizes, reduce_inputs
from mmtrain.models.samples import Part, Samples
from mmtrain.models.trees import BoostedTrees, Ensemble, read_trees, trees_of
from mmtrain.targets.several import Targets

NUM_COMPONENTS = 64
"""Of each part, at most."""
LEARNING_RATE = 0.1
MAX_TREES = 1000
MAX_LEAVES = 8
"""Of a tree: components say little each, and trees of more leaves find more of their noise."""
MAX_BINS = 64
"""Between which thresholds of an input lie; more take longer and find no more."""
PATIENCE = 10
"""Trees without a better validation loss after which no more are grown."""


class _PlainBins:
    """Puts thresholds between samples of which each counts once, as scikit-learn does without weights.

    With weights it takes weighted quantiles of each input, which cost ten times what the trees do. Weights still count
    in what the trees learn. Versions whose bins know no weights call it without them.
    """

    def _bin_data(self, x_NF: Any, *weights: Any, is_training_data: bool) -> Any:
        unweighted = [None] * len(weights)
        return super()._bin_data(x_NF, *unweighted, is_training_data=is_training_data)  # type: ignore[misc]


class PlainRegressor(_PlainBins, HistGradientBoostingRegressor):  # type: ignore[misc]
    """Boosted trees of a continuous target."""


class PlainClassifier(_PlainBins, HistGradientBoostingClassifier):  # type: ignore[misc]
    """Boosted trees of a binary target."""


@dataclass(frozen=True, slots=True)
class _Sizes:
    """What a card says of a fitted model."""

    coarse_side: Count
    components: list[Count]
    """Of each part that is projected."""
    num_trees: list[Count]
    """Of each target."""
    num_nodes: Count
    """Of all trees."""


class BoostingNet(nn.Module):
    """Projections of the inputs, and trees on their components and the tabular features."""

    def __init__(self, coarse_side: int, projections: Sequence[Projection], trees: BoostedTrees) -> None:
        super().__init__()
        self.coarse_side = coarse_side
        self.projections = nn.ModuleList(projections)
        self.trees = trees

    def forward(self, *inputs: torch.Tensor | None) -> torch.Tensor:
        """Return outputs (B, K), computed without rounding to bfloat16."""
        with torch.autocast(self.trees.value.device.type, enabled=False):
            parts = reduce_inputs(self.coarse_side, *inputs)
            num_projected = len(self.projections)
            components = [of_part(part) for of_part, part in zip(self.projections, parts, strict=False)]
            tables = [restore_gaps(table).float() for table in parts[num_projected:]]
            return self.of_tree_inputs(torch.cat([*components, *tables], dim=1))

    def of_tree_inputs(self, x_BF: torch.Tensor) -> torch.Tensor:
        """Return outputs (B, K) for what the trees compare with their thresholds."""
        outputs: torch.Tensor = self.trees(x_BF)
        return outputs


def complete(shape: NetworkShape) -> NetworkShape:
    """Return the shape before the fit: no components and no trees."""
    side = coarse_side(shape)
    components = [0] * len(projected_sizes(shape, side))
    return _with_sizes(shape, _Sizes(side, components, [], 0))


def build(shape: NetworkShape) -> BoostingNet:
    """Return the model before its numbers are set.

    Raises
    ------
    ValueError
        The shape's parameters are not those of such a model.
    """
    sizes = parse_content({name: shape.parameters[name] for name in _Sizes.__slots__}, _Sizes)
    parts = projected_sizes(shape, sizes.coarse_side)
    projections = [Projection(size, number) for size, number in zip(parts, sizes.components, strict=True)]
    num_inputs = sum(sizes.components) + shape.num_features // 2
    trees = BoostedTrees(num_inputs, sizes.num_trees, sizes.num_nodes, shape.num_outputs)
    return BoostingNet(sizes.coarse_side, projections, trees)


def fit(shape: NetworkShape, training: Samples, validation: Samples, targets: Targets, seed: int) -> Fitted:
    """Fit every target on the training samples that have it."""
    problems = pose_problems("boosting", targets, training, validation)
    projected = training.parts[: len(projected_sizes(shape, coarse_side(shape)))]
    projections = [part.fit_projection(seed).first(NUM_COMPONENTS) for part in projected]
    training_NF, validation_NF = (tree_inputs(projections, samples.parts) for samples in (training, validation))
    ensembles = [fit_target(problem, training_NF, validation_NF, seed) for problem in problems]
    trees = trees_of(training_NF.shape[1], ensembles, _signs(problems))
    components = [len(projection.components) for projection in projections]
    sizes = _Sizes(coarse_side(shape), components, trees.num_trees, len(trees.value))
    network = BoostingNet(sizes.coarse_side, projections, trees)
    with torch.inference_mode():
        outputs_NK = network.of_tree_inputs(torch.from_numpy(training_NF))
    return Fitted(shape=_with_sizes(shape, sizes), network=network, outputs_NK=outputs_NK)


def tree_inputs(projections: Sequence[Projection], parts: Sequence[Part]) -> NDArray[np.float32]:
    """Return what the trees compare with their thresholds, shape (N, F)."""
    components = [part.components(projection) for projection, part in zip(projections, parts, strict=False)]
    tables = [restore_gaps(torch.from_numpy(part.numbers())).numpy() for part in parts[len(projections) :]]
    return np.concatenate([*components, *tables], axis=1)


def outputs_of(network: nn.Module, samples: Samples) -> torch.Tensor:
    """Return the outputs of samples, shape (N, K)."""
    assert isinstance(network, BoostingNet)
    projections = [part for part in network.projections if isinstance(part, Projection)]
    x_NF = torch.from_numpy(tree_inputs(projections, samples.parts))
    return network.of_tree_inputs(x_NF.to(network.trees.value.device))


def fit_target(
    problem: Problem, training_NF: NDArray[np.float32], validation_NF: NDArray[np.float32], seed: int
) -> Ensemble:
    """Return as many trees as have the smallest validation loss."""
    training, validation = training_NF[problem.training.rows], validation_NF[problem.validation.rows]
    unknown = np.isnan(training).all(axis=0)  # to all who have a label: scikit-learn finds no bins for such an input
    training[:, unknown] = validation[:, unknown] = 0.0
    estimator = PlainClassifier if problem.is_binary else PlainRegressor
    model = estimator(
        learning_rate=LEARNING_RATE,
        max_iter=MAX_TREES,
        max_leaf_nodes=MAX_LEAVES,
        max_bins=MAX_BINS,
        early_stopping=True,
        scoring="loss",
        n_iter_no_change=PATIENCE,
        random_state=seed,
    )
    model.fit(
        training,
        problem.training.answers,
        sample_weight=problem.training.weights,
        X_val=validation,
        y_val=problem.validation.answers,
        sample_weight_val=problem.validation.weights,
    )
    num_trees = int(np.argmax(model.validation_score_))  # minus the loss; the first is of the baseline alone
    return read_trees(model, validation).first(num_trees)


def _signs(problems: Sequence[Problem]) -> NDArray[np.float64]:
    """Return what each output makes of the raw number of each target, shape (E, K)."""
    ends = np.cumsum([problem.kind.num_outputs for problem in problems])
    signs_EK = np.zeros((len(problems), ends[-1]))
    for row, end, problem in zip(signs_EK, ends, problems, strict=True):
        row[end - len(problem.signs) : end] = problem.signs
    return signs_EK


def _with_sizes(shape: NetworkShape, sizes: _Sizes) -> NetworkShape:
    return replace(shape, parameters={name: getattr(sizes, name) for name in _Sizes.__slots__})


ARCHITECTURE = Architecture(
    build=build,
    feature_scalings=("standardised",),
    complete=complete,
    has_gradients=False,
    fit=Fitting(fit=fit, outputs=outputs_of, memory_bytes=memory_bytes),
)
