"""What a finished run leaves behind: predictions, pictures and, last of all, metrics."""

from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmbase.checksums import write_checked
from mmbase.files import to_json
from mmtrain.checkpoint import Progress
from mmtrain.data.cohort import Cohort
from mmtrain.errors import TrainError
from mmtrain.figures import draw_losses, write_picture
from mmtrain.run import RunDirectory
from mmtrain.targets.several import join_scores
from mmtrain.task import Task, score
from mmtrain.withdrawn import require_unmarked

Predictions = Mapping[str, NDArray[np.float64]]
"""Split to the predictions of its members, shape (N, T)."""


def collect_metrics(task: Task, progress: Progress, predictions: Predictions) -> dict[str, Any]:
    """Return what metrics.json holds.

    With several targets, `val` and `test` have all metrics with the target's name in front, and `targets` has those of
    each. `clamped_labels` is there where predictions were judged against clamped labels.
    """
    config, cohort = task.config, task.cohort
    scores = {split: score(task, split, prediction) for split, prediction in predictions.items()}
    metrics: dict[str, Any] = {
        "target": config.data.target,
        "kind": config.kind,
        "inputs": list(config.data.inputs),
        "n": cohort.split_sizes,
        **{split: join_scores(of_split) for split, of_split in scores.items()},
        "best_epoch": progress.best_epoch,
        "epochs": progress.epoch,
        **({"clamped_labels": True} if config.data.clamp_labels and task.targets.have_values else {}),
    }
    if len(config.data.targets) > 1:
        metrics["targets"] = {
            target.name: {
                "kind": target.kind,
                "n": {split: int(cohort.labelled(split, index).sum()) for split in cohort.split_sizes},
                **{split: of_split[target.name] for split, of_split in scores.items()},
            }
            for index, target in enumerate(config.data.targets)
        }
    return metrics


def write_results(
    run: RunDirectory, task: Task, progress: Progress, predictions: Predictions, metrics: Mapping[str, Any]
) -> None:
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
    tables = [table for split, prediction in predictions.items() for table in _tables_of(task, split, prediction)]
    write_predictions(run, pl.concat(tables))
    draw_pictures(run.plots, task, progress, predictions["test"])
    write_checked(run.metrics, to_json(metrics))


def write_predictions(run: RunDirectory, predictions: pl.DataFrame) -> None:
    """Write a run's predictions, unless participants of its cohort have withdrawn while it ran.

    Raises
    ------
    TrainError
        Some have; the run cannot be finished.
    """
    table = BytesIO()
    predictions.write_parquet(table)
    write_checked(run.predictions, table.getvalue())
    try:
        require_unmarked(run)  # after the writing: a withdrawal that comes later finds the file
    except TrainError:
        run.predictions.unlink()
        raise


def draw_pictures(directory: Path, task: Task, progress: Progress, prediction_NT: NDArray[np.float64]) -> None:
    """Draw the loss curve and, for each target, truth against prediction of the test split."""
    data = task.config.data
    title = f"{data.target} from {', '.join(data.inputs)}"
    write_picture(directory / "loss.png", draw_losses(progress.history, progress.best_epoch, title))
    scores = score(task, "test", prediction_NT)
    for index, (target, kind) in enumerate(zip(data.targets, task.targets.kinds, strict=True)):
        known = task.cohort.labelled("test", index)
        truth = _truth(task.cohort, "test", index)[known]
        figure = kind.draw(truth, prediction_NT[known, index], scores[target.name], f"{target.name} ({target.unit})")
        write_picture(directory / ("test.png" if len(data.targets) == 1 else f"test_{target.name}.png"), figure)


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
                "truth": _truth(cohort, split, index)[known],
                "prediction": prediction_NT[known, index],
            }
        )
        yield table if len(targets) == 1 else table.with_columns(target=pl.lit(target.name))


def _truth(cohort: Cohort, split: str, target: int) -> NDArray[np.float64]:
    truth: NDArray[np.float64] = cohort.labels_NT[cohort.members(split), target]
    return truth
