"""Each participant once, by the first visit."""

from collections.abc import Callable

import duckdb

from catalog.first_visits import count_splits, first_visits, label_frame

SAMPLES = [(7, 3, "train"), (7, 2, "train"), (8, 2, "val"), (9, 2, "test"), (10, 2, "val")]
AGES = {0: 65.0, 1: 60.0, 2: 70.0, 3: 75.0}


def test_a_participant_has_the_labels_of_the_first_visit_and_those_of_other_splits_are_left_out(
    catalog: duckdb.DuckDBPyConnection, fill_catalog: Callable[..., None]
) -> None:
    fill_catalog(SAMPLES, {"age": AGES, "weight": {0: 80.0}})
    assert first_visits(catalog).rows() == [(1, "train"), (2, "val"), (3, "test"), (4, "val")]
    found = label_frame(catalog, ["weight", "age"], ("train", "val"))
    assert found.to_dict(as_series=False) == {"weight": [None] * 3, "age": [60.0, 70.0, None]}
    assert count_splits(catalog) == {"train": (2, 1), "val": (2, 2), "test": (1, 1)}


def test_who_has_withdrawn_is_not_counted(
    catalog: duckdb.DuckDBPyConnection, fill_catalog: Callable[..., None]
) -> None:
    fill_catalog(SAMPLES, {"age": AGES}, withdrawn=[7])
    assert label_frame(catalog, ["age"], ("train", "val"))["age"].to_list() == [70.0, None]
    assert count_splits(catalog)["train"] == (0, 0)
