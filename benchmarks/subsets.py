"""One model for any subset of its inputs beside models of one subset each: ``python -m benchmarks.subsets FOLDER``.

On a synthetic release, for age and sex at once. It trains seven networks, so `make bench` leaves it out. What lies in
FOLDER already (release, ingested study, finished runs) is used again. It prints one JSON object.

Terms
-----
one        the network fusion with modality dropout: zeros stand for what a sample does not have, as in mm.
learned    the same with stand-ins that are learnt: `benchmarks.stand_ins`.
separate   the network fusion, trained on one subset alone, with as many epochs.
pooled     all predictions from the subsets together, each participant drawn with all of theirs.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from typer.testing import CliRunner

from benchmarks.stand_ins import learned_stand_ins
from cli import app
from mmbase.names import METADATA
from mmdata.study import load_study
from mmstudy.evaluate.opened import open_results
from mmstudy.evaluate.subsets import every_subset
from mmstudy.results.read import read_run
from mmtrain.evaluate import predict_from_subsets
from mmtrain.metrics.bootstrap import bootstrap_difference
from mmtrain.metrics.metric import Scored, measure
from mmtrain.metrics.predicted import Predicted
from mmtrain.results import predicted_of

PARTICIPANTS, SEEDS = 480, (1,)
INPUTS = ("flair", "t1", "connectivity", "metadata")
SEPARATE = (("connectivity",), ("metadata",), ("connectivity", "metadata"), ("t1",), INPUTS)
BLOCKS = ("--metadata-block", "disease", "--metadata-block", "serology")
DROPOUT = ("--modality-dropout", "0.3")
SETTINGS = (
    *("--target", "age,sex", "--augment", "none", "--side", "32"),
    *("--channels", "4,8,16,32", "--epochs", "16", "--patience", "16", "--batch-size", "16"),
    *("--learning-rate", "2e-3", "--schedule", "cosine", "--device", "cpu"),
)
POOLED = ("mae", "brier")
"""Metrics that are means over samples, so that pooled they are the mean over the subsets."""


def main() -> None:
    """Make what is not there, then print what each seed comes to."""
    folder = Path(sys.argv[1])
    if not (folder / "base").exists():
        make_study(folder)
    print(json.dumps({f"seed {seed}": measure_seed(folder, seed) for seed in SEEDS}, indent=2))


def make_study(folder: Path) -> None:
    """Synthesise a release and ingest it; half of the participants are to be judged, so that intervals are narrow."""
    _run("synth", "ukb", folder / "release", "--participants", PARTICIPANTS, "--voxel-mm", 3)
    splits = ("--set", "splits.val=0.2", "--set", "splits.test=0.3", "--set", "salt=subsets-need-no-secret")
    study = ("--study", folder / "base")
    _run(*study, "init", "--source", folder / "release", "--set", "volumes.sides=[64,32]", *splits)
    _run(*study, "ingest", "ukb")


def measure_seed(folder: Path, seed: int) -> dict[str, Any]:
    """Train everything with one seed, in a study of its own: of several seeds in one the best would be compared."""
    study = folder / f"seed-{seed}"
    if not study.exists():
        shutil.copytree(folder / "base", study)
    runs = {"one": train(study, seed, "one", INPUTS, *DROPOUT)}
    for subset in SEPARATE:
        train(study, seed, "+".join(subset), subset)
    with learned_stand_ins():
        runs["learned"] = train(study, seed, "learned", INPUTS, *DROPOUT)
    evaluated = _run("--study", study, "evaluate", runs["one"], "--inputs-subsets", "--device", "cpu", "--json")
    return {"subsets": json.loads(evaluated)["targets"], "learned minus one": compare(study, runs)}


def train(study: Path, seed: int, name: str, inputs: Sequence[str], *words: str) -> str:
    """Train a run, unless it was finished under this name before; return its own name."""
    record = study / "finished.json"
    finished: dict[str, str] = json.loads(record.read_text()) if record.exists() else {}
    if name not in finished:
        known = {path.name for path in (study / "runs").glob("*")}
        asked = ("--inputs", ",".join(inputs), *(BLOCKS if METADATA in inputs else ()))
        _run("--study", study, "train", *asked, *SETTINGS, "--seed", seed, *words)
        (finished[name],) = {path.name for path in (study / "runs").glob("*")} - known
        record.write_text(json.dumps(finished, indent=2))
    return finished[name]


def compare(study: Path, runs: dict[str, str]) -> dict[str, Any]:
    """Return how much worse the learned stand-ins are than zeros on the test samples, pooled and with an interval."""
    one = _predict(study, runs["one"])
    with learned_stand_ins():
        learned = _predict(study, runs["learned"])
    found = {}
    for target, (metrics, ours) in one.items():
        usable = [metric for metric in metrics if metric.name in POOLED]
        of_learned, of_one = _pool(learned[target][1]), _pool(ours)
        ends = bootstrap_difference(usable, of_learned, of_one, np.tile(ours[0].participants, len(ours)), seed=1)
        values = {"learned": measure(usable, of_learned), "one": measure(usable, of_one)}
        found[target] = {
            name: {"interval of the difference": interval, **{variant: of[name] for variant, of in values.items()}}
            for name, interval in ends.items()
        }
    return found


def _predict(study: Path, run_id: str) -> dict[str, tuple[Any, list[Predicted]]]:
    """Return the metrics of each target, and its test samples' predictions from every subset."""
    opened = load_study(study)
    run = open_results(opened, read_run(opened, run_id), "cpu")
    predictions = predict_from_subsets(run.task, run.network, "test", every_subset(INPUTS), lambda *_: None)
    return {
        target: (
            run.task.targets.kinds[index].metrics,
            [predicted_of(run.task, "test", index, prediction_NT) for prediction_NT in predictions],
        )
        for index, target in enumerate(run.task.targets.names)
    }


def _pool(subsets: Sequence[Predicted]) -> Scored:
    scored = [of.scored() for of in subsets]
    return Scored(np.concatenate([of.truth for of in scored]), np.concatenate([of.prediction for of in scored]))


def _run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    if result.exit_code:
        raise RuntimeError(result.output)
    return result.stdout


if __name__ == "__main__":
    main()
