from collections.abc import Callable

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import UnknownTargetError
from catalog.fields import Dictionary, FeatureDefinition, load_dictionary
from catalog.targets import NUM_BINS, PERCENTILES, FeatureSummary, choose_features, describe_features

SPLITS = ("train", "val", "test")
KINDS = ("continuous", "binary", "categorical", "date")
DICTIONARY = {kind: FeatureDefinition(kind=kind, field=1, target=kind in ("continuous", "binary")) for kind in KINDS}


@pytest.fixture(scope="module")
def describe(
    catalog: duckdb.DuckDBPyConnection, fill_catalog: Callable[..., None]
) -> Callable[..., dict[str, FeatureSummary]]:
    """Describe features whose values are given by row; rows go to train, val and test in turn."""

    def run(num_samples: int, features: dict[str, dict[int, float]], **more: object) -> dict[str, FeatureSummary]:
        fill_catalog([(row, 2, SPLITS[row % 3]) for row in range(num_samples)], features, **more)
        return {feature.name: feature for feature in describe_features(catalog, DICTIONARY, every=True)}

    return run


@settings(max_examples=40, deadline=None)
@given(
    st.one_of(
        st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=2, max_size=60),
        st.lists(st.integers(-50, 400).map(float), min_size=2, max_size=60),
    )
)
def test_numbers_and_bins_are_those_of_numpy(
    describe: Callable[..., dict[str, FeatureSummary]], values: list[float]
) -> None:
    feature = describe(len(values) + 1, {"continuous": dict(enumerate(values))})["continuous"]
    assert (feature.n, feature.missing) == (len(values), pytest.approx(1 / (len(values) + 1)))
    assert feature.mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-6)
    assert feature.sd == pytest.approx(np.std(values, ddof=1), rel=1e-9, abs=1e-6)
    expected = np.percentile(values, PERCENTILES)
    assert list(feature.percentiles.values()) == pytest.approx(expected, rel=1e-9, abs=1e-6)
    low, high = np.percentile(values, (0.5, 99.5))
    assert feature.edges[0] <= low + 1e-6
    assert feature.edges[-1] >= high - 1e-6
    assert 2 <= len(feature.edges) <= NUM_BINS + 1
    assert sum(feature.counts) == np.histogram(values, [feature.edges[0], feature.edges[-1]])[0].sum()
    for split in SPLITS:
        of_split = [value for row, value in enumerate(values) if SPLITS[row % 3] == split]
        assert feature.splits[split].n == len(of_split)
    assert feature.counts == tuple(map(sum, zip(*(feature.splits[split].counts for split in SPLITS), strict=True)))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 200), min_size=2, max_size=50, unique=True))
def test_bins_of_whole_numbers_hold_equally_many_numbers_each(
    describe: Callable[..., dict[str, FeatureSummary]], values: list[int]
) -> None:
    feature = describe(len(values), {"continuous": dict(enumerate(map(float, values)))})["continuous"]
    assert len(set(np.diff(feature.edges))) == 1
    assert all(edge % 1 == 0 for edge in feature.edges)
    assert list(feature.counts) == list(np.histogram(values, feature.edges)[0])


def test_an_absurd_value_does_not_flatten_the_histogram(describe: Callable[..., dict[str, FeatureSummary]]) -> None:
    values = {row: row / 10 + 0.05 for row in range(1000)} | {1000: 1e9}
    feature = describe(1001, {"continuous": values})["continuous"]
    assert feature.edges[-1] < 101
    assert min(feature.counts) > 50


@pytest.mark.parametrize("value", [3.0, 2.5, -1e-3])
def test_a_constant_fills_one_bin(describe: Callable[..., dict[str, FeatureSummary]], value: float) -> None:
    feature = describe(5, {"continuous": dict.fromkeys(range(5), value)})["continuous"]
    assert feature.counts == (5,)
    assert feature.edges[0] <= value < feature.edges[1]
    assert feature.sd == 0


