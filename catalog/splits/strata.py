"""Strata: groups of participants who are alike, so that every split gets its share of each."""

from collections.abc import Sequence

import polars as pl

from catalog.errors import DictionaryError, TableError
from catalog.features import derive_features
from catalog.fields import Dictionary
from catalog.tables.tables import TableValues

NUM_BANDS = 10
"""A continuous feature counts by tenths of the cohort."""


def find_strata(
    tables: TableValues, samples: pl.DataFrame, dictionary: Dictionary, names: Sequence[str]
) -> dict[int, str]:
    """Return the stratum of every participant, by their first imaging visit; a missing value is a group of its own.

    Parameters
    ----------
    samples
        Columns of `catalog.features.SAMPLE_SCHEMA`.
    names
        Features that make the strata.

    Raises
    ------
    DictionaryError
        A feature is not known.
    TableError
        Nobody has a value of a feature.
    """
    if unknown := [name for name in names if name not in dictionary]:
        raise DictionaryError(
            f"splits.stratify in study.toml names {unknown[0]}, which is no feature.", "See mm targets."
        )
    first_visits = samples.sort("scan_instance").unique("eid", keep="first", maintain_order=True)
    strata = first_visits.select("sample_id", "eid")
    for name, values in derive_features(tables, first_visits, {name: dictionary[name] for name in names}):
        if values.is_empty():
            raise TableError(f"splits.stratify in study.toml names {name}, and nobody with a scan has a value of it.")
        groups = values.select("sample_id", _group(dictionary[name].kind).alias(name))
        strata = strata.join(groups, on="sample_id", how="left")
    texts = [
        pl.format("{}={}", pl.lit(name), pl.col(name).cast(pl.Int64).cast(pl.String).fill_null("")) for name in names
    ]
    return dict(strata.select("eid", pl.concat_str(texts, separator="/")).iter_rows())


def _group(kind: str) -> pl.Expr:
    value = pl.col("value")
    return value if kind in ("binary", "categorical") else (value.rank() - 1) * NUM_BANDS // pl.len()
