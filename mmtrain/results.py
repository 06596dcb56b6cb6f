"""What a finished run leaves behind: predictions and, last of all, metrics. Its page and pictures are made of them."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from torch import nn

from mmbase.checksums import write_checked, write_checked_table
from mmbase.files import to_json
from mmtrain.checkpoint import Progress
from mmtrain.errors import TrainError
from mmtrain.metrics.judgement import judge
from mmtrain.metrics.predicted import Predicted
from mmtrain.run import RunDirectory
from mmtrain.targets.several import join_scores
from mmtrain.task import Task, scored_labels
from mmtrain.withdrawn import require_unmarked

SECONDS_IN_MINUTE = 60
Predictions = Mapping[str, NDArray[np.float64]]
"""Split to the predictions of its members, shape (N, T)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tested:
    """What the best epoch comes to on validation and test."""

    predictions: Predictions
    losses: Mapping[str, float]
    """Split to its mean loss."""
    training_prediction: NDArray[np.float64] | None = None
    """Of the training samples, shape (N, T), as the weights give them without augmentation; None of a wiring check."""


def collect_metrics(task: Task, network: nn.Module, progress: Progress, tested: Tested) -> dict[str, Any]:
    """Return what metrics.json holds.

    With several targets, `val` and `test` have all metrics with the target's name in front, and `targets` has all that
    is said of each. `clamped_labels` is there where predictions were judged against clamped labels.
    """
    config, cohort = task.config, task.cohort
    judged = {target.name: _judge(task, index, tested.predictions) for index, target in enumerate(config.data.targets)}
    metrics: dict[str, Any] = {
        **({"diagnostic": True} if config.data.diagnostic else {}),
        "target": config.data.target,
        "kind": config.kind,
        "inputs": list(config.data.inputs),
        "n": cohort.split_sizes,
        **{split: join_scores({name: of[split] for name, of in judged.items()}) for split in tested.predictions},
        "best_epoch": progress.best_epoch,
        "epochs": progress.epoch,
        **({"clamped_labels": True} if config.data.clamp_labels and task.targets.have_values else {}),
    }
    if len(judged) == 1:
        metrics |= {name: value for name, value in judged[config.data.target].items() if name not in metrics}
    else:
        metrics["targets"] = {
            target.name: {
                "kind": target.kind,
                "n": {split: int(cohort.labelled(split, index).sum()) for split in cohort.split_sizes},
                **judged[target.name],
            }
            for index, target in enumerate(config.data.targets)
        }
    return {
        **metrics,
        "losses": dict(tested.losses),
        "minutes": _minutes(progress),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
    }


def _minutes(progress: Progress) -> float | None:
    """Return how long all epochs were trained, without validation; None where one of them does not say so."""
    if any("train_seconds" not in entry for entry in progress.history):
        return None
    return round(math.fsum(entry["train_seconds"] for entry in progress.history) / SECONDS_IN_MINUTE, 3)


def _judge(task: Task, index: int, predictions: Predictions) -> dict[str, Any]:
    """Return all that is said of one target."""
    metrics, target = task.targets.kinds[index].metrics, task.config.data.targets[index]
    splits = {split: predicted_of(task, split, index, prediction) for split, prediction in predictions.items()}
    return judge(metrics, target, task.cohort.known_labels("train", index), splits, task.config.optimisation.seed)


def predicted_of(task: Task, split: str, index: int, prediction_NT: NDArray[np.float64]) -> Predicted:
    """Return what was predicted of the samples of a split that have a label of a target."""
    cohort = task.cohort
    known = cohort.labelled(split, index)
    members = cohort.members(split)[known]
    return Predicted(
        truth=scored_labels(task, split)[known, index],
        prediction=prediction_NT[known, index],
        participants=cohort.participants[members],
        groups={name: values[members] for name, values in cohort.groups.items()},
    )


def write_results(run: RunDirectory, task: Task, tested: Tested, metrics: Mapping[str, Any]) -> None:
    """Write everything that says how good the best epoch is.

    Parameters
    ----------
    metrics
        For metrics.json, whose existence says that the run is finished.

    Raises
    ------
    TrainError
        Participants of the cohort have withdrawn while the run was trained.
    """
    if tested.training_prediction is not None:
        _write_unless_withdrawn(run, run.training_predictions, training_table(task, tested.training_prediction))
    tables = [table for split, of in tested.predictions.items() for table in _tables_of(task, split, of)]
    write_predictions(run, pl.concat(tables))
    write_checked(run.metrics, to_json(metrics))


def training_table(task: Task, prediction_NT: NDArray[np.float64]) -> pl.DataFrame:
    """Return the predictions of the training samples, as `RunDirectory.training_predictions` has them."""
    return pl.concat(_tables_of(task, "train", prediction_NT))


def write_predictions(run: RunDirectory, predictions: pl.DataFrame) -> None:
    """Write a run's predictions, unless participants of its cohort have withdrawn while it ran.

    Raises
    ------
    TrainError
        Some have; the run cannot be finished.
    """
    _write_unless_withdrawn(run, run.predictions, predictions)


def _write_unless_withdrawn(run: RunDirectory, path: Path, table: pl.DataFrame) -> None:
    write_checked_table(path, table)
    try:
        require_unmarked(run)  # after the writing: a withdrawal that comes later finds the file
    except TrainError:
        path.unlink()
        raise


def _tables_of(task: Task, split: str, prediction_NT: NDArray[np.float64]) -> Iterator[pl.DataFrame]:
    """Yield the predictions of a split for each target, of the samples that have its label."""
    cohort, targets = task.cohort, task.config.data.targets
    members = cohort.members(split)
    for index, target in enumerate(targets):
        known = cohort.labelled(split, index)
        table = pl.DataFrame(
            {
                "sample_id": [cohort.sample_ids[i] for i in members[known]],
                "split": split,
                "truth": cohort.known_labels(split, index),
                "prediction": prediction_NT[known, index],
            }
        )
        yield table if len(targets) == 1 else table.with_columns(target=pl.lit(target.name))
