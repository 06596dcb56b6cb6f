"""Freeze a cohort: who a run trains, validates and tests on, with everything it needs to know about them.

A cohort file holds sample ids and rows, never eids, so that a GPU node needs neither the catalogue nor its secrets.
"""

from collections.abc import Sequence
from pathlib import Path

import duckdb
import polars as pl

from catalog.errors import CohortError
from catalog.fields import find_target

FEATURE_PREFIX = "feature_"
MIN_TRAIN, MIN_HELD_OUT = 8, 2


def build_cohort(
    connection: duckdb.DuckDBPyConnection, target: str, modalities: Sequence[str], features: Sequence[str]
) -> pl.DataFrame:
    """Return the samples that have a value of the target and every modality stored.

    Returns
    -------
    polars.DataFrame
        Columns sample_id, row, split, target, weight, and one ``feature_NAME`` for each of `features` (null where
        missing), in the order of rows.

    Raises
    ------
    UnknownTargetError
        The target is not known.
    CohortError
        A split would have too few samples, or only one class.
    """
    definition = find_target(target)
    cohort = pl.DataFrame(
        connection.execute(_COHORT_SQL, {"target": target, "modalities": list(modalities)}).fetchall(),
        schema={
            "sample_id": pl.String,
            "row": pl.Int64,
            "split": pl.String,
            "target": pl.Float64,
            "weight": pl.Float64,
        },
        orient="row",
    )
    _require_enough(cohort, target, modalities, binary=definition.kind == "binary")
    values = pl.DataFrame(
        connection.execute(
            "SELECT sample_id, name, value FROM features WHERE list_contains($1, name)", [list(features)]
        ).fetchall(),
        schema={"sample_id": pl.String, "name": pl.String, "value": pl.Float64},
        orient="row",
    )
    for feature in features:
        column = values.filter(pl.col("name") == feature).select(
            "sample_id", pl.col("value").alias(FEATURE_PREFIX + feature)
        )
        cohort = cohort.join(column, on="sample_id", how="left")
    return cohort.sort("row")


def write_cohort(cohort: pl.DataFrame, path: Path) -> None:
    """Write a cohort to a Parquet file."""
    cohort.write_parquet(path)


_COHORT_SQL = """
    SELECT sample_id, row, split, value, 1.0
    FROM samples
    JOIN splits USING (sample_id)
    JOIN features USING (sample_id)
    WHERE name = $target AND sample_id IN (
        SELECT sample_id FROM scans
        WHERE status = 'stored' AND list_contains($modalities, modality)
        GROUP BY sample_id HAVING count(*) = len($modalities)
        UNION ALL
        SELECT sample_id FROM samples WHERE len($modalities) = 0
    )
    ORDER BY row
"""


def _require_enough(cohort: pl.DataFrame, target: str, modalities: Sequence[str], *, binary: bool) -> None:
    counts = {split: cohort.filter(pl.col("split") == split) for split in ("train", "val", "test")}
    having = f"a value of {target}" + (f" and {', '.join(modalities)} stored" if modalities else "")
    for split, samples in counts.items():
        least = MIN_TRAIN if split == "train" else MIN_HELD_OUT
        if samples.height < least:
            raise CohortError(
                f"Only {samples.height} {split} samples have {having}; at least {least} are needed. "
                "Ingest more participants, or ask for fewer inputs."
            )
        if binary and samples["target"].n_unique() < 2:
            raise CohortError(f"All {samples.height} {split} samples with {having} have the same {target}.")
