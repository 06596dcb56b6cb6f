"""Hold one new scan against what a model takes for granted."""

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from mmbase.names import CONNECTIVITY
from mmdata.readers.native import NativeFacts
from mmdata.readers.scan import LoadedScan
from mmdata.volume.geometry import Grid
from mmstudy.models.contract import InputContract
from mmstudy.models.training_cohort import TrainingCohort
from mmstudy.predict.deviation import Deviation
from mmstudy.predict.deviations.connectome import find_edge_deviations
from mmstudy.predict.deviations.range import find_range_deviations
from mmstudy.predict.deviations.source import find_source_deviations
from mmstudy.predict.deviations.template import find_template_deviations
from mmstudy.predict.deviations.volume import find_volume_deviations


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedScan:
    """One scan as a model would see it, with what is known of how it came to be."""

    modality: str
    row: NDArray[Any]
    """As an ingest stores it: a volume of the model's side, axes R, A, S, or edges."""
    grid: Grid | None
    """The volume's; None for edges."""
    measures: dict[str, float] = field(default_factory=dict)
    """By the names of `mmbase.records.MEASURES`."""
    native: NativeFacts | None = None
    """Of the image before it was brought onto the grid; None where it is not at hand."""


def checked_scan(loaded: LoadedScan, modality: str, contract: InputContract, side: int) -> CheckedScan:
    """Return what the ingest's reader made of a scan, for the checks.

    Parameters
    ----------
    side
        Of the model's volumes.
    """
    if modality == CONNECTIVITY:
        (edges_E,) = loaded.rows.values()
        return CheckedScan(modality=modality, row=edges_E, grid=None, measures=loaded.measures)
    assert contract.volumes is not None
    return CheckedScan(
        modality=modality,
        row=loaded.rows[str(side)],
        grid=contract.volumes.grid(side),
        measures=loaded.measures,
        native=loaded.native,
    )


def find_scan_deviations(
    scan: CheckedScan, contract: InputContract, cohort: TrainingCohort, *, num_edges: int = 0
) -> list[Deviation]:
    """Return in what a scan differs from what a model takes for granted.

    Parameters
    ----------
    cohort
        What the training participants have in common; empty where it was not published. Then only that is checked which
        needs no comparison: where the brain lies and how large it is, the contrast of T1 and FLAIR, the voxels.
    num_edges
        That the model takes of connectivity.
    """
    if scan.grid is None:
        return find_edge_deviations(scan.row, num_edges, contract.connectivity, cohort.edges)
    if deviations := find_range_deviations(scan.modality, scan.row):
        return deviations  # nothing else can be told of such a volume
    common = cohort.volumes.get(scan.modality)
    found = find_source_deviations(
        scan.modality, scan.native, scan.measures, scan.grid, knows_roughness=common is not None
    )
    found += (
        find_template_deviations(scan.modality, scan.row, scan.grid)
        if common is None
        else find_volume_deviations(scan.modality, scan.row, scan.grid, cohort.volumes)
    )
    return list({(one.name, one.where): one for one in reversed(found)}.values())[::-1]
