"""The published weights of SFCN: safely read, and what their outputs mean.

They are a pickled state dict of torch, saved from several GPUs, so that names may begin with ``module.``. Weights of
age have forty outputs, those of sex two.

What they expect is T1, brain-extracted, linearly registered to MNI152 at 1 mm on the grid of FSL's template
(182 × 218 × 182 voxels, x from right to left), divided by its mean over that grid, and cropped to the 160 × 192 × 160
voxels in the middle.

Source: Peng et al., Accurate brain age prediction with lightweight deep neural networks, Medical Image Analysis 68,
101871, 2021, and the names and shapes of the weights in its repository, ha-ha-ha-han/UKBiobank_deep_pretrain.
"""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mmbase.errors import first_line
from mmtrain.errors import TrainError
from mmtrain.models.networks.sfcn import Sfcn
from mmtrain.targets.kinds import binned, classification
from mmtrain.targets.protocol import TargetKind

MNI_SHAPE = (182, 218, 182)
"""Of the grid of FSL's MNI152 template at 1 mm."""
INPUT_SHAPE = (160, 192, 160)
AGES = binned.Kind(44.0, 80.0)
"""Forty bins of a year from 42 to 82."""
_LAST = "classifier.conv_6.weight"
_PREFIX = "module."
_REMEDY = "Give the .p file of SFCN as its authors published it."


@dataclass(frozen=True, slots=True)
class PublishedSfcn:
    """A published network, in evaluation mode."""

    network: Sfcn
    target: Literal["age", "sex"]
    kind: TargetKind
    """How outputs are read."""

    @torch.inference_mode()
    def log_probabilities(self, volumes_B1XYZ: NDArray[Any]) -> NDArray[np.float32]:
        """Return the logarithm of the probability of each output, shape (B, 40) or (B, 2).

        Parameters
        ----------
        volumes_B1XYZ
            As `prepare_volumes` gives them.

        Raises
        ------
        TrainError
            The shape is another.
        """
        if volumes_B1XYZ.ndim != 5 or volumes_B1XYZ.shape[1:] != (1, *INPUT_SHAPE):
            raise TrainError(f"Expected volumes of shape (B, 1, 160, 192, 160), got {volumes_B1XYZ.shape}.")
        outputs = self.network(torch.from_numpy(volumes_B1XYZ.astype(np.float32)))
        log_probabilities: NDArray[np.float32] = torch.log_softmax(outputs, 1).numpy()
        return log_probabilities

    def read_out(self, log_probabilities_BK: NDArray[Any]) -> NDArray[np.float64]:
        """Return the expected age in years, or the probability of the second output, shape (B,)."""
        if self.target == "sex":
            return np.exp(log_probabilities_BK[:, 1].astype(np.float64))
        return self.kind.predictions(log_probabilities_BK.astype(np.float64))
