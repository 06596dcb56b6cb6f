"""What a study holds, and what is missing from it."""

from dataclasses import dataclass
from typing import Any

from catalog.database import open_catalog
from catalog.summary import CatalogSummary, summarise
from mmdata.ledger.receipts import read_copy_receipts
from mmdata.store.array import describe_arrays
from mmdata.store.location import short_name
from mmdata.study import Study
from mmdata.study_arrays import array_specs, stored_modalities
from mmstudy.runs.folders import runs_owing, study_runs


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyStatus:
    """What a study holds."""

    summary: CatalogSummary
    arrays: list[dict[str, Any]]
    """Name, shape, number type and bytes of each array."""
    missing_arrays: list[str]
    """Arrays that hold rows, as the receipts say, and are not there."""
    unfinished_runs: list[str]
    unreachable_runs: list[str]
    """Directories of runs outside the study whose folder cannot be seen from here."""
    uncleaned_runs: list[str]
    """Runs that may have data of participants who withdrew while they could not be reached."""


def study_status(study: Study) -> StudyStatus:
    """Look at the catalogue, the arrays and the runs of a study; no row is read.

    Raises
    ------
    CatalogError, StoreError
        The catalogue, a receipt or the description of an array cannot be read.
    """
    layout = study.layout
    with open_catalog(layout.catalog) as catalog:
        summary = summarise(catalog)
    runs = study_runs(layout)
    return StudyStatus(
        summary=summary,
        arrays=[*describe_arrays(layout.volumes), *describe_arrays(layout.augmented)],
        missing_arrays=_missing_arrays(study, summary),
        unfinished_runs=[run.run_id for run in runs.reachable if not run.metrics.exists()],
        unreachable_runs=[str(run.path) for run in runs.unreachable],
        uncleaned_runs=sorted(runs_owing(layout)),
    )


def _missing_arrays(study: Study, summary: CatalogSummary) -> list[str]:
    stored = [name for name in stored_modalities(study.config) if summary.scans.get(name, {}).get("stored")]
    originals = [spec.path for name in stored for spec in array_specs(study, name, num_rows=1)]
    copied = {key[:2] for key, rows in read_copy_receipts(study.layout.receipts).items() if rows}
    copies = [study.layout.augmented_array(modality, side) for modality, side in sorted(copied)]
    return [short_name(path) for path in (*originals, *copies) if not path.exists()]
