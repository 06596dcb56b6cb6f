"""Write the page of a run of any version, finished or not."""

from pathlib import Path

from mmdata.study import Study
from mmstudy.runs.folders import find_run_of_study, require_cleaned
from mmtrain.page.page import write_page
from mmtrain.page.reading import find_state


def write_run_page(study: Study, run_id: str, *, internal: bool = False) -> Path:
    """Write the page of a run, and return where it is.

    Parameters
    ----------
    internal
        The one that shows single people, and must not leave the platform.

    Raises
    ------
    TrainError
        There is no run of that name, or participants have withdrawn meanwhile, or while it could not be reached.
    """
    run, _ = find_run_of_study(study.layout, run_id)
    require_cleaned(study.layout, run)
    write_page(run, find_state(run), internal=internal)
    return run.internal_report if internal else run.report
