"""What `mm compare` takes of a sweep of the reference's 700 cells: a new process, from its start to its end.

The study has as many samples as the reference's; its arrays hold nothing and no run was ever trained. Each run has its
settings, cohort, metrics and predictions as training would have left them. A run predicts the truth with noise of its
own, of one of a few sizes; its metrics are those of another run with noise of that size.
"""

import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.made_study import make_labelled_study
from catalog.splits.schemes import StudySplit
from mmbase.checksums import write_checked
from mmbase.files import to_json
from mmdata.study import Study
from mmstudy.runs.begin import begin_run
from mmstudy.runs.comparable import comparable_of
from mmstudy.runs.plan import RunPlan, plan_run
from mmstudy.sweep.begin import begin_sweep
from mmstudy.sweep.job_settings import settings_of_job
from mmstudy.sweep.jobs import Job
from mmstudy.sweep.planning import plan_sweep
from mmstudy.sweep.settings import SweepSettings
from mmstudy.sweep.state import JobState, write_state
from mmtrain.data.cohort import Cohort, parse_cohort
from mmtrain.metrics.judgement import judge
from mmtrain.metrics.predicted import Predicted
from mmtrain.results import write_predictions
from mmtrain.targets.registry import load_kind

NUM_SAMPLES, REPEATS = 23_810, 3
NOISES = (0.5, 1.0, 1.5, 2.0)
"""Of predictions, in standard deviations of the truth."""
TRAIN = {"side": 32, "augment": "none", "balance": "weight", "device": "cpu"}


def bench_comparison(folder: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """Measure the command; return what was measured, and its seconds."""
    study = make_labelled_study(folder / "study", NUM_SAMPLES)
    num_runs = make_runs(study)
    times = [_timed_command(study) for _ in range(REPEATS + 1)][1:]
    seconds = round(median(times), 1)
    measured = {"samples": NUM_SAMPLES, "runs": num_runs, "all_s": [round(time, 1) for time in times]}
    return measured, {"compare_700_runs_s": seconds}


def make_runs(study: Study, targets: tuple[str, ...] = ()) -> int:
    """Make a sweep whose jobs have all ended; return their number."""
    plan = plan_sweep(study, SweepSettings(targets=targets, baselines=(), train=TRAIN))
    sweep = begin_sweep(study, "sweep", plan, (), retry=False)

    @cache
    def planned(target: str) -> tuple[RunPlan, Cohort]:
        job = next(job for job in plan.jobs if job.targets == (target,))
        given = settings_of_job(job, plan.settings, plan.required_inputs)
        of_target = plan_run(study, [target], given, scheme=StudySplit())
        return of_target, parse_cohort(of_target.cohort)

    @cache
    def metrics(target: str, noise: float) -> Mapping[str, Any]:
        plan_of_target, cohort = planned(target)
        return _made_metrics(plan_of_target, cohort, _predictions(plan_of_target, cohort, noise, seed=0))

    for number, job in enumerate(plan.jobs):
        (target,) = job.targets
        plan_of_target, cohort = planned(target)
        noise = NOISES[number % len(NOISES)]
        run = begin_run(study, _of_job(plan_of_target, job))
        predicted = _predictions(plan_of_target, cohort, noise, seed=number)
        write_predictions(run, pl.concat([_table(cohort, split, of) for split, of in predicted.items()]))
        write_checked(run.metrics, to_json({**metrics(target, noise), "inputs": list(job.inputs)}))
        write_state(sweep, job.name, JobState(outcome="finished", run_id=run.run_id))
    return len(plan.jobs)


def _of_job(plan: RunPlan, job: Job) -> RunPlan:
    """Return the plan of another job with the same target; all have the same participants."""
    data = replace(plan.config.data, inputs=job.inputs, metadata_blocks=job.blocks)
    config = replace(plan.config, data=data)
    return replace(plan, config=config, comparable=comparable_of(config, plan.cohort))


def _predictions(plan: RunPlan, cohort: Cohort, noise: float, *, seed: int) -> dict[str, Predicted]:
    """Return what a model predicts of validation and test."""
    (target,) = plan.config.data.targets
    rng = np.random.default_rng([seed, int(10 * noise)])
    found = {}
    for split in ("val", "test"):
        truth = cohort.known_labels(split, 0)
        drawn = truth + noise * truth.std() * rng.normal(size=len(truth))
        found[split] = Predicted(
            truth=truth,
            prediction=drawn if target.kind == "regression" else 1 / (1 + np.exp(1 - 2 * drawn)),
            participants=cohort.participants[_members(cohort, split)],
        )
    return found


def _table(cohort: Cohort, split: str, predicted: Predicted) -> pl.DataFrame:
    ids = [cohort.sample_ids[i] for i in _members(cohort, split)]
    numbers = {"truth": predicted.truth, "prediction": predicted.prediction}
    return pl.DataFrame({"sample_id": ids, "split": split, **numbers})


def _members(cohort: Cohort, split: str) -> NDArray[np.int64]:
    """Return the samples of a split that have a label of the first target."""
    return cohort.members(split)[cohort.labelled(split, 0)]


def _made_metrics(plan: RunPlan, cohort: Cohort, splits: Mapping[str, Predicted]) -> dict[str, Any]:
    (target,) = plan.config.data.targets
    judged = judge(load_kind(target.kind).metrics, target, cohort.known_labels("train", 0), splits, 0)
    of_run = {"target": target.name, "kind": target.kind, "n": cohort.split_sizes, "minutes": 60.0, "losses": {}}
    return {**of_run, **judged}


def _timed_command(study: Study) -> float:
    command = [sys.executable, "-m", "mmcli", "--study", str(study.layout.root), "compare"]
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started
