import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import median_abs_deviation

from mmdata.qc.unusual import MEAN_CORRELATION, MIN_SCANS_TO_RANK, UNUSUAL_Z, deviations, rank_scans, robust_z

USUAL = np.random.default_rng(3).normal(1500, 100, 40)
VALUES = arrays(np.float64, st.integers(3, 30), elements=st.floats(-1e6, 1e6).map(lambda value: round(value, 3)))


@given(VALUES)
def test_z_is_the_distance_from_the_median_in_median_deviations(values: np.ndarray) -> None:
    spread = median_abs_deviation(values, scale="normal")
    if spread > 1e-3:
        assert np.allclose(robust_z(values), (values - np.median(values)) / spread, rtol=1e-4)


@given(VALUES, st.floats(0.001, 1000), st.floats(-1000, 1000))
def test_z_does_not_depend_on_the_unit(values: np.ndarray, scale: float, offset: float) -> None:
    if median_abs_deviation(values) > 1:
        assert np.allclose(robust_z(values), robust_z(values * scale + offset), rtol=1e-4, atol=1e-6)


def test_one_wild_value_does_not_hide_another() -> None:
    values = np.append(USUAL, [2500.0, 1e9])
    assert robust_z(values)[-2] > UNUSUAL_Z
    assert (2500 - values.mean()) / values.std() < 0.1


@pytest.mark.parametrize("value", [0.0, 490.0, 0.1 + 0.2])
def test_a_measure_that_is_the_same_in_all_scans_makes_none_unusual(value: float) -> None:
    values = np.full(20, value)
    values[::2] *= 1 + 2e-16
    assert (robust_z(values) == 0).all()
    assert rank_scans({"timepoints": values}) == []


def test_where_most_values_are_equal_the_standard_deviation_is_the_spread() -> None:
    values = np.array([0.0] * 99 + [5.0])
    assert robust_z(values)[-1] == pytest.approx(5 / values.std())
    assert (robust_z(values)[:-1] == 0).all()


def test_a_measure_that_was_not_taken_counts_for_nothing() -> None:
    values = USUAL.copy()
    values[7], values[9] = np.nan, 3000.0
    ranking = rank_scans({"brain_ml": values, "median": np.full(40, np.nan)})
    assert ranking[0].position == 9
    assert 7 not in [scan.position for scan in ranking]
    assert np.isnan(robust_z(np.full(3, np.nan))).all()


def test_the_largest_z_wins_and_reasons_come_strongest_first() -> None:
    volume, contrast = USUAL.copy(), USUAL / 1000
    volume[3], volume[5] = 2600.0, 3500.0
    contrast[3] = 9.0
    first, second = rank_scans({"brain_ml": volume, "contrast": contrast})[:2]
    assert (first.position, second.position) == (3, 5)
    assert [name for name, _ in first.reasons] == ["contrast", "brain_ml"]
    assert first.score == first.reasons[0][1] == pytest.approx(robust_z(contrast)[3])
    assert [name for name, _ in second.reasons] == ["brain_ml"]


def test_a_usual_scan_still_says_what_is_most_remarkable_about_it() -> None:
    for scan in rank_scans({"brain_ml": USUAL, "clamp_high": USUAL[::-1].copy()}):
        assert len(scan.reasons) == 1 or abs(scan.reasons[1][1]) > UNUSUAL_Z
        assert scan.score == abs(scan.reasons[0][1])


@pytest.mark.parametrize("measure", [MEAN_CORRELATION, "template_overlap", "registration_nmi"])
def test_only_too_little_likeness_is_unusual(measure: str) -> None:
    likeness = np.random.default_rng(1).normal(0.9, 0.005, 30)
    likeness[4], likeness[8] = 0.999, 0.5
    z = deviations(measure, likeness)
    assert z[4] == 0
    assert z[8] < -UNUSUAL_Z
    assert rank_scans({measure: likeness})[0].position == 8


def test_correlations_are_compared_by_fisher_z_and_may_be_perfect() -> None:
    correlations = np.append(np.random.default_rng(2).normal(0.95, 0.01, 20), [1.0, 0.2])
    expected = robust_z(np.arctanh(np.minimum(correlations, 1 - 1e-9)))
    assert np.allclose(deviations(MEAN_CORRELATION, correlations), np.minimum(expected, 0))


@pytest.mark.parametrize("num_scans", [0, 1, MIN_SCANS_TO_RANK - 1])
def test_too_few_scans_are_not_ranked(num_scans: int) -> None:
    assert rank_scans({"brain_ml": USUAL[:num_scans]}) == []
    assert rank_scans({}) == []


def test_just_enough_scans_are_ranked() -> None:
    assert rank_scans({"brain_ml": USUAL[:MIN_SCANS_TO_RANK]})


@given(st.permutations(range(12)))
def test_the_ranking_does_not_depend_on_the_order_of_the_scans(order: list[int]) -> None:
    values = USUAL[:12]
    shuffled = rank_scans({"brain_ml": values[order]})
    assert [order[scan.position] for scan in shuffled] == [scan.position for scan in rank_scans({"brain_ml": values})]
