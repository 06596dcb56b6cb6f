"""The network of a published checkpoint, called as the reference study's code calls its own.

Legend of shapes: B batch, S side in voxels, E edges, F columns of metadata, K outputs.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mmbase.names import CONNECTIVITY, METADATA
from mmtrain.errors import TrainError
from mmtrain.models.networks import fusion
from mmtrain.models.protocol import NetworkShape
from mmtrain.published.checkpoint import CHANNELS, PublishedCheckpoint
from mmtrain.published.trained_inputs import TrainedInputs, find_trained_inputs

Input = torch.Tensor | NDArray[Any] | None


class PublishedNetwork(nn.Module):
    """All four blocks with a checkpoint's weights.

    Attributes
    ----------
    trained
        What the checkpoint was trained on. The module takes every input all the same: one that it was not trained on
        makes noise of its untrained weights.
    shape
        Side, edges, columns and outputs.
    """

    def __init__(self, network: nn.Module, shape: NetworkShape, trained: TrainedInputs) -> None:
        super().__init__()
        self.network = network
        self.shape = shape
        self.trained = trained

    def forward(self, imaging: Input = None, connectivity: Input = None, metadata: Input = None) -> torch.Tensor:
        """Return logits or scaled values, shape (B, K).

        Parameters
        ----------
        imaging
            Shape (B, 3, S, S, S): FLAIR, T1, DWI, each from -1 to 1, x from right to left; a channel that is absent is
            0 throughout. None: a block of zeros takes its place, as for the others.
        connectivity
            Shape (B, E): the upper triangle, row by row.
        metadata
            Shape (B, F): columns in the order of training, in their own units; 0 in blocks that were not shown.

        Raises
        ------
        TrainError
            An input has another shape, the batches differ, or no input was given.
        """
        shape = self.shape
        of_sample = {
            "imaging": (len(CHANNELS), *(shape.side,) * 3),
            CONNECTIVITY: (shape.num_edges,),
            METADATA: (shape.num_features,),
        }
        given = dict(zip(of_sample, (imaging, connectivity, metadata), strict=True))
        tensors = {name: self._tensor(name, given[name], size) for name, size in of_sample.items()}
        lengths = {len(tensor) for tensor in tensors.values() if tensor is not None}
        if len(lengths) != 1:
            raise TrainError(
                "Expected at least one of imaging, connectivity and metadata, all of the same number of samples, got "
                f"{sorted(lengths) or 'none of them'}."
            )
        outputs: torch.Tensor = self.network(*tensors.values())
        return outputs

    def _tensor(self, name: str, given: Input, of_sample: tuple[int, ...]) -> torch.Tensor | None:
        """Return an input as the network takes it."""
        if given is None:
            return None
        like = next(self.parameters())
        tensor = given if isinstance(given, torch.Tensor) else torch.from_numpy(np.array(given, np.float32))
        if tensor.shape[1:] != of_sample or not len(tensor):
            expected = f"(B{''.join(f', {size}' for size in of_sample)})"
            raise TrainError(f"Expected {name} of shape {expected}, got {tuple(tensor.shape)}.")
        return tensor.to(like)


def network_of(checkpoint: PublishedCheckpoint) -> PublishedNetwork:
    """Return the network of a checkpoint in evaluation mode."""
    with torch.device("meta"):
        network = fusion.build(checkpoint.shape)
    network.load_state_dict(dict(checkpoint.tensors), assign=True)
    trained = find_trained_inputs(checkpoint.tensors, checkpoint.inputs)
    return PublishedNetwork(network, checkpoint.shape, trained).eval()
