"""A run's predictions of its validation samples: what its intervals are calibrated on."""

from collections.abc import Sequence
from functools import reduce

import numpy as np
import polars as pl

from mmtrain.config.data import TargetConfig
from mmtrain.data.cohort import read_cohort
from mmtrain.intervals import LEVELS, Calibration, Intervals, calibrate
from mmtrain.run import RunDirectory, read_table
from mmtrain.targets.registry import load_kind
from mmtrain.unchanged import require_unchanged

_SCHEMA = pl.Schema(
    {"sample_id": pl.String, "target": pl.String, "truth": pl.Float64, "prediction": pl.Float64, "person": pl.Int64}
)
"""Columns of predictions with whose they are."""


def run_intervals(run: RunDirectory, targets: Sequence[TargetConfig], levels: Sequence[float] = LEVELS) -> Intervals:
    """Return the intervals of a run's continuous targets.

    Raises
    ------
    TrainError
        Its cohort or its predictions cannot be read, or are not as they were written.
    """
    return ensemble_intervals([run], targets, levels)


def ensemble_intervals(
    runs: Sequence[RunDirectory], targets: Sequence[TargetConfig], levels: Sequence[float] = LEVELS
) -> Intervals:
    """Return the intervals of the mean prediction of several runs, which are wider where the runs disagree.

    They are calibrated on samples that all of the runs have for validation.

    Parameters
    ----------
    targets
        That all of them predict.

    Raises
    ------
    TrainError
        As `run_intervals`.
    """
    tables = [_validation_of(run, targets) for run in runs]
    joined = reduce(
        lambda left, right: left.join(right, on=["sample_id", "target"], how="inner", maintain_order="left"),
        [table.rename({"prediction": f"prediction_{index}"}) for index, table in enumerate(_leaner(tables))],
    )
    found = {}
    for target in targets:
        if load_kind(target.kind).classes(np.empty(0)) is not None:
            continue
        rows = joined.filter(pl.col("target") == target.name)
        predictions_NM = rows.select(pl.col(r"^prediction_\d+$")).to_numpy()
        intervals = calibrate(
            Calibration(
                truth_N=rows["truth"].to_numpy(),
                prediction_N=predictions_NM.mean(axis=1),
                people_N=rows["person"].to_numpy(),
                spread_N=predictions_NM.std(axis=1) if len(runs) > 1 else None,
            ),
            levels,
        )
        if intervals is not None:
            found[target.name] = intervals
    return Intervals(found)


def _leaner(tables: Sequence[pl.DataFrame]) -> list[pl.DataFrame]:
    """Leave what all tables say alike to the first."""
    first, *others = tables
    return [first, *(table.select("sample_id", "target", "prediction") for table in others)]


def _validation_of(run: RunDirectory, targets: Sequence[TargetConfig]) -> pl.DataFrame:
    """Return the predictions of a run's validation samples, columns `_SCHEMA`; none of an unfinished run."""
    if not run.predictions.exists():
        return pl.DataFrame(schema=_SCHEMA)
    require_unchanged(run.predictions)
    cohort = read_cohort(run.cohort)
    people = pl.DataFrame({"sample_id": cohort.sample_ids, "person": cohort.participants})
    table = read_table(run.predictions).filter(pl.col("split") == "val")
    if "target" not in table.columns:
        table = table.with_columns(target=pl.lit(targets[0].name))
    with_people = table.join(people, on="sample_id", how="inner", maintain_order="left")
    return with_people.select(*_SCHEMA).cast(_SCHEMA)
