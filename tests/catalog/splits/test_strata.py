from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from catalog.errors import DictionaryError, TableError
from catalog.features import SAMPLE_SCHEMA, wanted_fields
from catalog.fields import load_dictionary
from catalog.splits.strata import find_strata
from catalog.tables.tables import read_tables

UKB = load_dictionary()


def strata(tmp_path: Path, table: str, names: Sequence[str], visits: Sequence[tuple[int, int]]) -> dict[int, str]:
    path = tmp_path / "table.csv"
    path.write_text(table)
    tables = read_tables([path], wanted_fields(UKB), {}, {eid for eid, _ in visits})
    samples = pl.DataFrame(
        [(f"{eid}/{instance}", eid, instance) for eid, instance in visits], schema=SAMPLE_SCHEMA, orient="row"
    )
    return find_strata(tables, samples, UKB, names)


def test_ages_count_by_tenths_and_sexes_as_they_are(tmp_path: Path) -> None:
    ages = [40 + (7 * i) % 50 for i in range(50)]  # each of 40 to 89 once
    table = "eid,31-0.0,21003-2.0\n" + "".join(f"{i + 1},{i % 2},{age}\n" for i, age in enumerate(ages))
    found = strata(tmp_path, table, ["sex", "age"], [(i + 1, 2) for i in range(50)])
    assert found == {i + 1: f"sex={i % 2}/age={(age - 40) // 5}" for i, age in enumerate(ages)}
    assert set(Counter(text.split("/")[1] for text in found.values()).values()) == {5}


def test_equal_values_are_in_one_stratum_and_missing_ones_in_their_own(tmp_path: Path) -> None:
    table = "eid,21003-2.0\n1,60\n2,60\n3,\n4,60\n"
    found = strata(tmp_path, table, ["age"], [(1, 2), (2, 2), (3, 2), (4, 2), (5, 2)])
    assert found[1] == found[2] == found[4] != found[3] == found[5] == "age="


def test_the_first_imaging_visit_decides(tmp_path: Path) -> None:
    table = "eid,54-2.0,54-3.0\n1,11025,11026\n"
    assert strata(tmp_path, table, ["centre"], [(1, 3), (1, 2)]) == {1: "centre=11025"}
    assert strata(tmp_path, table, ["centre"], [(1, 3)]) == {1: "centre=11026"}


def test_a_feature_that_is_unknown_or_that_nobody_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DictionaryError, match=r"splits\.stratify in study\.toml names agee"):
        strata(tmp_path, "eid,21003-2.0\n1,60\n", ["agee"], [(1, 2)])
    with pytest.raises(TableError, match="names sex, and nobody with a scan has a value"):
        strata(tmp_path, "eid,21003-2.0\n1,60\n", ["sex"], [(1, 2)])
