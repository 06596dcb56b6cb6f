"""A run's predictions of its training samples: as it kept them, or made again from its weights."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from mmbase.checksums import write_checked_table
from mmdata.errors import StudyError
from mmdata.study import Study
from mmstudy.evaluate.opened import open_results
from mmstudy.progress import Progress
from mmstudy.results.read import RunResult
from mmtrain.errors import TrainError
from mmtrain.evaluate import predict_from_subsets
from mmtrain.results import training_table
from mmtrain.run import RunDirectory, read_table
from mmtrain.unchanged import require_unchanged


def predict_training_samples(study: Study, results: Sequence[RunResult], device: str, progress: Progress) -> None:
    """Predict the training samples of a run from its weights and the study's stores, and keep that with the run.

    Parameters
    ----------
    results
        Of the run, one for each of its targets.
    device
        auto, cpu, cuda or cuda:N.

    Raises
    ------
    TrainError, mmdata.errors.StoreError
        A file of the run or a store cannot be used, or participants have withdrawn meanwhile.
    """
    directory = results[0].directory
    with unless_withdrawn(directory, directory.training_predictions):
        run = open_results(study, results, device)
        with progress("train samples") as on_progress:
            (prediction_NT,) = predict_from_subsets(
                run.task, run.network, "train", [run.task.shape.inputs], on_progress
            )
        write_checked_table(directory.training_predictions, training_table(run.task, prediction_NT))


@contextmanager
def unless_withdrawn(run: RunDirectory, path: Path) -> Iterator[None]:
    """Remove a file that a block writes into a run, if participants of its cohort withdraw meanwhile.

    Raises
    ------
    StudyError
        Some did.
    """
    mark = _mark_of(run)
    yield
    if _mark_of(run) != mark:  # after the writing: a withdrawal that comes later finds the file
        path.unlink(missing_ok=True)
        raise StudyError("Participants have withdrawn meanwhile, so nothing was kept.", "Run mm privacy again.")


def read_predictions(run: RunDirectory, target: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return what a run predicted for a target of its training samples, and of validation and test.

    Raises
    ------
    TrainError
        A file is missing, damaged or not as it was written.
    """
    trained, held_out = (_read(run, path.name, target) for path in (run.training_predictions, run.predictions))
    return trained, held_out


def _read(run: RunDirectory, name: str, target: str) -> pl.DataFrame:
    path = run.path / name
    require_unchanged(path)
    table = read_table(path)
    try:
        if "target" in table.columns:
            table = table.filter(pl.col("target") == target)
        return table.select(pl.col("sample_id").cast(pl.String), pl.col("truth", "prediction").cast(pl.Float64))
    except pl.exceptions.PolarsError as error:
        raise TrainError(f"{name} of run {run.run_id} is damaged.", "Put it back from a backup.") from error


def _mark_of(run: RunDirectory) -> bytes:
    """Return what says who has withdrawn; empty where nobody has."""
    return run.withdrawn.read_bytes() if run.withdrawn.exists() else b""
