"""Runs that were trained on a subset of another run's inputs alone, to compare that one with."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmbase.names import METADATA
from mmstudy.results.choose import sort_results
from mmstudy.results.predictions import predictions_for
from mmstudy.results.read import RunResult


@dataclass(frozen=True, slots=True)
class SeparateRun:
    """A run that was trained on a subset alone."""

    result: RunResult
    prediction: NDArray[np.float64]
    """Of the samples that both are judged on, shape (N,)."""


def find_separate(
    result: RunResult,
    subset: Collection[str],
    others: Sequence[RunResult],
    *,
    split: str,
    sample_ids: Sequence[str],
    metric: str,
) -> SeparateRun | None:
    """Return the finished run of the same target and network that was trained on exactly some inputs; None: none was.

    It has to have predicted all the samples in the same split, so that it has learnt from none of them. Of several it
    is the one with the best validation metric.

    Parameters
    ----------
    result
        Of the run that is compared.
    others
        Of every run of the study.
    sample_ids
        Of the N samples.

    Raises
    ------
    TrainError
        The predictions of a run are damaged.
    """
    alike = [other for other in others if _is_alike(result, other, subset)]
    for other in sort_results(alike, metric, "val"):
        prediction = predictions_for(other.directory, result.target, split, sample_ids)
        if not np.isnan(prediction).any():
            return SeparateRun(other, prediction)
    return None


def _is_alike(result: RunResult, other: RunResult, subset: Collection[str]) -> bool:
    ours, theirs = result.config, other.config
    return (
        other.run_id != result.run_id
        and other.target == result.target
        and theirs.model.model == ours.model.model
        and not theirs.model.modality_dropout
        and set(theirs.data.inputs) == set(subset)
        and (METADATA not in subset or set(theirs.data.shown_features) == set(ours.data.shown_features))
    )
