"""Freeze a cohort: who a run trains, validates and tests on, with everything it needs to know about them.

A cohort file holds sample ids and rows, never eids, so that a GPU node needs neither the catalogue nor its secrets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from catalog.errors import CohortError
from catalog.features import feature_columns
from catalog.fields import Dictionary, find_target
from catalog.splits.kinship import find_families, related_keys
from catalog.splits.schemes import SplitScheme, StudySplit, assign_splits, leave_relatives_out
from catalog.statements import fetch_frame
from mmbase.checksums import write_checked_table
from mmbase.names import SPLITS

FEATURE_PREFIX = "feature_"
TARGET, TARGET_PREFIX = "target", "target_"
"""Column of the only target; of several, the prefix of each."""
SEX, AGE, CENTRE = "sex", "age", "centre"
GROUP_PREFIX = "group_"
GROUPS = {SEX: "0 female, 1 male", AGE: "years", CENTRE: ""}
"""Features by which results are told too, and what a number of each must mean: a study may define them otherwise."""
MIN_TRAIN, MIN_HELD_OUT = 8, 2
BEYOND_SIZE = "beyond-data-size"
"""Why a sample is left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CohortSelection:
    """Who a run uses, and who is left out of it."""

    frame: pl.DataFrame
    """Columns sample_id, row, split (of the run), target, weight, augmented (whether the study makes augmented copies
    of the sample), participant (a number within the cohort, the same for all visits of one person), ``group_sex``,
    ``group_age`` and ``group_centre`` (null where unknown), and one ``feature_NAME`` for each feature asked for (null
    where missing), in the order of rows. Of several targets each has a column ``target_NAME`` (null where missing) in
    place of ``target``."""
    left_out: Mapping[str, int]
    """Why samples that have everything are not in the cohort, and how many."""


def build_cohort(
    connection: duckdb.DuckDBPyConnection,
    dictionary: Dictionary,
    targets: Sequence[str],
    modalities: Sequence[str],
    features: Sequence[str],
    scheme: SplitScheme = StudySplit(),  # noqa: B008 - a frozen value
    *,
    data_size: int | None = None,
) -> CohortSelection:
    """Return the samples that have a value of a target and every modality stored, each in its split.

    Nobody is trained or validated on whose relative is tested on, nor trained on whose relative is validated on.

    Parameters
    ----------
    targets
        One at least, each once. Of several, a sample has a value of one at least.
    data_size
        Training samples to use; None: all there are.

    Raises
    ------
    UnknownTargetError
        A target is not known.
    CohortError
        A split would have too few samples of a target, or only one class; there are fewer training samples than
        `data_size`; or the scheme cannot be used.
    """
    definitions = {target: find_target(dictionary, target) for target in targets}
    column_of = {target: TARGET_PREFIX + target if len(targets) > 1 else TARGET for target in targets}
    related = related_keys(connection)
    complete = _fetch_complete(connection, column_of, modalities)
    complete = complete.join(_founders(connection, related), on="participant_key", how="left", maintain_order="left")
    assigned = leave_relatives_out(assign_splits(scheme, complete), related)
    if data_size is not None:
        assigned = _take_training(assigned, data_size)
    left_out = dict(
        assigned.drop_nulls("left_out").group_by("left_out").len().sort("len", "left_out", descending=True).iter_rows()
    )
    cohort = assigned.filter(pl.col("left_out").is_null())
    stored = f" and {', '.join(modalities)} stored" if modalities else ""
    for target, definition in definitions.items():
        labels = cohort.select("split", target=column_of[target]).drop_nulls()
        having = f"a value of {target}{stored}{_tell(left_out)}"
        _require_enough(labels, target, having, binary=definition.kind == "binary")
    participant = (pl.col("participant_key").rank("dense") - 1).cast(pl.Int64).alias("participant")
    weight = pl.lit(1.0).alias("weight")
    frame = cohort.select("sample_id", "row", "split", *column_of.values(), weight, "augmented", participant)
    groups = _group_columns(connection, dictionary, frame["row"])
    columns = feature_columns(connection, frame["row"], features)
    shown = [column.alias(FEATURE_PREFIX + column.name) for column in columns]
    return CohortSelection(frame=frame.with_columns(*groups, *shown), left_out=left_out)


def split_sizes(cohort: pl.DataFrame) -> dict[str, int]:
    """Return the number of samples of each split."""
    counts = dict(cohort.group_by("split").len().iter_rows())
    return {split: counts.get(split, 0) for split in SPLITS}


