"""The network fusion with learned stand-ins for what a sample does not have, to be measured against its zeros.

Legend of shapes: B batch, C channels, D embedding, I inputs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

from mmbase.names import VOLUME_MODALITIES
from mmtrain.models.networks import fusion
from mmtrain.models.protocol import NetworkShape


class LearnedFusionNet(fusion.FusionNet):
    """FusionNet that learns what stands for a missing volume, one number each, and for a missing block, a vector each.

    Both begin with zeros: untrained it gives what FusionNet gives.

    Parameters
    ----------
    num_volumes
        Those that are inputs.
    settings
        Of FusionNet.
    """

    def __init__(self, *, num_volumes: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.absent_volumes = nn.Parameter(torch.zeros(num_volumes))
        self.absent_blocks = nn.ParameterList(nn.Parameter(torch.zeros(width)) for width in self.widths)

    def forward(
        self,
        volumes_BCXYZ: torch.Tensor | None,
        edges_BE: torch.Tensor | None,
        features_BF: torch.Tensor | None,
        given_BI: torch.Tensor | None = None,
        embeddings_BD: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return outputs (B, num_outputs), as FusionNet does."""
        if given_BI is None:
            return super().forward(volumes_BCXYZ, edges_BE, features_BF, None, embeddings_BD)
        if volumes_BCXYZ is not None:
            given_BC = given_BI[:, : volumes_BCXYZ.shape[1]]
            hidden_BC = ~given_BC & given_BC.any(dim=1, keepdim=True)
            absent = self.absent_volumes[:, None, None, None].to(volumes_BCXYZ.dtype)
            volumes_BCXYZ = torch.where(hidden_BC[:, :, None, None, None], absent, volumes_BCXYZ)
        blocks = ((self.mlp_connectivity, edges_BE), (self.mlp_metadata, features_BF), (self.cnn, volumes_BCXYZ))
        parts = []
        for (block, x), inputs, absent in zip(blocks, self.inputs_of_blocks, self.absent_blocks, strict=True):
            has_block = given_BI[:, inputs].any(dim=1, keepdim=True)
            given = absent if block is None or x is None else block(x)
            parts.append(torch.where(has_block, given, absent))
        outputs: torch.Tensor = self.mlp_logits(torch.cat(parts, dim=1))
        return outputs


def build(shape: NetworkShape) -> LearnedFusionNet:
    """Return the untrained network."""
    return LearnedFusionNet(
        num_volumes=len(shape.volumes),
        side=shape.side,
        channels=shape.parameters["channels"],
        present=[VOLUME_MODALITIES.index(modality) for modality in shape.volumes],
        num_edges=shape.num_edges,
        num_features=shape.num_features,
        num_outputs=shape.num_outputs,
    )


@contextmanager
def learned_stand_ins() -> Iterator[None]:
    """Have the network fusion learn its stand-ins in this process."""
    with patch.object(fusion, "ARCHITECTURE", replace(fusion.ARCHITECTURE, build=build)):
        yield
