"""Inputs made small for the networks that are fitted at once: coarse volumes, and principal components.

Terms
-----
part         the numbers of one volume modality, of connectivity, or of all tabular features.
coarse       a volume averaged in blocks to `COARSE_SIDE` voxels along each edge.
projection   of a part onto its first principal components over the training split; tabular features have none.

Legend of shapes: B batch, N samples, D numbers of a part, K components.

At side 16 a voxel of the default grid is 12 mm wide. 20,000 samples of three modalities are then 1 GB, at side 32 8 GB.
"""

import torch
from torch import nn

from mmtrain.models.projection import CHUNK, NUM_COMPONENTS, OVERSAMPLED, SMALL
from mmtrain.models.protocol import NetworkShape

COARSE_SIDE = 16


def coarse_side(shape: NetworkShape) -> int:
    """Return the side to which volumes are averaged.

    >>> coarse_side(NetworkShape(volumes=("t1",), side=64, num_outputs=1))
    16
    """
    return min(shape.side, COARSE_SIDE)


def projected_sizes(shape: NetworkShape, side: int) -> tuple[int, ...]:
    """Return the numbers of each part that is projected: each volume averaged to a side, then connectivity."""
    return (side**3,) * len(shape.volumes) + (shape.num_edges,) * bool(shape.num_edges)


def part_sizes(shape: NetworkShape) -> tuple[int, ...]:
    """Return the numbers of each part: those that are projected, then tabular features."""
    return projected_sizes(shape, coarse_side(shape)) + (shape.num_features,) * bool(shape.num_features)


def reduce_inputs(
    side: int, volumes_BCXYZ: torch.Tensor | None, edges_BE: torch.Tensor | None, features_BF: torch.Tensor | None
) -> tuple[torch.Tensor, ...]:
    """Return the parts of a batch, each of shape (B, D) in float32, with volumes averaged to a side."""
    volumes: tuple[torch.Tensor, ...] = ()
    if volumes_BCXYZ is not None:
        averaged = volumes_BCXYZ
        if side != volumes_BCXYZ.shape[-1]:
            averaged = nn.functional.adaptive_avg_pool3d(volumes_BCXYZ, side)
        volumes = tuple(volume.flatten(1) for volume in averaged.unbind(1))
    parts = (*volumes, *(part for part in (edges_BE, features_BF) if part is not None))
    return tuple(part.float() for part in parts)


def memory_bytes(shape: NetworkShape, num_training: int, num_others: int) -> int:
    """Return the most memory that a fit to reduced inputs takes.

    It is that of all parts as float32, of what scikit-learn's PCA and this module need for the largest part, and of the
    components and tabular features as float64 in six copies, for estimators make their own.

    >>> volumes = NetworkShape(volumes=("flair", "t1", "dwi"), side=64, num_outputs=1)
    >>> f"{memory_bytes(volumes, 18_000, 2_000) / 1e9:.1f} GB"
    '2.1 GB'
    """
    sizes = part_sizes(shape)
    num_samples, largest = num_training + num_others, max(sizes, default=0)
    num_columns = sum(min(NUM_COMPONENTS, size) for size in projected_sizes(shape, coarse_side(shape)))
    parts = 4 * num_samples * sum(sizes)
    decomposition = 4 * (num_training * largest + 4 * (num_training + largest) * OVERSAMPLED)
    if num_training <= SMALL:
        decomposition += 4 * 4 * num_training * largest
    projecting = 8 * (2 * CHUNK + 2 * NUM_COMPONENTS) * largest
    estimating = 8 * 6 * num_samples * (num_columns + shape.num_features)
    return parts + max(decomposition, projecting) + estimating
