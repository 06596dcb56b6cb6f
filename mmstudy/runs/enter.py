"""Enter a finished run into the catalogue."""

from catalog.database import CATALOG_WAIT_SECONDS, open_catalog
from catalog.runs import index_runs
from mmdata.study import Study
from mmtrain.run import RunDirectory


def enter_run(study: Study, run: RunDirectory) -> list[str]:
    """Enter a finished run into the catalogue; return the runs that cannot be read.

    Raises
    ------
    CatalogLockedError
        The catalogue is in use.
    """
    with open_catalog(study.layout.catalog, writable=True, wait_seconds=CATALOG_WAIT_SECONDS) as catalog:
        return index_runs(catalog, study.layout.runs)
