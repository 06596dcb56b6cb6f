"""Write the page about a study's scans."""

from pathlib import Path

from catalog.database import open_catalog
from catalog.scans import scan_frame
from mmdata.errors import StudyError
from mmdata.qc.page import QcSummary, write_page
from mmdata.study import Study
from mmstudy.presence import require_present
from mmstudy.progress import Progress


def write_quality_page(
    study: Study, path: Path, progress: Progress, *, max_unusual: int, max_volumes: int
) -> QcSummary:
    """Write one page about the cohort; it shows single scans.

    Parameters
    ----------
    max_unusual
        Unusual scans to show of each modality.
    max_volumes
        Samples that the means are taken over at most.

    Raises
    ------
    CatalogError, DataError
        The catalogue or a store cannot be read, or a participant who is shown has withdrawn meanwhile.
    """
    with open_catalog(study.layout.catalog) as catalog:
        scans = scan_frame(catalog)
    with progress("volumes") as on_progress:
        summary = write_page(
            path, scans, study, max_unusual=max_unusual, max_volumes=max_volumes, on_progress=on_progress
        )
    try:
        require_present(study.layout, scans["row"].to_list())
    except StudyError:
        path.unlink()
        raise
    return summary
