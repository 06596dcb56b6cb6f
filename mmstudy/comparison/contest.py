"""All models of one target on the same test participants: their scores, what each participant adds, and draws.

A contender with several seeds has the mean of their scores; with folds, of whose test participants each is in one, the
mean over folds. Both are sums over participants again.

Legend of shapes: N samples, M models, P participants, D draws.
"""

from collections.abc import Iterator, Mapping, Sequence
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
        (_read_part(of_part["run_id"].to_list(), target, reader), _mean_over_runs(of_part["model"], contenders.height))
        for _, of_part in runs.group_by("participants", maintain_order=True)
    ]
    num_participants = sum(part.person_N.max() + 1 for part, _ in parts)
    if num_participants < MIN_PARTICIPANTS:
        raise TrainError(
            f"{target} was tested on fewer than {MIN_PARTICIPANTS} participants, too few to compare its models."
        )
    return Contest(
        contenders=contenders,
        num_participants=num_participants,
        measured={metric: _measure(metric, target, parts) for metric in METRICS[kind]},
    )


def _read_part(run_ids: Sequence[str], target: str, reader: PredictionsReader) -> _Part:
    tables = [reader.tested(run_id, target).sort("sample_id") for run_id in run_ids]
    first = tables[0]
    for run_id, table in zip(run_ids, tables, strict=True):
        if not table.select("sample_id", "truth").equals(first.select("sample_id", "truth")):
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
        first["truth"].cast(pl.Float64).to_numpy(),
        np.unique(whose["participant"].to_numpy(), return_inverse=True)[1],
        np.stack([table["prediction"].cast(pl.Float64).fill_null(np.nan).to_numpy() for table in tables], axis=1),
    )


def _mean_over_runs(model_of_run: pl.Series, num_models: int) -> Values:
    """Return the matrix (R, M) that averages the runs of each model."""
    is_run_RM = model_of_run.to_numpy()[:, None] == np.arange(num_models)
    mean_RM: Values = is_run_RM / is_run_RM.sum(axis=0)
    return mean_RM


def _measure(metric: str, target: str, parts: Sequence[tuple[_Part, Values]]) -> Measured:
    found = [_measure_part(metric, part, mean_RM, seed) for part, mean_RM, seed in _with_seeds(target, parts)]
    return Measured(
        scores_M=np.mean([of.scores_M for of in found], axis=0),
        added_PM=np.concatenate([of.added_PM / len(found) for of in found]),
        draws_DM=np.mean([of.draws_DM for of in found], axis=0),
    )


def _with_seeds(target: str, parts: Sequence[tuple[_Part, Values]]) -> Iterator[tuple[_Part, Values, int]]:
    for number, (part, mean_RM) in enumerate(parts):
        yield part, mean_RM, derive_seed(SEED, "comparison", target, number)


def _measure_part(metric: str, part: _Part, mean_RM: Values, seed: int) -> Measured:
    of_runs = contributions_of(metric, part.truth_N, part.predictions_NR)
    order, num_people = np.argsort(part.person_N, kind="stable"), part.person_N.max() + 1
    starts = np.searchsorted(part.person_N[order], np.arange(num_people))
    draws = [of_runs.of_draws(weights_DP[:, part.person_N]) for weights_DP in draw_people(num_people, len(order), seed)]
    return Measured(
        scores_M=of_runs.scores_M @ mean_RM,
        added_PM=np.add.reduceat(of_runs.added_NM[order], starts, axis=0) @ mean_RM,
        draws_DM=np.concatenate(draws) @ mean_RM,
    )
