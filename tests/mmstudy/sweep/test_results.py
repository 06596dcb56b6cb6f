"""What the finished jobs of a sweep came to."""

from pathlib import Path

from mmstudy.comparison.totals import hours_by_set, total_hours
from mmstudy.sweep.cells import Cell
from mmstudy.sweep.directory import sweep_directory
from mmstudy.sweep.jobs import make_jobs
from mmstudy.sweep.plan import SweepPlan
from mmstudy.sweep.results import timed_trunks
from mmstudy.sweep.settings import SweepSettings
from mmstudy.sweep.state import JobState, write_state
from tests.mmstudy.finished_runs import AGE, add_run, make_study


def test_the_time_of_trunks_is_that_of_the_finished_ones_by_their_volumes(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study")
    sweep = sweep_directory(study.layout, "sweep")
    sweep.make()
    settings = SweepSettings(methods=("frozen",), baselines=(), seeds=(1, 2))
    cells = [Cell(target="age", inputs=inputs) for inputs in (("flair", "t1"), ("dwi",), ("connectivity",))]
    plan = SweepPlan(settings=settings, cells=(), jobs=tuple(make_jobs(cells, {"age": "constitutional"}, settings)))
    trunks = [job for job in plan.jobs if not job.serves]
    assert len(trunks) == 4 and len(plan.jobs) == 4 + 6
    for number, job in enumerate(plan.jobs):
        outcome = "failed" if job.inputs == ("dwi",) and job.seed == 2 else "finished"
        write_state(sweep, job.name, JobState(outcome=outcome, run_id=f"run-{number}"))
        add_run(study, f"run-{number}", AGE, {"minutes": 30.0 if job in trunks else 1000.0})
    timed = timed_trunks(study, sweep, plan)
    assert total_hours(timed) == 1.5
    found = hours_by_set(timed).select("method", "network", "inputs", "runs", "hours").rows()
    assert found == [("trunk", "fusion", ["flair", "t1"], 2, 1.0), ("trunk", "fusion", ["dwi"], 1, 0.5)]
