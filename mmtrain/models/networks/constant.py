"""What the training labels alone predict, whatever the inputs: the floor of every metric.

A continuous target has the mean of its training labels, as the loss sees them (clamped to the percentiles of its
scaling): no other constant has a smaller squared error on them. A binary target has the share of class 1, each sample
counting as it does in the loss: where classes are balanced that is a half.
"""

import numpy as np
import torch
from torch import nn

from mmtrain.models.problem import Problem, pose_problems
from mmtrain.models.protocol import Architecture, Fitted, Fitting, NetworkShape
from mmtrain.models.samples import Samples
from mmtrain.targets.several import Targets


class ConstantNet(nn.Module):
    """The same outputs for every sample."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__()
        self.outputs = nn.Parameter(torch.zeros(num_outputs))

    def forward(self, *inputs: torch.Tensor | None) -> torch.Tensor:
        """Return outputs (B, K)."""
        given = next(part for part in inputs if part is not None)
        return self.outputs.expand(given.shape[0], -1)  # len() would be a constant to those who trace it


def build(shape: NetworkShape) -> ConstantNet:
    """Return the model before it is fitted."""
    return ConstantNet(shape.num_outputs)


def fit(shape: NetworkShape, training: Samples, validation: Samples, targets: Targets, _: int) -> Fitted:
    """Fit every target on the training labels."""
    model = build(shape)
    problems = pose_problems("constant", targets, training, validation)
    outputs = np.concatenate([fit_constant(problem) * problem.signs for problem in problems])
    with torch.no_grad():
        model.outputs.copy_(torch.from_numpy(outputs))
    return Fitted(shape=shape, network=model, outputs_NK=outputs_of(model, training))


def outputs_of(network: nn.Module, samples: Samples) -> torch.Tensor:
    """Return the outputs of samples, shape (N, K)."""
    assert isinstance(network, ConstantNet)
    return network.outputs.expand(len(samples), -1)


def fit_constant(problem: Problem) -> float:
    """Return the raw number with the smallest training loss."""
    mean = float(np.average(problem.training.answers, weights=problem.training.weights))
    return float(np.log(mean / (1 - mean))) if problem.is_binary else mean


ARCHITECTURE = Architecture(
    build=build,
    fit=Fitting(fit=fit, outputs=outputs_of, reads_inputs=False, memory_bytes=lambda *_: 0),
)
