from collections.abc import Callable
from statistics import mean, stdev

import duckdb
import numpy as np
import pytest

from catalog.errors import CatalogError, UnknownTargetError
from catalog.export.group_counts import GroupTable, count_groups
from catalog.fields import FeatureDefinition
from mmbase.disclosure import hidden_cells

NUM_PEOPLE = 400
DICTIONARY = {
    "age": FeatureDefinition(kind="continuous", field=1, unit="years"),
    "sex": FeatureDefinition(kind="binary", field=2),
    "centre": FeatureDefinition(kind="categorical", field=3, target=False),
    "scanned": FeatureDefinition(kind="date", field=4, target=False),
    "score": FeatureDefinition(kind="continuous", field=5),
}


@pytest.fixture(scope="module")
def values() -> dict[str, dict[int, float]]:
    """Of people by number; their later visits have others."""
    random = np.random.default_rng(1337)
    people = range(NUM_PEOPLE)
    return {
        "age": {p: round(float(random.normal(62, 8)), 2) for p in people if p % 7},
        "sex": {p: float(random.random() < 0.4) for p in people if p % 50},
        "centre": {
            p: float(random.choice([11025, 11026, 11027, 11028, 1, 2], p=[0.5, 0.3, 0.1, 0.09, 0.005, 0.005]))
            for p in people
        },
        "scanned": {p: float(random.integers(16300, 18200)) for p in people},
        "score": {p: float(random.integers(0, 4)) for p in people},
    }


@pytest.fixture(scope="module")
def count(
    catalog: duckdb.DuckDBPyConnection, fill_catalog: Callable[..., None], values: dict[str, dict[int, float]]
) -> Callable[..., GroupTable]:
    """Count one feature of people of whom every third came twice; their later visits say something else."""
    firsts = [(person, 2, ("train", "val", "test")[person % 3]) for person in range(NUM_PEOPLE)]
    seconds = [(person, 3, split) for person, _, split in firsts if person % 3 == 0]
    again = {NUM_PEOPLE + row: 0.0 for row in range(len(seconds))}

    def run(name: str, by: str = "") -> GroupTable:
        fill_catalog([*firsts, *seconds], {name: of_name | again for name, of_name in values.items()})
        (table,) = count_groups(catalog, DICTIONARY, [name], by)
        return table

    return run


def expected_counts(table: GroupTable, rows: dict[int, str], columns: dict[int, str]) -> list[list[int]]:
    """Count people by what their value and their group are called."""
    counts = [[0] * len(table.groups) for _ in table.values]
    for person in range(NUM_PEOPLE):
        row = table.values.index(rows.get(person, "missing"))
        counts[row][table.groups.index(columns.get(person, "missing"))] += 1
    return counts


def names_of(values: dict[str, dict[int, float]], feature: str) -> dict[int, str]:
    """Say for each person what a value is called, by other means than the code."""
    if feature == "centre":
        return {p: f"{v:.0f}" if v > 100 else "other values" for p, v in values["centre"].items()}
    if feature == "sex":
        return {p: f"{v:.0f}" for p, v in values["sex"].items()}
    return {
        p: "< 50" if v < 50 else ">= 70" if v >= 70 else f"{v // 5 * 5:.0f} to < {v // 5 * 5 + 5:.0f}"
        for p, v in values["age"].items()
    }


@pytest.mark.parametrize(
    ("name", "by"),
    [(name, by) for name in ("age", "sex", "centre") for by in ("", "split", "age", "sex", "centre") if name != by],
)
def test_counts_are_of_people_at_their_first_visit_and_hidden_by_the_rule(
    count: Callable[..., GroupTable], values: dict[str, dict[int, float]], name: str, by: str
) -> None:
    table = count(name, by)
    people = range(NUM_PEOPLE)
    columns = {"": dict.fromkeys(people, ""), "split": {p: ("train", "val", "test")[p % 3] for p in people}}
    expected = expected_counts(table, names_of(values, name), columns[by] if by in columns else names_of(values, by))
    hidden = {(r, c) for r, line in enumerate(table.counts_RC) for c, count in enumerate(line) if count is None}
    for r, line in enumerate(expected):
        for c, number in enumerate(line):
            assert table.counts_RC[r][c] in (None, number)
            assert number == 0 or number >= 10 or (r, c) in hidden
    turned = {(c, r) for r, c in hidden_cells(list(zip(*expected, strict=True)))}
    assert hidden in (hidden_cells(expected), turned)


