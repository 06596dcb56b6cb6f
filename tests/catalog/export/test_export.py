import csv
import stat
from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl
import pytest

from catalog.errors import CatalogError, UnknownTargetError
from catalog.export.export import export_features, export_groups, group_frame
from catalog.export.group_counts import count_groups
from catalog.fields import FeatureDefinition

DICTIONARY = {
    "sex": FeatureDefinition(kind="binary", field=31),
    "age": FeatureDefinition(kind="continuous", field=21003, unit="years"),
    "lonely": FeatureDefinition(kind="binary", field=2020),
}
SAMPLES = [(3, 2, "train"), (1, 2, "test"), (3, 3, "train"), (2, 2, "val")]
FEATURES = {"age": {0: 60.5, 2: 62.0, 3: 55.0}, "sex": {0: 1.0, 1: 0.0, 3: 0.0}, "unknown": {0: 9.0}}


@pytest.fixture
def filled(catalog: duckdb.DuckDBPyConnection, fill_catalog: Callable[..., None]) -> duckdb.DuckDBPyConnection:
    fill_catalog(SAMPLES, FEATURES, withdrawn=[2])
    return catalog


@pytest.fixture
def study_of_100(catalog: duckdb.DuckDBPyConnection, fill_catalog: Callable[..., None]) -> duckdb.DuckDBPyConnection:
    samples = [(row, 2, "train" if row < 60 else "test") for row in range(100)]
    fill_catalog(
        samples, {"sex": {row: float(row % 2) for row in range(96)}, "age": {row: row / 2 for row in range(90)}}
    )
    return catalog


def read(path: Path) -> pl.DataFrame:
    return pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_row_for_each_sample_and_a_column_for_each_feature(
    filled: duckdb.DuckDBPyConnection, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"features{suffix}"
    assert export_features(filled, DICTIONARY, [], path) == 3
    frame = read(path)
    assert frame.columns == ["sample_id", "row", "split", "sex", "age", "lonely"]
    assert frame.rows() == [
        ("s0", 0, "train", 1.0, 60.5, None),
        ("s1", 1, "test", 0.0, None, None),
        ("s2", 2, "train", None, 62.0, None),
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_columns_follow_the_dictionary_and_not_the_question(filled: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    export_features(filled, DICTIONARY, ["age", "sex"], tmp_path / "some.csv")
    assert read(tmp_path / "some.csv").columns == ["sample_id", "row", "split", "sex", "age"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_no_eid_is_in_a_file(filled: duckdb.DuckDBPyConnection, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"features{suffix}"
    export_features(filled, DICTIONARY, [], path)
    eids = [eid for (eid,) in filled.execute("SELECT eid FROM participant").fetchall()]
    assert len(eids) == 3
    content = path.read_bytes() + str(read(path)).encode()
    assert not any(str(eid).encode() in content or eid.to_bytes(8, "little") in content for eid in eids)


def test_the_export_is_what_sql_pivots(filled: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    export_features(filled, DICTIONARY, ["sex", "age"], tmp_path / "features.parquet")
    pivoted = filled.execute(
        "SELECT * FROM (PIVOT features ON name IN ('sex', 'age') USING any_value(value) GROUP BY sample_id) ORDER BY 1"
    ).fetchall()
    assert read(tmp_path / "features.parquet").select("sample_id", "sex", "age").rows() == pivoted


def test_what_cannot_be_written_is_refused_before_anything_is(
    filled: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    with pytest.raises(UnknownTargetError, match="Did you mean lonely"):
        export_features(filled, DICTIONARY, ["lonly"], tmp_path / "features.csv")
    with pytest.raises(CatalogError, match=r"ends in \.parquet or \.csv"):
        export_features(filled, DICTIONARY, [], tmp_path / "features.txt")
    assert not list(tmp_path.iterdir())


def test_a_file_is_overwritten_only_when_told(filled: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    path = tmp_path / "features.csv"
    path.write_text("mine")
    with pytest.raises(CatalogError, match="--overwrite"):
        export_features(filled, DICTIONARY, [], path)
    assert path.read_text() == "mine"
    export_features(filled, DICTIONARY, [], path, overwrite=True)
    assert read(path).height == 3


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_group_counts_are_written_without_what_is_hidden(
    study_of_100: duckdb.DuckDBPyConnection, tmp_path: Path, suffix: str
) -> None:
    tables = count_groups(study_of_100, DICTIONARY, ["sex", "age"], "split")
    path = tmp_path / f"counts{suffix}"
    assert export_groups(tables, path) == group_frame(tables).height
    frame = read(path)
    assert frame.columns == ["feature", "unit", "by", "group", "statistic", "value", "number", "suppressed"]
    assert (frame["number"].is_null() == frame["suppressed"]).all()
    assert not frame.filter((pl.col("statistic") == "count") & pl.col("number").is_between(1, 9)).height
    missing = frame.filter((pl.col("feature") == "sex") & (pl.col("value") == "missing") & (pl.col("group") == "test"))
    assert missing["suppressed"].to_list() == [True]
    assert set(frame.filter(pl.col("statistic") != "count")["feature"]) == {"age"}
    with pytest.raises(CatalogError, match="exists"):
        export_groups(tables, path)


def test_counts_are_whole_numbers_in_csv(study_of_100: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    path = tmp_path / "counts.csv"
    export_groups(count_groups(study_of_100, DICTIONARY, ["age"]), path)
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["statistic"] == "count"]
    assert rows
    assert all(row["number"].isdecimal() for row in rows if row["suppressed"] == "false")
    assert all(row["number"] == "" for row in rows if row["suppressed"] == "true")