def test_zeros_and_ones_are_counted_by_split(describe: Callable[..., dict[str, FeatureSummary]]) -> None:
    feature = describe(7, {"binary": {0: 1.0, 1: 0.0, 2: 1.0, 3: 1.0, 6: 0.0}})["binary"]
    assert (feature.values, feature.counts) == ((0.0, 1.0), (2, 3))
    assert {split: of_split.counts for split, of_split in feature.splits.items()} == {
        "train": (1, 2),
        "val": (1, 0),
        "test": (0, 1),
    }
    assert {split: of_split.missing for split, of_split in feature.splits.items()} == {
        "train": 0,
        "val": 0.5,
        "test": 0.5,
    }
    assert feature.mean is None


def test_of_many_values_the_most_frequent_are_counted(describe: Callable[..., dict[str, FeatureSummary]]) -> None:
    values = [float(value) for value in range(20) for _ in range(value + 1)]
    feature = describe(len(values), {"categorical": dict(enumerate(values))})["categorical"]
    assert feature.num_distinct == 20
    assert feature.values == tuple(float(value) for value in range(8, 20))
    assert feature.counts == tuple(range(9, 21))


def test_dates_have_bins_and_a_number_of_distinct_days(describe: Callable[..., dict[str, FeatureSummary]]) -> None:
    feature = describe(9, {"date": {row: 16000.0 + row // 2 for row in range(9)}})["date"]
    assert feature.num_distinct == 5
    assert feature.counts == (2, 2, 2, 2, 1)
    assert feature.percentiles[50] == 16002
    assert feature.mean is None


def test_the_distance_from_the_scan_is_a_median_of_days_before_and_after(
    catalog: duckdb.DuckDBPyConnection, describe: Callable[..., dict[str, FeatureSummary]]
) -> None:
    describe(3, {"continuous": dict.fromkeys(range(3), 1.0)})
    for row, days in enumerate((-100, 30, 2)):
        catalog.execute("UPDATE feature SET days_from_scan = ? WHERE row = ?", [days, row])
    (feature,) = (f for f in describe_features(catalog, DICTIONARY, every=False) if f.name == "continuous")
    assert feature.days_from_scan == 30


def test_a_feature_without_values_is_missing_altogether(describe: Callable[..., dict[str, FeatureSummary]]) -> None:
    for feature in describe(3, {}).values():
        assert (feature.n, feature.missing, feature.mean, feature.percentiles) == (0, 1, None, {})
        assert {(of_split.n, of_split.missing) for of_split in feature.splits.values()} == {(0, 1)}
    assert {feature.missing for feature in describe(0, {}).values()} == {0}


def test_those_who_withdrew_are_not_counted(describe: Callable[..., dict[str, FeatureSummary]]) -> None:
    feature = describe(4, {"continuous": {0: 1.0, 1: 2.0, 2: 900.0}}, withdrawn=[2])["continuous"]
    assert (feature.n, feature.missing, feature.mean) == (2, pytest.approx(1 / 3), 1.5)


def test_targets_come_first_in_the_dictionarys_order(catalog: duckdb.DuckDBPyConnection) -> None:
    dictionary = load_dictionary({"mine": {"kind": "continuous", "field": 4, "target": True}})
    targets = [name for name, definition in dictionary.items() if definition.target]
    assert [feature.name for feature in describe_features(catalog, dictionary, every=False)] == targets
    every = [feature.name for feature in describe_features(catalog, dictionary, every=True)]
    assert every[: len(targets)] == targets
    assert sorted(every) == sorted(dictionary)


@pytest.mark.parametrize(
    ("dictionary", "names", "error", "message"),
    [
        (DICTIONARY, ["binry"], UnknownTargetError, "no feature 'binry'. Did you mean binary?"),
        (DICTIONARY, ["zzzzzz"], UnknownTargetError, "no feature 'zzzzzz'. See mm targets --all."),
    ],
)
def test_a_feature_that_cannot_be_chosen_is_named(
    dictionary: Dictionary, names: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message.replace("?", r"\?")):
        choose_features(dictionary, names)


def test_features_are_chosen_in_the_dictionarys_order() -> None:
    assert choose_features(DICTIONARY, ["date", "binary"]) == ["binary", "date"]
    assert choose_features(DICTIONARY, []) == list(DICTIONARY)