@pytest.mark.parametrize(("one", "other"), [("age", "sex"), ("centre", "age"), ("sex", "centre"), ("scanned", "age")])
def test_a_table_and_its_transpose_hide_the_same(count: Callable[..., GroupTable], one: str, other: str) -> None:
    assert count(one, other).counts_RC == tuple(zip(*count(other, one).counts_RC, strict=True))


def test_some_cells_of_these_tests_are_hidden_and_some_are_not(count: Callable[..., GroupTable]) -> None:
    cells = [cell for line in count("centre", "age").counts_RC for cell in line]
    assert 10 < cells.count(None) < len(cells) - 10


def test_edges_of_dates_are_years_and_the_outer_bins_are_open(count: Callable[..., GroupTable]) -> None:
    labels = count("scanned").values
    assert labels == (
        "< 2015",
        "2015 to < 2016",
        "2016 to < 2017",
        "2017 to < 2018",
        "2018 to < 2019",
        ">= 2019",
        "missing",
    )


def test_a_mean_is_of_those_who_have_a_value_in_three_digits(
    count: Callable[..., GroupTable], values: dict[str, dict[int, float]]
) -> None:
    ages = values["age"]
    table = count("age", "split")
    for column in range(3):
        group = [age for person, age in ages.items() if person % 3 == column]
        assert table.means_C[column] == pytest.approx(mean(group), abs=0.05001)
        assert table.sds_C[column] == pytest.approx(stdev(group), abs=0.00501)
    assert f"{table.means_C[0]:.10g}" == f"{table.means_C[0]:.3g}"
    assert not count("sex").is_measured
    assert count("sex", "age").means_C == (None,) * 7


def test_no_mean_is_given_of_fewer_than_ten_nor_of_who_would_give_them_away(
    count: Callable[..., GroupTable], values: dict[str, dict[int, float]]
) -> None:
    table = count("age", "centre")
    having = [
        sum(p in values["age"] for p, name in names_of(values, "centre").items() if name == group)
        for group in table.groups
    ]
    few = {place for place, number in enumerate(having) if number < 10}
    assert few
    assert {place for place, mean in enumerate(table.means_C) if mean is None} > few


def test_a_mean_that_is_an_equation_in_hidden_counts_is_hidden(
    catalog: duckdb.DuckDBPyConnection, fill_catalog: Callable[..., None], count: Callable[..., GroupTable]
) -> None:
    assert count("score").means_C[0] is not None
    scores = [0.0] * 40 + [1.0] * 5 + [2.0] * 40 + [3.0] * 20
    fill_catalog([(p, 2, "train") for p in range(105)], {"score": dict(enumerate(scores))})
    (table,) = count_groups(catalog, DICTIONARY, ["score"])
    assert [row for row, (number,) in enumerate(table.counts_RC) if number is None]
    assert table.means_C == (None,)


def test_what_is_not_known_is_refused(catalog: duckdb.DuckDBPyConnection, fill_catalog: Callable[..., None]) -> None:
    fill_catalog([(p, 2, "train") for p in range(9)] + [(0, 3, "train")], {})
    with pytest.raises(CatalogError, match="Fewer than 10 participants"):
        count_groups(catalog, DICTIONARY, [])
    for names, by in ((["ag"], ""), ([], "ag")):
        with pytest.raises(UnknownTargetError, match="Did you mean age"):
            count_groups(catalog, DICTIONARY, names, by)


def test_all_features_but_the_one_that_makes_the_groups_are_counted(
    catalog: duckdb.DuckDBPyConnection, fill_catalog: Callable[..., None]
) -> None:
    fill_catalog([(p, 2, "train") for p in range(30)], {"sex": dict.fromkeys(range(20), 1.0)})
    tables = count_groups(catalog, DICTIONARY, [], "sex")
    assert [table.feature for table in tables] == ["age", "centre", "scanned", "score"]
    assert {table.groups for table in tables} == {("0", "1", "missing")}
    assert tables[0].values == ("all values", "missing")
    assert tables[0].counts_RC == ((0, 0, 0), (0, 20, 10))
