"""Occlusion by captum: how the output changes when one unit of the inputs is replaced by the baseline.

Terms
-----
unit      what is taken away at once: a cube of a volume, all edges of a region, or a tabular feature. Cubes do not
          overlap. A cube that is background in the whole batch is passed over: nothing would change.
presence  for each unit 1 where it is there, 0 where the baseline stands in its place.

Captum ablates one presence after the other, so that volumes, edges and features are occluded by the same code.

Source: Zeiler and Fergus 2014, Visualizing and understanding convolutional networks, arXiv 1311.2901.

Legend of shapes: B batch, N samples in one pass, U units, C channels, G cubes along an edge, E edges, R regions.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mmtrain.data.scaling import FeatureScaler
from mmtrain.explain.attribution import Attribution
from mmtrain.explain.columns import columns_of_features
from mmtrain.explain.inputs import Inputs, Tensors
from mmtrain.explain.library import load_captum
from mmtrain.explain.regions import edge_regions, num_regions
from mmtrain.explain.scalar import TargetScalar


@dataclass(frozen=True, kw_only=True, slots=True)
class Units:
    """The units of a batch: the cubes that are looked at, then regions, then features."""

    cubes: torch.Tensor
    """Index of each cube among C × G × G × G."""
    grid: int
    """G; 0 without volumes."""
    cube_of_voxel: torch.Tensor
    """Cube of each voxel along an edge, shape (X,)."""
    num_regions: int
    columns: NDArray[np.int64]
    """Of each feature."""

    def __len__(self) -> int:
        return len(self.cubes) + self.num_regions + len(self.columns)


def occlude(
    scalar: TargetScalar, inputs: Inputs, baseline: Inputs, scaler: FeatureScaler, *, cube: int, pass_size: int
) -> Attribution:
    """Return how the output of each sample of a batch changes by each unit.

    Parameters
    ----------
    baseline
        A batch of one.
    cube
        Edge length of a cube in voxels.
    pass_size
        Samples that go through the network at once; as many as the batch has, at least.
    """
    units = find_units(inputs, baseline, scaler, cube)
    with torch.no_grad():
        output_B, baseline_B = scalar(*inputs.given), scalar(*baseline.given)
        changes_BU = _ablate(scalar, units, inputs, baseline, max(1, pass_size // len(inputs)))
    cubes_BU, regions_BU, features_BU = (
        changes_BU.double().cpu().split([len(units.cubes), units.num_regions, len(units.columns)], dim=1)
    )
    regions_BR = regions_BU.numpy() if units.num_regions else None
    return Attribution(
        output_B=output_B.double().cpu().numpy(),
        baseline=float(baseline_B),
        volumes_BCXYZ=None if inputs.volumes_BCXYZ is None else _spread(units, cubes_BU, inputs.volumes_BCXYZ.shape[1]),
        regions_BR=regions_BR,
        region_sizes_BR=None if regions_BR is None else np.abs(regions_BR),
        features_BF=None if inputs.features_BF is None else features_BU.numpy(),
    )


def _ablate(scalar: TargetScalar, units: Units, inputs: Inputs, baseline: Inputs, units_at_once: int) -> torch.Tensor:
    """Return how the output of each sample changes by each unit, shape (B, U)."""
    captum = load_captum()
    presence_BU = torch.ones(len(inputs), len(units), device=inputs.given[0].device)
    if not len(units):
        return presence_BU

    def without_absent(presence_NU: torch.Tensor, *given: torch.Tensor) -> torch.Tensor:
        changed: torch.Tensor = scalar(*blend(units, presence_NU, inputs.with_parts(given), baseline))
        return changed

    changes_BU: torch.Tensor = captum.FeatureAblation(without_absent).attribute(
        presence_BU, baselines=0.0, additional_forward_args=inputs.given, perturbations_per_eval=units_at_once
    )
    return changes_BU


def find_units(inputs: Inputs, baseline: Inputs, scaler: FeatureScaler, cube: int) -> Units:
    """Return the units of a batch."""
    volumes, edges = inputs.volumes_BCXYZ, inputs.edges_BE
    cubes, grid, cube_of_voxel = torch.empty(0, dtype=torch.int64), 0, torch.empty(0, dtype=torch.int64)
    if volumes is not None and baseline.volumes_BCXYZ is not None:
        side = volumes.shape[-1]
        cube_of_voxel = torch.arange(side, device=volumes.device) // cube
        grid = -(-side // cube)
        differs_CXYZ = (volumes != baseline.volumes_BCXYZ).any(dim=0).float()
        touched = torch.nn.functional.max_pool3d(differs_CXYZ, cube, ceil_mode=True)
        cubes = touched.flatten().nonzero()[:, 0]
    return Units(
        cubes=cubes,
        grid=grid,
        cube_of_voxel=cube_of_voxel,
        num_regions=0 if edges is None else num_regions(edges.shape[1]),
        columns=columns_of_features(scaler) if inputs.features_BF is not None else np.empty((0, 1), np.int64),
    )


def blend(units: Units, presence_NU: torch.Tensor, inputs: Inputs, baseline: Inputs) -> Tensors:
    """Return inputs (N, …) with the baseline in place of the units that are absent."""
    cubes_NU, regions_NR, features_NF = presence_NU.split(
        [len(units.cubes), units.num_regions, len(units.columns)], dim=1
    )
    masks = []
    if inputs.volumes_BCXYZ is not None:
        masks.append(_by_voxel(units, cubes_NU, inputs.volumes_BCXYZ.shape[1]))
    if inputs.edges_BE is not None:
        first, second = edge_regions(inputs.edges_BE.shape[1]).to(presence_NU.device)
        masks.append(regions_NR[:, first] * regions_NR[:, second])
    if inputs.features_BF is not None:
        masks.append(_by_column(units, features_NF, inputs.features_BF.shape[1]))
    parts = zip(masks, inputs.given, baseline.given, strict=True)
    return tuple(torch.where(mask > 0, part, nothing) for mask, part, nothing in parts)


def _by_voxel(units: Units, cubes_NU: torch.Tensor, num_channels: int) -> torch.Tensor:
    """Return what holds of each cube for each of its voxels, shape (N, C, X, Y, Z); 1 where a cube is passed over."""
    every = cubes_NU.new_ones(len(cubes_NU), num_channels * units.grid**3)
    every[:, units.cubes] = cubes_NU
    grid_NCGGG = every.view(len(cubes_NU), num_channels, *(units.grid,) * 3)
    along = units.cube_of_voxel
    return grid_NCGGG[:, :, along[:, None, None], along[:, None], along]


def _by_column(units: Units, features_NF: torch.Tensor, num_columns: int) -> torch.Tensor:
    every = features_NF.new_ones(len(features_NF), num_columns)
    for columns in units.columns.T:
        every[:, columns] = features_NF
    return every


def _spread(units: Units, changes_BU: torch.Tensor, num_channels: int) -> NDArray[np.float32]:
    """Return the change of its cube for each voxel; 0 where a cube was passed over."""
    every = torch.zeros(len(changes_BU), num_channels * units.grid**3, dtype=torch.float32)
    every[:, units.cubes.cpu()] = changes_BU.float()
    grid_BCGGG = every.view(len(changes_BU), num_channels, *(units.grid,) * 3)
    along = units.cube_of_voxel.cpu()
    return np.asarray(grid_BCGGG[:, :, along[:, None, None], along[:, None], along].numpy())
