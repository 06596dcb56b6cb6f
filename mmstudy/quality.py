"""Write the page about a study's scans."""

from pathlib import Path

from catalog.database import open_catalog
from catalog.export.files import require_writable
from catalog.scans import scan_frame
from mmdata.qc.page import QcSummary, write_page
from mmdata.study import Study
from mmstudy.outputs import keep_if_present, record_output
from mmstudy.progress import Progress

SUFFIXES = (".html", ".htm")


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
        The file is no .html, the catalogue or a store cannot be read, or a participant who is shown has withdrawn
        meanwhile.
    """
    require_writable(path, SUFFIXES, overwrite=True)
    record_output(study.layout, path)
    with open_catalog(study.layout.catalog) as catalog:
        scans = scan_frame(catalog)
    with progress("volumes") as on_progress:
        summary = write_page(
            path, scans, study, max_unusual=max_unusual, max_volumes=max_volumes, on_progress=on_progress
        )
    keep_if_present(study.layout, path, scans["row"].to_list())
    return summary
