"""Measure a finished run again from its weights and the study's stores: whether it comes to the same here."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmdata.study import Study
from mmstudy.evaluate.opened import labelled_ids, open_results
from mmstudy.progress import Progress
from mmstudy.results.predictions import predictions_for
from mmstudy.results.read import RunResult, read_run
from mmtrain.evaluate import predict_from_subsets
from mmtrain.finished import FinishedRun
from mmtrain.metrics.fixing import fix
from mmtrain.metrics.metric import applicable, measure
from mmtrain.metrics.predicted import Predicted
from mmtrain.results import Predictions, predicted_of

EVALUATED = ("val", "test")


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredAgain:
    """One target of a run as it is measured now."""

    result: RunResult
    """As it was measured when the run ended."""
    metrics: Mapping[str, Mapping[str, float]]
    """By split and name; NaN where one is not defined."""
    largest_difference: float
    """Between a prediction and the run's own, in the target's unit or of a probability."""
    num_predictions: int
    """Validation and test samples that were compared: those of which the run has a prediction."""


def measure_again(study: Study, run_id: str, device: str, progress: Progress) -> list[MeasuredAgain]:
    """Predict validation and test samples again; return what that comes to, for each target of a run.

    Parameters
    ----------
    device
        auto, cpu, cuda or cuda:N.

    Raises
    ------
    TrainError, mmdata.errors.StoreError
        There is no such run, it is not finished or a wiring check, or a file of it or a store cannot be used.
    """
    results = read_run(study, run_id)
    run = open_results(study, results, device)
    predictions: Predictions = {split: _predict(run, split, progress) for split in EVALUATED}
    return [_compare(run, index, result, predictions) for index, result in enumerate(_in_order(run, results))]


def _predict(run: FinishedRun, split: str, progress: Progress) -> NDArray[np.float64]:
    with progress(f"{split} samples") as on_progress:
        (prediction_NT,) = predict_from_subsets(run.task, run.network, split, [run.task.shape.inputs], on_progress)
    return prediction_NT


def _in_order(run: FinishedRun, results: list[RunResult]) -> list[RunResult]:
    """Return results in the order of the network's targets."""
    by_name = {result.target: result for result in results}
    return [by_name[name] for name in run.task.targets.names]


def _compare(run: FinishedRun, index: int, result: RunResult, predictions: Predictions) -> MeasuredAgain:
    task = run.task
    metrics, target = task.targets.kinds[index].metrics, task.config.data.targets[index]
    splits = {split: predicted_of(task, split, index, prediction) for split, prediction in predictions.items()}
    fixed = fix(metrics, target, task.cohort.known_labels("train", index), splits["val"].scored())
    usable = applicable(metrics, fixed)
    differences = np.concatenate([_differences(run, index, result, split, of) for split, of in splits.items()])
    compared = differences[~np.isnan(differences)]
    return MeasuredAgain(
        result=result,
        metrics={split: measure(usable, predicted.scored(fixed)) for split, predicted in splits.items()},
        largest_difference=float(compared.max(initial=0.0)),
        num_predictions=len(compared),
    )


def _differences(
    run: FinishedRun, index: int, result: RunResult, split: str, predicted: Predicted
) -> NDArray[np.float64]:
    """Return how far each prediction of a split is from the run's own; NaN where it has none."""
    own = predictions_for(result.directory, result.target, split, labelled_ids(run.task, split, index))
    differences: NDArray[np.float64] = np.abs(predicted.prediction - own)
    return differences
