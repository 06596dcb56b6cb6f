"""Connectivity by region: edges are pairs of regions, as `mmdata.volume.connectivity` orders them.

Legend of shapes: B batch, E edges, R regions.
"""

import numpy as np
import torch

from mmtrain.explain.attribution import Floats


def num_regions(num_edges: int) -> int:
    """Return how many regions so many pairs are of.

    >>> num_regions(64620)
    360
    """
    return (1 + int(np.sqrt(1 + 8 * num_edges))) // 2


def edge_regions(num_edges: int) -> torch.Tensor:
    """Return the two regions of each edge, shape (2, E)."""
    return torch.from_numpy(np.stack(np.triu_indices(num_regions(num_edges), 1)))


def sum_by_region(edges_BE: Floats) -> Floats:
    """Return for each region the sum over its edges, half of every edge to each of its two regions: shape (B, R).

    >>> sum_by_region(np.array([[2.0, 4.0, 6.0]]))
    array([[3., 4., 5.]])
    """
    first, second = np.triu_indices(num_regions(edges_BE.shape[1]), 1)
    halves = np.zeros((len(edges_BE), num_regions(edges_BE.shape[1])))
    for ends in (first, second):
        np.add.at(halves.T, ends, edges_BE.T / 2)
    return halves
