"""Ridge and logistic regression on reduced inputs, fitted at once: a plain comparison.

Each volume is averaged to a coarse side; it and connectivity are projected onto their first principal components, each
such part divided by the standard deviation of its first component. Tabular features are standardised. The penalty of
each target is the one of `PENALTIES` with the smallest validation loss. Every training sample counts once, as it is:
classes that are to be balanced are weighted, and augmented copies are not read.

All of it is linear, so what is kept is one layer over the coarse volumes, the edges and the features. Earlier runs were
fitted to the volumes as they are, standardised by `scale`; their cards have no `coarse_side`.

Legend of shapes: B batch, N samples, D numbers of all parts, P components and features, K outputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mmtrain.models.penalised import LinearFit, decompose, logistic_path, ridge_path
from mmtrain.models.problem import Problem, pose_problems
from mmtrain.models.projection import CHUNK, Projection
from mmtrain.models.protocol import Architecture, Fitted, Fitting, NetworkShape
from mmtrain.models.reduction import coarse_side, memory_bytes, projected_sizes, reduce_inputs
from mmtrain.models.samples import Part, Samples
from mmtrain.targets.several import Targets

PENALTIES = np.logspace(-3, 7, 11)
PATIENCE = 3
"""Penalties of a logistic regression, from the largest, that may be clearly worse than the best in a row."""
CLEARLY = 1.01
"""Times the smallest validation loss: large penalties differ by far less, and may rise before they fall."""


class LinearNet(nn.Module):
    """One linear layer over all parts of the inputs, each less its mean and times its scale."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, coarse_side: int, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        self.coarse_side = coarse_side
        self.register_buffer("mean", torch.zeros(num_inputs))
        self.register_buffer("scale", torch.ones(num_inputs))
        self.layer = nn.Linear(num_inputs, num_outputs)

    def forward(self, *inputs: torch.Tensor | None) -> torch.Tensor:
        """Return outputs (B, K), computed without rounding to bfloat16."""
        with torch.autocast(self.mean.device.type, enabled=False):
            return self.of_parts(reduce_inputs(self.coarse_side, *inputs))

    def of_parts(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return outputs (B, K) for inputs that are reduced."""
        outputs: torch.Tensor = self.layer((torch.cat(list(parts), dim=1) - self.mean) * self.scale)
        return outputs


@dataclass(frozen=True, slots=True)
class Columns:
    """How one part of the inputs becomes columns of the matrix that is regressed on."""

    projection: Projection | None
    """None: the part as it is."""
    mean: NDArray[np.float32]
    """Of each number of the part."""
    scale: NDArray[np.float32]
    """Of each column."""

    def of(self, part: Part) -> NDArray[np.float64]:
        """Return the columns of a part, shape (N, P)."""
        centred = part.numbers() - self.mean if self.projection is None else part.components(self.projection)
        return centred.astype(np.float64) * self.scale

    def unfold(self, weights_KP: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the weights of the numbers of the part, shape (K, D), from those of its columns."""
        scaled = weights_KP * self.scale
        return scaled if self.projection is None else scaled @ self.projection.components.double().numpy()


def complete(shape: NetworkShape) -> NetworkShape:
    """Choose the side to which volumes are averaged."""
    return replace(shape, parameters={"coarse_side": coarse_side(shape)})


def build(shape: NetworkShape) -> LinearNet:
    """Return the model before it is fitted."""
    side = shape.parameters.get("coarse_side", shape.side)
    num_inputs = sum(projected_sizes(shape, side)) + shape.num_features
    return LinearNet(side, num_inputs, shape.num_outputs)


def fit(shape: NetworkShape, training: Samples, validation: Samples, targets: Targets, seed: int) -> Fitted:
    """Fit every target on the training samples that have it."""
    problems = pose_problems("linear", targets, training, validation)
    columns = fit_columns(shape, training.parts, seed)
    training_NP, validation_NP = (
        np.concatenate([of_part.of(part) for of_part, part in zip(columns, samples.parts, strict=True)], axis=1)
        for samples in (training, validation)
    )
    fits = [fit_target(problem, training_NP, validation_NP) for problem in problems]
    signs = [problem.signs for problem in problems]
    weights_KP = np.concatenate([np.outer(sign, fitted.weights) for sign, fitted in zip(signs, fits, strict=True)])
    bias_K = np.concatenate([sign * fitted.bias for sign, fitted in zip(signs, fits, strict=True)])
    model = build(shape)
    _set_layer(model, columns, weights_KP, bias_K)
    penalties = [fitted.penalty for fitted in fits]
    return Fitted(
        shape=replace(shape, parameters={**shape.parameters, "penalties": penalties}),
        network=model,
        outputs_NK=torch.from_numpy(training_NP @ weights_KP.T + bias_K),
    )


@torch.inference_mode()
def outputs_of(network: nn.Module, samples: Samples) -> torch.Tensor:
    """Return the outputs of samples, shape (N, K)."""
    assert isinstance(network, LinearNet)
    parts = [torch.from_numpy(part.numbers()).to(network.mean.device).split(CHUNK) for part in samples.parts]
    return torch.cat([network.of_parts(of_chunk) for of_chunk in zip(*parts, strict=True)])


def fit_columns(shape: NetworkShape, parts: Sequence[Part], seed: int) -> list[Columns]:
    """Return how each part becomes columns, from the training samples."""
    columns = []
    num_projected = len(projected_sizes(shape, coarse_side(shape)))
    for part in parts[:num_projected]:
        projection = part.fit_projection(seed)
        first = part.components(projection)[:, 0].std()
        scale = np.full(len(projection.components), _inverse(first), np.float32)
        columns.append(Columns(projection, projection.mean.numpy(), scale))
    for part in parts[num_projected:]:
        table = part.numbers()
        columns.append(Columns(None, table.mean(axis=0, dtype=np.float64).astype(np.float32), _inverse(table.std(0))))
    return columns


def fit_target(problem: Problem, training_NP: NDArray[np.float64], validation_NP: NDArray[np.float64]) -> LinearFit:
    """Return the regression with the penalty that has the smallest validation loss, of several the smallest penalty.

    Penalties are tried from the largest. The smallest cost a logistic regression the most, so it is not fitted at more
    once `PATIENCE` in a row are clearly worse than the best.
    """
    training, known_NP = problem.training, validation_NP[problem.validation.rows]
    columns = decompose(training_NP[training.rows], training.weights)
    from_largest = sorted(PENALTIES.tolist(), reverse=True)
    fit_path, patience = (logistic_path, PATIENCE) if problem.is_binary else (ridge_path, len(from_largest))
    best: tuple[float, LinearFit] | None = None
    num_worse = 0
    for fitted in fit_path(columns, training.answers, from_largest):
        loss = problem.validation_loss(fitted.raw(known_NP))
        num_worse = num_worse + 1 if best is not None and loss > best[0] * CLEARLY else 0
        if best is None or loss <= best[0]:
            best = loss, fitted
        if num_worse == patience:
            break
    assert best is not None
    return best[1]


def _set_layer(
    model: LinearNet, columns: Sequence[Columns], weights_KP: NDArray[np.float64], bias_K: NDArray[np.float64]
) -> None:
    ends = np.cumsum([len(of_part.scale) for of_part in columns])[:-1]
    weights = zip(columns, np.split(weights_KP, ends, axis=1), strict=True)
    with torch.no_grad():
        model.mean.copy_(torch.from_numpy(np.concatenate([of_part.mean for of_part in columns])))
        model.layer.weight.copy_(torch.from_numpy(np.concatenate([c.unfold(part) for c, part in weights], axis=1)))
        model.layer.bias.copy_(torch.from_numpy(bias_K))


def _inverse(spread: Any) -> Any:
    """Return what divides by a standard deviation; 0 where nothing varies."""
    return np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)


ARCHITECTURE = Architecture(
    build=build,
    complete=complete,
    fit=Fitting(fit=fit, outputs=outputs_of, memory_bytes=memory_bytes),
)
