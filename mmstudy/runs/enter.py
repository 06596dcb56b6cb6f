"""Enter a finished run into the catalogue."""

from mmbase.errors import MmError
from mmdata.study import Study
from mmstudy.runs.folders import runs_elsewhere
from mmtrain.run import RunDirectory

_LATER = "The next run that ends, or mm ingest, enters it."


def enter_run(study: Study, run: RunDirectory) -> list[str]:
    """Enter one run into the catalogue; return what went wrong, for what was trained is kept in either case."""
    try:
        from catalog.database import CATALOG_WAIT_SECONDS  # noqa: PLC0415 - a node that trains may be without duckdb
        from catalog.runs import enter_run as enter  # noqa: PLC0415
    except ImportError as error:
        return [f"{error.name} is not installed here, so run {run.run_id} is not in the catalogue. {_LATER}"]
    try:
        layout = study.layout
        elsewhere = [other.path for other in runs_elsewhere(layout)]
        unreadable = enter(
            layout.catalog, run.path, home=layout.runs, elsewhere=elsewhere, wait_seconds=CATALOG_WAIT_SECONDS
        )
    except MmError as error:
        return [f"Run {run.run_id} is not in the catalogue. {_LATER} {error}"]
    return [f"The metrics.json of run {name} cannot be read; that run is left out." for name in unreadable]
