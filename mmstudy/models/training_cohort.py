"""What the scans and features of the people whom a model was trained on have in common: aggregates of ten and more.

New scans are held against it. It holds nobody's own value: means, standard deviations, mean histograms, and of each
number its median and its spread (`mmstudy.models.usual`). It is computed from arrays; `mmstudy.models.cohort_of_run`
reads these, `mmstudy.models.cohort_file` writes and reads it.

What a participant's own scan contributes to the mean is taken out before it is compared with it (leave-one-out), so
that the limits hold for people who were not among those.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmbase.disclosure import SMALLEST_COUNT, rounded_up
from mmdata.volume.geometry import Grid
from mmstudy.models.signs import Pattern, Reduced, asymmetry_of, correlate, reduce_volume, signs_of
from mmstudy.models.usual import Usual, usual_of, usual_of_all

TAIL_PEOPLE = SMALLEST_COUNT
"""How many people lie beyond the ends of a told range, at least."""

_LARGEST = 0.999
"""Quantile of the edges' sizes that Fisher's z moves most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeCohort:
    """What volumes of one modality have in common."""

    people: int
    grid: Grid
    """Of the volumes as the model sees them."""
    mean_XYZ: NDArray[np.float32]
    """At `mmstudy.models.signs.coarse_side`, from 0 to 1."""
    deviation_XYZ: NDArray[np.float32]
    """Standard deviation, same shape."""
    cdf_H: NDArray[np.float64]
    """Mean share of the brain's voxels that are not brighter than each bin's upper end."""
    usual: Mapping[str, Usual]
    """Sign to what is usual of it."""
    asymmetry: Usual | None = None
    """Of how far people's asymmetry goes along everybody else's."""

    @property
    def pattern(self) -> Pattern:
        """Return what volumes are compared with."""
        return Pattern(mean_XYZ=self.mean_XYZ, cdf_H=self.cdf_H)


@dataclass(frozen=True, kw_only=True, slots=True)
class EdgeCohort:
    """What connectomes have in common."""

    people: int
    mean_E: NDArray[np.float32]
    usual: Mapping[str, Usual]


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureCohort:
    """What is known of one feature, target or age."""

    usual: Usual
    low: float | None = None
    """Ten people or more have at most this; None where the people are too few for it to lie near an end."""
    high: float | None = None
    """Ten people or more have at least this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingCohort:
    """What the people whom a model was trained on have in common."""

    volumes: Mapping[str, VolumeCohort] = field(default_factory=dict)
    """By modality."""
    edges: EdgeCohort | None = None
    features: Mapping[str, FeatureCohort] = field(default_factory=dict)
    """By name, ``age`` among them where it is known."""

    @property
    def is_empty(self) -> bool:
        """Return whether nothing is told."""
        return not (self.volumes or self.features) and self.edges is None


def volume_cohort(volumes: Iterable[NDArray[Any]], grid: Grid) -> VolumeCohort | None:
    """Return what volumes of different people have in common; None where they are fewer than ten.

    Parameters
    ----------
    volumes
        One for each person, as stored or from 0 to 1, shape (side, side, side); each is let go before the next.
    grid
        Of the volumes.
    """
    reduced = [reduce_volume(volume_XYZ, grid) for volume_XYZ in volumes]
    if len(reduced) < SMALLEST_COUNT:
        return None
    coarse_NXYZ = np.stack([one.coarse_XYZ for one in reduced])
    mean_XYZ = coarse_NXYZ.mean(axis=0, dtype=np.float64)
    cdf_H = np.mean([one.cdf_H for one in reduced], axis=0)
    others = [_without(mean_XYZ, cdf_H, one, len(reduced)) for one in reduced]
    signs = [signs_of(one, pattern) for one, pattern in zip(reduced, others, strict=True)]
    asymmetry = [asymmetry_of(one.coarse_XYZ, pattern) for one, pattern in zip(reduced, others, strict=True)]
    return VolumeCohort(
        people=len(reduced),
        grid=grid,
        mean_XYZ=mean_XYZ.astype(np.float32),
        deviation_XYZ=coarse_NXYZ.std(axis=0).astype(np.float32),
        cdf_H=cdf_H,
        usual=usual_of_all({name: np.array([one[name] for one in signs]) for name in signs[0]}),
        asymmetry=usual_of(np.array(asymmetry)),
    )


def edge_signs(edges_E: NDArray[Any], mean_E: NDArray[Any]) -> dict[str, float]:
    """Return the numbers by which a connectome is held against the training participants' mean one."""
    return {
        "likeness": correlate(edges_E, mean_E),
        "mean_edge": float(np.mean(edges_E, dtype=np.float64)),
        "edge_spread": float(np.std(edges_E, dtype=np.float64)),
        "empty_share": float(np.mean(edges_E == 0)),
        "largest_edge": float(np.quantile(np.abs(edges_E), _LARGEST)),
    }


def edge_cohort(edges_NE: NDArray[Any]) -> EdgeCohort | None:
    """Return what connectomes of different people have in common; None where they are fewer than ten."""
    num_people = len(edges_NE)
    if num_people < SMALLEST_COUNT:
        return None
    mean_E = edges_NE.mean(axis=0, dtype=np.float64)
    signs = [edge_signs(edges_E, (num_people * mean_E - edges_E) / (num_people - 1)) for edges_E in edges_NE]
    usual = usual_of_all({name: np.array([one[name] for one in signs]) for name in signs[0]})
    return EdgeCohort(people=num_people, mean_E=mean_E.astype(np.float32), usual=usual)


def feature_cohort(values: NDArray[np.float64]) -> FeatureCohort | None:
    """Return what is usual of a feature's values of different people; None where fewer than ten have one."""
    usual = usual_of(values)
    if usual is None:
        return None
    known = np.sort(values[np.isfinite(values)])
    if len(known) < 4 * TAIL_PEOPLE:  # the tenth of fewer lies in the middle of them
        return FeatureCohort(usual=usual)
    low, high = float(known[TAIL_PEOPLE - 1]), float(known[-TAIL_PEOPLE])
    return FeatureCohort(usual=usual, low=rounded_up(low), high=-rounded_up(-high))


def _without(mean_XYZ: NDArray[np.float64], cdf_H: NDArray[np.float64], one: Reduced, num_people: int) -> Pattern:
    """Return the pattern of everybody else."""
    share = num_people / (num_people - 1)
    return Pattern(
        mean_XYZ=(mean_XYZ * share - one.coarse_XYZ / (num_people - 1)).astype(np.float32),
        cdf_H=cdf_H * share - one.cdf_H / (num_people - 1),
    )
