"""Many short runs in one process: what each costs beside its training, and what reading from memory gains.

Terms
-----
overhead  seconds from the planning of a run to its entry in the catalogue, less those of its training steps. The runs
          have no pages, as those of a sweep: `mm page` makes the page of a run when it is wanted, and is timed beside.
epoch     all rows of a cohort read once, in batches, shuffled anew; nothing is computed with them.
commands  one `mm train` for each short run, one after the other, against one `mm sweep` of them all with one worker;
          processes, imports and the pages that `mm train` writes included.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from typer.testing import CliRunner

from benchmarks.cohort import make_cohort, seconds_of_training
from catalog.splits.schemes import StudySplit
from cli import app
from mmbase.names import VOLUME_MODALITIES
from mmdata.study import Study
from mmstudy.runs.begin import begin_run
from mmstudy.runs.enter import enter_run
from mmstudy.runs.plan import plan_run
from mmstudy.settings import load_study
from mmtrain.config.execution import DEFAULT_PREFETCH_BYTES
from mmtrain.data.row_cache import RowCache
from mmtrain.data.stream import BatchRequest, Stores, complete_batches, open_stores, stream_batches
from mmtrain.kept import Kept
from mmtrain.page.live import without_page
from mmtrain.page.page import write_page
from mmtrain.train import train

PARTICIPANTS, SIDE, NUM_RUNS = 60, 16, 9
TARGETS = ("age", "sex", "weight")
"""In turns."""
VOLUMES = ("t1", "flair", "dwi")
"""Of the commands, one each."""
SHORT = ("--epochs", "2", "--channels", "4,4", "--augment", "none", "--device", "cpu")
STEPS = ("plan", "begin", "train", "enter", "page")
ROWS, ROWS_SIDE, BATCH_SIZE, REPEATS = 256, 64, 16, 5


def bench_many_runs(folder: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """Measure short runs and epochs; return what was measured, and the ratios."""
    study, kept = make_study(folder / "runs"), Kept()
    lives = [live(study, TARGETS[number % len(TARGETS)], kept) for number in range(NUM_RUNS)]
    later = lives[1:]
    epochs = race_epochs(folder / "epochs", ROWS_SIDE, ROWS, repeats=REPEATS)
    commands = race_commands(study.layout.root)
    seconds = {name: median(of_name) for name, of_name in epochs.items()}
    measured = {
        "participants": PARTICIPANTS,
        "side": SIDE,
        "first_s": rounded(lives[0]),
        "median_later_s": rounded({step: median(life[step] for life in later) for step in later[0]}),
        "all_overhead_s": [round(life["overhead"], 3) for life in lives],
        "epoch_rows": ROWS,
        "epoch_side": ROWS_SIDE,
        "median_epoch_s": rounded(seconds),
        "commands_s": rounded(commands),
        "all_epoch_s": {name: [round(value, 4) for value in of_name] for name, of_name in epochs.items()},
    }
    ratios = {
        "sweep_overhead_s": round(median(life["overhead"] for life in later), 3),
        "sweep_vs_separate_commands": round(commands["separate"] / commands["sweep"], 2),
        "cache_vs_stream": round(seconds["stream"] / seconds["memory"], 2),
    }
    return measured, ratios


def live(study: Study, target: str, kept: Kept, volume: str = "t1") -> dict[str, float]:
    """Plan, begin, train and enter a short run; return the seconds of each step, and the overhead."""
    given = {"inputs": [volume, "metadata"], "metadata_blocks": ["serology"], "augment": "none", "device": "cpu"}
    small = {"epochs": 2, "channels": [4, 4]}  # so that validation and the calibration of batch norm hardly count
    marks = [time.perf_counter()]
    plan = plan_run(study, [target], {**given, **small}, scheme=StudySplit())
    marks.append(time.perf_counter())
    run = begin_run(study, plan)
    marks.append(time.perf_counter())
    train(run, study.layout, plan.config, keep_page=without_page, kept=kept)
    marks.append(time.perf_counter())
    if told := enter_run(study, run):
        raise RuntimeError(f"the run was not entered: {told}")
    marks.append(time.perf_counter())
    write_page(run, "finished")
    marks.append(time.perf_counter())
    steps = dict(zip(STEPS, np.diff(marks).tolist(), strict=True))
    return {**steps, "overhead": sum(steps.values()) - steps["page"] - seconds_of_training(run)}


def make_study(folder: Path, participants: int = PARTICIPANTS, side: int = SIDE) -> Study:
    """Synthesise a release and ingest it."""
    root = folder / "study"
    settings = (f"volumes.sides=[{side}]", f"train.side={side}", "train.batch_size=16")
    for words in (
        ("synth", "ukb", folder / "release", "--participants", participants, "--voxel-mm", 4),
        ("--study", root, "init", "--source", folder / "release", *(w for s in settings for w in ("--set", s))),
        ("--study", root, "ingest", "ukb"),
    ):
        result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
        if result.exit_code:
            raise RuntimeError(result.output)
    return load_study(root)


def race_commands(root: Path) -> dict[str, float]:
    """Time the same short runs as commands of their own and as a sweep."""
    started = time.perf_counter()
    for target, volume in product(TARGETS, VOLUMES):
        _mm(root, "train", "--target", target, "--inputs", volume, *SHORT)
    between = time.perf_counter()
    sets = [word for volume in VOLUMES for word in ("--inputs", volume)]
    _mm(root, "sweep", "--target", ",".join(TARGETS), *sets, "--baselines", "none", "--workers", "1", *SHORT)
    return {"separate": between - started, "sweep": time.perf_counter() - between}


def _mm(root: Path, *words: str) -> None:
    """Run a command in a process of its own."""
    command = [sys.executable, "-m", "mmcli", "--study", str(root), *words]
    subprocess.run(command, check=True, capture_output=True)


def race_epochs(folder: Path, side: int, rows: int, *, repeats: int) -> dict[str, list[float]]:
    """Time epochs that are streamed and epochs from memory, in turns, after one of each that reads everything."""
    made = make_cohort(folder, side, rows)
    stores = open_stores(made.layout, VOLUME_MODALITIES, side=side, connectivity="", copies=0)
    cache = RowCache(torch.device("cpu"))
    needed = {array.identity: rows * array.row_bytes for array in stores.originals.values()}
    cache.begin_run(needed, sum(needed.values()))
    contenders: dict[str, Callable[[int], None]] = {
        "stream": lambda epoch: read_epoch(stores, rows, epoch, None),
        "memory": lambda epoch: read_epoch(stores, rows, epoch, cache),
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for epoch in range(-1, repeats):
        for name, read in contenders.items():
            started = time.perf_counter()
            read(epoch + 1)
            if epoch >= 0:
                times[name].append(time.perf_counter() - started)
    if cache.held_bytes != rows * stores.row_bytes:
        raise RuntimeError("not every row was in memory")
    return times


def read_epoch(stores: Stores, rows: int, epoch: int, cache: RowCache | None) -> None:
    """Read every row once, in another order in each epoch."""
    order = np.random.default_rng(epoch).permutation(rows)
    requests = [
        BatchRequest(part, part, np.zeros(len(part), np.int64))
        for part in np.array_split(order, -(-rows // BATCH_SIZE))
    ]
    batches = stream_batches(stores, requests, prefetch_bytes=DEFAULT_PREFETCH_BYTES, cache=cache)
    num_batches = sum(1 for _ in (batches if cache is None else complete_batches(batches, cache)))
    if num_batches != len(requests):
        raise RuntimeError(f"{num_batches} batches came, and not {len(requests)}")


def rounded(seconds: dict[str, float]) -> dict[str, float]:
    """Return seconds as the results have them."""
    return {name: round(value, 3) for name, value in seconds.items()}
