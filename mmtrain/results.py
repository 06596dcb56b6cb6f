"""What a finished run leaves behind: predictions, pictures and, last of all, metrics."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmtrain.checkpoint import Progress
from mmtrain.config import TrainConfig
from mmtrain.data.cohort import Cohort
from mmtrain.errors import TrainError
from mmtrain.plots import plot_classification, plot_losses, plot_regression
from mmtrain.run import RunDirectory, write_atomically, write_json
from mmtrain.withdrawn import require_unmarked


def write_results(
    run: RunDirectory,
    config: TrainConfig,
    cohort: Cohort,
    progress: Progress,
    predictions: Mapping[str, NDArray[np.float64]],
    metrics: Mapping[str, Any],
) -> None:
    """Write everything that says how good the best epoch is.

    Parameters
    ----------
    predictions
        By split, in the order of its members.
    metrics
        For metrics.json, whose existence says that the run is finished.

    Raises
    ------
    TrainError
        Participants of the cohort have withdrawn while the run went on.
    """
    tables = [
        pl.DataFrame(
            {
                "sample_id": [cohort.sample_ids[i] for i in cohort.members(split)],
                "split": split,
                "truth": cohort.targets[cohort.members(split)],
                "prediction": prediction,
            }
        )
        for split, prediction in predictions.items()
    ]
    write_predictions(run, pl.concat(tables))
    truth = cohort.targets[cohort.members("test")]
    draw_pictures(run.plots, config, progress, truth, predictions["test"], metrics["test"])
    write_json(run.metrics, metrics)


def write_predictions(run: RunDirectory, predictions: pl.DataFrame) -> None:
    """Write a run's predictions, unless participants of its cohort have withdrawn while it ran.

    Raises
    ------
    TrainError
        Some have; the run cannot be finished.
    """
    table = BytesIO()
    predictions.write_parquet(table)
    write_atomically(run.predictions, table.getvalue())
    try:
        require_unmarked(run)  # after the writing: a withdrawal that comes later finds the file
    except TrainError:
        run.predictions.unlink()
        raise


def draw_pictures(
    directory: Path,
    config: TrainConfig,
    progress: Progress,
    truth: NDArray[np.float64],
    prediction: NDArray[np.float64],
    metrics: dict[str, float],
) -> None:
    """Draw the loss curve and truth against prediction."""
    title = f"{config.target} from {', '.join(config.inputs)}"
    plot_losses(progress.history, progress.best_epoch, title, directory / "loss.png")
    draw = plot_regression if config.kind == "regression" else plot_classification
    name = f"{config.target} ({config.unit})"
    draw(truth, prediction, metrics, name, directory / "test.png")
