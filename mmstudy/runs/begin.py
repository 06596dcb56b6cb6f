"""Begin a planned run: make its directory."""

import shutil
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from catalog.cohorts import write_cohort
from mmdata.study import Study
from mmstudy.presence import require_present
from mmstudy.runs.folders import record_run, runs_elsewhere
from mmstudy.runs.plan import RunPlan
from mmtrain.run import RunDirectory, create_run, list_runs


def begin_run(
    study: Study,
    plan: RunPlan,
    folder: Path | None = None,
    *,
    noted: Callable[[RunDirectory], None] = lambda _: None,
) -> RunDirectory:
    """Make the directory of a planned run, with its settings and its cohort.

    Parameters
    ----------
    folder
        Where to make it, as `settle_folder` gives it; None: in the study.
    noted
        Called when the run has its name, and nothing in its directory yet.

    Raises
    ------
    StudyError
        Participants of the cohort have withdrawn since it was planned, or the run cannot be put on record.
    """
    layout = study.layout
    elsewhere = runs_elsewhere(layout)
    others = [*list_runs(layout.runs), *elsewhere] if folder else elsewhere
    run = create_run(
        folder or layout.runs,
        plan.config,
        findings=[asdict(finding) for finding in plan.findings],
        preset=plan.preset,
        comparable=asdict(plan.comparable),
        taken={other.run_id for other in others},
        put_on_record=partial(record_run, layout) if folder else noted,
    )
    try:
        write_cohort(plan.cohort, run.cohort)
        require_present(layout, plan.cohort["row"].to_list())
    except BaseException:
        shutil.rmtree(run.path)
        raise
    return run
