"""Look through the stored scans of one modality: their mean, their measures, and the most unusual of them.

One resolution level is read, fine enough to be looked at and coarse enough to read every scan of a large cohort.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmbase.names import CONNECTIVITY
from mmbase.records import MEASURES
from mmdata.errors import StoreError
from mmdata.qc.mean import CohortMean, average_rows, correlate_with_mean, read_batches, spread_evenly
from mmdata.qc.planes import Plane, centre_planes, matrix_of_edges
from mmdata.qc.unusual import MEAN_CORRELATION, MIN_SCANS_TO_RANK, UNUSUAL_Z, UnusualScan, rank_scans
from mmdata.store.array import StoredArray, open_array
from mmdata.study import Study
from mmdata.viewer.viewer import encode_picture
from mmdata.volume.geometry import Matrix44

LEAST_SIDE = 48
"""The coarsest level with at least this side is read: 64 of the usual levels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewLimits:
    """How much of a modality is read and shown."""

    max_volumes: int
    """Scans that a mean is over, at most."""
    max_unusual: int
    """Most unusual scans to show."""
    max_kept: int
    """Of these, volumes that are kept whole, to be looked through."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownScan:
    """One scan of the contact sheet."""

    sample_id: str
    scan: UnusualScan
    planes: tuple[Plane, ...]
    """Three of a volume, one matrix of edges, in the unit of `ModalityReview.unit`; none where it could not be read."""
    picture: bytes = b""
    """The whole volume, of `encode_picture`; empty for connectivity, and where it was not asked for or not read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModalityReview:
    """What there is to see of one modality."""

    modality: str
    unit: str
    """Of the mean and of the scans shown."""
    affine_44: Matrix44 | None
    """Voxel to world of what is shown, RAS+ mm; None for connectivity."""
    mean: CohortMean | None
    """In `unit`; None where no scan could be read."""
    measures: Mapping[str, NDArray[np.float64]]
    """Measure to its value of each stored scan, shape (N,), in order of rows; NaN where it was not taken."""
    shown: tuple[ShownScan, ...]
    """The most unusual scans, the most unusual first; none where they are too few to rank."""
    num_stored: int
    num_unusual: int
    """Scans beyond `UNUSUAL_Z`, shown or not."""
    num_unreadable: int
    """Stored scans whose bytes could not be read."""


def num_reads(num_stored: int, limits: ReviewLimits) -> int:
    """Return how many rows a review of a modality reads, for its progress."""
    return min(num_stored, limits.max_volumes) + (num_stored if num_stored >= MIN_SCANS_TO_RANK else 0)


def review_modality(
    stored: pl.DataFrame, modality: str, study: Study, limits: ReviewLimits, on_read: Callable[[int], None]
) -> ModalityReview:
    """Read what there is to see of a modality's stored scans.

    Parameters
    ----------
    stored
        The stored scans of the modality: sample_id, row and a column for each measure, in order of rows.
    on_read
        Called with the number of rows that were tried since the last call.

    Raises
    ------
    StoreError
        There is no array of this modality, or it is of another version.
    """
    array = open_array(array_path(study, modality))
    rows = stored["row"].to_list()
    averaged = spread_evenly(rows, limits.max_volumes)
    mean = average_rows(read_batches(array, averaged, on_read))
    unreadable = set(averaged) - set(mean.rows if mean else ())
    measures = _measures(stored)
    if mean and len(rows) >= MIN_SCANS_TO_RANK:
        correlations = correlate_with_mean(read_batches(array, rows, on_read), mean.mean)
        unreadable |= set(rows) - set(correlations)
        measures[MEAN_CORRELATION] = np.array([correlations.get(row, np.nan) for row in rows])
    ranking = rank_scans(measures)
    return ModalityReview(
        modality=modality,
        unit=unit_of(array),
        affine_44=None if modality == CONNECTIVITY else np.asarray(array.attributes["affine_ras"]),
        mean=mean and _in_unit(mean, array),
        measures=measures,
        shown=_read_shown(array, stored, ranking[: limits.max_unusual], limits.max_kept),
        num_stored=len(rows),
        num_unusual=sum(scan.score > UNUSUAL_Z for scan in ranking),
        num_unreadable=len(unreadable),
    )


def planes_of(values: NDArray[np.float64]) -> tuple[Plane, ...]:
    """Return what is drawn of a volume, or of the edges of a matrix."""
    return (matrix_of_edges(values),) if values.ndim == 1 else centre_planes(values)


def array_path(study: Study, modality: str) -> Path:
    """Return the array of a modality that is looked at: of volumes, the level that `LEAST_SIDE` says."""
    if modality == CONNECTIVITY:
        return study.layout.connectivity_array(study.config.connectivity.name)
    sides = study.config.volumes.sides
    return study.layout.volume_array(modality, min((side for side in sides if side >= LEAST_SIDE), default=sides[0]))


def decoded(stored: NDArray[Any], array: StoredArray) -> NDArray[np.float64]:
    """Return stored numbers in the unit of `unit_of`."""
    intensity = array.attributes.get("intensity", {"scale": 1.0, "offset": 0.0})
    values: NDArray[np.float64] = stored.astype(np.float64) * float(intensity["scale"]) + float(intensity["offset"])
    return values


def unit_of(array: StoredArray) -> str:
    """Return what the numbers of an array are once they are decoded."""
    if "intensity" in array.attributes:
        return "fraction of the scan's upper clamp"
    return str(array.attributes.get("measure", "edge"))


def _measures(stored: pl.DataFrame) -> dict[str, NDArray[np.float64]]:
    taken = [name for name in MEASURES if stored[name].count()]
    return {name: stored[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in taken}


def _read_shown(
    array: StoredArray, stored: pl.DataFrame, ranking: Sequence[UnusualScan], max_kept: int
) -> tuple[ShownScan, ...]:
    affine_44 = array.attributes.get("affine_ras")
    shown = []
    for rank, scan in enumerate(ranking):
        sample_id, row = stored.select("sample_id", "row").row(scan.position)
        try:
            values = decoded(array.read_rows([(row,)])[0], array)
        except StoreError:
            shown.append(ShownScan(sample_id=sample_id, scan=scan, planes=()))
            continue
        is_kept = affine_44 is not None and rank < max_kept
        picture = encode_picture(values, np.asarray(affine_44)) if is_kept else b""
        shown.append(ShownScan(sample_id=sample_id, scan=scan, planes=planes_of(values), picture=picture))
    return tuple(shown)


def _in_unit(mean: CohortMean, array: StoredArray) -> CohortMean:
    scale = float(array.attributes.get("intensity", {}).get("scale", 1.0))
    return CohortMean(mean.rows, decoded(mean.mean, array), mean.deviation * scale)
