"""All models of one target on the same test participants: their scores, what each participant adds, and draws.

A contender with several seeds has the mean of their scores; with folds, of whose test participants each is in one, the
mean over folds. Both are sums over participants again.

Legend of shapes: N samples, R runs, M models, P participants, D draws, S sums.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmstudy.comparison.contenders import require_same
from mmstudy.comparison.contributions import METRICS, contributions_of
from mmtrain.data.order import derive_seed
from mmtrain.errors import TrainError
from mmtrain.metrics.bootstrap import MIN_PARTICIPANTS, draw_people
from mmtrain.metrics.metric import Values

SEED = 1337
"""Of all draws of participants; they are the same for every model of a target."""


class PredictionsReader(Protocol):
    """Gives what runs predicted."""

    def tested(self, run_id: str, target: str) -> pl.DataFrame:
        """Return sample_id, truth and prediction of the test samples that have a label of a target."""

    def people(self, run_id: str) -> pl.DataFrame:
        """Return sample_id and participant, a number within the run, of its test samples."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One metric of M models of one target."""

    scores_M: Values
    added_PM: Values
    """What each participant adds to the difference of two scores."""
    draws_DM: Values
    """Scores on participants that were drawn with replacement; NaN where a draw does not define one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contest:
    """M contenders of one target on the same test participants."""

    contenders: pl.DataFrame
    """A row for each, in the order of the arrays."""
    num_participants: int
    measured: Mapping[str, Measured]
    """By metric, the main one first."""


@dataclass(frozen=True, slots=True)
class _Part:
    """The runs that share one test split."""

    truth_N: Values
    person_N: NDArray[np.int64]
    predictions_NR: Values


def hold_contest(contenders: pl.DataFrame, reader: PredictionsReader) -> Contest:
    """Measure all contenders of a target on the same participants.

    Raises
    ------
    TrainError
        They differ in participants or settings, their predictions cannot be read or are of other samples, or they
        were tested on too few people to tell of.
    """
    require_same(contenders)
    target, kind = contenders["target"][0], contenders["kind"][0]
    runs = (
        contenders.with_row_index("model").select("model", "run_id", "participants").explode("run_id", "participants")
    )
    parts = [
        (_read_part(of_part["run_id"].to_list(), target, reader), _runs_of_models(of_part["model"], contenders.height))
        for _, of_part in runs.group_by("participants", maintain_order=True)
    ]
    num_participants = sum(int(part.person_N.max(initial=-1)) + 1 for part, _ in parts)
    if num_participants < MIN_PARTICIPANTS:
        raise TrainError(
            f"{target} was tested on fewer than {MIN_PARTICIPANTS} participants, too few to compare its models."
        )
    metrics = METRICS[kind]
    of_parts = [
        _measure_part(part, metrics, runs_M, derive_seed(SEED, "comparison", target, number))
        for number, (part, runs_M) in enumerate(parts)
    ]
    measured = map(_mean_over_parts, zip(*of_parts, strict=True))
    return Contest(
        contenders=contenders,
        num_participants=num_participants,
        measured=dict(zip(metrics, measured, strict=True)),
    )


def _read_part(run_ids: Sequence[str], target: str, reader: PredictionsReader) -> _Part:
    first, *others = (reader.tested(run_id, target) for run_id in run_ids)
    tables = [first, *(_in_order_of(first, other) for other in others)]
    for run_id, table in zip(run_ids, tables, strict=True):
        if not (table["sample_id"].equals(first["sample_id"]) and table["truth"].equals(first["truth"])):
            raise TrainError(
                f"Run {run_id} was tested on other samples or labels of {target} than run {run_ids[0]}, though both "
                "began with the same: some were removed from one of them, or a file was changed.",
                "Train it again, or leave it out.",
            )
    people = reader.people(run_ids[0])
    whose = first.select("sample_id").join(people, on="sample_id", how="left", maintain_order="left", validate="1:1")
    if whose["participant"].null_count():
        raise TrainError(f"The cohort of run {run_ids[0]} lacks samples that it was tested on.", "Train it again.")
    return _Part(
        first["truth"].to_numpy(),
        np.unique(whose["participant"].to_numpy(), return_inverse=True)[1],
        np.stack([table["prediction"].fill_null(np.nan).to_numpy() for table in tables], axis=1),
    )


def _in_order_of(first: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    """Return a table with its samples in the order of the first one, followed by those that this one does not have."""
    if table["sample_id"].equals(first["sample_id"]):
        return table
    return first.select("sample_id").join(table, on="sample_id", how="full", coalesce=True, maintain_order="left")


def _runs_of_models(model_of_run: pl.Series, num_models: int) -> list[NDArray[np.int64]]:
    """Return which runs of a part are of each model."""
    return [np.flatnonzero(model_of_run.to_numpy() == model) for model in range(num_models)]


def _mean_over_runs(values_XR: Values, runs_M: Sequence[NDArray[np.int64]]) -> Values:
    """Return the mean over the runs of each model, (X, M); NaN of a run stays with its model."""
    return np.stack([values_XR[:, runs].mean(axis=1) for runs in runs_M], axis=1)


def _measure_part(
    part: _Part, metrics: Sequence[str], runs_M: Sequence[NDArray[np.int64]], seed: int
) -> list[Measured]:
    """Return each metric of one test split."""
    found = [contributions_of(metric, part.truth_N, part.predictions_NR) for metric in metrics]
    summed_PS = _sum_by_person(np.concatenate([of.summed_NS for of in found], axis=1), part.person_N)
    ends = np.cumsum([of.summed_NS.shape[1] for of in found])[:-1]
    draws = draw_people(len(summed_PS), len(part.person_N), seed)
    sums_DS = np.concatenate([weights_DP @ summed_PS for weights_DP in draws])
    of_all = np.split(summed_PS.sum(axis=0, keepdims=True), ends, axis=1)
    return [
        Measured(
            scores_M=_mean_over_runs(of.of_sums(all_1S), runs_M)[0],
            added_PM=_mean_over_runs(_sum_by_person(of.added_NM, part.person_N), runs_M),
            draws_DM=_mean_over_runs(of.of_sums(of_draws_DS), runs_M),
        )
        for of, all_1S, of_draws_DS in zip(found, of_all, np.split(sums_DS, ends, axis=1), strict=True)
    ]


def _sum_by_person(values_NX: Values, person_N: NDArray[np.int64]) -> Values:
    """Return the sum of the rows of each person, who are numbered from 0."""
    order = np.argsort(person_N, kind="stable")
    starts = np.flatnonzero(np.diff(person_N[order], prepend=-1))
    summed_PX: Values = np.add.reduceat(values_NX[order], starts, axis=0)
    return summed_PX


def _mean_over_parts(of_parts: Sequence[Measured]) -> Measured:
    return Measured(
        scores_M=np.mean([of.scores_M for of in of_parts], axis=0),
        added_PM=np.concatenate([of.added_PM / len(of_parts) for of in of_parts]),
        draws_DM=np.mean([of.draws_DM for of in of_parts], axis=0),
    )
