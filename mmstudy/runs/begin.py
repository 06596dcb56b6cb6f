"""Begin a planned run: make its directory."""

import shutil
from dataclasses import asdict

from catalog.cohorts import write_cohort
from mmdata.study import Study
from mmstudy.presence import require_present
from mmstudy.runs.plan import RunPlan
from mmtrain.run import RunDirectory, create_run


def begin_run(study: Study, plan: RunPlan) -> RunDirectory:
    """Make the directory of a planned run, with its settings and its cohort.

    Raises
    ------
    StudyError
        Participants of the cohort have withdrawn since it was planned.
    """
    findings = [asdict(finding) for finding in plan.findings]
    run = create_run(study.layout.runs, plan.config, findings=findings, preset=plan.preset)
    try:
        write_cohort(plan.cohort, run.cohort)
        require_present(study.layout, plan.cohort["row"].to_list())
    except BaseException:
        shutil.rmtree(run.path)
        raise
    return run
