import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, chi2_contingency, norm, ttest_ind

from catalog.audit.significance import (
    chi_squared_z,
    correlation_z,
    mean_difference_z,
    share_difference_z,
    share_z,
)


@given(st.integers(1, 30), st.floats(0.5, 6))
def test_a_chi_squared_is_as_rare_as_its_z(degrees: int, z: float) -> None:
    statistic = chi2.isf(norm.sf(z), degrees)
    assert chi_squared_z(statistic, degrees) == pytest.approx(z, rel=0.1)


@given(st.integers(20, 400), st.integers(20, 400), st.integers(1, 19), st.integers(1, 19))
def test_a_difference_of_shares_is_the_square_root_of_pearsons_chi_squared(n: int, m: int, a: int, b: int) -> None:
    statistic = chi2_contingency([[a, n - a], [b, m - b]], correction=False).statistic
    assert share_difference_z(a / n, b / m, n, m) ** 2 == pytest.approx(statistic, rel=1e-9, abs=1e-12)


def test_a_difference_of_means_is_a_t_of_large_groups() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(0, 1, 4000), rng.normal(0.05, 1, 3000)
    z = mean_difference_z(other.mean() - one.mean(), np.concatenate([one, other]).var(), 3000, 4000)
    assert z == pytest.approx(ttest_ind(other, one).statistic, rel=2e-3)
    assert mean_difference_z(0.0, 0.0, 5, 5) == 0.0


def test_correlations_of_noise_are_standard_normal() -> None:
    rng = np.random.default_rng(0)
    z = [correlation_z(float(np.corrcoef(rng.normal(size=(2, 50)))[0, 1]), 50) for _ in range(2000)]
    assert np.std(z) == pytest.approx(1, abs=0.05)
    assert correlation_z(-1.0, 50) == -np.inf


@given(st.integers(50, 1000), st.floats(0.05, 0.5), st.floats(0.05, 0.5))
def test_a_share_below_the_bound_has_a_negative_z(n: int, share: float, bound: float) -> None:
    assert np.sign(share_z(share, bound, n)) == np.sign(share - bound)
