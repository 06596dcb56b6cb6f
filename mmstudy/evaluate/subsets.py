"""How well one model predicts from each subset of its inputs, beside models that were trained on that subset alone."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mmdata.study import Study
from mmstudy.evaluate.opened import labelled_ids, open_results
from mmstudy.evaluate.separate import SeparateRun, find_separate
from mmstudy.progress import Progress
from mmstudy.results.read import Measured, RunResult, read_results, read_run
from mmtrain.data.order import derive_seed
from mmtrain.errors import TrainError
from mmtrain.evaluate import predict_from_subsets
from mmtrain.finished import FinishedRun
from mmtrain.metrics.bootstrap import Interval, bootstrap, bootstrap_difference
from mmtrain.metrics.metric import NOTHING_FIXED, Metric, Scored, applicable, measure
from mmtrain.metrics.predicted import Predicted
from mmtrain.models.trained import read_model_card
from mmtrain.results import predicted_of


@dataclass(frozen=True, kw_only=True, slots=True)
class SeparateScore:
    """What a model that was trained on a subset alone comes to on the same samples."""

    run_id: str
    metrics: Mapping[str, Measured]
    differences: Mapping[str, Measured]
    """Of the one model minus this one, measured on the same draws of participants."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SubsetScore:
    """What one model comes to from some of its inputs."""

    inputs: tuple[str, ...]
    metrics: Mapping[str, Measured]
    separate: SeparateScore | None
    """None: there is no such run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SubsetScores:
    """One target of a run on one split, from every subset of its inputs."""

    result: RunResult
    split: str
    num_samples: int
    num_participants: int
    main_metric: str
    scores: tuple[SubsetScore, ...]
    """From one input to all."""


def score_subsets(study: Study, run_id: str, split: str, device: str, progress: Progress) -> list[SubsetScores]:
    """Judge a run from every subset of its inputs, on the same participants; a result for each of its targets.

    Metrics for which something has to be fixed beforehand, such as a threshold, are left out.

    Parameters
    ----------
    split
        val or test.
    device
        auto, cpu, cuda or cuda:N.

    Raises
    ------
    TrainError, mmdata.errors.StoreError
        There is no such run, it is not finished or a wiring check, it needs all its inputs, or a file of it or a store
        cannot be used.
    """
    results = read_run(study, run_id)
    _require_optional_inputs(results[0])
    run, others = open_results(study, results, device), read_results(study).results
    subsets = every_subset(run.task.shape.inputs)
    with progress(f"{split} samples") as on_progress:
        predictions = predict_from_subsets(run.task, run.network, split, subsets, on_progress)
    by_name = {result.target: result for result in results}
    found = []
    for index, target in enumerate(run.task.targets.names):
        judge = _judge_of(run, index, by_name[target], split, others)
        predicted = [predicted_of(run.task, split, index, prediction_NT) for prediction_NT in predictions]
        with progress(f"subsets of the inputs for {target}") as on_progress:
            found.append(judge.score_all(subsets, predicted, on_progress))
    return found


def every_subset(inputs: Sequence[str]) -> list[tuple[str, ...]]:
    """Return all but the empty one, those of few inputs first.

    >>> every_subset(["t1", "dwi"])
    [('t1',), ('dwi',), ('t1', 'dwi')]
    """
    return [subset for size in range(1, len(inputs) + 1) for subset in combinations(inputs, size)]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Judge:
    """What is the same for all subsets of a target."""

    result: RunResult
    split: str
    metrics: tuple[Metric, ...]
    sample_ids: Sequence[str]
    seed: int
    """Of the bootstrap; that of the run's own intervals."""
    others: Sequence[RunResult]

    @property
    def main_metric(self) -> str:
        return next(metric.name for metric in self.metrics if metric.better)

    def score_all(
        self,
        subsets: Sequence[tuple[str, ...]],
        predicted: Sequence[Predicted],
        on_progress: Callable[[int, int], None],
    ) -> SubsetScores:
        scores = []
        for subset, of_subset in zip(subsets, predicted, strict=True):
            scores.append(self.score(subset, of_subset))
            on_progress(len(scores), len(subsets))
        return SubsetScores(
            result=self.result,
            split=self.split,
            num_samples=len(self.sample_ids),
            num_participants=predicted[0].num_participants,
            main_metric=self.main_metric,
            scores=tuple(scores),
        )

    def score(self, subset: tuple[str, ...], predicted: Predicted) -> SubsetScore:
        scored = predicted.scored()
        separate = find_separate(
            self.result,
            subset,
            self.others,
            split=self.split,
            sample_ids=self.sample_ids,
            metric=self.main_metric,
        )
        return SubsetScore(
            inputs=subset,
            metrics=self._measured(scored, predicted.participants),
            separate=None if separate is None else self._compare(scored, separate, predicted.participants),
        )

    def _compare(self, scored: Scored, separate: SeparateRun, participants: NDArray[np.int64]) -> SeparateScore:
        theirs = Scored(scored.truth, separate.prediction)
        comparable = [metric for metric in self.metrics if metric.better]
        ours_measured, theirs_measured = measure(comparable, scored), measure(comparable, theirs)
        ends = bootstrap_difference(comparable, scored, theirs, participants, self.seed)
        return SeparateScore(
            run_id=separate.result.run_id,
            metrics=self._measured(theirs, participants),
            differences=_with_intervals({n: ours_measured[n] - theirs_measured[n] for n in ends}, ends),
        )

    def _measured(self, scored: Scored, participants: NDArray[np.int64]) -> dict[str, Measured]:
        ends = bootstrap(self.metrics, scored, participants, self.seed)
        return _with_intervals(measure(self.metrics, scored), ends)


def _judge_of(run: FinishedRun, index: int, result: RunResult, split: str, others: Sequence[RunResult]) -> _Judge:
    task = run.task
    return _Judge(
        result=result,
        split=split,
        metrics=tuple(applicable(task.targets.kinds[index].metrics, NOTHING_FIXED)),
        sample_ids=labelled_ids(task, split, index),
        seed=derive_seed(task.config.optimisation.seed, "bootstrap", result.target, split),
        others=others,
    )


def _with_intervals(values: Mapping[str, float], ends: Mapping[str, Interval]) -> dict[str, Measured]:
    return {name: Measured(value if math.isfinite(value) else None, ends[name]) for name, value in values.items()}


def _require_optional_inputs(result: RunResult) -> None:
    if set(result.config.data.inputs) <= set(read_model_card(result.directory.path).optional_inputs):
        return
    raise TrainError(
        f"Run {result.run_id} was trained on all its inputs at once: its network has not learnt to do without one.",
        "For a model that has: mm train --modality-dropout 0.3 with several --inputs; docs/subsets.md.",
    )
