"""What the labels of two targets tell of each other, against closed forms; and what is not told."""

from collections.abc import Mapping

import numpy as np
import polars as pl
import pytest

from mmstudy.comparison.contributions import BINARY, CONTINUOUS
from mmstudy.report.associations import MEASURES, associations_of, may_be_told, mutual_information

NUM = 4000
RNG = np.random.default_rng(7)
ONE, OTHER = RNG.normal(size=(2, NUM))


def told(labels: Mapping[str, np.ndarray], kinds: Mapping[str, str]) -> dict[str, Mapping[tuple[str, str], float]]:
    frame = pl.DataFrame(labels).with_columns(pl.all().fill_nan(None))
    return {of.name: of.strengths for of in associations_of(frame, kinds, lambda _: None)}


@pytest.mark.parametrize("r", [0.0, 0.5, 0.9])
def test_of_normal_variables_it_is_minus_half_the_logarithm_of_one_minus_r_squared(r: float) -> None:
    correlated = r * ONE + np.sqrt(1 - r**2) * OTHER
    found = mutual_information(ONE, correlated, CONTINUOUS, CONTINUOUS)
    assert found == pytest.approx(-np.log(1 - r**2) / 2, abs=0.04)


def test_of_two_classes_it_is_that_of_their_table_in_nats() -> None:
    one = np.repeat([0.0, 0.0, 1.0, 1.0], [40, 10, 10, 40])
    other = np.repeat([0.0, 1.0, 0.0, 1.0], [40, 10, 10, 40])
    assert mutual_information(one, other, BINARY, BINARY) == pytest.approx(0.8 * np.log(1.6) + 0.2 * np.log(0.4))
    assert mutual_information(one, one, BINARY, BINARY) == pytest.approx(np.log(2))


def test_of_a_class_and_a_number_it_does_not_depend_on_their_order() -> None:
    classes = (ONE > 0).astype(float)
    found = mutual_information(classes, ONE, BINARY, CONTINUOUS)
    assert found == mutual_information(ONE, classes, CONTINUOUS, BINARY)
    assert found == pytest.approx(np.log(2), abs=0.03)  # the number tells the class, of which there are two alike
    assert mutual_information(classes, OTHER, BINARY, CONTINUOUS) < 0.02


def test_every_pair_is_told_once_and_of_those_alone_who_have_both_labels() -> None:
    labels = {"b": ONE.copy(), "a": ONE + OTHER, "c": OTHER.copy()}
    labels["c"][9:] = np.nan
    found = told(labels, dict.fromkeys(labels, CONTINUOUS))
    assert found.keys() == {measure.name for measure in MEASURES}
    for strengths in found.values():
        assert strengths.keys() == {("a", "b")}  # of c fewer than ten people have a label
    labels["c"][:10] = OTHER[:10]
    assert told(labels, dict.fromkeys(labels, CONTINUOUS))["mutual_information"].keys() == {
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
    }


@pytest.mark.parametrize(
    ("cells", "is_told"),
    [
        ((40, 10, 10, 40), True),
        ((40, 0, 10, 40), True),
        ((40, 9, 10, 40), False),
        ((4, 3, 2, 0), False),
    ],
)
def test_two_classes_are_told_where_no_cell_counts_one_to_nine(cells: tuple[int, ...], is_told: bool) -> None:
    both = np.repeat([[0, 0], [0, 1], [1, 0], [1, 1]], cells, axis=0).astype(float)
    assert may_be_told(both, (BINARY, BINARY)) is is_told


def test_a_class_of_nine_people_is_not_told_beside_a_number() -> None:
    for rare, is_told in ((9, False), (10, True), (0, True)):
        both = np.column_stack([np.arange(100.0), np.arange(100) < rare])
        assert may_be_told(both, (CONTINUOUS, BINARY)) is is_told
