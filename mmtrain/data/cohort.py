"""Read a frozen cohort: the samples of one run, as arrays in one order."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmbase.names import SPLITS
from mmtrain.errors import TrainError
from mmtrain.unchanged import require_unchanged

_FEATURE_PREFIX = "feature_"
_TARGET, _TARGET_PREFIX = "target", "target_"


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


def read_cohort(path: Path) -> Cohort:
    """Read a run's cohort.parquet.

    Raises
    ------
    TrainError
        There is none, it is not as it was written, or it lacks a column.
    """
    require_unchanged(path)
    try:
        table = pl.read_parquet(path)
    except (FileNotFoundError, pl.exceptions.PolarsError) as error:
        raise TrainError(f"The cohort {path} cannot be read: {error}") from error
    return parse_cohort(table)


def parse_cohort(table: pl.DataFrame) -> Cohort:
    """Return a cohort from its table.

    Raises
    ------
    TrainError
        It lacks a column.
    """
    missing = {"sample_id", "row", "split", "augmented"} - set(table.columns)
    labels = [n for n in table.columns if n == _TARGET or n.startswith(_TARGET_PREFIX)]
    if not labels:
        missing.add(_TARGET)
    if missing:
        raise TrainError(f"The cohort lacks the columns {', '.join(sorted(missing))}.")
    features = table.select(pl.selectors.starts_with(_FEATURE_PREFIX).cast(pl.Float64).fill_null(float("nan")))
    return Cohort(
        sample_ids=table["sample_id"].to_list(),
        rows=table["row"].to_numpy(),
        splits=np.asarray(table["split"].to_list()),
        labels_NT=table.select(pl.col(labels).cast(pl.Float64).fill_null(float("nan"))).to_numpy(order="c"),
        targets=tuple(name.removeprefix(_TARGET_PREFIX) for name in labels),
        is_augmented=table["augmented"].to_numpy(),
        features={column.name.removeprefix(_FEATURE_PREFIX): column.to_numpy() for column in features},
    )
