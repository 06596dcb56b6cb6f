"""Enter a finished run into the catalogue."""

from catalog import runs
from catalog.database import CATALOG_WAIT_SECONDS
from mmdata.study import Study
from mmtrain.run import RunDirectory


def enter_run(study: Study, run: RunDirectory) -> list[str]:
    """Enter one run into the catalogue; return others that are not entered because they cannot be read.

    Raises
    ------
    CatalogLockedError
        The catalogue is in use.
    CatalogError
        The metrics of the run cannot be read, or the catalogue is damaged.
    """
    return runs.enter_run(study.layout.catalog, run.path, wait_seconds=CATALOG_WAIT_SECONDS)
