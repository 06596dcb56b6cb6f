"""What the baselines of a sweep cost: `constant`, `linear` and `boosting` in every cell of the reference's grid.

One process makes one run after the other, as a worker of a sweep does, and keeps what they share. It has one thread,
for a machine of two cores runs two such workers. All that a run costs is measured: plan, directory, fit, test, and the
entry in the catalogue; but no page, which `mm page` draws of the few runs that somebody looks at. The figure is seconds
of a processor, not of a clock, so that it depends less on what else the machine does.

Terms
-----
process   what a process pays once: the rows of all inputs are read and made small.
target    what each target pays once: its training samples are others, so its projections are too.
run       what each run pays beside; the cells are a sample over all sets of volumes and connectivity.

The 25 targets are taken to cost as those of their sort that are measured: continuous or binary, constitutional (7
cells, without tabular features) or not (32 cells).
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

from benchmarks.made_study import SIDE, make_full_study
from catalog.fields import Dictionary
from catalog.splits.schemes import StudySplit
from mmdata.study import Study, load_study
from mmstudy.dictionary import study_dictionary
from mmstudy.runs.begin import begin_run
from mmstudy.runs.enter import enter_run
from mmstudy.runs.plan import plan_run
from mmstudy.sweep.cells import Cell
from mmstudy.sweep.grid import CONSTITUTIONAL, reference_cells, reference_targets
from mmtrain.kept import Kept
from mmtrain.page.live import without_page
from mmtrain.train import train

NUM_SAMPLES = 5_000
MODELS = ("constant", "linear", "boosting")
TARGETS = ("age", "sex", "HDL", "asthma", "worry")
"""Two that are constitutional, three that are not; two are continuous."""
NUM_CORES = 2
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_Result = TypeVar("_Result")
_Sort = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Costs:
    """What one target came to, in seconds of a processor."""

    first: float
    """Its first run, of all inputs."""
    again: float
    """The same run again."""
    runs: dict[str, list[float]]
    """Of each model, one for each sampled cell."""
    steps: dict[str, list[float]]
    """Of all of these runs together."""

    def of_target(self, num_cells: int) -> float:
        """Return what all its cells cost."""
        return self.first - self.again + num_cells * sum(map(fmean, self.runs.values()))


def bench_baselines(folder: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """Measure the baselines of some cells in a process of its own; return what was measured, and the ratio."""
    study = make_full_study(folder / "study", NUM_SAMPLES)
    command = [sys.executable, "-m", "benchmarks.baselines", str(study.layout.root)]
    one_thread = {**os.environ, **dict.fromkeys(_THREADS, "1")}
    told = subprocess.run(command, check=True, capture_output=True, text=True, env=one_thread).stdout
    measured: dict[str, Any] = json.loads(told.splitlines()[-1])
    return measured, {"baselines_of_700_cells_minutes": measured["minutes_on_two_cores"]}


def measure(study: Study) -> dict[str, Any]:
    """Return what the baselines of a sample of cells cost, and what those of all cells would."""
    dictionary, kept = study_dictionary(study), Kept()
    costs: dict[str, Costs] = {}
    for target in TARGETS:
        costs[target] = _measure_target(study, target, kept)
        print(target, costs[target], file=sys.stderr, flush=True)
    once = {target: of_target.first - of_target.again for target, of_target in costs.items()}
    process = once[TARGETS[0]] - fmean(once[target] for target in TARGETS[1:])
    sorts: dict[_Sort, list[float]] = {}
    for target, of_target in costs.items():
        whole = of_target.of_target(len(reference_cells(dictionary, [target])))
        own = whole - process if target == TARGETS[0] else whole
        sorts.setdefault(sort_of(dictionary, target), []).append(own)
    num_targets = Counter(sort_of(dictionary, target) for target in reference_targets(dictionary))
    seconds = NUM_CORES * process  # each worker reads the rows
    seconds += sum(number * fmean(sorts[sort]) for sort, number in num_targets.items())
    return {
        "samples": NUM_SAMPLES,
        "side": SIDE,
        "cells": sum(len(of_target.runs[MODELS[0]]) for of_target in costs.values()),
        "process_s": round(process, 2),
        "target_s": {target: round(value, 2) for target, value in once.items()},
        "run_s": {
            model: round(fmean(value for of_target in costs.values() for value in of_target.runs[model]), 3)
            for model in MODELS
        },
        "step_s": {
            f"{model}, {step}": round(fmean(v for c in costs.values() for v in c.steps[f"{model}, {step}"]), 3)
            for model, step in product(MODELS, ("plan", "begin", "train", "enter"))
        },
        "kept_megabytes": round(kept.reductions.held_bytes / 1e6),
        "peak_gigabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2),
        "minutes_on_two_cores": round(seconds / NUM_CORES / 60, 1),
    }


def sampled_cells(dictionary: Dictionary, target: str) -> list[Cell]:
    """Return a cell of the reference's for every set of volumes and connectivity; groups of features take turns."""
    by_set: dict[tuple[str, ...], list[Cell]] = {}
    for cell in reference_cells(dictionary, [target]):
        by_set.setdefault(cell.volumes_and_connectivity, []).append(cell)
    return [cells[number % len(cells)] for number, cells in enumerate(by_set.values())]


def sort_of(dictionary: Dictionary, target: str) -> _Sort:
    """Return what targets are alike in: whether they are constitutional, and their kind."""
    return (CONSTITUTIONAL if dictionary[target].block == CONSTITUTIONAL else "other"), dictionary[target].kind


def live(study: Study, cell: Cell, model: str, kept: Kept) -> dict[str, float]:
    """Make one run from its plan to its entry; return the seconds of each step."""
    given = {
        "inputs": list(cell.inputs),
        "metadata_blocks": list(cell.blocks),
        "side": SIDE,
        "model": model,
        "augment": "none",
        "balance": "weight",
        "device": "cpu",
    }
    plan, planned = _timed(lambda: plan_run(study, [cell.target], given, scheme=StudySplit()))
    run, begun = _timed(lambda: begin_run(study, plan))
    _, trained = _timed(lambda: train(run, study.layout, plan.config, keep_page=without_page, kept=kept))
    _, entered = _timed(lambda: enter_run(study, run))
    return {"plan": planned, "begin": begun, "train": trained, "enter": entered}


def _measure_target(study: Study, target: str, kept: Kept) -> Costs:
    cells = sampled_cells(study_dictionary(study), target)
    first, again = (sum(live(study, cells[-1], "linear", kept).values()) for _ in range(2))
    runs: dict[str, list[float]] = {model: [] for model in MODELS}
    steps: dict[str, list[float]] = {}
    for cell, model in product(cells, MODELS):
        taken = live(study, cell, model, kept)
        runs[model].append(sum(taken.values()))
        for step, seconds in taken.items():
            steps.setdefault(f"{model}, {step}", []).append(seconds)
    return Costs(first, again, runs, steps)


def _timed(work: Callable[[], _Result]) -> tuple[_Result, float]:
    started = time.process_time()
    result = work()
    return result, time.process_time() - started


if __name__ == "__main__":
    print(json.dumps(measure(load_study(Path(sys.argv[1])))))
