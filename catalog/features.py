"""From table values to features: one number per sample, with where it came from.

A participant has values from several visits; the dictionary's policy says which stands for an imaging visit. Days count
from the imaging visit, negative before it.
"""

from collections.abc import Sequence
from pathlib import Path

import duckdb
import polars as pl

from catalog.database import insert_frame, transaction
from catalog.errors import TableError
from catalog.fields import MISSING_DATES, SCAN_DATE_FIELD, Evidence, FeatureDefinition, load_dictionary
from catalog.tables import read_fields, read_named

FEATURE_COLUMNS = ("sample_id", "name", "value", "field", "instance", "days_from_scan")
_LAST_KNOWN_INSTANCE = 99
"""Later ones stand for sessions that no table of UK Biobank knows."""
_UNKNOWN_DAYS_PER_INSTANCE = 1000
"""Distance between visits whose dates are not known, so that the nearest instance is the nearest visit."""


def import_tables(connection: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> int:
    """Derive every feature of the dictionary for every sample; replace what the catalogue held.

    Returns
    -------
    int
        Values stored.

    Raises
    ------
    TableError
        No participant of the tables is in the study, or a table cannot be read.
    """
    samples = pl.DataFrame(
        connection.execute("SELECT sample_id, eid, instance FROM samples").fetchall(),
        schema={"sample_id": pl.String, "eid": pl.Int64, "scan_instance": pl.Int32},
        orient="row",
    )
    definitions = load_dictionary()
    fields = {SCAN_DATE_FIELD, *(field for definition in definitions.values() for field in definition.fields)}
    eids = samples["eid"].unique().to_list()
    values = read_fields(paths, fields, eids)
    named_values = read_named(paths, {name.lower() for name in definitions}, eids)
    if values.is_empty() and named_values.is_empty() and not samples.is_empty():
        raise TableError(
            "The tables hold no value for any participant with a scan in this study. Identifiers differ from one UK "
            "Biobank application to another: check that tables and images belong to the same one."
        )
    derived = derive_features(values, samples)
    named = named_features(named_values, samples).join(derived, on=["sample_id", "name"], how="anti")
    features = pl.concat([derived, named]).sort("sample_id", "name")
    with transaction(connection):
        connection.execute("DELETE FROM feature WHERE sample_id IN (SELECT sample_id FROM sample)")
        insert_frame(connection, "INSERT INTO feature SELECT * FROM incoming", features)
    return features.height


def derive_features(values: pl.DataFrame, samples: pl.DataFrame) -> pl.DataFrame:
    """Derive the features of the dictionary.

    Parameters
    ----------
    values
        As `catalog.tables.read_fields` returns them.
    samples
        Columns sample_id, eid, scan_instance.

    Returns
    -------
    polars.DataFrame
        Columns `FEATURE_COLUMNS`, one row for each sample and feature that has a value.
    """
    dated = _with_days(values, samples.filter(pl.col("scan_instance") <= _LAST_KNOWN_INSTANCE))
    parts = [
        _derive_any(dated, definition.any_of) if definition.any_of else _pick_value(dated, definition)
        for definition in load_dictionary().values()
    ]
    named = [
        part.with_columns(pl.lit(name).alias("name")).select(FEATURE_COLUMNS)
        for name, part in zip(load_dictionary(), parts, strict=True)
    ]
    return pl.concat(named).sort("sample_id", "name")


def named_features(values: pl.DataFrame, samples: pl.DataFrame) -> pl.DataFrame:
    """Return the features that a table gives by name; they hold for every visit of a participant.

    What changes from visit to visit (policy ``same``, like age) is given only to participants with one visit, because
    the table does not say which of several it means.

    Parameters
    ----------
    values
        As `catalog.tables.read_named` returns them.
    samples
        Columns sample_id, eid, scan_instance.

    Returns
    -------
    polars.DataFrame
        Columns `FEATURE_COLUMNS`; field, instance and days are null.

    Raises
    ------
    TableError
        A value is neither a number nor a text that the dictionary knows.
    """
    parts = [
        _named_feature(values.filter(pl.col("name") == name.lower()), name, definition)
        for name, definition in load_dictionary().items()
    ]
    unknown = {name: pl.lit(None, pl.Int32).alias(name) for name in ("field", "instance", "days_from_scan")}
    of_one_visit = samples.filter(pl.col("eid").is_unique())
    joined = [
        part.join(of_one_visit if definition.policy == "same" else samples, on="eid")
        for part, definition in zip(parts, load_dictionary().values(), strict=True)
    ]
    return pl.concat(joined).with_columns(*unknown.values()).select(FEATURE_COLUMNS)


def _named_feature(values: pl.DataFrame, name: str, definition: FeatureDefinition) -> pl.DataFrame:
    texts = {text: str(code) for text, code in definition.texts.items()}
    numbers = pl.col("value").str.to_lowercase().replace(texts).cast(pl.Float64, strict=False)
    rows = values.select("eid", pl.lit(name).alias("name"), numbers.alias("value"))
    if rows["value"].null_count():
        known = f" or one of {', '.join(texts)}" if texts else ""
        raise TableError(
            f"The column {name} holds {rows['value'].null_count()} values that cannot be understood. Expected "
            f"numbers{known}, and n/a or nothing where a value is missing."
        )
    recoded = _recoded(rows, definition)
    num_wrong = recoded.filter(~pl.col("value").is_in([0.0, 1.0])).height if definition.kind == "binary" else 0
    if num_wrong:
        raise TableError(f"The column {name} holds {num_wrong} values other than 0 and 1 ({definition.unit}).")
    return recoded


def _with_days(values: pl.DataFrame, samples: pl.DataFrame) -> pl.DataFrame:
    """Join values to samples, with the days from the scan to the visit they were taken at."""
    visits = _parse_dates(values.filter(pl.col("field") == SCAN_DATE_FIELD), SCAN_DATE_FIELD).select(
        "eid", "instance", "date"
    )
    scans = samples.join(
        visits.rename({"instance": "scan_instance", "date": "scan_date"}), on=["eid", "scan_instance"], how="left"
    )
    return (
        values.join(visits, on=["eid", "instance"], how="left")
        .join(scans, on="eid")
        .with_columns((pl.col("date") - pl.col("scan_date")).dt.total_days().cast(pl.Int32).alias("days_from_scan"))
    )


def _parse_dates(values: pl.DataFrame, field: int) -> pl.DataFrame:
    """Add a column of dates; refuse a field whose values are something else, as after a spreadsheet saved it anew."""
    dated = values.with_columns(pl.col("value").str.to_date("%Y-%m-%d", strict=False).alias("date"))
    if dated["date"].null_count():
        raise TableError(
            f"Field {field} holds {dated['date'].null_count()} values that are no dates of the form YYYY-MM-DD. "
            "Export the table again, without opening it in a spreadsheet."
        )
    return dated


def _pick_value(dated: pl.DataFrame, definition: FeatureDefinition) -> pl.DataFrame:
    """Pick one value of a field for each sample."""
    rows = dated.filter(pl.col("field") == definition.field).with_columns(
        pl.col("value").cast(pl.Float64, strict=False)
    )
    rows = _recoded(rows, definition)
    if definition.policy == "same":
        rows = rows.filter(pl.col("instance") == pl.col("scan_instance"))
    apart = (pl.col("instance") - pl.col("scan_instance")).abs() * _UNKNOWN_DAYS_PER_INSTANCE
    distance = (
        pl.col("instance") if definition.policy == "earliest" else pl.col("days_from_scan").abs().fill_null(apart)
    )
    return rows.sort(distance, "instance").unique("sample_id", keep="first", maintain_order=True)


def _recoded(rows: pl.DataFrame, definition: FeatureDefinition) -> pl.DataFrame:
    """Drop what stands for a missing value; turn codes into values."""
    rows = rows.filter(pl.col("value").is_finite() & ~pl.col("value").is_in([float(c) for c in definition.missing]))
    if definition.recode is None:
        return rows
    recode = {float(code): float(value) for code, value in definition.recode.items()}
    return rows.with_columns(pl.col("value").replace_strict(recode, default=None)).drop_nulls("value")


def _derive_any(dated: pl.DataFrame, evidence: Sequence[Evidence]) -> pl.DataFrame:
    """Return 1 where any evidence up to the scan holds, 0 where a question was answered and none holds."""
    known = dated.filter(pl.col("instance") <= pl.col("scan_instance"))
    code = pl.col("value").cast(pl.Float64, strict=False)
    found = [_find_evidence(known.filter(pl.col("field") == part.field), part) for part in evidence]
    denied = [
        known.filter((pl.col("field") == part.field) & ~code.is_in([-1.0, -3.0]) & code.is_not_null())
        for part in evidence
        if part.answers
    ]
    rows = pl.concat(
        [part.with_columns(pl.lit(1.0).alias("value")) for part in found]
        + [part.with_columns(pl.lit(0.0).alias("value")) for part in denied]
    )
    return rows.sort("value", "instance", "field", descending=[True, False, False]).unique(
        "sample_id", keep="first", maintain_order=True
    )


def _find_evidence(values: pl.DataFrame, part: Evidence) -> pl.DataFrame:
    """Return the values of one field that hold the evidence, no later than the scan where that is known."""
    if part.dated:
        in_time = (pl.col("date") <= pl.col("scan_date")) | pl.col("scan_date").is_null()
        return _parse_dates(values, part.field).filter(~pl.col("value").is_in(MISSING_DATES) & in_time)
    return values.filter(pl.col("value").cast(pl.Float64, strict=False).is_in([float(code) for code in part.codes]))
