"""A model as captum sees it: a function from the inputs of a batch to one number for each sample."""

import torch
from torch import nn

from mmtrain.explain.inputs import Inputs
from mmtrain.models.trained import TrainedModel


class TargetScalar(nn.Module):
    """One target of a model, in its own unit, or the log-odds of class 1.

    Parameters
    ----------
    model
        In evaluation mode.
    target
        Index of the target.
    like
        Inputs of the kinds that the model takes; only which of them are there matters.
    """

    def __init__(self, model: TrainedModel, target: int, like: Inputs) -> None:
        super().__init__()
        self.network = model.network.requires_grad_(False)
        self._targets, self._target = model.card.fitted, target
        self._like = like

    def forward(self, *given: torch.Tensor) -> torch.Tensor:
        """Return one number for each sample, shape (B,), from the inputs that are there."""
        inputs = self._like.with_parts(given)
        outputs_BK = self.network(inputs.volumes_BCXYZ, inputs.edges_BE, inputs.features_BF)
        explained = self._targets.explained(outputs_BK, self._target)
        for part in given:  # ties an input that the network does not use to the result, so that it has a gradient: 0
            explained = explained + (part.flatten(1) * 0.0).sum(1)
        return explained
