"""Models that tests make from arrays, without a study."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from mmtrain.data.scaling import FeatureScaler
from mmtrain.explain.explainer import Explainer, ExplainSettings
from mmtrain.explain.inputs import Inputs, baseline_inputs
from mmtrain.models.trained import TrainedModel
from mmtrain.targets.kinds import classification, regression
from mmtrain.targets.protocol import TargetKind
from tests.made_card import NO_FEATURES, make_card

CPU = torch.device("cpu")
YEARS = regression.Kind(40.0, 80.0)
"""An output of 1 is 20 years."""


class Function(nn.Module):
    """A network that is a plain function."""

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self._function = function

    def forward(self, *inputs: torch.Tensor | None) -> torch.Tensor:
        return self._function(*inputs)


def model_of(
    network: nn.Module,
    *,
    kind: TargetKind = YEARS,
    volumes: tuple[str, ...] = (),
    side: int = 8,
    num_edges: int = 0,
    features: FeatureScaler = NO_FEATURES,
) -> TrainedModel:
    """Return a trained model of some network."""
    card = make_card(volumes=volumes, side=side, num_edges=num_edges, features=features, kinds={"t": kind})
    return TrainedModel(card, network.eval(), CPU, torch.float32)


def explainer_of(model: TrainedModel, edges_E: Any = None, **settings: Any) -> Explainer:
    """Return what explains a model."""
    baseline = baseline_inputs(model.card, CPU, edges_E)
    return Explainer(model=model, target=0, baseline=baseline, settings=ExplainSettings(**settings))


def in_batches(inputs: Inputs, size: int) -> list[Inputs]:
    """Return inputs in batches."""
    parts = [part.split(size) for part in inputs.given]
    return [inputs.with_parts(tuple(batch)) for batch in zip(*parts, strict=True)]


def train(network: nn.Module, inputs: tuple[torch.Tensor | None, ...], classes_N: np.ndarray, *, epochs: int) -> None:
    """Train a network on arrays, by the loss of `mm train`."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
    rng = np.random.default_rng(3)
    network.train()
    for _ in range(epochs):
        for batch in np.array_split(rng.permutation(len(classes_N)), max(1, len(classes_N) // 32)):
            optimiser.zero_grad()
            outputs = network(*(None if part is None else part[batch] for part in inputs))
            classification.Kind().losses(outputs, classes_N[batch].astype(np.float64)).mean().backward()
            optimiser.step()
    network.eval()
