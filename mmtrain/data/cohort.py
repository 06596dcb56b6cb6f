"""Read a frozen cohort: the samples of one run, as arrays in one order."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmbase.errors import first_line
from mmbase.names import SPLITS
from mmtrain.errors import TrainError
from mmtrain.run import read_table
from mmtrain.unchanged import require_unchanged

_FEATURE_PREFIX, _GROUP_PREFIX, _PARTICIPANT = "feature_", "group_", "participant"
_TARGET, _TARGET_PREFIX = "target", "target_"
_COMPLETE = ("sample_id", "row", "split", "augmented")
"""Columns that every sample has a value of."""
_EMPTY_OR_YES_NO = (pl.Null, pl.Boolean)
_START_AGAIN = "Put the file back from a backup, or start the run again."


@dataclass(frozen=True, slots=True)
class Cohort:
    """N samples; every array has them in the order of the file."""

    sample_ids: list[str]
    rows: NDArray[np.int64]
    """Index along the rows axis of every array of the study."""
    splits: NDArray[Any]
    """``train``, ``val`` or ``test``."""
    labels_NT: NDArray[np.float64]
    """One column for each target of the run, in its own unit; classes are 0 and 1; NaN where missing."""
    targets: tuple[str, ...]
    """Name of each column; ``target`` where there is one alone."""
    is_augmented: NDArray[np.bool_]
    """Whether augmented copies of the sample are made: it is of the study's own training split."""
    features: dict[str, NDArray[np.float64]]
    """Tabular features by name, each of shape (N,), NaN where missing."""
    participants: NDArray[np.int64]
    """A number within the cohort, the same for all visits of one person; no identifier."""
    groups: dict[str, NDArray[np.float64]]
    """By which results are told too: sex, age, centre, each of shape (N,), NaN where unknown."""

    def members(self, split: str) -> NDArray[np.int64]:
        """Return the positions of one split's samples."""
        return np.flatnonzero(self.splits == split)

    def stack_features(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Return features in an order, shape (N, len(names)); NaN throughout where the cohort does not have one."""
        unknown = np.full(len(self.sample_ids), np.nan)
        columns = [self.features.get(name, unknown) for name in names]
        return np.stack(columns, axis=1) if columns else np.empty((len(self.sample_ids), 0))

    @property
    def split_sizes(self) -> dict[str, int]:
        """Return the number of samples of each split."""
        return {split: len(self.members(split)) for split in SPLITS}

    def labelled(self, split: str, target: int) -> NDArray[np.bool_]:
        """Return which members of a split have a label of a target, by its index."""
        known: NDArray[np.bool_] = ~np.isnan(self.labels_NT[self.members(split), target])
        return known

    def known_labels(self, split: str, target: int) -> NDArray[np.float64]:
        """Return the labels of a target, by its index, that the members of a split have, in its own unit."""
        labels: NDArray[np.float64] = self.labels_NT[self.members(split), target]
        return labels[self.labelled(split, target)]


def read_cohort(path: Path) -> Cohort:
    """Read a run's cohort.parquet.

    Raises
    ------
    TrainError
        There is none, it is damaged or not as it was written, or it lacks a column.
    """
    require_unchanged(path)
    try:
        return parse_cohort(read_table(path))
    except pl.exceptions.PolarsError as error:
        raise TrainError(f"The cohort {path} is damaged: {first_line(error)}.", _START_AGAIN) from error


def parse_cohort(table: pl.DataFrame) -> Cohort:
    """Return a cohort from its table.

    Raises
    ------
    TrainError
        It lacks a column, or has one that is not what it should be.
    """
    missing = {*_COMPLETE} - {*table.columns}
    labels = [n for n in table.columns if n == _TARGET or n.startswith(_TARGET_PREFIX)]
    if not labels:
        missing.add(_TARGET)
    if missing:
        raise TrainError(f"The cohort lacks the columns {', '.join(sorted(missing))}.", _START_AGAIN)
    features = [name for name in table.columns if name.startswith(_FEATURE_PREFIX)]
    groups = [name for name in table.columns if name.startswith(_GROUP_PREFIX)]
    _require_columns(table, [*labels, *features, *groups])
    return Cohort(
        sample_ids=table["sample_id"].to_list(),
        rows=table["row"].cast(pl.Int64).to_numpy(),
        splits=np.asarray(table["split"].to_list()),
        labels_NT=_numbers(table, labels).to_numpy(order="c"),
        targets=tuple(name.removeprefix(_TARGET_PREFIX) for name in labels),
        is_augmented=table["augmented"].to_numpy(),
        features={column.name.removeprefix(_FEATURE_PREFIX): column.to_numpy() for column in _numbers(table, features)},
        participants=_participants(table),
        groups={column.name.removeprefix(_GROUP_PREFIX): column.to_numpy() for column in _numbers(table, groups)},
    )


def _participants(table: pl.DataFrame) -> NDArray[np.int64]:
    """Return whose each sample is; in cohorts of mm 0.1.0, which did not say so, everybody's own."""
    if _PARTICIPANT not in table.columns:
        return np.arange(table.height)
    return table[_PARTICIPANT].cast(pl.Int64).to_numpy()


def _numbers(table: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    return table.select(pl.col(columns).cast(pl.Float64).fill_null(float("nan")))


def _require_columns(table: pl.DataFrame, numbers: Sequence[str]) -> None:
    """Refuse columns of another type, gaps where there can be none, and samples that come twice."""
    is_right = {
        "sample_id": table["sample_id"].dtype == pl.String and table["sample_id"].is_unique().all(),
        "row": table["row"].dtype.is_integer() and table["row"].is_unique().all() and not (table["row"] < 0).any(),
        "split": table["split"].dtype == pl.String and table["split"].is_in(SPLITS).all(),
        "augmented": table["augmented"].dtype == pl.Boolean,
        **{name: table[name].dtype.is_numeric() or table[name].dtype in _EMPTY_OR_YES_NO for name in numbers},
    }
    if _PARTICIPANT in table.columns:
        is_right[_PARTICIPANT] = table[_PARTICIPANT].dtype.is_integer() and not table[_PARTICIPANT].null_count()
    gaps = [name for name in _COMPLETE if table[name].null_count()]
    if wrong := [*gaps, *(name for name, right in is_right.items() if not right and name not in gaps)]:
        raise TrainError(f"The cohort is damaged: {', '.join(wrong)} cannot be as it is.", _START_AGAIN)
