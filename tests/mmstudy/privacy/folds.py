"""A study with finished runs of five folds, which are ridge regressions: as training would leave them, in a second."""

import json
from pathlib import Path

import numpy as np
import polars as pl

from mmbase.files import write_json
from mmdata.study import Study, create_study, parse_config
from mmtrain.config.run import parse_run_config
from mmtrain.run import RunDirectory, create_run

NUM_FOLDS = 5
SETTINGS = {"target": "age", "kind": "regression", "unit": "years", "inputs": ("t1",)}


def make_folds(root: Path, *, people: int, features: int, penalty: float, seed: int = 0) -> Study:
    """Return a study with the runs fold1 to fold5; without predictions of training samples in none."""
    study = create_study(root, parse_config({"salt": "salt-of-a-study-of-folds"}, "test"))
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(people, features))
    ages = 60 + 5 * (x @ rng.normal(size=features) / np.sqrt(features) + 2 * rng.normal(size=people))
    fold = rng.integers(1, NUM_FOLDS + 1, people)
    for number in range(1, NUM_FOLDS + 1):
        splits = np.where(fold == number, "test", np.where(fold == number % NUM_FOLDS + 1, "val", "train"))
        is_train = splits == "train"
        square = x[is_train].T @ x[is_train] + penalty * np.eye(features)
        predicted = 60 + x @ np.linalg.solve(square, x[is_train].T @ (ages[is_train] - 60))
        add_run(study, f"fold{number}", f"fold-{number}/{NUM_FOLDS}", splits, ages, predicted)
    return study


def add_run(
    study: Study, name: str, split: str, splits: np.ndarray, ages: np.ndarray, predicted: np.ndarray
) -> RunDirectory:
    made = create_run(study.layout.runs, parse_run_config({**SETTINGS, "split": split}))
    run = RunDirectory(made.path.rename(made.path.with_name(name)))
    ids = [f"{i:016x}" for i in range(len(ages))]
    cohort = pl.DataFrame(
        {
            "sample_id": ids,
            "row": range(len(ages)),
            "split": splits,
            "target": ages,
            "augmented": splits == "train",
            "participant": range(len(ages)),
        }
    )
    cohort.write_parquet(run.cohort)
    predictions = cohort.select("sample_id", "split", truth="target").with_columns(prediction=pl.Series(predicted))
    predictions.filter(pl.col("split") == "train").write_parquet(run.training_predictions)
    predictions.filter(pl.col("split") != "train").write_parquet(run.predictions)
    sizes = {split: int((splits == split).sum()) for split in ("train", "val", "test")}
    told = {"target": "age", "kind": "regression", "inputs": ["t1"]}
    write_json(run.metrics, {**told, "n": sizes, "val": {}, "test": {}})
    run.epochs.write_text(json.dumps({"epoch": 1, "train_loss": 1.0, "val_loss": 1.0}) + "\n")
    return run
