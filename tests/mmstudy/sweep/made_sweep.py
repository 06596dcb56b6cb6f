"""Sweeps of small models of the tests' study."""

from typing import Any

from mmdata.study import Study
from mmstudy.sweep.begin import begin_sweep
from mmstudy.sweep.directory import SweepDirectory
from mmstudy.sweep.planning import plan_sweep
from mmstudy.sweep.settings import SweepSettings
from mmstudy.sweep.work import work
from mmstudy.sweep.worker_process import WorkerTerms

TRAIN = {"epochs": 1, "channels": (2, 2), "augment": "none", "log": ()}


def begin(study: Study, **settings: Any) -> SweepDirectory:
    """Begin a sweep of small models of age."""
    asked = {"targets": ("age",), "input_sets": (("flair",), ("dwi",)), "baselines": ("constant",)}
    plan = plan_sweep(study, SweepSettings(**{**asked, "train": TRAIN, **settings}))
    return begin_sweep(study, "sweep", plan, (), retry=False)


def do(study: Study, sweep: SweepDirectory, seconds: float | None = None) -> list[str]:
    """Work in this process; return what was told."""
    told: list[str] = []
    terms = WorkerTerms(execution={"device": "cpu"}, seconds=seconds)
    work(study, sweep, terms=terms, command="test", parent=None, tell=told.append)
    return told