def write_cohort(cohort: pl.DataFrame, path: Path) -> None:
    """Write a cohort to a Parquet file, whole or not at all, and its checksum."""
    write_checked_table(path, cohort)


_COMPLETE_SQL = """
    SELECT sample_id, row, participant_key, split, split = 'train' AS augmented
    FROM samples
    JOIN splits USING (sample_id)
    WHERE len($modalities) = 0 OR sample_id IN (
        SELECT sample_id FROM scans
        WHERE status = 'stored' AND list_contains($modalities, modality)
        GROUP BY sample_id HAVING count(*) = len($modalities)
    )
    ORDER BY row
"""


def _fetch_complete(
    connection: duckdb.DuckDBPyConnection, column_of: Mapping[str, str], modalities: Sequence[str]
) -> pl.DataFrame:
    """Return the samples with a value of a target and every modality, with the study's splits.

    Parameters
    ----------
    column_of
        Target to the column of its values.
    """
    samples = fetch_frame(connection, _COMPLETE_SQL, {"modalities": list(modalities)})
    values = feature_columns(connection, samples["row"], [*column_of, CENTRE])
    with_values = samples.with_columns(column.alias(column_of.get(column.name, column.name)) for column in values)
    return with_values.filter(pl.any_horizontal(pl.col(*column_of.values()).is_not_null()))


def _group_columns(connection: duckdb.DuckDBPyConnection, dictionary: Dictionary, rows: pl.Series) -> list[pl.Series]:
    """Return what groups samples; null throughout where the study has made another thing of that feature."""
    known = [name for name, unit in GROUPS.items() if name in dictionary and unit in ("", dictionary[name].unit)]
    columns = {column.name: column for column in feature_columns(connection, rows, known)}
    unknown = pl.Series(values=[None] * len(rows), dtype=pl.Float64)
    return [columns.get(name, unknown).alias(GROUP_PREFIX + name) for name in GROUPS]


def _founders(connection: duckdb.DuckDBPyConnection, related: Sequence[tuple[str, str]]) -> pl.DataFrame:
    """Return the founder of every participant's family: whoever comes later changes it for nobody."""
    people = fetch_frame(connection, "SELECT participant_key, min(row) AS row FROM samples GROUP BY participant_key")
    family = pl.col("participant_key").replace(find_families(related))
    return people.select("participant_key", founder=pl.col("participant_key").sort_by("row").first().over(family))


def _take_training(assigned: pl.DataFrame, data_size: int) -> pl.DataFrame:
    """Leave all training samples out but so many: those whose sample ids, which are keyed hashes, come first.

    So they are as good as drawn at random, also where the first rows are of one release or centre, and those of a
    smaller number are among those of a larger one. Classes come as they are; validation and test stay.
    """
    training = assigned.filter(pl.col("left_out").is_null(), split="train")["sample_id"].sort()
    if data_size < MIN_TRAIN:
        raise CohortError(f"--data-size {data_size}: at least {MIN_TRAIN} training samples are needed.")
    if data_size > len(training):
        raise CohortError(
            f"--data-size {data_size} was asked for, and {len(training)} training samples have all that the run needs.",
            f"Give --data-size {len(training)} or less, or leave it out to train on all.",
        )
    beyond = pl.col("sample_id").is_in(training[data_size:].to_list())
    return assigned.with_columns(left_out=pl.when(beyond).then(pl.lit(BEYOND_SIZE)).otherwise("left_out"))


def _require_enough(labels: pl.DataFrame, target: str, having: str, *, binary: bool) -> None:
    """Refuse too few samples with a value of a target (columns split and target), or classes that are all one."""
    for split in SPLITS:
        samples = labels.filter(pl.col("split") == split)
        least = MIN_TRAIN if split == "train" else MIN_HELD_OUT
        if samples.height < least:
            raise CohortError(
                f"Only {samples.height} {split} samples have {having}; at least {least} are needed.",
                "Ingest more participants, ask for fewer inputs, or test everyone once by folds (--fold 1/5).",
            )
        if binary and samples["target"].n_unique() < 2:
            raise CohortError(f"All {samples.height} {split} samples with {having} have the same {target}.")


def _tell(left_out: Mapping[str, int]) -> str:
    """Return who else was left out, for a message."""
    told = ", ".join(f"{number} {reason}" for reason, number in left_out.items())
    return f" (left out: {told})" if told else ""
